"""The same data under two paths are the same data; different runs never share a name or a row."""

import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_json
from bmix_lite.comparison.datasets import find_other_data, name_datasets
from bmix_lite.comparison.tables import group_runs, name_runs, say_number, summarise
from bmix_lite.comparison.tuning import keep_tuned
from bmix_lite.data.datasets import load
from bmix_lite.data.prepared import save_prepared
from bmix_lite.recipe import Recipe
from bmix_lite.runs.complete import is_complete
from bmix_lite.runs.folder import make_run_id, open_run
from bmix_lite.runs.reading import read_run, read_runs
from bmix_lite.sweeps.sweep import expand_grid, plan_runs
from bmix_lite.training import train
from examples import QUICK, digest, make_images, make_net, run_in_folder, without_seconds


@pytest.fixture
def laptop(tmp_path):
    """A prepared folder, as its path."""
    save_prepared(make_images(), tmp_path / "laptop" / "cells")
    return tmp_path / "laptop" / "cells"


@pytest.fixture
def cluster(laptop, tmp_path):
    """A copy of it under another path."""
    return shutil.copytree(laptop, tmp_path / "scratch" / "me" / "cells")


def finish(folder, dataset, **fields):
    recipe = Recipe(dataset=str(dataset), **QUICK | fields)
    run_in_folder(folder, recipe, load(str(dataset), split=recipe.split))
    return read_run(folder)


def name(dataset, notebook="", **fields):
    recipe = Recipe(dataset=str(dataset), **fields)
    return make_run_id(recipe, load(str(dataset)).fingerprint, notebook)


def test_a_run_has_the_same_id_on_laptop_and_cluster_by_relative_and_absolute_path(
    laptop, cluster, monkeypatch
):
    monkeypatch.chdir(laptop.parent)
    ids = {name(path) for path in (laptop, cluster, "cells", "./cells/", "../laptop/cells")}
    assert len(ids) == 1


def test_other_images_in_a_folder_of_the_same_name_give_another_id(laptop, tmp_path):
    save_prepared(make_images(seed=1), tmp_path / "b" / "cells")
    assert name(laptop) != name(tmp_path / "b" / "cells")


def test_the_ids_of_built_in_datasets_are_what_they_were():
    recipe = Recipe.make("balanced_mixup", alpha=0.1)
    assert (
        make_run_id(recipe, "y", "z") == "balanced_mixup-alpha0.1-digits_lt-split0-seed0-2aeadf6a8e"
    )


def test_a_training_goes_on_after_its_data_have_moved(laptop, tmp_path):
    recipe = Recipe(dataset=str(laptop), **QUICK)
    data = load(str(laptop))
    whole = make_net(recipe, data)
    history = list(train(whole, data, recipe, device="cpu"))
    path = tmp_path / "run" / "checkpoint.pt"
    open_run(path.parent, recipe, data)
    begun = train(make_net(recipe, data), data, recipe, checkpoint=path, device="cpu")
    list(itertools.islice(begun, 1))

    moved = tmp_path / "elsewhere" / "blood"  # also renamed: the fingerprint is the same
    moved.parent.mkdir()
    laptop.rename(moved)
    recipe = replace(recipe, dataset=str(moved))
    data = load(str(moved))
    open_run(path.parent, recipe, data)
    network = make_net(recipe, data)
    resumed = list(train(network, data, recipe, checkpoint=path, device="cpu"))
    assert without_seconds(resumed) == without_seconds(history)
    assert digest(network) == digest(whole)


def test_a_folder_or_checkpoint_of_other_data_is_refused_under_the_same_path(laptop, tmp_path):
    recipe = Recipe(dataset=str(laptop), **QUICK)
    data = load(str(laptop))
    open_run(tmp_path / "run", recipe, data)
    path = tmp_path / "checkpoint.pt"
    list(train(make_net(recipe, data), data, recipe, checkpoint=path, device="cpu"))
    save_prepared(make_images(seed=1), laptop)
    other = load(str(laptop))
    with pytest.raises(BmixError, match="belongs to another run: its fingerprint, content differ"):
        open_run(tmp_path / "run", recipe, other)
    with pytest.raises(BmixError, match="was made with other data"):
        next(train(make_net(recipe, other), other, recipe, checkpoint=path, device="cpu"))


