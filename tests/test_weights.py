"""Files of weights as people have them; field report 19: vision #1876, pytorch #33288."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torchvision

from bmix_lite.base.errors import BmixError
from bmix_lite.base.weights import unwrap_state
from bmix_lite.checkpoints import save_model
from bmix_lite.models import make_model, seeded
from examples import digest


@pytest.fixture(scope="module")
def net():
    with seeded(99):
        return torchvision.models.mobilenet_v2(weights=None)


@pytest.fixture(scope="module")
def state(net):
    return net.state_dict()


def prefixed(prefix, state):
    return OrderedDict((prefix + name, value) for name, value in state.items())


WAYS = {
    "a state dict": lambda net, state: state,
    "DataParallel": lambda net, state: torch.nn.DataParallel(net).state_dict(),
    "torch.compile": lambda net, state: prefixed("_orig_mod.", state),
    "both": lambda net, state: prefixed("_orig_mod.module.", state),
    "one compiled layer": lambda net, state: {
        name.replace("features.", "features._orig_mod."): value for name, value in state.items()
    },
    "a checkpoint of PyTorch's ImageNet example": lambda net, state: {
        "epoch": 3,
        "arch": "mobilenet_v2",
        "state_dict": prefixed("module.", state),
        "best_acc1": torch.tensor(0.5),
        "optimizer": {"state": {}, "param_groups": []},
    },
    "a checkpoint of Lightning, with the weights of its loss": lambda net, state: {
        "state_dict": prefixed("model.", state) | {"loss.weight": torch.ones(5)},
        "epoch": 1,
        "hyper_parameters": {"lr": 0.1},
    },
    "model_state_dict": lambda net, state: {"model_state_dict": state, "loss": 0.1},
    "model": lambda net, state: {"model": state, "args": {"lr": 0.1}},
    "an entry within an entry": lambda net, state: {"model": {"state_dict": state}},
    "an averaged model": lambda net, state: torch.optim.swa_utils.AveragedModel(net).state_dict(),
    "half precision": lambda net, state: {name: value.half() for name, value in state.items()},
    "without counters, as before torch 0.4.1": lambda net, state: {
        name: value for name, value in state.items() if "num_batches" not in name
    },
    "five classes": lambda net, state: (
        state | {"classifier.1.weight": torch.zeros(5, 1280), "classifier.1.bias": torch.zeros(5)}
    ),
    "without a last layer": lambda net, state: {
        name: value for name, value in state.items() if not name.startswith("classifier")
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_weights_are_understood_in_whatever_they_are_wrapped(way, net, state, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(WAYS[way](net, state), path)
    ours = make_model("mobilenet_v2", 5, 3, seed=0, weights=str(path))[-1]
    features = net.features
    if way == "half precision":
        with seeded(99):
            features = torchvision.models.mobilenet_v2(weights=None).half().float().features
    assert digest(ours.features) == digest(features)
    assert ours.classifier[1].out_features == 5


@pytest.mark.parametrize("way", ["a state dict", "five classes", "without a last layer"])
def test_the_last_layer_is_new_by_the_seed_alone(way, net, state, tmp_path):
    torch.save(state, tmp_path / "plain.pth")
    torch.save(WAYS[way](net, state), tmp_path / "weights.pth")
    made = [
        make_model("mobilenet_v2", 5, 3, seed=4, weights=str(tmp_path / name))
        for name in ("plain.pth", "weights.pth")
    ]
    assert digest(made[0]) == digest(made[1])


def test_the_model_of_a_run_of_this_kit_gives_its_weights(tmp_path):
    before = make_model("mobilenet_v2", 7, 3, seed=3)
    save_model(before, tmp_path / "model.pt")
    after = make_model("mobilenet_v2", 5, 3, seed=0, weights=tmp_path / "model.pt")
    assert digest(after[-1].features) == digest(before[-1].features)


def test_safetensors_are_read(state, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    safetensors.save_file(dict(state), tmp_path / "model.safetensors")
    ours = make_model("mobilenet_v2", 5, 3, seed=0, weights=str(tmp_path / "model.safetensors"))
    kept = {name: value for name, value in state.items() if name.startswith("features")}
    found = {name: ours[-1].state_dict()[name] for name in kept}
    assert digest(found) == digest(kept)


REFUSED = {
    "another network": (
        lambda state: torchvision.models.resnet18(weights=None).state_dict(),
        r"it has no 'features\.0\.0\.weight'; its first names are conv1\.weight, bn1\.weight",
    ),
    "a part of the network": (
        lambda state: dict(list(state.items())[:100]),
        r"\d+ names \(features\..*\) of the network missing in it",
    ),
    "a layer more": (
        lambda state: state | {"features.99.weight": torch.zeros(1)},
        r"1 names \(features\.99\.weight\) in it that the network does not have",
    ),
    "two networks": (
        lambda state: prefixed("encoder_q.", state) | prefixed("encoder_k.", state),
        r"several such networks, encoder_k\. and encoder_q\.: save one of them",
    ),
    "another width": (
        lambda state: state | {"features.0.0.weight": torch.zeros(16, 3, 3, 3)},
        r"size mismatch for features\.0\.0\.weight",
    ),
    "no tensors": (lambda state: {"epoch": 3}, r"it has no 'features\.0\.0\.weight'"),
    "a list": (lambda state: [1, 2], r"it holds no state dict but a list"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_files_are_refused_with_what_is_in_them(what, state, tmp_path):
    make, words = REFUSED[what]
    torch.save(make(state), tmp_path / "other.pth")
    with pytest.raises(BmixError, match=rf"other\.pth' do not fit the network: .*{words}"):
        make_model("mobilenet_v2", 5, 3, seed=0, weights=str(tmp_path / "other.pth"))


def test_a_whole_model_in_a_file_is_refused_with_what_to_save_instead(net, tmp_path):
    torch.save(net, tmp_path / "whole.pth")
    words = r"whole\.pth' must hold tensors only, as torch\.save\(model\.state_dict\(\), path\)"
    with pytest.raises(BmixError, match=words):
        make_model("mobilenet_v2", 5, 3, seed=0, weights=str(tmp_path / "whole.pth"))


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut"])
def test_a_download_that_failed_is_refused_by_name(content, tmp_path):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(BmixError, match=r"weights '.*weights\.pth' "):
        make_model("mobilenet_v2", 5, 3, seed=0, weights=str(tmp_path / "weights.pth"))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mobilenet_v2", "mobilenet_v2-b0353104.pth"),
        ("resnext50", "resnext50_32x4d-1a0047aa.pth"),
        ("bit_m_r50x1", "model.safetensors"),
    ],
)
def test_without_a_network_it_is_said_which_file_to_fetch_and_how_to_give_it(
    name, file, tmp_path, monkeypatch
):
    for proxy in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if name == "bit_m_r50x1":
        import timm

        def refuse(*_, pretrained=False, **__):
            raise OSError("no network")

        monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(BmixError) as caught:
        make_model(name, 5, 3, seed=0, weights="imagenet")
    words = str(caught.value)
    assert words.startswith("the weights 'imagenet' could not be fetched (")
    assert file in words
    assert "weights='PATH'" in words
    if name != "bit_m_r50x1":
        assert str(Path(tmp_path, "hub")) in words
    assert "\n" not in words


def test_names_alone_decide_what_is_unwrapped():
    names = {"a.weight": 0, "b.bias": 0, "fc.weight": 0}
    value = torch.zeros(1)
    for prefix in ("", "module.", "x.y."):
        state = {f"{prefix}{name}": value for name in names} | {"other": value}
        if prefix:
            assert list(unwrap_state(state, names, ("fc.",))) == list(names)
    # a longer name that only ends alike is not the network's
    with pytest.raises(BmixError, match=r"it has no 'a\.weight'"):
        unwrap_state({"aa.weight": value, "b.bias": value}, names, ("fc.",))
