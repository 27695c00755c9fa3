"""The method in a loop of one's own: what is drawn, whoever loads it; where labels are found."""

import sys
from itertools import islice
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from bmix_lite import BalancedMixUp, PairSampler, mixed_class_probabilities
from bmix_lite.base.errors import BmixError
from bmix_lite.base.labels import find_labels
from bmix_lite.losses import make_loss

few = settings(max_examples=60, deadline=None)
COUNTS = (80, 16, 4)
Y = np.repeat([0, 1, 2], COUNTS)
DATA = TensorDataset(torch.arange(100.0).reshape(100, 1), torch.from_numpy(Y), torch.arange(100))


def load(workers=0, *, data=DATA, **options):
    sampler = PairSampler(data, 10, seed=7)
    mix = BalancedMixUp(sampler, alpha=0.4, **options)
    return sampler, DataLoader(data, batch_sampler=sampler, collate_fn=mix, num_workers=workers)


def flat(loader):
    return [torch.cat([x, y], dim=1) for x, y, _ in loader]


def test_a_batch_holds_b_images_as_the_data_are_and_b_class_balanced_ones():
    sampler = PairSampler(Y, 10, seed=3)
    seen, balanced = [], []
    for _ in range(60):
        for pair in sampler:
            assert len(pair) == 20
            seen += pair[:10]
            balanced += pair[10:]
        assert sorted(seen[-100:]) == list(range(100))  # every image once an epoch
    drawn = np.bincount(Y[balanced])
    assert scipy.stats.chisquare(drawn).pvalue > 1e-3
    draws = np.bincount(balanced, minlength=100)
    for images in np.split(draws, np.cumsum(COUNTS)[:-1]):  # within a class all are alike
        assert scipy.stats.chisquare(images).pvalue > 1e-3


@pytest.mark.parametrize(("q", "alpha"), [(1.0, 0.2), (1.0, 1.0), (0.5, 0.4)])
def test_the_label_mass_is_that_of_the_closed_form(q, alpha):
    sampler = PairSampler(Y, 10, seed=1, q=q)
    mix = BalancedMixUp(sampler, alpha=alpha)
    loader = DataLoader(DATA, batch_sampler=sampler, collate_fn=mix)
    batches = torch.stack([y.mean(0) for _ in range(80) for _, y, _ in loader]).numpy()
    error = batches.std(0, ddof=1) / np.sqrt(len(batches))
    z = (batches.mean(0) - mixed_class_probabilities(COUNTS, q, alpha)) / error
    assert np.abs(z).max() < 3.5


def test_lam_is_drawn_from_the_beta_distribution_of_the_paper():
    sampler = PairSampler(Y, 10, seed=2)
    mix = BalancedMixUp(sampler, alpha=0.3)
    x = torch.cat([torch.zeros(10, 1), torch.ones(10, 1)])  # so that the mixed x is lam
    target = torch.zeros(20, dtype=torch.int64)
    lam = []
    for _ in range(40):
        for _ in sampler:
            mixed, _ = mix(x, target)
            assert mixed.unique().numel() == 1
            lam.append(mixed[0].item())
    assert scipy.stats.kstest(lam, scipy.stats.beta(0.3, 1).cdf).pvalue > 1e-3
    per_image = BalancedMixUp(sampler, alpha=0.3, lam_per="image")
    assert per_image(x, target)[0].unique().numel() == 10


def test_any_number_of_workers_gives_the_same_batches_epoch_after_epoch():
    _, alone = load()
    expected = [flat(alone) for _ in range(3)]
    assert not torch.equal(expected[0][0], expected[1][0])
    for workers in (1, 2):
        _, loader = load(workers)
        for epoch in expected:
            assert all(map(torch.equal, flat(loader), epoch))


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.nightly)])
def test_workers_that_live_on_learn_which_epoch_it_is(start):
    _, alone = load()
    sampler, _ = load()
    mix = BalancedMixUp(sampler, alpha=0.4)
    options = {"persistent_workers": True, "multiprocessing_context": start}
    loader = DataLoader(DATA, batch_sampler=sampler, collate_fn=mix, num_workers=2, **options)
    for _ in range(3):
        assert all(map(torch.equal, flat(loader), flat(alone)))


def test_a_chosen_epoch_and_step_go_on_as_the_run_that_was_not_interrupted():
    sampler, loader = load(2)
    whole = [flat(loader) for _ in range(2)]
    sampler, loader = load(2)
    sampler.set_epoch(1)
    assert all(map(torch.equal, flat(loader), whole[1]))
    sampler.set_epoch(0, step=4)
    assert all(map(torch.equal, flat(loader), whole[0][4:]))
    assert all(map(torch.equal, flat(loader), whole[1]))  # and the next epoch is whole again
    torch.manual_seed(0)
    sampler.set_epoch(0)
    first = flat(loader)
    torch.manual_seed(1)  # nothing depends on global generators
    sampler.set_epoch(0)
    assert all(map(torch.equal, flat(loader), first))


