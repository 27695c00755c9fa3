import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from axe import check_page
from bmix_lite import __version__
from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import write_json
from bmix_lite.data.imageset import ImageSet
from bmix_lite.pages.sweep_report import sort_runs, write_report
from bmix_lite.recipe import Recipe
from bmix_lite.runs.complete import TASK
from bmix_lite.runs.folder import make_run_id, open_run, save_run
from bmix_lite.runs.ledger import append_ledger
from bmix_lite.sweeps.plans import SWEEP
from conftest import ROOT
from tiny import ATTACK

EACH = 100  # test images per class, so that scores are whole hundredths
NOTEBOOK = "a" * 64
# lines that the name of each method takes
LINES = """[...document.querySelectorAll(".compared tbody td:first-child")].map(cell => {
  const text = document.createRange();
  text.selectNodeContents(cell);
  const lineHeight = parseFloat(getComputedStyle(cell).lineHeight);
  return Math.round(text.getBoundingClientRect().height / lineHeight);
})"""


def make_data(seed=0, **fields):
    labels = np.repeat([0, 1] * 3, [12, 4, 2, 2, EACH, EACH])
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 2, 2, 1), dtype=np.uint8)
    split = np.repeat(["train", "val", "test"], [16, 4, 2 * EACH])
    return replace(ImageSet(images, labels, ("common", "rare"), split=split, name="toy"), **fields)


def add_run(
    experiment,
    method,
    seed,
    right,
    *,
    data=None,
    version=__version__,
    notebook=NOTEBOOK,
    noted=None,
    **fields,
):
    """A complete run whose balanced accuracy on test is right / 100; returns its id."""
    data = data or make_data()
    recipe = Recipe.make(method, seed=seed, dataset=data.name, epochs=1, **fields)
    folder = experiment / make_run_id(recipe, data.fingerprint, version + notebook)
    open_run(folder, recipe, data)
    about = json.loads((folder / "recipe.json").read_text())
    about["environment"]["bmix_lite"] = version
    about |= noted or {}
    write_json(folder / "recipe.json", about)
    write_json(folder / TASK, {"notebook": notebook, "sweep": "one", "tries": 1, "wall": 2.5})
    labels = data.labels[data.rows("test")]
    place = np.tile(np.arange(EACH), 2)
    predictions = {
        "test": np.eye(2)[np.where(place < right, labels, 1 - labels)],
        "val": np.eye(2)[[0, 0, 1, 1]],
    }
    save_run(folder, data, [{"epoch": 1, "seconds": 1.5}], predictions)
    return folder.name


def add_plan(experiment, run_ids, **parameters):
    runs = {run_id: {"method": "instance"} | parameters for run_id in run_ids}
    plan = {
        "notebook": "05_train.ipynb",
        "content": NOTEBOOK,
        "bmix_lite": __version__,
        "runs": runs,
    }
    write_json(experiment / SWEEP / "plan.json", plan)


def open_report(page, experiment, width=1280):
    """The report in Chromium, its figures drawn and its folded parts open."""
    page.set_viewport_size({"width": width, "height": 900})
    path = write_report(experiment)[-1]
    page.goto(path.as_uri())
    page.wait_for_function(
        "[...document.querySelectorAll('.plotly-figure > div')].every(at => at._fullLayout)"
    )
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    return page


def read_cells(page, table):
    return [
        [cell.inner_text() for cell in row.query_selector_all("td")]
        for row in page.query_selector_all(f"{table} tbody tr")
    ]


@pytest.fixture
def experiment(tmp_path):
    """Two methods, of which the second lost one run of four, and a third with one run."""
    for seed, right in enumerate([80, 82, 81, 84]):
        add_run(tmp_path, "instance", seed, right)
    for seed, right in enumerate([90, 91, 92]):
        add_run(tmp_path, "class_balanced", seed, right)
    add_run(tmp_path, "mixup", 0, 70)
    append_ledger(
        tmp_path,
        "class_balanced-toy-split0-seed3-0123456789",
        "failed",
        error="cell 4: ValueError: no rows",
    )
    return tmp_path


def test_a_failed_run_is_named_and_averaged_neither_as_zero_nor_as_nan(
    experiment, browser_page
):  # H13
    page = open_report(browser_page, experiment)
    assert "8 complete, 1 failed" in page.inner_text("body")
    bad = page.inner_text("#bad + .scroll")
    assert "class_balanced-toy-split0-seed3-0123456789" in bad
    assert "cell 4: ValueError: no rows" in bad
    reference, balanced, mixed = read_cells(page, ".scroll >> nth=0 >> table")
    assert reference[:2] == ["instance", "4"]
    assert balanced[:2] == ["class_balanced", "3"]
    assert balanced[2].startswith("0.910\n0.885 to 0.935")
    assert mixed[1:3] == ["1", "0.700\nnothing: one run\n0.635 to 0.765 other test images alone"]
    check_page(page, 390, 1280)
    table = pd.read_csv(experiment / "results.csv")
    failed = table[table["status"] == "failed"].iloc[0]
    assert failed["error"] == "cell 4: ValueError: no rows"
    assert np.isnan(failed["test_balanced_accuracy"])
    assert len(table) == 9
    assert page.problems == []


