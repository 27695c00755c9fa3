import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from bmix_lite import batches
from bmix_lite.base.errors import BmixError
from bmix_lite.batches import MixedBatches
from bmix_lite.inference import (
    autocast,
    choose_device,
    choose_layout,
    hold_on_gpu,
    predict,
    to_tensor,
    use_threads,
)
from bmix_lite.recipe import Recipe
from examples import digest, make_images, make_net

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def data():
    return make_images()


@pytest.fixture
def model(data):
    return make_net(Recipe(), data)


def test_pixels_become_shares_of_255_with_channels_first():
    images = np.arange(2 * 4 * 8 * 4, dtype=np.uint8).reshape(2, 4, 8, 4)
    tensor = to_tensor(images, "cpu")
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(
        tensor.numpy(), images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    )


def test_read_only_and_strided_images_become_tensors_without_a_warning(data):
    frozen = data.images[::2, :, ::-1]
    frozen.flags.writeable = False
    np.testing.assert_array_equal(to_tensor(frozen, "cpu"), to_tensor(frozen.copy(), "cpu"))


def test_predict_is_a_plain_loop_in_evaluation_mode(model, data):
    rows = [3, 0, 3, 70]
    model.eval()
    with torch.no_grad():
        logits = [
            model(torch.tensor(data.images[row] / 255).permute(2, 0, 1)[None].float())
            for row in rows
        ]
    expected = torch.cat(logits).double().softmax(dim=1).numpy()
    found = predict(model, data.images, rows, device="cpu")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(predict(model, data.images, device="cpu")[rows], expected, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 91, 1000])
def test_probabilities_do_not_depend_on_the_batch_size(model, data, batch_size):
    found = predict(model, data.images, device="cpu", batch_size=batch_size)
    np.testing.assert_allclose(found, predict(model, data.images, device="cpu"), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_predicting_twice_gives_the_same_bits_since_nothing_is_drawn(model, data):
    first, again = (predict(model, data.images, device="cpu") for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_images_may_be_memory_mapped(model, data, tmp_path):
    np.save(tmp_path / "images.npy", data.images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    found = predict(model, mapped, [5, 2], device="cpu")
    np.testing.assert_array_equal(found, predict(model, data.images, [5, 2], device="cpu"))


@pytest.mark.parametrize("mode", ["training", "evaluating", "training but for its batch norm"])
def test_predict_leaves_model_and_training_mode_as_they_were(model, data, mode):
    model.train(mode != "evaluating")
    if mode == "training but for its batch norm":
        next(layer for layer in model if isinstance(layer, torch.nn.BatchNorm2d)).eval()
    before = [layer.training for layer in model.modules()], digest(model)
    predict(model, data.images, device="cpu")
    assert ([layer.training for layer in model.modules()], digest(model)) == before


def test_predict_puts_mode_and_threads_back_after_an_error(model, data):
    model.train()
    threads = torch.get_num_threads()
    with pytest.raises(RuntimeError):
        predict(model, data.images.repeat(3, axis=3), device="cpu", threads=threads + 1)
    assert model.training
    assert torch.get_num_threads() == threads


def test_predict_leaves_the_global_generators_alone(model, data):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    before = states()
    predict(model, data.images, device="cpu")
    assert states() == before


def test_no_images_are_refused(model, data):
    with pytest.raises(BmixError, match="there are no images to predict"):
        predict(model, data.images, [], device="cpu")


def test_bfloat16_gives_nearly_the_same_probabilities(model, data):
    full, half = (
        predict(model, data.images, device="cpu", precision=name) for name in ("fp32", "bf16")
    )
    assert half.dtype == np.float32
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(half, full, atol=0.02)  # bfloat16 keeps 8 bits
    np.testing.assert_allclose(half.sum(axis=1), 1, atol=1e-6)


def test_auto_precision_is_exact_on_the_cpu(model, data):
    auto, full = (
        predict(model, data.images, device="cpu", precision=name) for name in ("auto", "fp32")
    )
    np.testing.assert_array_equal(auto, full)
    with autocast(torch.device("cpu"), "auto"):
        assert not torch.is_autocast_enabled("cpu")
    with autocast(torch.device("cpu"), "bf16"):
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
        assert torch.is_autocast_enabled("cpu")


def test_the_number_of_threads_holds_inside_and_is_put_back():
    before = torch.get_num_threads()
    with use_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_device_asked_for_is_the_one_taken():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(torch.device("meta")) == torch.device("meta")
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_images_held_by_a_gpu_make_the_batches_that_those_in_memory_make(data, monkeypatch):
    """Here the processor stands for a GPU whose free memory is told."""
    recipe = Recipe(dataset=data.name, batch_size=8, mixing="balanced", alpha=0.5)
    loaded = list(MixedBatches(data, recipe, torch.device("cpu")).epoch(1))
    monkeypatch.setattr(batches, "hold_on_gpu", lambda images, device: torch.tensor(images))
    held = MixedBatches(data, recipe, torch.device("cpu"))
    held.data = replace(data, images=np.zeros_like(data.images))  # no longer looked at
    for one, other in zip(loaded, held.epoch(1), strict=True):
        assert all(ours.equal(theirs) for ours, theirs in zip(one, other, strict=True))


@pytest.mark.parametrize(("free", "kept"), [(200, True), (198, False)])
def test_a_gpu_holds_the_images_if_they_fill_at_most_half_of_its_free_memory(
    monkeypatch, free, kept
):
    images = np.zeros((100, 1, 1, 1), np.uint8)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 1000))
    monkeypatch.setattr(torch, "tensor", lambda images, device: ("held", device))
    gpu = torch.device("cuda", 1)
    assert hold_on_gpu(images, gpu) == (("held", gpu) if kept else None)
    assert hold_on_gpu(images, torch.device("cpu")) is None


@pytest.mark.parametrize(
    ("device", "side", "layout"),
    [
        ("cuda", 32, torch.channels_last),
        ("cuda", 31, torch.preserve_format),
        ("cpu", 224, torch.preserve_format),
    ],
)
def test_weights_lie_channels_last_on_a_gpu_alone_unless_images_are_small(device, side, layout):
    assert choose_layout(torch.device(device), (10, side, 40, 3)) == layout