def test_an_epoch_left_early_does_not_shift_the_next_one():
    _, loader = load(2)
    expected = [flat(loader) for _ in range(2)]
    _, loader = load(2)
    list(islice(loader, 3))
    assert all(map(torch.equal, flat(loader), expected[1]))


@few
@given(st.integers(12, 200), st.integers(1, 6), st.integers(1, 4), st.booleans())
def test_ranks_share_no_image_and_make_equal_steps(n, batch_size, world_size, drop_last):
    if n < batch_size * world_size:
        return
    y = np.arange(n) % 3
    share = {"world_size": world_size, "drop_last": drop_last, "seed": 5}
    ranks = [PairSampler(y, batch_size, rank=rank, **share) for rank in range(world_size)]
    epochs = [list(sampler) for sampler in ranks]
    assert [len(sampler) for sampler in ranks] == [len(epoch) for epoch in epochs]
    assert len({len(epoch) for epoch in epochs}) == 1
    base = [i for epoch in epochs for pair in epoch for i in pair[: len(pair) // 2]]
    assert len(base) == len(set(base))
    whole = batch_size * world_size
    assert len(base) == (n // whole * whole if drop_last else n)
    if drop_last:
        assert {len(pair) for epoch in epochs for pair in epoch} == {2 * batch_size}


def test_ranks_draw_lam_of_their_own():
    drawn = []
    for rank in range(2):
        sampler = PairSampler(Y, 10, rank=rank, world_size=2)
        mix = BalancedMixUp(sampler)
        loader = DataLoader(DATA, batch_sampler=sampler, collate_fn=mix, num_workers=1)
        drawn.append([x[0].item() for x, *_ in loader])
    assert len(drawn[0]) == 5
    assert drawn[0] != drawn[1]


def test_a_call_on_the_batch_of_a_plain_loader_mixes_as_the_collate_function_does():
    _, expected = load()
    sampler, _ = load()
    mix = BalancedMixUp(sampler, alpha=0.4)
    loader = DataLoader(DATA, batch_sampler=sampler)
    for (x, y, ids), (mixed, soft, base) in zip(loader, expected, strict=True):
        got = mix(x, y)
        assert torch.equal(got[0], mixed)
        assert torch.equal(got[1], soft)
        assert torch.equal(ids[: len(base)], base)


def test_labels_that_are_soft_already_are_mixed_as_they_are():
    x, y = torch.zeros(20, 1), torch.from_numpy(Y[:10].repeat(2))
    hard, soft = (
        BalancedMixUp(PairSampler(Y, 10))(x, target)[1] for target in (y, F.one_hot(y, 3))
    )
    assert torch.equal(hard, soft)


def test_dicts_keep_their_names_and_soft_labels_go_into_any_loss():
    samples = [
        {"image": torch.full((2,), float(i)), "label": int(Y[i]), "id": i} for i in range(100)
    ]
    sampler = PairSampler(Y, 10)
    loader = DataLoader(samples, batch_sampler=sampler, collate_fn=BalancedMixUp(sampler))
    batch = next(iter(loader))
    assert set(batch) == {"image", "label", "id"}
    assert batch["image"].shape == (10, 2)
    assert batch["label"].shape == (10, 3)
    assert torch.allclose(batch["label"].sum(1), torch.ones(10))
    assert len(batch["id"]) == 10
    logits = torch.randn(10, 3)
    by_hand = -(batch["label"] * logits.log_softmax(1)).sum(1).mean()
    assert F.cross_entropy(logits, batch["label"]) == pytest.approx(by_hand.item())
    loss = make_loss("cross_entropy", COUNTS, epoch=1, epochs=1)
    assert loss(logits, batch["label"]).item() == pytest.approx(by_hand.item())


class Sealed(Dataset):
    """A Dataset that says its labels in one way, and of which nothing may be loaded."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        raise AssertionError("an image was loaded")


class Longer(Sealed):
    def __len__(self):
        return 7


LABELS = [0, 0, 1, 0, 2, 1]
SEALED = {
    "targets": Sealed(targets=LABELS),
    "targets, a tensor": Sealed(targets=torch.tensor(LABELS)),
    "labels in a column, as MedMNIST has them": Sealed(labels=np.array(LABELS)[:, None]),
    "samples": Sealed(samples=[(f"{i}.png", y) for i, y in enumerate(LABELS)]),
    "dicts": Sealed(data=[{"image": "a.png", "label": y} for y in LABELS]),
    "tensors": TensorDataset(torch.zeros(6), torch.tensor(LABELS)),
    "a part": Subset(Longer(targets=[9, *LABELS]), range(1, 7)),
    "a part of a part": Subset(Subset(Longer(targets=[*LABELS, 9]), range(7)), range(6)),
    "several": ConcatDataset(
        [Subset(Sealed(targets=LABELS), [0, 1]), Subset(Sealed(targets=LABELS), [2, 3, 4, 5])]
    ),
    "labels themselves": LABELS,
}


@pytest.mark.parametrize("name", SEALED)
def test_labels_are_found_without_loading_an_image(name):
    assert find_labels(SEALED[name]).tolist() == LABELS


def test_the_column_of_a_hugging_face_dataset_is_found():
    class Table(Sealed):
        column_names = ("image", "label")

        def __getitem__(self, name):
            assert name == "label"
            return LABELS

    assert find_labels(Table()).tolist() == LABELS


def test_a_folder_of_torchvision_is_read_with_its_transforms(tmp_path):
    from PIL import Image

    for name, level in (("common", 0), ("rare", 255)):
        (tmp_path / name).mkdir()
        for i in range(2 if name == "rare" else 6):
            Image.new("L", (4, 4), level).save(tmp_path / name / f"{i}.png")
    steps = [v2.Grayscale(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    data = ImageFolder(tmp_path, v2.Compose(steps))
    sampler = PairSampler(data, 4)
    loader = DataLoader(data, batch_sampler=sampler, collate_fn=BalancedMixUp(sampler, alpha=1.0))
    for x, y in loader:
        assert x.shape == (4, 1, 4, 4)
        assert torch.allclose(x[:, 0, 0, 0], y[:, 1])  # white is the rare class


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (Sealed(), {}, "no labels are found in a Sealed"),
        (Sealed(targets=["a"] * 6), {}, "labels must be integers 0..C-1"),
        (Sealed(targets=[0, 1]), {}, "the data hold 6 images, their labels are 2"),
        (Sealed(data=[{"image": 1}] * 6), {}, "a sample must have exactly one of label"),
        (LABELS, {"batch_size": 7}, "batch_size must fit 6 images, got 7"),
        (LABELS, {"batch_size": 0}, "batch_size must be an integer >= 1"),
        (LABELS, {"draw": "deal"}, "balanced_draw must be one of"),
        ([0, 2, 2], {"batch_size": 1}, r"classes \[1\] have none"),
    ],
)
def test_what_no_pairs_can_be_drawn_of_is_refused(data, options, words):
    with pytest.raises(BmixError, match=words):
        PairSampler(data, **{"batch_size": 2} | options)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ({"rank": 2, "world_size": 2}, r"rank must lie in 0\.\.1, got 2"),
        ({"world_size": 2}, r"rank must lie in 0\.\.1, got None"),
        ({"rank": 0, "world_size": 4}, "batch_size must fit 6 images, got 2 in each of 4"),
    ],
)
def test_a_share_that_is_none_is_refused(share, words):
    with pytest.raises(BmixError, match=words):
        list(PairSampler(LABELS, 2, **share))


@pytest.mark.parametrize(
    ("x", "target", "words"),
    [
        (torch.zeros(4, 1, dtype=torch.uint8), torch.zeros(4), "must be floating point"),
        (torch.zeros(3, 1), torch.zeros(3), "pairs of a PairSampler, got 3 images"),
        (torch.zeros(4, 1), torch.zeros(2), "got 4 images and 2 labels"),
    ],
)
def test_a_batch_that_holds_no_pairs_is_refused(x, target, words):
    with pytest.raises(BmixError, match=words):
        BalancedMixUp(PairSampler(LABELS, 2))(x, target)


def test_what_is_no_pair_sampler_is_refused():
    with pytest.raises(BmixError, match="sampler must be the loader's PairSampler, got 3"):
        BalancedMixUp(3)
    with pytest.raises(BmixError, match="alpha"):
        BalancedMixUp(PairSampler(LABELS, 2), alpha=-1)


def test_under_accelerate_each_process_draws_all_and_short_batches_are_refused(monkeypatch):
    class PartialState:
        _shared_state = MappingProxyType({"num_processes": 2})
        num_processes = 2

    module = SimpleNamespace(PartialState=PartialState)
    monkeypatch.setitem(sys.modules, "accelerate.state", module)
    with pytest.raises(BmixError, match="under accelerate drop_last must be True"):
        list(PairSampler(LABELS, 2))
    assert PairSampler(LABELS, 2, drop_last=True).share() == (0, 1)
