"""Figures of a defect: two curves, before and after it is mended."""

from bmix_lite.plots.theme import COLOURS, DASHES, MARKERS, as_text, make_figure


def plot_before_after(x, curves, *, title, x_title, y_title, log=False):
    """Curves over the same x (N,): {name: (N,)}, the defective one first; log: a logarithmic scale of the values."""
    figure = make_figure(title=as_text(title), height=360, margin={"b": 90})
    for j, (name, y) in enumerate(curves.items()):
        style = {"line": {"color": COLOURS[1 - j], "dash": DASHES[1 - j], "width": 2}}
        style["marker"] = {"symbol": MARKERS[1 - j], "size": 8, "color": COLOURS[1 - j]}
        figure.add_scatter(x=list(x), y=list(y), mode="lines+markers", name=as_text(name), **style)
    figure.update_yaxes(
        title=y_title,
        type="log" if log else "linear",
        dtick=1 if log else None,
        exponentformat="none",
    )
    return figure.update_xaxes(title=x_title)
