"""Controls of explorers: their labels, and what a page without a kernel must know of them."""

import ipywidgets

from bmix_lite.base.errors import BmixError


def label_control(name, control):
    """Label a control with its name unless it has a label, and give the label room."""
    control.description = control.description or name
    control.style.description_width = "initial"


def describe_control(control):
    """A control as a page needs it: kind, label, values, their texts, and the index of the first.

    Raises BmixError if a page has no such control.
    """
    kind, values, texts = _list_settings(control)
    start = next((k for k, value in enumerate(values) if value == control.value), 0)
    about = {
        "kind": kind,
        "label": control.description,
        "values": values,
        "texts": texts,
        "start": start,
    }
    if kind == "play":
        about["interval"] = control.interval
    return about


def _list_settings(control):
    """(kind, values, a text for each value)."""
    if hasattr(control, "options"):
        return _list_options(control)
    if isinstance(control.value, bool):
        return "check", [False, True], ["off", "on"]
    if hasattr(control, "min") and hasattr(control, "step"):
        return _list_steps(control)
    kind = type(control).__name__
    raise BmixError(f"a page has no control for {control.description!r}, a {kind}")


def _list_options(control):
    pairs = [item if isinstance(item, tuple) else (str(item), item) for item in control.options]
    kind = "range" if isinstance(control, ipywidgets.SelectionSlider) else "select"
    return kind, [value for _, value in pairs], [text for text, _ in pairs]


def _list_steps(control):
    """All steps of a slider or player; the nearest one gives way to a value between two."""
    kind = "play" if isinstance(control, ipywidgets.Play) else "range"
    steps = int((control.max - control.min) / control.step + 1e-6) + 1
    values = [round(control.min + k * control.step, 10) for k in range(steps)]
    if hasattr(control, "base"):
        values = [control.base**power for power in values]
    nearest = min(range(steps), key=lambda k: abs(values[k] - control.value))
    values[nearest] = control.value
    return kind, values, [f"{value:.4g}" for value in values]
