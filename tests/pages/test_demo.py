import shutil

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest

from axe import check_page
from bmix_lite.base.errors import BmixError
from bmix_lite.pages.demo import ROWS, run_demo
from bmix_lite.runs.complete import is_complete
from bmix_lite.runs.ledger import read_ledger
from bmix_lite.runs.reading import read_run
from bmix_lite.widgets.explore import MODULE_MIME, PLOTLY_MIME
from bmix_lite.widgets.frames import FRAMES_MIME
from examples import rename_run

SCORES = ["accuracy", "balanced_accuracy", "macro_f1", "mcc", "kappa", "kendall_tau", "macro_auc"]
COLUMNS = ["run_id", "status", "dataset", "method", "q", "alpha", "loss", "split", "seed", "mixing"]
COLUMNS += ["split_kind", "test_images", "rest_images"]
COLUMNS += [f"{split}_{name}" for split in ("val", "test") for name in SCORES] + ["seconds"]
CUT = (ROWS[0], ROWS[-1])  # the two that 06_compare puts side by side
QUICK = dict(seeds=1, jobs=2, progress=False, epochs=1)


@pytest.fixture(scope="module", autouse=True)
def cut_grid():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bmix_lite.pages.demo.ROWS", CUT)
        yield


@pytest.fixture(scope="module")
def demo(root, tmp_path_factory):
    """(folder, summary) of the demo on a cut grid."""
    out = tmp_path_factory.mktemp("demo")
    return out, run_demo(root / "notebooks", out, **QUICK)


def test_the_demo_compares_balanced_mixup_at_two_alphas_with_three_baselines():
    assert [(row["method"], row.get("alpha")) for row in ROWS] == [
        ("instance", None),
        ("class_balanced", None),
        ("mixup", 0.2),
        ("balanced_mixup", 0.1),
        ("balanced_mixup", 0.2),
    ]


def test_the_demo_runs_every_method_on_every_split_with_every_seed(root, tmp_path, monkeypatch):
    class Planned(Exception):
        pass

    def stop(_, grid, *__, **___):
        raise Planned(grid)

    monkeypatch.setattr("bmix_lite.pages.demo.run_grid", stop)
    for given, splits, seeds in (({}, 1, 5), (dict(splits=10, seeds=1), 10, 1)):
        with pytest.raises(Planned) as planned:
            run_demo(root / "notebooks", tmp_path, **given)
        [grid] = planned.value.args
        assert len(grid) == len(CUT) * splits * seeds
        repeats = {(row["split"], row["seed"]) for row in grid}
        assert repeats == {(split, seed) for split in range(splits) for seed in range(seeds)}


def test_the_table_has_one_row_a_run_with_exactly_the_promised_columns(demo):
    out, _ = demo
    table = pd.read_csv(out / "results.csv")
    assert list(table.columns) == COLUMNS
    assert table["method"].tolist() == ["instance", "balanced_mixup"]
    assert table["alpha"].tolist() == [0, 0.2]
    assert table["q"].tolist() == [1, 1]
    assert set(table["dataset"]) == {"digits_lt"}
    assert set(table["loss"]) == {"cross_entropy"}
    assert set(table["seed"]) == {0}
    noted = table[["split", "split_kind", "test_images", "rest_images"]]
    assert set(noted.itertuples(index=False, name=None)) == {(0, "draws", 400, 1397)}
    assert (table["seconds"] > 0).all()


def test_the_numbers_of_the_table_are_those_of_the_run_folders(demo):
    out, summary = demo
    for _, row in pd.read_csv(out / "results.csv").iterrows():
        run = read_run(out / "runs" / row["run_id"])
        for split in ("val", "test"):
            scores = [run["metrics"][split][name] for name in SCORES]
            found = row[[f"{split}_{name}" for name in SCORES]].astype(float)
            assert found.tolist() == pytest.approx(np.array(scores, dtype=float), nan_ok=True)
        name = row["method"] + (f", alpha {row['alpha']:g}" if row["alpha"] else "")
        assert summary.loc[name, "mean"] == pytest.approx(row["test_balanced_accuracy"])


def test_every_run_is_a_complete_folder_with_its_executed_notebook(demo):
    out, _ = demo
    folders = [
        path for path in (out / "runs").iterdir() if path.is_dir() and not path.name.startswith(".")
    ]
    assert len(folders) == 2
    assert sorted(line["run_id"] for line in read_ledger(out / "runs")) == sorted(
        path.name for path in folders
    )
    for folder in folders:
        assert is_complete(folder)
        cells = nbformat.read(folder / "notebook.ipynb", as_version=4).cells
        assert all(cell.execution_count for cell in cells if cell.cell_type == "code")


def test_the_report_shows_the_figures_of_the_comparison_offline(demo, browser_page):
    out, _ = demo
    comparison = nbformat.read(out / "06_compare.ipynb", as_version=4)
    shown = [
        output.get("data", {}) for cell in comparison.cells for output in cell.get("outputs", [])
    ]
    explorers = [data[FRAMES_MIME]["figures"] for data in shown if FRAMES_MIME in data]
    modules = sum(MODULE_MIME in data for data in shown)
    figures = (
        sum(PLOTLY_MIME in data for data in shown)
        - modules
        + sum(len(heads) - 1 for heads in explorers)
    )
    browser_page.goto((out / "report.html").resolve().as_uri())
    browser_page.wait_for_function(
        f"document.querySelectorAll('figure:has(.main-svg)').length >= {figures}"
    )
    browser_page.wait_for_selector(".module .bmix-confusion")
    assert browser_page.locator("figure:has(.main-svg)").count() == figures == 9
    assert browser_page.locator(".module .bmix-confusion").count() == modules == 1
    assert len(explorers) == 4
    assert browser_page.locator("text=balanced_mixup, alpha 0.2").count() > 0
    check_page(browser_page, 390, 1280)
    assert browser_page.problems == []


def test_a_second_call_trains_nothing_and_leaves_runs_of_older_notebooks_out(
    demo, root, monkeypatch, tmp_path
):
    first, summary = demo
    out = shutil.copytree(first, tmp_path / "demo")
    folder = next(path for path in (out / "runs").iterdir() if path.name.startswith("instance"))
    rename_run(
        shutil.copytree(folder, folder.with_name("instance-digits_lt-split0-seed0-0123456789"))
    )
    kernels, compared = [], nbformat.read(first / "06_compare.ipynb", as_version=4)
    monkeypatch.setattr(
        papermill, "execute_notebook", lambda path, *_, **__: kernels.append(path) or compared
    )
    again = run_demo(root / "notebooks", out, **QUICK)
    assert [path.rsplit("/", 1)[-1] for path in kernels] == ["06_compare.ipynb"]
    pd.testing.assert_frame_equal(again, summary)
    assert (out / "results.csv").read_bytes() == (first / "results.csv").read_bytes()


def test_a_run_that_fails_is_named_with_its_reason_and_no_table_is_written(
    root, tmp_path, monkeypatch
):
    def execute_notebook(*_, **__):
        raise RuntimeError("no luck")

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    lines = [
        rf"\n{method}\S+: failed: RuntimeError: no luck"
        for method in ("instance", "balanced_mixup")
    ]
    with pytest.raises(
        BmixError, match="not every run is complete: 2 failed" + "".join(lines) + "$"
    ):
        run_demo(root / "notebooks", tmp_path, seeds=1, progress=False)
    assert not (tmp_path / "results.csv").exists()
