"""From real photographs to features to a head: embed end to end, killed, moved and refused."""

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from bmix_lite.__main__ import main
from bmix_lite.base.errors import BmixError
from bmix_lite.data.datasets import load
from bmix_lite.data.prepared import load_prepared, read_about, save_prepared, verify_images
from bmix_lite.embedding import make_embedder
from bmix_lite.metrics import score
from bmix_lite.models import make_model
from bmix_lite.preparation import embed as module
from bmix_lite.preparation import shards
from bmix_lite.preparation.embed import embed
from bmix_lite.preparation.prepare import prepare
from bmix_lite.recipe import Recipe
from bmix_lite.runs.folder import make_run_id
from bmix_lite.training import predict, train
from examples import file_contents
from tiny import make

SMEARS = 24  # of 364
QUICK = dict(model="small_cnn", weights="", size=8, progress=False)  # random weights


@pytest.fixture(scope="module")
def cells(shared, tmp_path_factory):
    """Prepared cells of some real smears, by smear."""
    folder = tmp_path_factory.mktemp("cells")
    for kind in ("Annotations", "JPEGImages"):
        (folder / "cut" / kind).mkdir(parents=True)
        for path in sorted((shared / "data/bccd" / kind).iterdir())[:SMEARS]:
            shutil.copy(path, folder / "cut" / kind)
    prepare(folder / "cut", folder / "cells", size=32, fit="stretch", on_bad="skip", progress=False)
    return folder / "cells"


@pytest.fixture(scope="module")
def features(cells):
    """Their features by a pretrained network, in the folder that is taken by default."""
    embed(cells, size=32, progress=False)
    return cells.with_name("cells-efficientnet_lite0")


