import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bmix_lite.base.errors import BmixError
from bmix_lite.course.published import (
    COLUMNS,
    METRICS,
    MONITORS,
    TABLE,
    flatter,
    judge_pairs,
    pair_runs,
    plot_against_alpha,
    plot_by_method,
    plot_gaps,
    read_published,
)
from conftest import ROOT

METHOD = {
    "class": "class_balanced",
    "sqrt": "square_root",
    "cb_loss": "class_balanced_loss",
    "focal_loss": "focal",
}
NETWORK = {"mobilenet": "mobilenet_v2", "resnext50": "bit_m_r50x1"}
PLACE = ["dataset", "network", "method", "alpha", "fold"]


@pytest.fixture(scope="module")
def runs():
    return read_published()[0].set_index(PLACE, drop=False).sort_index()


def reference_table(shared, name):
    """A table of the reference data with our names, by place.

    `alpha` and `fold` are 0 where there is none.
    """
    table = pd.read_csv(shared / f"reference/published/published_{name}.csv")
    table["dataset"] = table["dataset"].replace("endo", "hyper_kvasir")
    table["network"] = table["arch"].map(NETWORK)
    table["method"] = table["method"].replace(METHOD)
    table["fold"] = table["fold"].fillna("F0").str[1:].astype(int)
    return table.fillna({"alpha": 0.0}).set_index(PLACE, drop=False).sort_index()


def test_the_shipped_table_holds_the_figures_of_the_logs(shared, runs):
    logs = reference_table(shared, "runs")
    assert len(runs) == len(logs) == 114
    assert runs.index.equals(logs.index)
    names = {
        "best_epoch": "best_epoch",
        "kappa": "K",
        "mauc": "mAUC",
        "mcc": "MCC",
        "f1": "F1_at_best",
    }
    names |= {"epochs": "n_epochs_run", "decays": "lr_decays_logged", "final_lr": "final_lr"}
    names |= {"asked": "epochs_with_scheduler_gate_open"}
    for ours, theirs in names.items():
        assert runs[ours].to_numpy() == pytest.approx(logs[theirs].to_numpy(), abs=1e-9), ours
    bacc = logs["BACC"].fillna(logs["BACC_from_cm"])
    assert runs["bacc"].to_numpy() == pytest.approx(bacc.to_numpy(), nan_ok=True)
    assert runs["bacc"].notna().sum() == 85


def test_last_and_median_are_those_of_the_epochs(shared, runs):
    epochs = reference_table(shared, "epochs").query("split == 'val'")
    for place, rows in epochs.groupby(level=PLACE):
        rows = rows.sort_values("epoch")
        scores = rows["MCC" if place[0] == "hyper_kvasir" else "K"].tolist()
        assert runs.loc[place, "last"] == scores[-1]
        assert runs.loc[place, "median"] == pytest.approx(sorted(scores[-5:])[2])
        assert runs.loc[place, MONITORS[place[0]]] == max(scores)
        counted = set(rows["n"].dropna())
        assert counted == ({runs.loc[place, "val_images"]} if place[0] == "eyepacs" else set())


def test_the_table_is_small_and_whole():
    assert TABLE.stat().st_size < 30_000
    assert TABLE.read_text().splitlines()[0].split(",") == list(COLUMNS)


def test_runs_are_named_as_in_the_kit(runs):
    from bmix_lite.recipe import METHODS

    assert set(runs["method"]) <= set(METHODS)
    assert set(runs["name"]) - set(METHODS) == {
        *(f"mixup, alpha {alpha}" for alpha in (0.2, 0.4)),
        *(f"balanced_mixup, alpha {alpha}" for alpha in (0.1, 0.2, 0.3)),
    }


def test_fetched_tables_come_before_the_shipped_one(tmp_path):
    runs, epochs = read_published(tmp_path)
    assert (len(runs), epochs) == (114, None)
    runs.drop(columns="name").assign(seconds=7).head(3).to_csv(tmp_path / "runs.csv", index=False)
    assert len(read_published(tmp_path)[0]) == 114
    (tmp_path / "epochs.csv").write_text("run,epoch\na,1\n")
    fetched, epochs = read_published(tmp_path)
    assert fetched["seconds"].tolist() == [7, 7, 7]
    assert epochs["epoch"].tolist() == [1]
    (tmp_path / "runs.csv").write_text("run,mcc\na,1\n")
    with pytest.raises(BmixError, match=r"runs\.csv: no column dataset, network.*fetch it anew"):
        read_published(tmp_path)


