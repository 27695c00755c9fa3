"""Every method at its best: equally many settings tried for each, the choice made on validation alone."""

from collections import defaultdict

import numpy as np
import pandas as pd

from bmix_lite.base.errors import require, require_choice
from bmix_lite.comparison.tables import REPORTED, vary

FREE = ("dataset", "fold", "seed")  # no setting, but where and how often one was tried


def keep_tuned(runs, metric="balanced_accuracy"):
    """(runs of each method's best setting, DataFrame of one row a method: setting, tried, val, test).

    A setting is what recipes of one method differ in besides fold and seed; the best has the highest mean of `metric`
    on "val", the lowest of equals. A method that was tried more often wins more often by luck, so BmixError is raised
    where methods have unequal numbers of settings, or settings unequal folds and seeds; and where runs on several
    datasets are mixed, or no setting of a method has a defined score.
    """
    require_choice("metric", metric, REPORTED)
    require(
        len({run["recipe"]["dataset"] for run in runs}) == 1,
        "methods are tuned on one dataset at a time",
    )
    tried = _collect_settings(runs)
    _require_equal({name: len(settings) for name, settings in tried.items()}, "settings")
    places = {
        f"{name} {_describe(setting)}".strip(): sorted(
            (run["recipe"]["fold"], run["recipe"]["seed"]) for run in group
        )
        for name, settings in tried.items()
        for setting, group in settings.items()
    }
    _require_equal(places, "folds and seeds")
    kept, rows = [], []
    for name, settings in tried.items():
        scores = {setting: _mean(settings[setting], metric, "val") for setting in sorted(settings)}
        best = max(scores, key=scores.get)
        means = {"val": scores[best], "test": _mean(settings[best], metric, "test")}
        require(
            means["val"] > -np.inf,
            f"{name}: {metric} is not defined on the validation images of any setting",
        )
        kept += settings[best]
        rows.append({"method": name, "setting": _describe(best), "tried": len(settings)} | means)
    return kept, pd.DataFrame(rows).set_index("method")


def _collect_settings(runs):
    """{method: {setting, a tuple of (field, value): its runs}}."""
    by_method = defaultdict(list)
    for run in runs:
        by_method[run["method"]].append(run)
    tried = {}
    for name, group in by_method.items():
        fields = [field for field in vary(group) if field not in FREE]
        tried[name] = defaultdict(list)
        for run in group:
            tried[name][tuple((field, run["recipe"][field]) for field in fields)].append(run)
    return tried


def _mean(runs, metric, split):
    """Of runs with a defined score; -inf where one has none."""
    values = [run["metrics"][split][metric] for run in runs]
    return -np.inf if None in values else float(np.mean(values))


def _describe(setting):
    return ", ".join(f"{field} {value}" for field, value in setting)


def _require_equal(found, what):
    first = next(iter(found))
    odd = next((name for name in found if found[name] != found[first]), first)
    words = f"methods must be tuned with equal {what}: {first} has {found[first]}, {odd} has {found[odd]}"
    require(odd == first, words)
