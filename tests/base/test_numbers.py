"""Numbers and arrays as people bring them, for every door of the core."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bmix_lite.base.errors import BmixError, require_alpha, require_integer, require_type
from bmix_lite.base.numbers import from_torch, plain_number, rounding
from bmix_lite.data.imageset import ImageSet
from bmix_lite.distribution import class_probabilities, count_classes, draw_lam
from bmix_lite.losses import make_loss
from bmix_lite.metrics import score
from bmix_lite.mixing import balanced_mixup
from bmix_lite.models import make_model
from bmix_lite.prevalence import adjust_probabilities
from bmix_lite.recipe import Recipe
from bmix_lite.runs.folder import make_run_id
from bmix_lite.samplers import IndexStream
from bmix_lite.training import predict
from examples import digest, make_images, make_net

LABELS = [0, 1, 2, 1]
SHARES = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.125, 0.125, 0.75], [0.75, 0.125, 0.125]]


@pytest.mark.parametrize(
    "three", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3), torch.tensor(3).int()]
)
def test_integers_of_numpy_and_torch_are_python_s(three):
    assert type(plain_number(three)) is int
    assert require_integer("n", three, 0) == 3
    recipe = Recipe(seed=three, epochs=three, split=three, batch_size=three)
    assert recipe == Recipe(seed=3, epochs=3, split=3, batch_size=3)
    assert json.dumps(recipe.asdict()) == json.dumps(Recipe(**recipe.asdict()).asdict())
    assert make_run_id(recipe, "d") == make_run_id(Recipe(**recipe.asdict()), "d")
    made = make_model("small_cnn", three, np.int64(1), seed=three)
    assert digest(made) == digest(make_model("small_cnn", 3, 1, seed=3))


@pytest.mark.parametrize(
    "quarter",
    [0.25, np.float64(0.25), np.float32(0.25), np.array(0.25), torch.tensor(0.25),
     torch.tensor(0.25, requires_grad=True), torch.tensor(0.25, dtype=torch.bfloat16)],
)  # fmt: skip
def test_floats_of_numpy_and_torch_are_python_s(quarter):
    assert type(require_alpha(quarter)) is float
    recipe = Recipe(mixing="balanced", alpha=quarter, lr=quarter, q=quarter)
    assert recipe == Recipe(mixing="balanced", alpha=0.25, lr=0.25, q=0.25)
    assert repr(recipe) == repr(Recipe(mixing="balanced", alpha=0.25, lr=0.25, q=0.25))
    drawn = draw_lam(quarter, rng=np.random.default_rng(0))
    assert drawn == draw_lam(0.25, rng=np.random.default_rng(0))
    assert (
        class_probabilities([4, 1], quarter).tolist() == class_probabilities([4, 1], 0.25).tolist()
    )


@pytest.mark.parametrize("value", [torch.tensor(True), np.bool_(True), np.array(True)])
def test_a_truth_value_is_no_number_whoever_made_it(value):
    with pytest.raises(BmixError, match="seed must be of type int, got True"):
        Recipe(seed=value)
    with pytest.raises(BmixError, match="n must be an integer"):
        require_integer("n", value, 0)


@pytest.mark.parametrize("value", [torch.tensor([3]), np.array([3]), torch.tensor(3.0), [3]])
def test_what_is_no_single_integer_is_refused_by_name(value):
    with pytest.raises(BmixError, match="seed must be of type int, got"):
        Recipe(seed=value)


@pytest.mark.parametrize("field", ["seed", "epochs", "split", "batch_size", "warmup_epochs"])
def test_integers_over_64_bits_are_refused_by_name(field):
    with pytest.raises(BmixError, match=rf"{field} must be an integer of 64 bits, at most 92233.*"):
        Recipe(**{field: 2**63})


def test_the_largest_seed_is_one_of_64_bits():
    assert Recipe(seed=2**63 - 1).seed == 2**63 - 1


@pytest.mark.parametrize("field", ["lr", "alpha", "weight_decay", "q"])
def test_an_integer_that_no_float_holds_is_refused_by_name(field):
    with pytest.raises(BmixError, match=f"{field} must be finite, got 1000"):
        Recipe(mixing="balanced", **{field: 10**400})


def test_more_threads_than_a_computer_has_are_refused():
    with pytest.raises(BmixError, match="threads must be at most 1024, got 2147483648"):
        Recipe(threads=2**31)


def test_a_path_may_stand_where_a_field_is_text():
    assert Recipe(dataset=Path("data/cells")).dataset == "data/cells"
    assert type(Recipe(dataset=np.str_("digits_lt")).dataset) is str
    assert require_type("n", Path("a"), "str") == "a"
    with pytest.raises(BmixError, match="seed must be of type int"):
        Recipe(seed=Path("3"))


def as_given(kind, values):
    """The same values in another container."""
    return {
        "list": lambda: values,
        "list of tensors": lambda: [torch.tensor(value) for value in values],
        "tuple": lambda: tuple(values),
        "tensor": lambda: torch.tensor(values),
        "tensor with gradient": lambda: (torch.tensor(values) * 1.0).requires_grad_(),
        "float16": lambda: np.array(values, np.float16),
        "half tensor": lambda: torch.tensor(values, dtype=torch.float16),
        "bfloat16": lambda: torch.tensor(values, dtype=torch.bfloat16),
        "transposed": lambda: torch.tensor(values).T.contiguous().T,
    }[kind]()


KINDS = ["list", "list of tensors", "tuple", "tensor", "transposed", "float16", "half tensor"]
KINDS += ["bfloat16", "tensor with gradient"]


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_scored_in_whatever_they_come(kind):
    expected = score(np.array(LABELS), np.array(SHARES))
    assert score(torch.tensor(LABELS), as_given(kind, SHARES)) == expected
    adjusted = adjust_probabilities(as_given(kind, SHARES), torch.tensor([4, 2, 1]))
    assert adjusted.tolist() == adjust_probabilities(np.array(SHARES), [4, 2, 1]).tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("classes", [2, 7, 23, 1000])
def test_a_softmax_in_half_precision_sums_to_one_as_well_as_it_can(dtype, classes):
    logits = torch.randn(200, classes, generator=torch.Generator().manual_seed(0)) * 3
    found = logits.softmax(dim=1).to(dtype)
    labels = torch.arange(200) % classes
    assert 0 <= score(labels, found)["accuracy"] <= 1
    if dtype is torch.float16:
        score(labels, found.numpy())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_tolerance_of_whole_precision_is_as_before(dtype):
    with pytest.raises(BmixError, match=r"row \[0\]: probabilities must .* logits need a softmax"):
        score([0, 1], np.array([[0.5, 0.5002], [0.5, 0.5]], dtype))


def test_logits_are_refused_with_the_remedy():
    with pytest.raises(BmixError, match="logits need a softmax first"):
        score([0, 1], [[2.0, -1.0], [0.5, 3.0]])


@pytest.mark.parametrize(
    ("labels", "probabilities", "fix"),
    [
        (np.array([[0], [1]]), np.eye(2), r"of a column make labels\[:, 0\]"),
        (torch.eye(2), torch.eye(2), r"of one-hot rows labels\.argmax\(axis=1\)"),
        ([0, 1], [0.2, 0.7], r"of one column p make np\.stack\(\[1 - p, p\], axis=1\)"),
        (torch.tensor([0.0, 1.0]), torch.eye(2), r"got dtype float32: labels\.astype\(int\)"),
    ],
)
def test_other_shapes_and_types_are_refused_with_the_remedy(labels, probabilities, fix):
    with pytest.raises(BmixError, match=fix):
        score(labels, probabilities)


@pytest.mark.parametrize(
    "labels",
    [torch.tensor(LABELS), torch.tensor(LABELS, dtype=torch.uint8), np.array(LABELS, np.int8),
     [torch.tensor(label) for label in LABELS], [np.int64(label) for label in LABELS]],
)  # fmt: skip
def test_labels_may_be_tensors_at_every_door(labels):
    assert count_classes(labels).tolist() == [1, 2, 1]
    ours = IndexStream(labels, np.float32(0.5), seed=np.int64(1), purpose="base").indices(1)
    theirs = IndexStream(np.array(LABELS), 0.5, seed=1, purpose="base").indices(1)
    assert ours.tolist() == theirs.tolist()
    data = ImageSet(np.zeros((4, 2, 2, 1), np.uint8), labels, ("a", "b", "c"))
    assert data.labels.tolist() == LABELS
    assert data.labels.dtype == np.int64


def test_an_image_set_of_tensors_is_that_of_arrays():
    images = torch.arange(4 * 2 * 2, dtype=torch.uint8).reshape(4, 2, 2, 1)
    groups = torch.tensor([7, 7, 8, 9])
    ours = ImageSet(images, torch.tensor(LABELS), ("a", "b", "c"), groups=groups)
    theirs = ImageSet(images.numpy(), np.array(LABELS), ("a", "b", "c"), groups=groups.numpy())
    assert ours.fingerprint == theirs.fingerprint
    assert "3 groups" in repr(ours)  # each number of a tensor is an object of its own


def test_labels_that_are_no_integers_are_refused_with_the_remedy():
    with pytest.raises(BmixError, match=r"got dtype float64: convert them, labels\.astype\(int\)"):
        count_classes([0.0, 1.0])


def test_class_numbers_in_the_place_of_soft_targets_are_refused_with_the_remedy():
    with pytest.raises(BmixError, match=r"become soft targets by F\.one_hot\(labels, C\)\.float"):
        make_loss("cross_entropy", [3, 1])(torch.zeros(2, 2), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("batch", "fix"),
    [
        ((np.zeros((2, 3)), np.eye(2)), r"x must be a tensor, got ndarray: torch\.as_tensor\(x\)"),
        ((torch.zeros(2, 3, dtype=torch.uint8), torch.eye(2)), r"x must be .*: x\.float\(\) / 255"),
        ((torch.zeros(2, 3), torch.tensor([0, 1])), r"y must be .*: F\.one_hot\(y, C\)\.float\(\)"),
    ],
)
def test_batches_that_cannot_be_mixed_are_refused_with_the_remedy(batch, fix):
    with pytest.raises(BmixError, match=fix):
        balanced_mixup(batch, batch, 0.5)


def test_lam_may_be_a_number_of_numpy_or_torch():
    batch = torch.rand(2, 3), torch.eye(2)
    other = torch.rand(2, 3), torch.eye(2)
    expected = balanced_mixup(batch, other, 0.25)[0]
    for lam in (np.float32(0.25), np.float64(0.25), np.array(0.25), torch.tensor(0.25)):
        assert balanced_mixup(batch, other, lam)[0].equal(expected)


def test_pictures_in_floats_are_not_read_as_nearly_black():
    data = make_images()
    model = make_net(Recipe(), data)
    with pytest.raises(
        BmixError, match="images must be uint8, 0 to 255, as in training, got float"
    ):
        predict(model, data.images / 255, device="cpu")
    found = predict(model, torch.from_numpy(data.images), torch.tensor([3, 1]), device="cpu")
    assert found.tolist() == predict(model, data.images, [3, 1], device="cpu").tolist()


def test_rounding_is_half_a_gap_at_one():
    assert rounding(np.float64(1)) == 2**-53
    assert rounding(torch.zeros(1, dtype=torch.float16)) == 2**-11
    assert rounding(torch.zeros(1, dtype=torch.bfloat16)) == 2**-8
    assert rounding([0.5]) == rounding(np.array([1])) == rounding(torch.tensor([1])) == 0


def test_arrays_and_lists_without_tensors_come_back_as_they_are():
    for values in ([1, 2], np.arange(3), "text", None, ("a", "b")):
        assert from_torch(values) is values
