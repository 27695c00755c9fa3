"""The README's pictures and table.

--check only compares the table; --compare FOLDER first summarises the runs in that folder.
"""

import io
import re
import sys
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from bmix_lite.base.ipynb import read_notebook
from bmix_lite.comparison.tables import summarise
from bmix_lite.comparison.verdicts import compare_pairs
from bmix_lite.data.datasets import load
from bmix_lite.distribution import mixed_class_probabilities
from bmix_lite.pages.site import LESSONS, first_picture
from bmix_lite.plots.theme import COLOURS, GREY, PATTERNS, make_figure, name_classes
from bmix_lite.runs.reading import read_runs

ROOT = Path(__file__).parents[1]
ALPHAS = (0, 0.1, 0.3, 1)
SMALL = 320  # pixels
PICTURES = ROOT / "notebooks/pictures"
COMPARED = PICTURES / "compare_digits_lt.csv"  # a row per method, of the 85 runs of make compare
BASELINES = ("instance", "class_balanced")
TABLE = re.compile(r"(<!-- methods:.*?-->\n).*?(\n<!-- end)", re.S)


def main():
    readme = ROOT / "README.md"
    if "--compare" in sys.argv:
        compare(sys.argv[sys.argv.index("--compare") + 1]).to_csv(COMPARED)
    before = readme.read_text()
    table = make_table()
    after = TABLE.sub(lambda match: match[1] + table + match[2], before)
    if "--check" in sys.argv:
        if after != before:
            sys.exit(f"README.md: the table is not that of {COMPARED.name}: make pictures")
        return
    readme.write_text(after)
    PICTURES.mkdir(exist_ok=True)
    draw_alpha().write_image(PICTURES / "alpha.png", width=900, scale=1.5)
    for path in sorted((ROOT / "notebooks").glob(LESSONS)):
        picture = shrink(first_picture(read_notebook(path)))
        picture.save(PICTURES / f"{path.stem}.png", optimize=True)


def shrink(png):
    """A notebook's figure as small as the README's map shows it, in few colours."""
    with Image.open(io.BytesIO(png)) as picture:
        picture.thumbnail((SMALL, SMALL))
        return picture.convert("RGB").quantize(64)


def compare(folder):
    """Mean and interval of each method, and the verdict against two baselines."""
    runs = read_runs(folder)
    table = summarise(runs)[["runs", "mean", "low", "high"]]
    for reference in BASELINES:
        verdicts = compare_pairs(runs, reference)["verdict"]
        table[f"against {reference}"] = verdicts.str.split(" with").str[0].reindex(table.index)
    return table.sort_values("mean", ascending=False)


def make_table():
    lines = [
        "| method | mean | 95 % interval | against instance | against class_balanced |",
        "|---|---|---|---|---|",
    ]
    for name, row in pd.read_csv(COMPARED, index_col="method", keep_default_na=False).iterrows():
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        verdicts = " | ".join(row[f"against {reference}"] or "-" for reference in BASELINES)
        lines.append(f"| {name} | {row['mean']:.3f} | {interval} | {verdicts} |")
    return "\n".join(lines)


def draw_alpha():
    """Class shares of digits_lt after mixing, for each of ALPHAS."""
    data = load("digits_lt")
    counts = data.counts()
    bars = [
        go.Bar(
            name="the data" if alpha == 0 else f"alpha = {alpha:g}",
            x=name_classes(data.class_names, counts),
            y=mixed_class_probabilities(counts, 1.0, alpha),
            marker={"color": colour, "pattern": {"shape": pattern}},
        )
        for alpha, colour, pattern in zip(ALPHAS, (GREY, *COLOURS), PATTERNS, strict=False)
    ]
    title = "Balanced-MixUp lifts the rare classes: share of label mass, imbalance ratio 100"
    return make_figure(bars, title=title, yaxis={"title": "share (0 to 1)"}, barmode="group")


if __name__ == "__main__":
    main()