def test_pairs_share_network_and_images_and_are_second_less_first():
    runs = read_published()[0]
    gaps = pair_runs(runs, "class_balanced", "balanced_mixup, alpha 0.2", "mcc")
    by_hand = {}
    for row in runs.itertuples():
        sign = {"class_balanced": -1, "balanced_mixup, alpha 0.2": 1}.get(row.name, 0)
        if sign:
            by_hand.setdefault((row.dataset, row.network, row.fold), []).append(sign * row.mcc)
    assert gaps.to_dict() == pytest.approx(
        {place: sum(pair) for place, pair in by_hand.items() if len(pair) == 2}
    )
    assert len(gaps) == 11
    assert len(pair_runs(runs, "instance", "balanced_mixup, alpha 0.2", "bacc")) == 6
    with pytest.raises(BmixError, match=r"name must be one of .*got 'balanced_mixup'"):
        pair_runs(runs, "instance", "balanced_mixup", "mcc")
    with pytest.raises(BmixError, match="metric must be one of kappa, mauc"):
        pair_runs(runs, "instance", "square_root", "MCC")


def test_pairs_are_judged_as_scipy_does():
    gaps = np.array([0.5, 1.5, -0.25, 2.0, 0.0])
    found = judge_pairs(gaps)
    assert found["p_t"] == pytest.approx(stats.ttest_rel(gaps + 3, np.full(5, 3)).pvalue)
    assert found["p_sign"] == pytest.approx(2 * sum(stats.binom.pmf([0, 1], 4, 0.5)))
    assert (found["pairs"], found["higher"], found["ties"]) == (5, 3, 1)
    assert found["sd"] == pytest.approx(stats.tstd(gaps))
    alone = judge_pairs([1.0])
    assert np.isnan([alone["p_t"], alone["sd"]]).all()
    assert alone["p_sign"] == 1
    assert np.isnan([judge_pairs([0.0, 0.0])[name] for name in ("p_t", "p_sign")]).all()
    with pytest.raises(BmixError, match=r"non-empty list, got shape \(0,\)"):
        judge_pairs([])


def test_flattery_is_the_best_less_the_last_and_less_the_median():
    runs = pd.DataFrame(
        {"dataset": ["hyper_kvasir", "eyepacs"], "mcc": [90.0, 60.0], "kappa": [1.0, 80.0]}
        | {"last": [89.0, 79.5], "median": [89.5, 80.0]},
        index=[7, 3],
    )
    assert flatter(runs).to_dict("index") == {
        7: {"over last": 1.0, "over median": 0.5},
        3: {"over last": 0.5, "over median": 0.0},
    }
    assert (flatter(read_published()[0]) > -0.006).all(axis=None)


def test_the_metrics_are_in_per_cent(runs):
    assert runs[list(METRICS)].min().min() > 1
    assert runs[list(METRICS)].max().max() <= 100


def shown_in_lesson(start):
    """The text under the one cell of lesson 8 whose source begins so."""
    notebook = nbformat.read(ROOT / "notebooks/08_published.ipynb", as_version=4)
    (cell,) = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.startswith(start)
    ]
    return "".join(output.get("text") or output["data"]["text/plain"] for output in cell.outputs)


def test_the_lesson_shows_the_means_of_the_logs_to_two_decimals(shared):
    logs = reference_table(shared, "runs").reset_index(drop=True)
    rows = [line.rsplit(maxsplit=4) for line in shown_in_lesson("means =").splitlines()[3:]]
    shown = {name: list(map(float, values)) for name, *values in rows}
    columns = [(data, network) for data in MONITORS for network in NETWORK.values()]
    for (method, alpha), part in logs.groupby(["method", "alpha"]):
        name = f"{method}, alpha {alpha:g}" if alpha else method
        means = part.groupby(["dataset", "network"])["MCC"].mean()
        assert shown.pop(name) == pytest.approx([means[column] for column in columns], abs=0.00501)
    assert not shown


def test_the_lesson_shows_the_fall_of_mean_auc_and_the_decays_of_the_logs(shared):
    logs = reference_table(shared, "runs").reset_index(drop=True)
    kvasir = logs[
        (logs["dataset"] == "hyper_kvasir") & logs["method"].isin(["instance", "balanced_mixup"])
    ]
    means = kvasir.groupby(["alpha", "network"])["mAUC"].mean()
    numbers = re.findall(r"^(0\.\d) +([\d.]+) +([\d.]+)$", shown_in_lesson("falls ="), re.M)
    networks = sorted(NETWORK.values())
    shown = {
        (float(alpha), networks[k]): float(both[k]) for alpha, *both in numbers for k in range(2)
    }
    assert shown == pytest.approx(means.to_dict(), abs=0.00501)
    mixup = logs[logs["method"] == "mixup"]
    assert f"MixUp: {len(mixup)} runs, {mixup['lr_decays_logged'].sum()} decays" in shown_in_lesson(
        "mixup ="
    )


