import ast
import os
import pickle
import warnings
from pathlib import Path

import pytest
import torch

import bmix_lite
from bmix_lite import checkpoints
from bmix_lite.base.errors import BmixError
from bmix_lite.checkpoints import (
    HEADER,
    load_checkpoint,
    load_model,
    note_progress,
    previous,
    save_checkpoint,
    save_model,
)
from bmix_lite.recipe import Recipe
from bmix_lite.sweeps.progress import read_progress
from examples import digest, make_images, make_net


def make_state(number):
    return {
        "number": number,
        "weights": {"a": torch.full((50,), float(number)), "b": torch.arange(3)},
        "notes": ["é", None],
    }


def assert_state(state, number):
    expected = make_state(number)
    assert state["number"] == number
    assert state["notes"] == expected["notes"]
    assert all(state["weights"][name].equal(tensor) for name, tensor in expected["weights"].items())


@pytest.fixture
def path(tmp_path):
    """A checkpoint saved twice: number 2, and number 1 as the previous one."""
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, make_state(1))
    save_checkpoint(path, make_state(2))
    return path


def cut_to_half(content):
    return content[: len(content) // 2]


def cut_to_nothing(content):
    return b""


def flip_a_bit_of_a_weight(content):
    at = content.index(torch.full((50,), 2.0).numpy().tobytes()) + 81
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def flip_a_bit_of_the_hash(content):
    at = len(HEADER) + 5
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def append_a_byte(content):
    return content + b"\0"


def older_format(content):
    return content.replace(b"checkpoint 1\n", b"checkpoint 0\n", 1)


def bare_pickle(content):
    return pickle.dumps(make_state(2))


def bare_torch_file(content):
    return content[len(HEADER) + 65 :]


DAMAGE = [
    (cut_to_half, "damaged, its content does not match its sha256"),
    (cut_to_nothing, "not a checkpoint of this version"),
    (flip_a_bit_of_a_weight, "damaged, its content does not match its sha256"),
    (flip_a_bit_of_the_hash, "damaged, its content does not match its sha256"),
    (append_a_byte, "damaged, its content does not match its sha256"),
    (older_format, r"not a checkpoint of this version \(expected 'bmix-lite checkpoint 1'\)"),
    (bare_pickle, "not a checkpoint of this version"),
    (bare_torch_file, "not a checkpoint of this version"),
]


def damage(path, fault):
    path.write_bytes(fault(path.read_bytes()))


def test_the_last_state_saved_is_the_one_loaded(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_state(load_checkpoint(path), 2)
    assert_state(load_checkpoint(previous(path)), 1)


def test_no_checkpoint_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "checkpoint.pt") is None
    assert load_checkpoint(tmp_path / "no folder yet" / "checkpoint.pt") is None


@pytest.mark.parametrize(("fault", "words"), DAMAGE)
def test_a_damaged_checkpoint_gives_way_to_the_previous_one_and_says_so(path, fault, words):
    damage(path, fault)
    with pytest.warns(
        UserWarning, match=rf"checkpoint\.pt: {words}.*; going on from checkpoint\.previous"
    ):
        assert_state(load_checkpoint(path), 1)


@pytest.mark.parametrize(("fault", "words"), DAMAGE)
def test_two_damaged_checkpoints_are_refused_by_name(path, fault, words):
    damage(path, fault)
    damage(previous(path), cut_to_half)
    with pytest.raises(
        BmixError,
        match=rf"no usable checkpoint: .*checkpoint\.pt: {words}.*checkpoint\.previous: damaged",
    ):
        load_checkpoint(path)


@pytest.mark.parametrize(("fault", "words"), DAMAGE)
def test_a_damaged_checkpoint_without_a_previous_one_is_refused_by_name(path, fault, words):
    previous(path).unlink()
    damage(path, fault)
    with pytest.raises(BmixError, match=rf"no usable checkpoint: .*checkpoint\.pt: {words}"):
        load_checkpoint(path)


def test_torch_itself_would_not_notice_the_flipped_bit(path, tmp_path):
    body = flip_a_bit_of_a_weight(bare_torch_file(path.read_bytes()))
    (tmp_path / "bare.pt").write_bytes(body)
    assert not torch.load(tmp_path / "bare.pt", weights_only=True)["weights"]["a"].equal(
        torch.full((50,), 2.0)
    )


@pytest.mark.parametrize("gone", ["after the new file was written", "between the two renamings"])
def test_a_save_cut_short_leaves_a_whole_checkpoint(path, monkeypatch, gone):
    def die(*_):
        raise KeyboardInterrupt

    real, calls = os.replace, iter([0, 1, 2])

    def replace(source, target):
        # the temporary name, then checkpoint.pt -> previous, then new -> checkpoint.pt
        die() if next(calls) == {
            "after the new file was written": 1,
            "between the two renamings": 2,
        }[gone] else real(source, target)

    monkeypatch.setattr(checkpoints.os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, make_state(3))
    monkeypatch.undo()
    assert load_checkpoint(path)["number"] in (2, 3)
    save_checkpoint(path, make_state(4))
    assert_state(load_checkpoint(path), 4)


def test_a_save_that_fails_leaves_both_checkpoints_as_they_were(path, monkeypatch):
    before = {name: name.read_bytes() for name in (path, previous(path))}

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, make_state(3))
    monkeypatch.undo()
    assert {name: name.read_bytes() for name in (path, previous(path))} == before
    assert_state(load_checkpoint(path), 2)


