"""How the training points of a toy look: a colour and a mark per role, common, middle or rare."""

from typing import NamedTuple

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.course.boundary.toys import LEVELS, to_points
from bmix_lite.plots.theme import BLUE, GREEN, GREY, VERMILLION, as_text


class Role(NamedTuple):
    """How a class looks: by its role, so that "rare" looks the same among two and three classes."""

    colour: str
    pale: str  # of its decision region
    symbol: str
    size: float


ROLES = (  # common, middle, rare
    Role(BLUE, "#D3E6F2", "circle", 4.5),
    Role(GREEN, "#A9DDCB", "square", 6),
    Role(VERMILLION, "#F3BF96", "diamond", 9),
)
# steps, no blend between classes
PALE = [[k / 3 + shift, ROLES[k].pale] for k in range(3) for shift in (0, 1 / 3)]


def draw_points(data, corners):
    """One trace per role, also where no class plays it: a redraw in place needs the same traces."""
    points_of = _split_points(data)
    traces = []
    for number, role in enumerate(ROLES):
        name, points = points_of.get(number, ("", np.empty((0, 2), int)))
        x, y = np.concatenate([points + corner for corner in corners]).T
        marker = {
            "color": role.colour,
            "symbol": role.symbol,
            "size": role.size,
            "line": {"color": "white", "width": 0.7},
        }
        shown = number in points_of
        traces.append(scatter(x, y, marker, name=name, showlegend=shown, hoverinfo="skip"))
    return traces


def outline_points(data):
    """The training points as empty marks, one trace per role; the rare ones have a bolder line."""
    points_of = _split_points(data)
    traces = []
    for number, role in enumerate(ROLES):
        name, points = points_of.get(number, ("", np.empty((0, 2))))
        x, y = points.T / LEVELS
        marker = {
            "color": "rgba(255,255,255,0)",
            "symbol": role.symbol,
            "size": role.size + 3,
            "line": {"color": GREY, "width": 1.5 if number == 2 else 0.6},
        }
        shown = number in points_of
        traces.append(scatter(x, y, marker, name=f"training: {name}", showlegend=shown))
    return traces


def scatter(x, y, marker, **options):
    return {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker, **options}


def list_roles(classes):
    """Which role (0, 1, 2: common, middle, rare) each class plays."""
    if classes not in (2, 3):
        raise BmixError(f"a toy has 2 or 3 classes, got {classes}")
    return (0, 2) if classes == 2 else (0, 1, 2)


def _split_points(data):
    """{role: (name with n, pixel values (n, 2))} of the training points of each class."""
    to_points(data.images[:1])  # only for its check that these are points
    rows = data.rows("train")
    points = data.images[rows, 0, 0].astype(int)
    labels = data.labels[rows]
    points_of = {}
    for label, role in enumerate(list_roles(len(data.class_names))):
        members = points[labels == label]
        points_of[role] = f"{as_text(data.class_names[label])} (n={len(members)})", members
    return points_of