def test_the_lesson_shows_scipys_paired_tests_of_the_logs(shared):
    logs = (
        reference_table(shared, "runs")
        .reset_index(drop=True)
        .set_index(["dataset", "network", "fold"])
    )
    mixed = logs[(logs["method"] == "balanced_mixup") & (logs["alpha"] == 0.2)]["MCC"]
    lines = {
        line.split("  ")[0]: line.split() for line in shown_in_lesson("judged =").splitlines()[1:]
    }
    for name in ("class_balanced", "square_root", "instance"):
        pairs = pd.concat(
            [mixed, logs[logs["method"] == name]["MCC"]], axis=1, join="inner"
        ).to_numpy()
        gaps = pairs[:, 0] - pairs[:, 1]
        expected = [
            len(gaps),
            gaps.mean(),
            stats.tstd(gaps),
            sum(gaps > 0),
            sum(gaps == 0),
            stats.ttest_rel(*pairs.T).pvalue,
        ]
        expected += [stats.binomtest(int(sum(gaps > 1e-9)), int(sum(abs(gaps) > 1e-9))).pvalue]
        assert list(map(float, lines[f"less {name}"][2:])) == pytest.approx(expected, abs=0.0000501)


RUNS = read_published()[0]


def test_every_run_is_a_dot_in_the_row_of_its_method_and_the_bars_are_means():
    figure = plot_by_method(RUNS, RUNS["mcc"], RUNS["network"], "MCC, per cent")
    names = list(figure.layout.yaxis.ticktext)
    assert sorted(names) == sorted(set(RUNS["name"]))
    dots = [trace for trace in figure.data if trace.name != "mean"]
    drawn = sorted(
        (names[round(y)], round(x, 2))
        for trace in dots
        for x, y in zip(trace.x, trace.y, strict=True)
    )
    assert drawn == sorted(
        (name, round(mcc, 2)) for name, mcc in zip(RUNS["name"], RUNS["mcc"], strict=True)
    )
    left = RUNS[(RUNS["dataset"] == "hyper_kvasir") & (RUNS["network"] == "bit_m_r50x1")]
    bars = figure.data[1]
    found = {names[round(y)]: x for x, y in zip(bars.x, bars.y, strict=True)}
    assert found == pytest.approx(left.groupby("name")["mcc"].mean().to_dict())
    assert (
        len({trace.marker.symbol for trace in dots})
        == len({trace.marker.color for trace in dots})
        == 2
    )


def test_pairs_stand_in_the_row_of_their_comparison():
    gaps = {
        ref: pair_runs(RUNS, ref, "balanced_mixup, alpha 0.2", "mcc")
        for ref in ("class_balanced", "instance")
    }
    figure = plot_gaps(gaps, "MCC")
    assert list(figure.layout.yaxis.ticktext) == list(gaps)
    for row, series in enumerate(gaps.values()):
        drawn = [
            x
            for trace in figure.data
            for x, y in zip(trace.x, trace.y, strict=True)
            if round(y) == row
        ]
        assert sorted(drawn) == pytest.approx(sorted(series))
    assert len({trace.marker.symbol for trace in figure.data}) == 4
    with pytest.raises(BmixError, match="no comparison"):
        plot_gaps({}, "MCC")


def test_alpha_runs_from_plain_sampling_to_the_largest_and_the_thick_line_is_the_mean():
    figure = plot_against_alpha(RUNS, "mauc")
    thick = [trace for trace in figure.data if trace.name == "mean"]
    assert [list(trace.x) for trace in thick] == [[0, 0.1, 0.2, 0.3]] * 2
    chosen = RUNS[RUNS["name"].isin(["instance"]) & (RUNS["dataset"] == "hyper_kvasir")]
    means = chosen.groupby("network")["mauc"].mean()
    assert sorted(trace.y[0] for trace in thick) == pytest.approx(sorted(means))
    folds = [trace for trace in figure.data if trace.name == "fold 4"]
    assert [len(trace.x) for trace in folds] == [4, 4]
    with pytest.raises(BmixError, match="no run of Balanced-MixUp on 'nothing'"):
        plot_against_alpha(RUNS, "mauc", "nothing")


def test_a_hostile_name_stays_text():
    runs = RUNS.head(2).assign(name=["<b>a</b>", "$x$"])
    figure = plot_by_method(runs, runs["mcc"], pd.Series("<i>", runs.index), "MCC")
    assert not any(
        "<" in text or "$" in text for text in (*figure.layout.yaxis.ticktext, figure.data[0].name)
    )