@pytest.fixture
def toy(tmp_path):
    """A prepared folder of 20 tiny images."""
    data = make(
        (0, 1) * 10, ids=[f"image {k}" for k in range(20)], groups=[k // 2 for k in range(20)]
    )
    save_prepared(data, tmp_path / "toy", about={"licence": "none", "key": "of the images"})
    return tmp_path / "toy"


def count_calls(monkeypatch):
    """The starts of the shards that are made from now on."""
    made = []
    make_shard = module.make_shard

    def count(shard, *rest):
        made.append(shard.start)
        make_shard(shard, *rest)

    monkeypatch.setattr(module, "make_shard", count)
    return made


def test_features_have_the_rows_of_the_images_and_nothing_else_changes(cells, features):
    images, data = load_prepared(cells), load_prepared(features)
    assert data.images.shape == (len(images.labels), 1, 1, 1280)
    assert isinstance(data.images, np.memmap)
    for column in ("labels", "groups", "ids"):
        assert getattr(data, column).tolist() == getattr(images, column).tolist()
    assert data.class_names == images.class_names
    table, theirs = (folder / "table.csv" for folder in (features, cells))
    assert table.read_bytes() == theirs.read_bytes()
    about = read_about(features)
    assert about["network"]["model"] == "efficientnet_lite0"
    assert (about["network"]["weights"], about["network"]["size"]) == ("imagenet", 32)
    assert not list(features.glob("shards*"))


def test_features_are_what_the_network_makes_of_the_images(cells, features):
    pixels = np.array(load_prepared(cells).images[:16])
    expected = make_embedder("efficientnet_lite0", "imagenet", (32, 32, 3), 32)(pixels)
    assert np.load(features / "features.npy")[:16].tobytes() == expected.tobytes()


def test_every_fold_splits_features_as_it_splits_the_images(cells, features):
    for fold in range(2):
        assert load(features, split=fold).split.tolist() == load(cells, split=fold).split.tolist()


def test_a_head_tells_cells_of_unseen_smears_apart(features):
    data = load(features)
    recipe = Recipe.on_features(str(features), batch_size=32)
    head = make_model(recipe.model, 3, data.images.shape[3], seed=0, side=1)
    list(train(head, data, recipe, device="cpu"))
    rows = data.rows("test")
    scores = score(data.labels[rows], predict(head, data.images, rows, device="cpu"))
    assert scores["balanced_accuracy"] > 0.9


def test_figures_show_the_cells_where_they_lie_beside_their_features(cells, features, tmp_path):
    pictures = load(features).pictures
    assert pictures.tobytes() == load_prepared(cells).images.tobytes()
    moved = shutil.copytree(features, tmp_path / "away" / "features")
    with pytest.raises(BmixError, match="the images that they were made of are not"):
        _ = load(moved).pictures
    save_prepared(make((0, 1) * 6), tmp_path / "cells")  # others in their place
    assert load(shutil.copytree(features, tmp_path / "features")).made_of is None


def test_a_run_on_features_has_the_same_id_wherever_they_lie(toy, tmp_path):
    embed(toy, out=tmp_path / "f", **QUICK)
    shutil.copytree(tmp_path / "f", tmp_path / "elsewhere" / "f")
    ids = set()
    for place in (tmp_path / "f", tmp_path / "elsewhere/f"):
        recipe = Recipe.on_features(str(place))
        ids.add(make_run_id(recipe, load_prepared(place).fingerprint))
    assert len(ids) == 1


def test_another_network_or_size_makes_another_dataset_even_of_the_same_numbers(toy, tmp_path):
    sets = [embed(toy, out=tmp_path / "a", **QUICK)]
    sets.append(embed(toy, out=tmp_path / "b", **QUICK | {"size": 16}))
    sets.append(embed(toy, out=tmp_path / "c", **QUICK | {"model": "mobilenet_v2"}))
    assert len({data.origin for data in sets}) == 3
    again = embed(toy, out=tmp_path / "d", **QUICK)
    assert again.fingerprint == sets[0].fingerprint


def test_the_same_call_again_computes_nothing(toy, tmp_path, monkeypatch):
    first = embed(toy, out=tmp_path / "f", **QUICK)
    before = file_contents(tmp_path / "f")
    made = count_calls(monkeypatch)
    assert embed(toy, out=tmp_path / "f", **QUICK).fingerprint == first.fingerprint
    assert made == []
    assert file_contents(tmp_path / "f") == before


@pytest.mark.parametrize("change", [dict(size=16), dict(model="mobilenet_v2")])
def test_a_folder_of_other_features_is_refused(toy, tmp_path, change):
    embed(toy, out=tmp_path / "f", **QUICK)
    with pytest.raises(BmixError, match="holds a dataset made of other files or options"):
        embed(toy, out=tmp_path / "f", **QUICK | change)
    with pytest.raises(BmixError, match="holds a dataset made of other files or options"):
        embed(toy, out=toy, **QUICK)


def test_images_with_other_labels_are_not_taken_for_the_same(toy, tmp_path):
    embed(toy, out=tmp_path / "f", **QUICK)
    data = load_prepared(toy)
    save_prepared(replace(data, labels=1 - data.labels), toy)
    with pytest.raises(BmixError, match="choose another folder"):
        embed(toy, out=tmp_path / "f", **QUICK)


def test_what_was_interrupted_goes_on_and_ends_with_the_same_bytes(toy, tmp_path, monkeypatch):
    embed(toy, out=tmp_path / "whole", **QUICK)
    monkeypatch.setattr(module, "SHARD", 4)
    make_shard = module.make_shard

    def stop(shard, *rest):
        if shard.start == 8:
            raise KeyboardInterrupt
        make_shard(shard, *rest)

    monkeypatch.setattr(module, "make_shard", stop)
    with pytest.raises(KeyboardInterrupt):
        embed(toy, out=tmp_path / "f", **QUICK)
    with pytest.raises(BmixError, match=r"f/dataset\.json: cannot be read"):
        load_prepared(tmp_path / "f")
    monkeypatch.setattr(module, "make_shard", make_shard)
    made = count_calls(monkeypatch)
    embed(toy, out=tmp_path / "f", **QUICK)
    assert made == [8, 12, 16]
    equal = [np.load(tmp_path / name / "features.npy") for name in ("whole", "f")]
    assert equal[0] == pytest.approx(equal[1], abs=1e-6)


KILLED = """
import sys, time
from bmix_lite.preparation import embed as module
make_shard = module.make_shard
def make_slowly(*arguments):
    make_shard(*arguments)
    time.sleep(0.1)
module.make_shard, module.SHARD = make_slowly, 4
module.embed(sys.argv[1], "small_cnn", "", size=8, out=sys.argv[2], progress=False)
"""


def test_what_was_killed_goes_on_and_ends_with_the_same_bytes(toy, tmp_path, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(toy), str(tmp_path / "f")])
    while len(list(tmp_path.glob("f/shards/*/[0-9]*.npy"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.setattr(module, "SHARD", 4)
    made = count_calls(monkeypatch)
    for name in ("f", "whole"):
        embed(toy, out=tmp_path / name, **QUICK)
    assert 5 <= len(made) <= 8
    contents = [
        file_contents(tmp_path / name, leave_out=["dataset.json"]) for name in ("f", "whole")
    ]
    assert contents[0] == contents[1]
    verify_images(tmp_path / "f")


def test_a_damaged_shard_is_removed_and_made_anew(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARD", 8)

    def damage(images, place, out, parts, about):
        parts[1].path.write_bytes(parts[1].path.read_bytes()[:-4])
        write(images, place, out, parts, about)

    write = module._write
    monkeypatch.setattr(module, "_write", damage)
    with pytest.raises(BmixError, match=r"000000008\.npy: was damaged .* and is removed"):
        embed(toy, out=tmp_path / "f", **QUICK)
    monkeypatch.setattr(module, "_write", write)
    made = count_calls(monkeypatch)
    embed(toy, out=tmp_path / "f", **QUICK)
    assert made == [8]


def test_features_that_were_written_to_are_noticed(toy, tmp_path):
    embed(toy, out=tmp_path / "f", **QUICK)
    features = np.load(tmp_path / "f/features.npy", mmap_mode="r+")
    features[3, 5] += 1
    features.flush()
    with pytest.raises(BmixError, match=r"features\.npy: its pixels are not those"):
        verify_images(tmp_path / "f")


def test_arrays_in_memory_are_embedded_with_their_split_and_their_pictures_kept(tmp_path):
    data = make((0, 1) * 9, split=["train", "val", "test"] * 6, ordered=True)
    embed(data, out=tmp_path / "f", **QUICK)
    again = load(tmp_path / "f")
    assert again.split.tolist() == list(data.split)
    assert again.ordered
    assert again.pictures.tobytes() == data.images.tobytes()


def test_what_is_said_of_the_images_stays_said_and_what_is_true_of_them_alone_does_not(toy):
    embed(toy, **QUICK)
    about = read_about(toy.with_name("toy-small_cnn"))
    assert about["licence"] == "none"
    assert about["key"] != "of the images"
    assert about["pictures"] == "../toy"


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("digits_lt", {}, "out must be a folder: these images lie in none"),
        ("ham10000-labels", {"out": "f"}, "holds labels only, no images to embed"),
        ("nowhere", {"out": "f"}, r"nowhere/dataset\.json: cannot be read"),
        ("digits_lt", {"out": "f", "scheduler": "tcp://x"}, "need the folder of prepared images"),
        ("digits_lt", {"out": "f", "threads": 0}, "threads must be an integer >= 1, got 0"),
        ("digits_lt", {"out": "f", "model": "mlp"}, "model must be one of small_cnn"),
    ],
)
def test_what_cannot_be_embedded_is_refused_in_words(tmp_path, monkeypatch, data, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BmixError, match=message):
        embed(data, **QUICK | options)


def test_features_are_not_embedded_again(toy, tmp_path):
    embed(toy, out=tmp_path / "f", **QUICK)
    with pytest.raises(BmixError, match="'f' holds features already: embed its images"):
        embed(tmp_path / "f", out=tmp_path / "g", **QUICK)


def test_a_worker_with_other_weights_is_found_out(toy, tmp_path):
    pytest.importorskip("distributed")
    part = shards.Shard(toy / "images.npy", 0, 4, tmp_path / "part.npy")
    with pytest.raises(BmixError, match="the worker has other weights of 'small_cnn'"):
        shards.make_shard_there(part, ("small_cnn", "", (4, 2, 3), 8), "another hash")
    assert not part.path.exists()


def test_the_command_prints_the_dataset_and_refuses_in_words(toy, capsys):
    command = ["embed", str(toy), "--model", "small_cnn", "--size", "8"]
    assert main([*command, "--weights", ""]) == 0
    assert "ImageSet 'toy-small_cnn': 20 images as 512 features" in capsys.readouterr().out
    assert main(command) == 2
    assert "bmix_lite embed: small_cnn has no pretrained weights" in capsys.readouterr().err
