"""Every number in the README is a fact of the repository's data, a name, or what a clock gave.

python .ci/readme.py [FILE] prints what is none of these, and the facts that it does not tell; its
status is 1 then.
"""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from pictures import ALPHAS, COMPARED

from bmix_lite.base.ipynb import read_notebook
from bmix_lite.comparison.verdicts import compare_pairs
from bmix_lite.data.datasets import load
from bmix_lite.data.known_counts import read_counts
from bmix_lite.distribution import imbalance_ratio
from bmix_lite.pages.demo import ROWS
from bmix_lite.pages.site import LESSONS
from bmix_lite.recipe import METHODS, Recipe
from bmix_lite.runs.reading import read_runs
from bmix_lite.sweeps.grids import read_assignments, read_grid_file
from bmix_lite.sweeps.parameters import read_parameters

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "data_scripts"))
LINES = 135
WORDS = "three|four|five|six|seven|eight|nine|ten|eleven|twelve"
WORDS += "|thirteen|fourteen|fifteen|sixteen|seventeen"
NUMBER = re.compile(rf"\d[\d.,]*\d|\d|\b(?:{WORDS})\b")
# code, addresses, what another program keeps, and numbers that are parts of names
APART = (
    r"```.*?```|`[^`\n]*`|\]\([^)]*\)|\[\d\d_\w+\]|<img [^>]*>|<!-- methods.*?end of methods -->"
)
NAMES = (
    r"MICCAI 2021|arXiv 2109\.09850|Python 3\.11|ISIC 2018|CC BY(?:-NC)?(?:-SA)? 4\.0|95 % interval"
)
NAMES += r"|lesson [\d.]+|\d+ px"
# what a clock gave, in a paragraph that names a command
CLOCK = r"(?:[\d.]+ (?:to|and) )?[\d.]+ (?:minutes?|hours?|MB|GB|to fetch)"
COMMAND = r"`(?:make|python|conda)\b|built in|Each command"


def main():
    text = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "README.md").read_text(
        encoding="utf-8"
    )
    sys.exit("\n".join(find_faults(text)) or 0)


def find_faults(text):
    """What is wrong with the README, in sentences."""
    facts = [*tell_runs(text), *tell_notebooks(), *tell_datasets()]
    faults = [f"the README does not say: {fact}" for fact in facts if fact not in text]
    known = re.compile("|".join([*map(re.escape, facts), APART, NAMES]), re.S)
    rest = known.sub(lambda match: "\n" * match[0].count("\n") + "`", text)
    for number, (line, shown) in enumerate(
        zip(rest.split("\n"), text.split("\n"), strict=True), start=1
    ):
        if re.search(COMMAND, shown):
            line = (
                re.sub(r"\|[^|]*\|[^|]*(\|[^|]*\|)$", r"\1", line)
                if shown.startswith("| ")
                else line
            )
            line = re.sub(CLOCK, "", line)
        faults += [
            f"line {number}: nothing gives the number {found!r}" for found in NUMBER.findall(line)
        ]
    if (length := len(text.splitlines())) > LINES:
        faults.append(f"{length} lines, more than {LINES}")
    return faults


def tell_runs(text):
    """What the kept runs, the grids and the recipe say."""
    whole = read_grid_file(ROOT / "notebooks/methods.yaml", {})
    grid, digits = read_grid_file(ROOT / "notebooks/one_split.yaml", {}), load("digits_lt")
    table = pd.read_csv(COMPARED, index_col="method", keep_default_na=False)
    seeds = say(len({row["seed"] for row in grid}))
    better = table.index[
        table.index.str.startswith("balanced_mixup") & (table["against instance"] == "higher")
    ]
    missed = compare_pairs(read_runs(ROOT / "notebooks/example_runs"), "instance")[
        "detectable"
    ].max()
    alphas = re.findall(r"--grid (\S+)", re.search(r"^python -m bmix_lite sweep .*", text, re.M)[0])
    points = read_assignments(alphas, read_parameters(ROOT / "notebooks/05_train.ipynb")[0])
    tested = len(digits.rows("test"))
    side = digits.images.shape[1]
    epochs = Recipe.make("instance").epochs
    assert table["runs"].sum() == len(grid)
    assert len(METHODS) - 1 == len({row["method"] for row in whole})
    return [
        f"every method of the kit ({len(METHODS) - 1}; `logit_adjusted` is `balanced_softmax` "
        "to the last bit)",
        f"on {say(len({row['split'] for row in whole}))} splits",
        f"({len(whole)} runs",
        f"{seeds} seeds on one split, {len(grid)} runs",
        f"corrected for {say(len(table))} comparisons",  # with LDAM, whose row is no longer shown
        f"on this split Balanced-MixUp at {better[0].split(', ')[1]} beats plain training",
        f"from class-balanced sampling and re-weighted losses {seeds} seeds do not separate it",
        f"{table.index[0].replace('_', ' ')}, a loss without a second stream, is best here",
        f"with {seeds} seeds many differences below {np.ceil(10 * missed) / 10:g} would not have "
        "been seen",
        f"compares {say(len(ROWS))} methods with {seeds} seeds on real digits",
        f"the balanced accuracy of {say(len(ROWS))} rows of the table below on {tested} test "
        "images",
        f"compares {say(len(ROWS))} methods on it: {len(ROWS) * 5} runs of {epochs} epochs",
        f"the {len(points)} points",
        f"with {say(len(ALPHAS) - 1)} values of alpha",
        f"the shares of {say(len(digits.class_names))} classes",
        f"{len(digits.rows('train'))} training images of {side}×{side} pixels",
    ]


