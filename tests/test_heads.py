"""The last layer: cosines against NumPy's, and every network takes them."""

import numpy as np
import pytest
import torch
from torch import nn

from bmix_lite.base.errors import BmixError
from bmix_lite.checkpoints import load_model, save_model
from bmix_lite.heads import SCALE, CosineLinear, last_layer, set_head, shift_logits
from bmix_lite.models import make_model
from bmix_lite.recipe import Recipe
from bmix_lite.training import predict, train
from examples import QUICK, digest, make_images, make_net, run


def make_layer(seed=0):
    torch.manual_seed(seed)
    return CosineLinear(5, 3)


def test_logits_are_thirty_times_the_cosines_of_features_and_class_weights():
    layer, x = make_layer(), torch.randn(4, 5)
    w = layer.weight.detach().numpy().astype(float)
    features = x.numpy().astype(float)
    dots = features @ w.T
    lengths = np.linalg.norm(features, axis=1)[:, None] * np.linalg.norm(w, axis=1)
    assert layer(x).detach().numpy() == pytest.approx(30 * dots / lengths, rel=1e-5)
    assert SCALE == 30


def test_the_length_of_features_and_weights_says_nothing():
    layer, x = make_layer(), torch.randn(4, 5)
    before = layer(x)
    with torch.no_grad():
        layer.weight *= torch.tensor([[2.0], [0.1], [30.0]])
    torch.testing.assert_close(layer(7 * x), before)


def test_directions_are_drawn_evenly_at_length_one_and_the_bias_is_not_trained():
    layer = CosineLinear(3, 20_000)
    assert layer.weight.norm(dim=1).detach().numpy() == pytest.approx(np.ones(20_000), rel=1e-5)
    # of a uniform direction in three dimensions every coordinate is uniform in -1..1
    heights = layer.weight.detach().numpy().ravel()
    assert np.histogram(heights, 10, (-1, 1))[0] == pytest.approx(6000, rel=0.08)
    assert not layer.bias.requires_grad
    assert not layer.bias.any()


def test_autocast_leaves_the_cosines_as_they_are():
    layer, x = make_layer(), torch.randn(4, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).equal(layer(x).float())
        assert layer(x).dtype == torch.float32
    torch.testing.assert_close(layer(x.bfloat16()), layer(x.bfloat16().float()))


@pytest.mark.parametrize("name", ["small_cnn", "mobilenet_v2", "mlp", "bit_m_r50x1"])
def test_every_network_takes_the_head_and_keeps_all_else(name):
    if name == "bit_m_r50x1":
        pytest.importorskip("timm")
    side = 1 if name == "mlp" else 32
    plain, cosine = (make_model(name, 4, 3, seed=0, head=head) for head in ("default", "cosine"))
    assert isinstance(last_layer(cosine), CosineLinear)
    logits = cosine.eval()(torch.rand(2, 3, side, side))
    assert logits.shape == (2, 4)
    assert logits.abs().max() <= SCALE * (1 + 1e-5)
    shared = [key for key, value in plain.state_dict().items() if "." in key and value.ndim > 1]
    theirs = cosine.state_dict()
    last = max(i for i, key in enumerate(shared) if plain.state_dict()[key].shape[0] == 4)
    assert all(theirs[key].equal(plain.state_dict()[key]) for key in shared[:last])
    again = make_model(name, 4, 3, seed=0, head="cosine")
    assert digest(again) == digest(cosine)


def test_an_unknown_head_is_refused():
    with pytest.raises(BmixError, match=r"head must be one of default, cosine.*, got 'cosin'"):
        make_model("small_cnn", 3, 1, seed=0, head="cosin")


def test_a_network_without_the_head_of_its_recipe_is_refused_before_training():
    recipe, data = Recipe.make("ldam_drw", **QUICK), make_images()
    with pytest.raises(BmixError, match=r"head='cosine' needs a last layer CosineLinear: make_m"):
        next(train(make_model("small_cnn", 3, 1, seed=0), data, recipe, device="cpu"))
    own = nn.Sequential(nn.Flatten(), CosineLinear(64, 3))
    assert len(run(recipe, data, own)[1]) == 3


def test_a_trained_head_goes_through_a_file_and_never_learns_a_bias(tmp_path):
    recipe, data = Recipe.make("ldam_drw", **QUICK), make_images()
    model, _ = run(recipe, data)
    assert not last_layer(model).bias.any()
    save_model(model, tmp_path / "model.pt")
    other = load_model(make_net(recipe, data), tmp_path / "model.pt")
    assert digest(other) == digest(model)


def test_a_file_of_weights_with_this_head_begins_networks_with_either(tmp_path):
    save_model(make_model("mobilenet_v2", 7, 3, seed=3, head="cosine"), tmp_path / "model.pt")
    for head in ("default", "cosine"):
        made = make_model("mobilenet_v2", 5, 3, seed=0, weights=tmp_path / "model.pt", head=head)
        assert last_layer(made).weight.shape[0] == 5


@pytest.mark.parametrize("options", [{}, {"bias": False}, None], ids=str)
def test_a_shift_is_added_to_the_logits_whatever_the_layer(options):
    layer = CosineLinear(6, 3) if options is None else nn.Linear(6, 3, **options)
    model, x = nn.Sequential(nn.Flatten(), layer), torch.randn(4, 6)
    before = model(x).detach()
    shift_logits(model, np.array([1.0, -2.0, 0.5]))
    torch.testing.assert_close(model(x), before + torch.tensor([1.0, -2.0, 0.5]))


def test_the_default_head_is_the_models_own():
    model = nn.Linear(2, 2)
    assert set_head(model, "default") is model
    data = make_images()
    assert predict(make_net(Recipe(), data), data.images, [0], device="cpu").shape == (1, 3)
