"""Where to put the threshold: precision against recall, and the net benefit of acting on it."""

import numpy as np
import plotly.graph_objects as go
from sklearn.metrics import average_precision_score

from bmix_lite.base.errors import require_choice
from bmix_lite.comparison.curves import STEPS, decision_curve, trace_precision
from bmix_lite.comparison.predictions import require_methods, split_runs
from bmix_lite.comparison.thresholds import read_scores
from bmix_lite.plots.predictions import RATES, SMALL, mean_and_range
from bmix_lite.plots.theme import BLACK, COLOURS, DASHES, GREY, as_text, make_figure, name_classes

NO_CURVE = "No curve: the split has no image of this class, or no other."


def plot_precision_recall(predictions_by_method, class_names, which):
    """Precision against recall of class number `which`: per method the mean over its runs.

    The mean is taken at fixed recalls, of curves in steps: straight lines between their points
    would be too good (Davis and Goadrich, ICML 2006). Legend: mean average precision and its range
    over runs. The dashed line is the share of the class, which calling at random gives.
    """
    require_methods(predictions_by_method)
    require_choice("which", which, range(len(class_names)))
    labels, _ = split_runs(next(iter(predictions_by_method.values())))[0]
    share = float((labels == which).mean())
    curves = [
        _draw_precision(name, predictions, int(which), j)
        for j, (name, predictions) in enumerate(predictions_by_method.items())
    ]
    line = {"color": GREY, "dash": "dash", "width": 1.5}
    chance = go.Scatter(
        x=[0, 1], y=[share, share], mode="lines", line=line, name=f"chance: {share:.3f}"
    )
    title = f"Precision and recall of {name_classes(class_names)[int(which)]} against the rest"
    figure = _make_curves([chance, *curves], title, "average precision, mean and range over runs")
    figure.update_xaxes(title="recall: share of its images found", range=[-0.01, 1.01])
    figure.update_yaxes(title="precision: share right of those called", range=[-0.01, 1.01])
    if not np.isfinite([curve.y[0] for curve in curves]).any():
        figure.add_annotation(x=0.5, y=0.5, text=NO_CURVE, showarrow=False, bgcolor="white")
    return figure


def _draw_precision(name, predictions, which, j):
    """The mean curve of method number j; NaN where no run has both this class and another."""
    curves = []
    areas = []
    for labels, probabilities in split_runs(predictions):
        truth = labels == which
        if 0 < truth.sum() < len(truth):
            precision, recall, _ = trace_precision(probabilities, labels, positive=which)
            # recall falls along the curve; of the points that reach a recall the one nearest to it
            at = np.searchsorted(-recall, -RATES + 1e-12, side="right") - 1
            curves.append(precision[np.minimum(at, len(recall) - 2)])
            areas.append(average_precision_score(truth, probabilities[:, which]))
    mean = np.mean(curves, axis=0) if curves else np.full_like(RATES, np.nan)
    return _draw_method(RATES, mean, f"{as_text(name)}: {mean_and_range(areas)}", j)


def plot_decision_curve(predictions_by_method, class_names, positive, prevalence=None):
    """Net benefit against the probability from which one would act; per method the mean over runs.

    positive: one class number, or several that count as one; prevalence: that of the clinic, else
    that of the images. Solid black: acting on all; a method is of use where it lies above that and
    above 0, acting on none. Source: Vickers and Elkin, Medical Decision Making 26, 2006.
    """
    require_methods(predictions_by_method)
    curves = []
    for j, (name, predictions) in enumerate(predictions_by_method.items()):
        tables = [
            decision_curve(probabilities, labels, positive=positive, prevalence=prevalence)
            for labels, probabilities in split_runs(predictions)
        ]
        mean = np.mean([table["model"] for table in tables], axis=0)
        curves.append(_draw_method(STEPS, mean, as_text(name), j))
    labels, probabilities = split_runs(predictions)[0]
    _, truth, classes = read_scores(probabilities, labels, positive)
    share = truth.mean() if prevalence is None else prevalence
    everyone = _draw_reference(tables[0]["all"], "acting on all", "solid")
    nobody = _draw_reference(tables[0]["none"], "acting on none", "dash")
    names = name_classes(class_names)
    title = f"Decision curve of {' or '.join(names[j] for j in classes)} against the rest"
    worth = "0.01: one more found per 100 images, at no more false alarms"
    subtitle = f"at prevalence {share:.3g}; {worth}"
    figure = _make_curves([everyone, nobody, *curves], title, subtitle)
    figure.update_xaxes(title="act from this probability on", range=[0, 1])
    figure.update_yaxes(title="net benefit", range=[-0.25 * share, 1.1 * share])
    return figure


def _draw_reference(values, name, dash):
    line = {"color": BLACK if dash == "solid" else GREY, "dash": dash, "width": 1.5}
    return go.Scatter(x=STEPS, y=values, mode="lines", line=line, name=name)


def _draw_method(x, y, name, j):
    line = {"color": COLOURS[j % 5], "dash": DASHES[(j + j // 5) % 5], "width": 2}
    return go.Scatter(x=x, y=y, mode="lines", line=line, name=name)


def _make_curves(traces, title, subtitle):
    return make_figure(
        traces,
        title=title,
        title_subtitle={"text": subtitle} | SMALL,
        height=540,
        margin={"t": 80, "b": 150},
        showlegend=True,
    )