def test_a_tuned_page_compares_each_method_s_best_setting_alone_and_lists_all_runs(tmp_path):
    for lr, rights in {
        0.01: (80, 82),
        0.03: (70, 72),
    }.items():  # on validation all are right: the lower is kept
        for seed, right in enumerate(rights):
            add_run(tmp_path, "instance", seed, right, lr=lr)
            add_run(tmp_path, "class_balanced", seed, right + 5, lr=lr)
    page = write_report(tmp_path, tuned=True)[-1].read_text(encoding="utf-8")
    assert "of 2 tried" in page
    means = re.findall(r'<td class="number">2</td><td class="number">(0\.\d+)', page)
    assert means == ["0.810", "0.860"]
    assert len(pd.read_csv(tmp_path / "results.csv")) == 8
    assert "8 complete" in page
    assert "of 2 tried" not in write_report(tmp_path)[-1].read_text(encoding="utf-8")


def test_the_page_says_each_comparison_in_words_and_keeps_the_tests_folded(
    experiment, browser_page
):
    page = open_report(browser_page, experiment)
    assert "details open" not in (experiment / "report.html").read_text()
    reference, balanced, mixed = read_cells(page, ".scroll >> nth=0 >> table")
    assert reference[-1] == "what the others are compared with"
    assert balanced[3].startswith("+0.100")
    assert balanced[4:6] == ["> 0.99", "< 0.01"]
    assert balanced[-1] == "higher on this split"
    assert mixed[-1] == "no verdict: it takes two splits or seeds that both have, found 1"
    (tests,) = read_cells(page, "details >> nth=0 >> table")
    assert tests[:2] == ["class_balanced", "3 of 3 seeds"]
    assert tests[3:5] == ["0.25", "0.25"]
    assert (
        "with 3 pairs p cannot fall below 0.25, so they alone cannot reach 0.05"
        in page.inner_text("body")
    )


def test_the_page_of_the_example_runs_fits_the_window_and_asks_nothing_of_anyone(
    tmp_path, browser_page
):
    folder = shutil.copytree(ROOT / "notebooks" / "example_runs", tmp_path / "runs")
    page = open_report(browser_page, folder)
    words = [row[-1] for row in read_cells(page, ".scroll >> nth=0 >> table")]
    assert words[-1] == "higher on this split"
    assert words[1].startswith(
        "not separable with 5 seeds on this split\nthe smallest difference seen 4 times in 5 is 0.0"
    )
    assert page.locator(".plotly-figure").count() >= 3
    for width in (1280, 700):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        assert max(page.evaluate(LINES)) <= 2  # no name is broken into letters
    check_page(page, 700, 1280)
    assert page.problems == []


def test_hostile_names_are_text(tmp_path, browser_page):
    folder = tmp_path / "<b>runs & more"
    folder.mkdir()
    data = make_data(
        class_names=(ATTACK, "</script><script>window.hit=1</script>"), name=f"toy {ATTACK}"
    )
    names = [add_run(folder, "instance", seed, 80, data=data) for seed in (0, 1)]
    add_plan(folder, names, remark=ATTACK)
    append_ledger(folder, f"instance-{ATTACK}", "failed", error=f"cell 1: {ATTACK}")
    page = open_report(browser_page, folder)
    assert page.evaluate("window.hit") is None
    assert page.locator("img").count() == 0
    text = page.inner_text("body")
    assert "<b>runs & more: runs compared" in text
    assert f"cell 1: {ATTACK}" in text
    assert f"toy {ATTACK}: balanced accuracy on test" in text
    assert page.locator("td", has_text=ATTACK).count() >= 3
    assert page.problems == []


def test_runs_of_another_notebook_version_or_dataset_are_listed_and_not_pooled(
    tmp_path, browser_page
):
    kept = [add_run(tmp_path, "instance", seed, 80) for seed in (0, 1)]
    edited = add_run(tmp_path, "instance", 2, 10, notebook="b" * 64)
    older = add_run(tmp_path, "instance", 3, 10, version="0.0.1")
    others = add_run(tmp_path, "instance", 4, 10, data=make_data(seed=1))
    add_plan(tmp_path, kept)
    together, apart = sort_runs(tmp_path)
    assert sorted(run["run_id"] for run in together) == sorted(kept)
    assert apart == {
        "made by another version of the notebook": [edited],
        "made by version 0.0.1 of the package": [older],
        "made with other images or labels of that name": [others],
    }
    page = open_report(browser_page, tmp_path)
    assert read_cells(page, ".scroll >> nth=0 >> table")[0][1:3] == [
        "2",
        "0.800\n0.800 to 0.800\n0.743 to 0.857",  # other seeds, other images too
    ]
    text = page.inner_text("body")
    for reason, (run_id,) in apart.items():
        assert f"1 complete runs in this folder, {reason}: {run_id}" in text


