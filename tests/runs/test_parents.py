"""A run that begins with a finished one ends as one that trained the network itself."""

import json
import shutil
from dataclasses import replace

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_json, sha256_of, write_json
from bmix_lite.recipe import Recipe
from bmix_lite.runs.folder import open_run
from bmix_lite.runs.parents import parent_of, start_from
from bmix_lite.runs.reading import read_runs
from examples import QUICK, file_contents, make_images, run_in_folder

RECIPE = Recipe(**QUICK, mixing="balanced", alpha=0.2, seed=5)
POSTHOC = ("logit_adjustment", "tau_norm", "crt")


@pytest.fixture(scope="module")
def data():
    return make_images()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("finished") / "parent"
    run_in_folder(folder, RECIPE, data)
    return folder


@pytest.fixture
def parent(finished, tmp_path):
    shutil.copytree(finished.parent, tmp_path / "runs")
    return tmp_path / "runs" / "parent"


def begin(parent, folder, recipe, data):
    """Whether the run in `folder` begins with that in `parent`; the run itself is done, too."""
    open_run(folder, recipe, data)
    begun = start_from(parent, folder, recipe, data)
    run_in_folder(folder, recipe, data)
    return begun


@pytest.mark.parametrize("posthoc", POSTHOC)
def test_it_ends_with_the_same_files_as_without_and_trains_no_network(
    parent, data, tmp_path, monkeypatch, posthoc
):
    recipe = replace(RECIPE, posthoc=posthoc)
    run_in_folder(tmp_path / "alone", recipe, data)
    before = file_contents(parent)
    from bmix_lite.epochs import Epochs

    trained, go_through = [], Epochs.go_through
    monkeypatch.setattr(
        Epochs, "go_through", lambda self, *a: trained.append(self.recipe) or go_through(self, *a)
    )
    assert begin(parent, tmp_path / "runs" / "child", recipe, data)
    assert [one.q for one in trained] == [0.0] * (10 if posthoc == "crt" else 0)
    assert file_contents(tmp_path / "runs" / "child") == file_contents(tmp_path / "alone")
    assert file_contents(parent) == before


def test_it_is_a_run_like_any_other(parent, data, tmp_path):
    recipe = replace(RECIPE, posthoc="tau_norm")
    begin(parent, tmp_path / "runs" / "child", recipe, data)
    runs = {run["run_id"]: run for run in read_runs(tmp_path / "runs")}
    assert runs["child"]["recipe"] == recipe.asdict()
    assert runs["child"]["method"] == "balanced_mixup"
    assert runs["child"]["history"].equals(runs["parent"]["history"])
    assert runs["child"]["metrics"] != runs["parent"]["metrics"]


def test_without_a_complete_run_with_weights_the_network_is_trained(parent, data, tmp_path):
    recipe = replace(RECIPE, posthoc="tau_norm")
    child = open_run(tmp_path / "child", recipe, data)
    assert not start_from("", child, recipe, data)
    assert not start_from(tmp_path / "nowhere", child, recipe, data)
    assert not start_from(parent, child, RECIPE, data)  # it has nothing to do afterwards
    (parent / "model.pt").rename(parent / "weights")
    assert not start_from(parent, child, recipe, data)
    (parent / "weights").rename(parent / "model.pt")
    (parent / "predictions.csv").write_text("")
    assert not start_from(parent, child, recipe, data)
    assert not list(child.glob("checkpoint*"))


def test_a_run_that_was_stopped_before_its_last_epoch_is_none_to_begin_with(parent, data, tmp_path):
    lines = (parent / "history.csv").read_text().splitlines(keepends=True)
    (parent / "history.csv").write_text("".join(lines[:-1]))
    metrics = read_json(parent / "metrics.json")
    metrics["sha256"]["history.csv"] = sha256_of(parent / "history.csv")
    write_json(parent / "metrics.json", metrics)
    recipe = replace(RECIPE, posthoc="crt")
    child = open_run(tmp_path / "child", recipe, data)
    assert not start_from(parent, child, recipe, data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(seed=6), r"no run to begin with \(seed: 5 there, 6 here\)"),
        (dict(alpha=0.3, epochs=4), r"\(alpha: 0\.2 there, 0\.3 here; epochs: 3 there, 4 here\)"),
    ],
)
def test_a_run_of_another_recipe_is_refused(parent, data, tmp_path, fields, message):
    recipe = replace(RECIPE, posthoc="crt", **fields)
    child = open_run(tmp_path / "child", recipe, data)
    with pytest.raises(BmixError, match=message):
        start_from(parent, child, recipe, data)


def test_a_run_of_other_images_or_initial_weights_is_refused(parent, data, tmp_path):
    recipe = replace(RECIPE, posthoc="crt")
    others = make_images(seed=1)
    child = open_run(tmp_path / "child", recipe, others)
    with pytest.raises(BmixError, match="no run to begin with: it has other data or initial"):
        start_from(parent, child, recipe, others)
    other = replace(recipe, model="mobilenet_v2", weights="imagenet")
    about = read_json(parent / "recipe.json")
    about["recipe"] |= {"model": "mobilenet_v2"}
    (parent / "recipe.json").write_text(json.dumps(about))
    metrics = read_json(parent / "metrics.json")
    metrics["sha256"]["recipe.json"] = sha256_of(parent / "recipe.json")
    write_json(parent / "metrics.json", metrics)
    child = open_run(tmp_path / "third", other, data)
    with pytest.raises(BmixError, match="it has other data or initial weights"):
        start_from(parent, child, other, data)


def test_the_run_to_begin_with_is_the_recipe_without_what_comes_afterwards():
    assert parent_of(RECIPE) is None
    for posthoc in POSTHOC:
        assert parent_of(replace(RECIPE, posthoc=posthoc)) == RECIPE
    assert parent_of(Recipe.make("tau_norm")) == Recipe.make("instance")
    assert parent_of(Recipe.make("balanced_mixup_adjusted")) == Recipe.make("balanced_mixup")