def tell_notebooks():
    """Questions and minutes, as in the table of lesson 0 and the first cell of each lesson."""
    lessons = [read_notebook(path) for path in sorted((ROOT / "notebooks").glob(LESSONS))]
    words = "\n".join(cell.source for cell in lessons[0].cells).replace(r"$\alpha$", "alpha")
    rows = re.findall(r"\[(\w+)\]\(\w+.ipynb\) \| (.*?) \| (\d+) \|", words)
    rows = [("00_start_here", "What is Balanced-MixUp, and would it help?", "5"), *rows]
    for lesson, (name, question, minutes) in zip(lessons, rows, strict=True):
        time = re.search(r"\*\*Time:\*\* ([^.]*)", lesson.cells[0].source)[1]
        assert time.startswith(f"{minutes} minutes") or (
            minutes == "180" and "three hours for all" in time
        ), name
        yield f"[{name}](notebooks/{name}.ipynb) | {question} | {minutes} |"


def tell_datasets():
    """Images, classes and imbalance ratios; of training images only where the rarity is made."""
    import get_bccd
    import get_chula_rbc12
    import get_cifar_lt
    import get_medmnist
    import get_mhsma

    digits, fundus = load("digits_lt"), load("fundus_toy")
    yield f"| `digits_lt` | {len(digits.labels)} | {describe(digits.counts())} |"
    drawn = f"{len(fundus.labels):,} drawn retinas, not real"
    yield f"| `fundus_toy` | {drawn} | {len(fundus.class_names)} |"
    known = [np.array(read_counts(name).counts) for name in ("eyepacs", "ham10000", "hyper_kvasir")]
    classes, ratios = ([describe(counts).split(" | ")[part] for counts in known] for part in (0, 1))
    yield f"| labels only | {', '.join(classes)} | {', '.join(ratios)} |"
    for name, counts in zip(
        ("EyePACS", "HAM10000 (ISIC 2018)", "Hyper-Kvasir"), known, strict=True
    ):
        yield f"| {name} | {counts.sum():,} | {describe(counts)} |"
    cells = np.array(list(get_bccd.SOURCE.counts.values()))
    yield f"| BCCD, blood cells | {cells.sum():,} crops | {describe(cells)} |"
    cells = np.array(list(get_chula_rbc12.SOURCE.counts.values()))
    yield f"| Chula RBC-12, red blood cells | {cells.sum():,} crops | {describe(cells)} |"
    tails = np.array(list(get_mhsma.make_source("tail").counts.values()))
    labels = say(len(get_mhsma.ABNORMAL))
    name = f"MHSMA, sperm, {labels} yes/no labels"
    yield f"| {name} | {tails.sum():,} | {describe(tails)} for `tail` |"
    sets = get_medmnist.SETS.values()
    sizes, classes = (
        sorted(sum(images) for images, _ in sets),
        sorted(len(names.split(",")) for _, names in sets),
    )
    sizes_range = f"{sizes[0]} to {sizes[-1]:,}"
    yield f"| MedMNIST, {say(len(sets))} sets | {sizes_range} | {classes[0]} to {classes[-1]} |"
    full = SimpleNamespace(
        data=np.zeros((50000, 1, 1, 1), np.uint8),
        targets=np.repeat(range(10), 5000),
        classes=range(10),
    )
    things = get_cifar_lt.make_long_tailed(full, full, 100).counts()
    yield f"| CIFAR-LT | {things.sum():,} for training | {describe(things)} |"


def describe(counts):
    return f"{len(counts)} | {imbalance_ratio(counts):.0f}"


def say(number):
    return WORDS.split("|")[number - 3]


if __name__ == "__main__":
    main()