def test_leftovers_of_a_killed_writer_are_cleaned_and_never_loaded(path):
    leftover = path.with_name(".checkpoint.pt.0123abcd.tmp")
    leftover.write_bytes(b"half a checkpoint")
    assert_state(load_checkpoint(path), 2)
    assert not leftover.exists()


class Payload:
    """Unpickling this opens, and so creates, a file."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return open, (self.trace, "w")


def test_a_checkpoint_that_would_run_code_is_refused_and_does_not(tmp_path):
    path, trace = tmp_path / "checkpoint.pt", tmp_path / "trace"
    save_checkpoint(path, make_state(1) | {"payload": Payload(trace)})
    with pytest.raises(
        BmixError, match=r"checkpoint\.pt: refused, it holds more than tensors and plain values"
    ):
        load_checkpoint(path)
    assert not trace.exists()


def test_a_model_file_that_would_run_code_is_refused_by_name_and_does_not(tmp_path):
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Payload(trace), protocol=2))
    with pytest.raises(BmixError, match=r"model\.pt"):
        load_model(torch.nn.Linear(2, 2), path)
    assert not trace.exists()


@pytest.mark.parametrize("spoil", ["cut", "other network", "missing"])
def test_a_model_file_that_does_not_fit_is_refused_by_name(tmp_path, spoil):
    path = tmp_path / "model.pt"
    if spoil != "missing":
        save_model(torch.nn.Linear(3, 3), path)
    if spoil == "cut":
        damage(path, cut_to_half)
    with pytest.raises(BmixError, match=r"model\.pt"):
        load_model(torch.nn.Linear(2, 2), path)


def test_every_torch_load_in_the_package_asks_for_weights_only():
    loads = [
        (source.name, call)
        for source in Path(bmix_lite.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(source.read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in ("torch.load", "load", "pickle.load", "pickle.loads")
    ]
    torch_loads = [(name, call) for name, call in loads if ast.unparse(call.func) == "torch.load"]
    assert len(torch_loads) >= 3
    assert [name for name, call in loads if "pickle" in ast.unparse(call.func)] == []
    for name, call in torch_loads:
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("weights_only") == "True", name


def test_a_model_file_gives_the_same_weights_back(tmp_path):
    recipe, data = Recipe(), make_images()
    model, other = make_net(recipe, data), make_net(Recipe(seed=1), data)
    save_model(model, tmp_path / "model.pt")
    assert digest(other) != digest(model)
    assert digest(load_model(other, tmp_path / "model.pt")) == digest(model)


def test_equal_weights_give_equal_model_files(tmp_path):
    recipe, data = Recipe(), make_images()
    layouts = {"one": torch.contiguous_format, "two": torch.channels_last}
    for name, layout in layouts.items():
        save_model(make_net(recipe, data).to(memory_format=layout), tmp_path / name / f"{name}.pt")
    one, two = ((tmp_path / name / f"{name}.pt").read_bytes() for name in ("one", "two"))
    assert one == two


def test_progress_is_noted_for_whoever_watches_from_outside(tmp_path):
    recipe = Recipe(epochs=9, monitor="mcc")
    history = [
        {"epoch": 1, "val_mcc": 0.25},
        {"epoch": 2, "val_mcc": float("nan")},
        {"epoch": 3, "val_mcc": 0.125},
    ]
    note_progress(tmp_path / "checkpoint.pt", recipe, history)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.json"]
    assert read_progress(tmp_path) == {"epoch": 3, "epochs": 9, "best": 0.25}
    note_progress(tmp_path / "checkpoint.pt", recipe, history[1:2])
    assert read_progress(tmp_path) == {"epoch": 2, "epochs": 9, "best": 0.0}
    assert read_progress(tmp_path / "elsewhere") == {}


def test_nobodys_training_ends_because_it_cannot_be_watched(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_atomic", full)
    note_progress(
        tmp_path / "checkpoint.pt", Recipe(), [{"epoch": 1, "val_balanced_accuracy": 0.5}]
    )
    assert list(tmp_path.iterdir()) == []