def test_a_folder_and_a_checkpoint_from_before_this_was_noted_go_on(laptop, tmp_path):
    recipe = Recipe(dataset=str(laptop), **QUICK)
    data = load(str(laptop))
    folder = open_run(tmp_path / "run", recipe, data)
    about = read_json(folder / "recipe.json")
    del about["content"]
    (folder / "recipe.json").write_text(json.dumps(about))
    open_run(folder, recipe, data)


def test_runs_of_one_dataset_are_pooled_wherever_it_lay(laptop, cluster, tmp_path):
    experiment = tmp_path / "runs"
    places = {0: laptop, 1: cluster}
    for seed, place in places.items():
        finish(experiment / f"seed{seed}", place, seed=seed)
    runs = read_runs(experiment)
    assert [len(group) for group in group_runs(runs).values()] == [2]
    assert summarise(runs)["runs"].tolist() == [2]
    kept, _ = keep_tuned(runs)
    assert len(kept) == 2
    assert name_datasets(runs) == [str(laptop)] * 2


def test_a_sweep_plans_the_same_runs_for_data_that_have_moved(laptop, cluster, tmp_path, root):
    notebook = root / "notebooks" / "05_train.ipynb"
    plans = [
        plan_runs(notebook, expand_grid(dataset=[path], seed=seeds), tmp_path / "out")
        for path, seeds in ((str(laptop), range(2)), (cluster, np.arange(2)))
    ]
    assert list(plans[0].tasks) == list(plans[1].tasks)
    task = next(iter(plans[1].tasks.values()))
    assert json.loads(json.dumps(task.parameters)) == task.parameters  # as papermill needs them


def test_runs_of_several_folds_are_pooled_though_no_fold_was_run_at_both_places(
    laptop, cluster, tmp_path
):
    finish(tmp_path / "runs" / "a", laptop, split=0)
    finish(tmp_path / "runs" / "b", cluster, split=1)
    runs = read_runs(tmp_path / "runs")
    assert runs[0]["fingerprint"] != runs[1]["fingerprint"]
    assert [len(group) for group in group_runs(runs).values()] == [2]


def test_folders_of_one_name_with_other_images_are_not_pooled_over_folds(laptop, tmp_path):
    save_prepared(make_images(seed=1), tmp_path / "b" / "cells")
    finish(tmp_path / "runs" / "a", laptop, split=0)
    finish(tmp_path / "runs" / "b", tmp_path / "b" / "cells", split=1)
    with pytest.raises(BmixError, match="runs on different datasets cannot be compared"):
        group_runs(read_runs(tmp_path / "runs"))


def test_a_folder_whose_images_were_changed_between_two_folds_is_not_pooled(laptop, tmp_path):
    finish(tmp_path / "runs" / "a", laptop, split=0)
    save_prepared(make_images(seed=1), laptop)
    finish(tmp_path / "runs" / "b", laptop, split=1)
    runs = read_runs(tmp_path / "runs")
    with pytest.raises(BmixError, match="made with other images or labels"):
        group_runs(runs)
    assert find_other_data(runs) == {"b"}
    assert find_other_data(runs, first={"b"}) == {"a"}


def made_up(recipe, seed, **more):
    recipe = replace(recipe, seed=seed)
    run_id = make_run_id(recipe, "data")
    about = {"recipe": recipe.asdict(), "method": recipe.method, "fingerprint": "data"}
    return about | {"run_id": run_id} | more


