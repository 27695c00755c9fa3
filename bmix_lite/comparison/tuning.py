"""Every method at its best: as many settings tried for each, and the choice made on validation."""

from collections import defaultdict

import numpy as np
import pandas as pd

from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.comparison.datasets import name_datasets
from bmix_lite.comparison.tables import REPORTED, read_field, vary

NO_SETTING = ("dataset", "split", "seed")  # where and how often a setting was tried


def keep_tuned(runs, metric="balanced_accuracy"):
    """(runs of each method's best setting, a DataFrame: per method its setting, tried, val, test).

    A setting is what recipes of one method differ in besides split and seed; the best has the
    highest mean of `metric` on "val", the lowest of equals. A method that was tried more often wins
    more often by luck, so BmixError is raised where methods have unequal numbers of settings, or
    settings unequal splits and seeds; also where runs on several datasets are mixed, or no setting
    of a method has a defined score.
    """
    require_choice("metric", metric, REPORTED)
    if len(set(name_datasets(runs))) != 1:
        raise BmixError("methods are tuned on one dataset at a time")
    settings_of = _collect_settings(runs)
    _check_equally_tried(settings_of)
    kept = []
    rows = []
    for method, settings in settings_of.items():
        best, score = _choose(method, settings, metric)
        kept += settings[best]
        rows.append(
            {
                "method": method,
                "setting": _describe(best),
                "tried": len(settings),
                "val": score,
                "test": _mean(settings[best], metric, "test"),
            }
        )
    return kept, pd.DataFrame(rows).set_index("method")


def _collect_settings(runs):
    """{method: {setting, a tuple of (field, value): its runs}}."""
    by_method = defaultdict(list)
    for run in runs:
        by_method[run["method"]].append(run)
    settings_of = {}
    for method, group in by_method.items():
        fields = [field for field in vary(group) if field not in NO_SETTING]
        settings = defaultdict(list)
        for run in group:
            settings[tuple((field, read_field(run, field)) for field in fields)].append(run)
        settings_of[method] = settings
    return settings_of


def _check_equally_tried(settings_of):
    numbers = {method: len(settings) for method, settings in settings_of.items()}
    _require_equal(numbers, "settings")
    repeats = {}  # (split, seed) of each run, by setting
    for method, settings in settings_of.items():
        for setting, group in settings.items():
            name = f"{method} {_describe(setting)}".strip()
            repeats[name] = sorted((run["recipe"]["split"], run["recipe"]["seed"]) for run in group)
    _require_equal(repeats, "splits and seeds")


def _require_equal(value_of, what):
    """Raise BmixError unless all values of the dict are the same."""
    first = next(iter(value_of))
    for name, value in value_of.items():
        if value != value_of[first]:
            raise BmixError(
                f"methods must be tuned with equal {what}: "
                f"{first} has {value_of[first]}, {name} has {value}"
            )


def _choose(method, settings, metric):
    """(the setting with the highest mean on validation, that mean)."""
    scores = {setting: _mean(settings[setting], metric, "val") for setting in sorted(settings)}
    best = max(scores, key=scores.get)
    if not np.isfinite(scores[best]):
        raise BmixError(
            f"{method}: {metric} is not defined on the validation images of any setting"
        )
    return best, scores[best]


def _mean(runs, metric, split):
    """Mean score of the runs; -inf where one has none."""
    values = [run["metrics"][split][metric] for run in runs]
    return -np.inf if None in values else float(np.mean(values))


def _describe(setting):
    return ", ".join(f"{field} {value}" for field, value in setting)
