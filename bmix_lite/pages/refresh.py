"""Committed notebooks: executed by one program (`make notebooks`).

A second run changes nothing in git.
"""

import base64
import copy
import io
import json
from pathlib import Path

from bmix_lite.base.files import write_atomic
from bmix_lite.base.ipynb import read_notebook, run_notebook
from bmix_lite.data.imageset import encode_picture
from bmix_lite.pages.export import WIDGET_MIME
from bmix_lite.widgets.explore import MODULE_MIME, PLOTLY_MIME
from bmix_lite.widgets.frames import FRAMES_MIME

PNG_SIZE = {"width": 700, "scale": 1}  # small: for readers without a kernel, not for print
COLOURS = 128  # a palette takes a third of the bytes, and nobody sees it
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def refresh(path):
    """Execute the notebook at `path` in its folder and write it back clean; True if it changed.

    Widget views, times and ids of machines are dropped; each figure gets a PNG beside its plotly
    JSON, the old one where the figure is the same. Raises BmixError naming the cell that failed;
    the file is then left as it was.
    """
    import nbformat

    path = Path(path)
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    old = read_notebook(path)
    fresh = run_notebook(path)
    clean(fresh, old)
    after = nbformat.writes(fresh) + "\n"
    write_atomic(path, after)
    return after != before


def clean(notebook, old=None):
    """Drop from an executed notebook, in place, what differs between machines; add PNGs to figures.

    old: the notebook as it was; pictures of its figures are used again
    """
    notebook.metadata = copy.deepcopy(METADATA)
    pictures = _known_pictures(old)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        cell.metadata.pop("papermill", None)
        if cell.cell_type != "code":
            continue
        # what is written to stderr are progress bars
        printed = [output for output in cell.outputs if output.get("name") != "stderr"]
        cell.outputs = _join_streams(printed)
        for output in cell.outputs:
            _clean_data(output.get("data", {}), pictures)


def _clean_data(data, pictures):
    """Drop what only a live notebook or a page shows; give a figure its picture."""
    for mime in (WIDGET_MIME, FRAMES_MIME, MODULE_MIME):
        data.pop(mime, None)
    if PLOTLY_MIME in data:
        figure = data[PLOTLY_MIME]
        data["image/png"] = pictures.get(_identify(figure)) or _draw(figure)


def _join_streams(outputs):
    """What was printed as one text: how a kernel cuts it into pieces depends on the clock."""
    joined = []
    for output in outputs:
        if joined and _are_one_stream(joined[-1], output):
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _are_one_stream(one, other):
    return one.output_type == other.output_type == "stream" and one.name == other.name


def _known_pictures(notebook):
    """{a figure, as text: its PNG as base64} of a notebook; None has none."""
    pictures = {}
    for cell in notebook.cells if notebook else []:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY_MIME in data and "image/png" in data:
                pictures[_identify(data[PLOTLY_MIME])] = data["image/png"]
    return pictures


def _identify(figure):
    return json.dumps(figure, sort_keys=True)


def _draw(figure):
    """A figure's JSON as a small PNG, in base64."""
    import plotly.graph_objects as go
    from PIL import Image

    drawn = go.Figure({"data": figure["data"], "layout": figure["layout"]})
    picture = Image.open(io.BytesIO(drawn.to_image("png", **PNG_SIZE))).convert("RGB")
    small = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    return base64.b64encode(encode_picture(small, optimize=True)).decode()