@pytest.mark.parametrize(
    "alphas", [(0.2, 0.2000001), (1 / 3, 0.333333), (0.1, 0.1 + 2**-55), (1e6, 1e6 + 1)]
)
def test_alphas_that_look_alike_are_two_methods(alphas):
    recipes = [Recipe.make("balanced_mixup", alpha=alpha) for alpha in alphas]
    # with other seeds they were pooled; with the same "made by different notebooks" was said
    for seeds in ((0, 1), (0, 0)):
        runs = [made_up(recipe, seed) for recipe, seed in zip(recipes, seeds, strict=True)]
        assert len({run["run_id"] for run in runs}) == 2
        assert len(set(name_runs(runs))) == 2
        assert [len(group) for group in group_runs(runs).values()] == [1, 1]


def test_a_number_is_said_as_short_as_it_stays_itself():
    said = [say_number(value) for value in (0.2, 1.0, 0.0, 1e-7, 1 / 3, 0.2000001, 1234567.0)]
    assert said == ["0.2", "1", "0", "1e-07", "0.3333333333333333", "0.2000001", "1234567.0"]


def test_minus_zero_is_zero():
    assert make_run_id(Recipe(weight_decay=-0.0), "d") == make_run_id(Recipe(weight_decay=0), "d")


def write_weights(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return str(path)


def test_a_file_of_weights_is_what_it_holds(tmp_path):
    recipe = Recipe(model="mobilenet_v2", weights=write_weights(tmp_path / "a" / "w.pth", b"one"))
    moved = replace(recipe, weights=write_weights(tmp_path / "b" / "w.pth", b"one"))
    assert make_run_id(recipe, "data") == make_run_id(moved, "data")
    before = make_run_id(recipe, "data")
    write_weights(tmp_path / "a" / "w.pth", b"other")
    assert make_run_id(recipe, "data") != before


def test_runs_from_weights_that_were_replaced_are_two_rows_and_from_moved_ones_one(tmp_path):
    recipe = Recipe(model="mobilenet_v2", weights="a/w.pth")
    one = made_up(recipe, 0, weights_sha256="1" * 64)
    moved = made_up(replace(recipe, weights="b/w.pth"), 1, weights_sha256="1" * 64)
    replaced = made_up(recipe, 1, weights_sha256="2" * 64)
    assert [len(group) for group in group_runs([one, moved]).values()] == [2]
    assert list(group_runs([one, replaced])) == [
        "instance, weights w.pth (11111111)",
        "instance, weights w.pth (22222222)",
    ]


def test_a_run_from_weights_that_have_moved_goes_on_and_from_replaced_ones_is_refused(tmp_path):
    data = make_images()
    recipe = Recipe(model="mobilenet_v2", weights=write_weights(tmp_path / "a" / "w.pth", b"one"))
    folder = open_run(tmp_path / "run", recipe, data)
    moved = replace(recipe, weights=write_weights(tmp_path / "b" / "w.pth", b"one"))
    open_run(folder, moved, data)
    write_weights(tmp_path / "b" / "w.pth", b"two")
    with pytest.raises(BmixError, match="belongs to another run: its recipe, weights_sha256"):
        open_run(folder, moved, data)
    assert not is_complete(folder)


def test_a_checkpoint_goes_on_with_moved_weights_and_refuses_replaced_ones(tmp_path):
    """The network is not theirs: what counts here is what the recipe says of the file."""
    data = make_images()
    weights = write_weights(tmp_path / "a" / "w.pth", b"one")
    recipe = Recipe(model="mobilenet_v2", weights=weights, **QUICK)
    small = Recipe(**QUICK)
    path = tmp_path / "checkpoint.pt"
    list(itertools.islice(train(make_net(small, data), data, recipe, checkpoint=path), 1))
    moved = replace(recipe, weights=write_weights(tmp_path / "b" / "w.pth", b"one"))
    network = make_net(small, data)
    assert len(list(train(network, data, moved, checkpoint=path))) == QUICK["epochs"]
    write_weights(tmp_path / "b" / "w.pth", b"two")
    with pytest.raises(BmixError, match=r"belongs to another run .weights: "):
        next(train(make_net(small, data), data, moved, checkpoint=path))
