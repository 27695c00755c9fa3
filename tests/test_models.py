import random
import sys

import numpy as np
import pytest
import torch
import torchvision

from bmix_lite.base.errors import BmixError
from bmix_lite.layers import Normalise
from bmix_lite.models import IMAGENET, LARGE, MODELS, make_model, seeded, small_cnn
from examples import digest


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A file of weights for 1,000 classes, as torchvision gives them, and their network."""
    with seeded(99):
        net = torchvision.models.mobilenet_v2(weights=None)
    path = tmp_path_factory.mktemp("weights") / "mobilenet_v2.pt"
    torch.save(net.state_dict(), path)
    return str(path), net


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_alone_decides_the_initial_weights(name):
    made = [make_model(name, 3, 1, seed=0)]
    torch.manual_seed(1234)
    made += [make_model(name, 3, 1, seed=seed) for seed in (0, 1)]
    first, again, other = map(digest, made)
    assert first == again != other


@pytest.mark.parametrize("name", MODELS)
def test_making_a_model_leaves_the_global_generators_alone(name):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    before = states()
    make_model(name, 3, 1, seed=0)
    assert states() == before


def test_the_generator_is_put_back_also_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(TypeError, match="size"), seeded(0):
        torch.rand(3, size=torch.rand(2))
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 13), (28, 28), (64, 64)])
def test_small_cnn_takes_images_of_8_to_64_pixels(height, width, channels):
    model = make_model("small_cnn", 5, channels, seed=0)
    assert model(torch.rand(2, channels, height, width)).shape == (2, 5)


def test_small_cnn_has_a_tenth_of_a_million_weights():
    assert 90_000 < sum(weights.numel() for weights in small_cnn(10, 1).parameters()) < 110_000


@pytest.mark.parametrize("name", LARGE)
def test_large_networks_take_colour_and_grey_images(name):
    models = [make_model(name, 4, channels, seed=0, side=32).eval() for channels in (1, 3)]
    with torch.inference_mode():
        images = torch.rand(2, 1, 32, 32)
        logits = models[0](images)
        assert logits.shape == (2, 4)
        assert torch.isfinite(logits).all()
        torch.testing.assert_close(models[1](images.expand(2, 3, 32, 32)), logits)


POOLED = {
    "mobilenet_v2": "2.features",
    "resnext50": "2.layer4",
    "bit_m_r50x1": "2.norm",
    "efficientnet_lite0": "2.bn2",
}  # the last maps before pooling


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize(("side", "places"), [(32, 4), (64, 4), (128, 4), (224, 7)])
def test_four_by_four_places_remain_at_the_end_of_a_large_network_also_of_small_images(
    name, side, places
):
    model, seen = make_model(name, 2, 3, seed=0, side=side).eval(), []
    last = dict(model.named_modules())[POOLED[name]]
    last.register_forward_hook(lambda _, __, maps: seen.append(maps.shape[-2:]))
    with torch.inference_mode():
        model(torch.rand(1, 3, side, side))
    assert seen == [(places, places)]


def test_the_first_layers_change_their_stride_only_so_that_pretrained_weights_still_fit():
    for name in ("mobilenet_v2", "resnext50"):
        shapes = [
            {
                key: value.shape
                for key, value in make_model(name, 2, 3, seed=0, side=side).state_dict().items()
            }
            for side in (32, 224)
        ]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", ["resnext50", "bit_m_r50x1"])
def test_every_large_network_reads_weights_from_a_file_and_refuses_others(name, tmp_path):
    import timm

    builders = {"resnext50": torchvision.models.resnext50_32x4d}
    builders["bit_m_r50x1"] = lambda: timm.create_model("resnetv2_50x1_bit.goog_in21k")
    with seeded(99):
        net = builders[name]()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    ours = make_model(name, 3, 3, seed=0, weights=str(tmp_path / "net.pt"))[-1]
    there, head = net.state_dict(), ("fc.", "head.fc")
    kept = {key: value for key, value in ours.state_dict().items() if not key.startswith(head)}
    assert kept
    assert digest(kept) == digest({key: there[key] for key in kept})
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(BmixError, match=r"weights '.*other\.pt' do not fit the network"):
        make_model(name, 3, 3, seed=0, weights=str(tmp_path / "other.pt"))


def test_without_timm_its_network_is_refused_with_the_package_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BmixError, match=r"'bit_m_r50x1' needs timm: pip install bmix-lite\[timm\]"):
        make_model("bit_m_r50x1", 3, 3, seed=0)


def test_normalise_subtracts_the_mean_of_a_channel_and_divides_by_its_deviation():
    ours = Normalise(*IMAGENET)(torch.full((1, 3, 2, 2), 0.5))
    theirs = torchvision.transforms.Normalize(*IMAGENET)(torch.full((3, 2, 2), 0.5))
    torch.testing.assert_close(ours[0], theirs)
    presets = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    assert (list(IMAGENET[0]), list(IMAGENET[1])) == (presets.mean, presets.std)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 1, 8, 8), (3, 3, 5, 9), (4, 3, 1, 1)])
def test_normalise_gives_the_same_bits_whatever_the_order_in_memory_and_keeps_that_order(shape):
    images, net = (
        torch.rand(shape, generator=torch.Generator().manual_seed(0)),
        Normalise(*IMAGENET),
    )
    last = images.contiguous(memory_format=torch.channels_last)
    if shape[1] == 1:
        net = Normalise([0.5], [0.25])
    expected = (images - net.mean) / net.std
    assert net(images).equal(expected)
    assert net(last).equal(expected)
    assert net(last).is_contiguous(memory_format=torch.channels_last)
    assert net(images).is_contiguous()


def test_weights_are_read_from_a_file_and_the_last_layer_is_new(pretrained):
    path, net = pretrained
    ours = [make_model("mobilenet_v2", 3, 3, seed=seed, weights=path)[-1] for seed in (0, 1)]
    assert digest(ours[0].features) == digest(ours[1].features) == digest(net.features)
    assert digest(ours[0].classifier) != digest(ours[1].classifier)
    assert ours[0].classifier[1].out_features == 3


def test_mobilenet_ends_in_one_linear_layer_without_dropout():
    classifier = make_model("mobilenet_v2", 3, 3, seed=0)[-1].classifier
    assert not any(isinstance(layer, torch.nn.Dropout) for layer in classifier)
    features = torch.rand(2, 1280)
    last = classifier[1]
    assert classifier.train()(features).equal(features @ last.weight.T + last.bias)


def test_the_last_layer_of_bit_begins_with_zeros():
    model = make_model("bit_m_r50x1", 4, 3, seed=0, side=32).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 32, 32)).tolist() == [[0, 0, 0, 0]]


def test_a_file_of_other_weights_is_refused_by_name(tmp_path):
    path = str(tmp_path / "other.pt")
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(BmixError, match=r"weights '.*other\.pt' do not fit the network"):
        make_model("mobilenet_v2", 3, 3, seed=0, weights=path)


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_weights_that_would_run_code_are_refused_and_do_not(tmp_path):
    path, trace = str(tmp_path / "hostile.pt"), tmp_path / "trace"
    torch.save(Payload(str(trace)), path)
    with pytest.raises(BmixError, match=r"hostile\.pt"):
        make_model("mobilenet_v2", 3, 3, seed=0, weights=path)
    assert not trace.exists()


def test_a_missing_file_of_weights_is_refused_by_name():
    with pytest.raises(
        BmixError, match=r"weights must be '', 'imagenet' or a file, and there is no file 'imagnet'"
    ):
        make_model("mobilenet_v2", 3, 3, seed=0, weights="imagnet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("smal_cnn", 3, 1),
            r"model must be one of small_cnn, .*, efficientnet_lite0, linear, mlp, got 'smal_cnn'; "
            r"did you mean 'small_cnn'",
        ),
        (("small_cnn", 1, 1), r"num_classes must be at least 2, got 1"),
        (("small_cnn", 3, 2), r"images must have 1 or 3 channels, got 2"),
        (("mobilenet_v2", 3, 4), r"images must have 1 or 3 channels, got 4"),
    ],
)
def test_models_that_cannot_be_made_are_refused(arguments, message):
    with pytest.raises(BmixError, match=message):
        make_model(*arguments, seed=0)


def test_small_cnn_refuses_pretrained_weights():
    with pytest.raises(
        BmixError, match=r"small_cnn has no pretrained weights, got weights='imagenet'"
    ):
        make_model("small_cnn", 3, 1, seed=0, weights="imagenet")


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_the_mlp_takes_points_of_any_number_of_coordinates(channels):
    model = make_model("mlp", 4, channels, seed=0)
    assert model(torch.rand(3, channels, 1, 1)).shape == (3, 4)
    wide = 64  # two hidden layers, each with its biases
    expected = (channels + 1) * wide + (wide + 1) * wide + (wide + 1) * 4
    assert sum(weights.numel() for weights in model.parameters()) == expected


def test_the_mlp_is_two_rectified_layers_and_a_linear_one():
    model = make_model("mlp", 3, 2, seed=1)
    points = np.random.default_rng(0).random((10, 2)).astype(np.float32)
    layers = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
    x = (points - 0.5) / 0.25
    for k, layer in enumerate(layers):
        x = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        x = np.maximum(x, 0) if k < 2 else x
    ours = model(torch.from_numpy(points)[:, :, None, None]).detach().numpy()
    assert ours == pytest.approx(x, abs=1e-5)


def test_the_mlp_refuses_pretrained_weights():
    with pytest.raises(BmixError, match=r"mlp has no pretrained weights, got weights='imagenet'"):
        make_model("mlp", 3, 2, seed=0, weights="imagenet")