def test_planned_runs_that_never_ended_are_listed_as_not_run(tmp_path):
    kept = add_run(tmp_path, "instance", 0, 80)
    add_plan(tmp_path, [kept, "instance-toy-split0-seed1-0000000000"], seed=1)
    write_report(tmp_path)
    table = pd.read_csv(tmp_path / "results.csv")
    assert table["status"].tolist() == ["complete", "not run"]
    assert table.loc[1, ["run_id", "method"]].tolist() == [
        "instance-toy-split0-seed1-0000000000",
        "instance",
    ]
    assert '<span class="bad">1 not run</span>' in (tmp_path / "report.html").read_text()


def test_each_dataset_has_a_table_of_its_own(tmp_path):
    for name, right in (("toy", 80), ("skin", 90)):
        for seed in (0, 1):
            add_run(tmp_path, "instance", seed, right, data=make_data(right, name=name))
    page = write_report(tmp_path)[-1].read_text()
    assert page.index("skin: balanced accuracy on test") > 0
    assert page.index("toy: balanced accuracy on test") > 0
    assert page.count('<table class="compared">') == 2
    assert "0.850" not in page


def test_an_interval_that_was_cut_at_the_end_of_the_metric_is_said_to_be(tmp_path):
    for seed, right in enumerate([80, 100]):
        add_run(tmp_path, "instance", seed, right)
    assert "An interval that ends at 0 or 1 was cut there" in write_report(tmp_path)[-1].read_text()


def test_over_splits_the_page_says_what_its_intervals_cover(tmp_path):
    noted = {"split_kind": "folds", "test_images": 200, "rest_images": 800}
    for split, right in enumerate([80, 84, 81]):
        add_run(tmp_path, "instance", 0, right, noted=noted, split=split)
        add_run(tmp_path, "focal", 0, right + split, noted=noted, split=split)
    page = write_report(tmp_path)[-1].read_text()
    assert page.count("95 % interval: other splits and test images") == 2
    assert "not separable with 3 splits<small" in page
    assert "Nadeau and Bengio" in page


def test_one_split_is_said_to_speak_of_its_seeds_and_its_test_images_are_counted_apart(experiment):
    page = write_report(experiment)[-1].read_text()
    assert "95 % interval: other seeds alone" in page
    assert "below: other seeds and test images" in page
    first = page[page.index("<tbody>") :]
    bounds = [float(text) for text in re.findall(r"quiet\">(0\.\d+) to", first)[:2]]
    assert bounds[1] < bounds[0]  # test images make it wider


def test_a_difference_that_no_number_of_so_few_pairs_would_show_is_none(tmp_path, browser_page):
    for seed, right in enumerate([20, 90]):
        add_run(tmp_path, "instance", seed, 50)
        add_run(tmp_path, "focal", seed, right)
    page = open_report(browser_page, tmp_path)
    assert read_cells(page, "details >> nth=0 >> table")[0][-1] == "none"


def test_an_interval_within_the_metric_s_range_is_not_said_to_be_cut(experiment):
    assert "was cut there" not in write_report(experiment)[-1].read_text()


def test_runs_that_differ_in_a_swept_number_get_a_figure_against_it(tmp_path):
    for seed in (0, 1):
        for alpha in (0.1, 0.4):
            add_run(tmp_path, "balanced_mixup", seed, 80 + seed, alpha=alpha)
    assert "against alpha" in write_report(tmp_path)[-1].read_text()


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_complete_runs_is_refused_by_name(tmp_path, there):
    folder = tmp_path / "runs"
    if there:
        folder.mkdir()
    with pytest.raises(
        BmixError, match="runs holds no complete run" if there else "there is no folder .*runs"
    ):
        write_report(folder)


def test_an_unknown_metric_is_refused(experiment):
    with pytest.raises(BmixError, match=r"metric must be one of .* did you mean 'kappa'"):
        write_report(experiment, metric="kapa")


def test_one_dataset_under_two_paths_has_one_table(tmp_path):
    for seed, name in enumerate(("toy", "scratch/toy")):
        add_run(tmp_path, "instance", seed, 80, data=make_data(name=name))
    page = write_report(tmp_path)[-1].read_text()
    assert page.count('<table class="compared">') == 1
