"""Which runs are of one dataset, by what the data hold and not by where they lie."""

from collections import defaultdict

from bmix_lite.base.errors import BmixError
from bmix_lite.data.designs import CROSS_VALIDATION, DRAWS, FIXED_TEST

SPLITS = {  # how several splits of one dataset relate, by the kind of `SplitDesign`
    DRAWS: "{splits} splits: each draws {test} test images anew, from a pool of {pool}.",
    CROSS_VALIDATION: "{splits} splits: folds of {pool} images, with {test} test images each.",
    FIXED_TEST: "{splits} splits with the same {test} test images: training and validation vary.",
}
UNKNOWN = "{splits} splits: what their test images have in common is not known."


def name_datasets(runs):
    """The dataset of each run, by the first path under which its runs know it.

    Runs are of one dataset if they have its path, its content or, on one split, its fingerprint in
    common: the same data on a laptop and on a cluster are the same data.
    """
    known = []  # (name, {what tells it})
    for run in runs:
        marks = _mark_data(run)
        same = [entry for entry in known if entry[1] & marks]
        name = same[0][0] if same else run["recipe"]["dataset"]
        known = [entry for entry in known if entry not in same]
        known.append((name, marks.union(*(entry[1] for entry in same))))
    return [next(name for name, marks in known if marks & _mark_data(run)) for run in runs]


def _mark_data(run):
    split = run["recipe"]["split"]
    marks = {("path", run["recipe"]["dataset"]), ("fingerprint", split, run["fingerprint"])}
    if "content" in run:
        marks.add(("content", run["content"]))
    return marks


def find_other_data(runs, first=()):
    """Ids of the runs that saw other images, labels or splits than others of the same dataset.

    first: ids of the runs that are right where runs disagree; else the earlier ones are.
    """
    named = list(zip(name_datasets(runs), runs, strict=True))
    named.sort(key=lambda pair: pair[1]["run_id"] not in first)
    known = {}
    others = set()
    for name, run in named:
        facts = {(name, run["recipe"]["split"]): run["fingerprint"]}
        if "content" in run:
            facts[name] = run["content"]
        if any(known.get(key, value) != value for key, value in facts.items()):
            others.add(run["run_id"])
        else:
            known.update(facts)
    return others


def require_same_data(runs):
    """Raise BmixError for runs on several datasets.

    Also where two runs on one split have seen other images, labels or splits.
    """
    if len(set(name_datasets(runs))) != 1:
        raise BmixError("runs on different datasets cannot be compared")
    if len({run["content"] for run in runs if "content" in run}) > 1:
        raise BmixError("runs were made with other images or labels, and cannot be compared")
    fingerprints = defaultdict(set)
    for run in runs:
        fingerprints[run["recipe"]["split"]].add(run["fingerprint"])
    for split, found in fingerprints.items():
        if len(found) > 1:
            words = "were made with other images, labels or splits, and cannot be compared"
            raise BmixError(f"runs on split {split} {words}")


def describe_splits(runs):
    """What a reader must know of the splits behind runs on one dataset: a sentence."""
    splits = len({run["recipe"]["split"] for run in runs})
    kinds = {run.get("split_kind") for run in runs}
    known = [run for run in runs if run.get("split_kind")]
    test = _say_span([run["test_images"] for run in known])
    if splits == 1:
        return f"One split, with {test} test images." if known else "One split."
    words = SPLITS[kinds.pop()] if len(kinds) == 1 and known else UNKNOWN
    pool = _say_span([run["test_images"] + run["rest_images"] for run in known])
    return words.format(splits=splits, test=test, pool=pool)


def _say_span(numbers):
    """ "400", or "79 to 80" where the numbers differ."""
    ends = sorted({min(numbers, default=0), max(numbers, default=0)})
    return " to ".join(f"{number:,}" for number in ends)
