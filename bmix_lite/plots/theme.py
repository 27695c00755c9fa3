"""Colours, marks and layout that all figures share: Okabe-Ito, always with a second cue."""

import html

import plotly.graph_objects as go
from plotly.subplots import make_subplots

# Okabe and Ito 2008; contrast on white at least 3:1
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
BLACK = "#000000"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, BLACK)
PATTERNS = ("", "/", "x", ".", "-")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
MARKERS = ("circle", "square", "diamond", "triangle-up", "x")
GREY = "#666666"
MANY = 12  # classes: names of more do not fit side by side into 700 pixels
SMALL_LETTER = 5  # pixels
# marks what was drawn at random, over what was derived
CROSS = {"symbol": "x-thin", "size": 9, "line": {"color": BLACK, "width": 2}}


def as_text(value):
    """A name as plotly shows it literally: neither HTML tags nor LaTeX are interpreted."""
    escaped = html.escape(str(value), quote=False)
    return escaped.replace("$", "&#36;") or "(no name)"


def clip(text, most):
    """The text, cut to `most` characters and ending in three dots where it is longer."""
    text = str(text)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def name_classes(class_names, counts=None):
    """Class names for an axis, each with its n, made unique so that no bar hides another."""
    names = [as_text(clip(name, 40)) for name in class_names]
    # once is enough, except for names that look numbered already
    while len(set(names)) < len(names):
        names = _number_twins(names)
    if counts is None:
        return names
    separator = "<br>" if len(names) <= MANY else ", "
    return [f"{name}{separator}n={n:,}" for name, n in zip(names, counts, strict=True)]


def _number_twins(names):
    return [name if names.count(name) == 1 else f"{name} [{j}]" for j, name in enumerate(names)]


def stand_names(figure, names):
    """Set more than MANY names below bars upright and small, in a figure that grows for them."""
    if len(names) > MANY:
        figure.update_xaxes(tickangle=-90, tickfont={"size": 9})
        figure.layout.height += SMALL_LETTER * max(map(len, names))
    return figure


# a white card, so that a figure also reads on a dark page; plotly's own templates style every kind
# of trace there is, and checking them takes half the time of a redraw
_AXIS = {
    "gridcolor": "#EBEBEB",
    "linecolor": "#EBEBEB",
    "zerolinecolor": "#EBEBEB",
    "zerolinewidth": 2,
    "automargin": True,
}
_BARS = {
    "line": {"color": "white", "width": 0.5},
    "pattern": {"fillmode": "overlay", "size": 10, "solidity": 0.2},
}
TEMPLATE = {
    "data": {"bar": [{"type": "bar", "marker": _BARS}]},
    "layout": {
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "colorway": list(COLOURS),
        "font": {"family": "Helvetica, Arial, sans-serif", "size": 13, "color": "#222222"},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hovermode": "closest",
    },
}


def make_figure(traces=(), *, title="", height=380, **layout):
    """A Figure in the kit's theme."""
    return go.Figure(list(traces), {"template": TEMPLATE} | _lay_out(title, height, layout))


def make_panels(rows=1, cols=1, **options):
    """Subplots, as plotly's make_subplots; `dress` them once they are filled."""
    return make_subplots(rows, cols, figure=go.Figure(layout={"template": TEMPLATE}), **options)


def dress(figure, *, title="", height=380, **layout):
    """Give a figure, subplots included, its title, height, margins and a legend below."""
    return figure.update_layout(_lay_out(title, height, layout))


def _lay_out(title, height, layout):
    """The kit's layout under the caller's, as one: each update of a figure takes milliseconds."""
    common = {
        "title": {"text": title, "x": 0.01, "xref": "container", "font": {"size": 16}},
        "height": height,
        "margin": {"l": 60, "r": 20, "t": 60, "b": 60},
        # at the card's lower edge: long class names on the axis push it down and do not hit it
        "legend": {
            "orientation": "h",
            "yref": "container",
            "y": 0.01,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
        },
    }
    merged = {name: common[name] | layout[name] for name in ("margin", "legend") if name in layout}
    return common | layout | merged
