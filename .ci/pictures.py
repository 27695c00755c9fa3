"""The README's picture and table of results, from notebooks/example_runs; --check only compares the table."""

import re
import sys
from pathlib import Path

import plotly.graph_objects as go

from bmix_lite.comparison import summarise
from bmix_lite.datasets import load
from bmix_lite.distribution import mixed_class_probabilities
from bmix_lite.runs import read_runs
from bmix_lite.theme import COLOURS, GREY, PATTERNS, make_figure, name_classes

ROOT = Path(__file__).parents[1]
ALPHAS = (0, 0.1, 0.3, 1)


def main():
    readme = ROOT / "README.md"
    before = readme.read_text()
    lines = ["| method | runs | mean | 95 % interval over seeds |", "|---|---|---|---|"]
    for name, row in summarise(read_runs(ROOT / "notebooks/example_runs")).iterrows():
        lines.append(f"| {name} | {row['runs']:.0f} | {row['mean']:.3f} | {row['low']:.3f} to {row['high']:.3f} |")
    table = "\n".join(lines)
    after = re.sub(r"(<!-- results:.*?-->\n).*?(\n<!-- end)", lambda m: m[1] + table + m[2], before, flags=re.S)
    if "--check" in sys.argv:
        sys.exit("README.md: the table is not that of notebooks/example_runs: make pictures" if after != before else 0)
    readme.write_text(after)
    (ROOT / "notebooks/pictures").mkdir(exist_ok=True)
    draw_alpha().write_image(ROOT / "notebooks/pictures/alpha.png", width=900, scale=1.5)


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


main()
