"""Committed notebooks: executed by one program, so that a second run changes nothing in git (`make notebooks`)."""

import base64
import io
import json
from pathlib import Path

from bmix_lite.base.files import write_atomic
from bmix_lite.base.ipynb import read_notebook, run_notebook
from bmix_lite.data.imageset import encode_picture
from bmix_lite.pages.export import WIDGET_MIME
from bmix_lite.widgets.explore import MODULE_MIME, PLOTLY_MIME
from bmix_lite.widgets.frames import FRAMES_MIME

PNG_SIZE = {
    "width": 700,
    "scale": 1,
}  # small: a picture for readers without a kernel, not for print
COLOURS = 128  # a palette takes a third of the bytes, and nobody sees it


def refresh(path):
    """Execute the notebook at `path` in its folder and write it back clean; True if its content changed.

    Widget views, times and ids of machines are dropped; each figure gets a PNG beside its plotly JSON, the old one
    where the figure is the same. Raises BmixError naming the cell that failed; the file is then left as it was.
    """
    import nbformat

    path = Path(path)
    before, old = path.read_text(encoding="utf-8") if path.is_file() else "", read_notebook(path)
    fresh = run_notebook(path)
    clean(fresh, old)
    after = nbformat.writes(fresh) + "\n"
    write_atomic(path, after)
    return after != before


def clean(notebook, old=None):
    """Drop from an executed notebook, in place, what differs from machine to machine; add PNGs to figures."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    pictures = _known_pictures(old)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        cell.metadata.pop("papermill", None)
        if cell.cell_type != "code":
            continue
        cell.outputs = _join_streams(
            output for output in cell.outputs if output.get("name") != "stderr"
        )  # no bars
        for output in cell.outputs:
            data = output.get("data", {})
            for mime in (WIDGET_MIME, FRAMES_MIME, MODULE_MIME):
                data.pop(mime, None)
            if PLOTLY_MIME in data:
                key = _key(data[PLOTLY_MIME])
                data["image/png"] = pictures.get(key) or _draw(data[PLOTLY_MIME])


def _join_streams(outputs):
    """What was printed as one text: how a kernel cuts it into pieces depends on the clock."""
    joined = []
    for output in outputs:
        if (
            joined
            and output.output_type == joined[-1].output_type == "stream"
            and output.name == joined[-1].name
        ):
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _known_pictures(notebook):
    pictures = {}
    for cell in notebook.cells if notebook else []:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY_MIME in data and "image/png" in data:
                pictures[_key(data[PLOTLY_MIME])] = data["image/png"]
    return pictures


def _key(figure):
    return json.dumps(figure, sort_keys=True)


def _draw(figure):
    import plotly.graph_objects as go
    from PIL import Image

    shown = go.Figure({"data": figure["data"], "layout": figure["layout"]})
    picture = Image.open(io.BytesIO(shown.to_image("png", **PNG_SIZE))).convert("RGB")
    small = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    return base64.b64encode(encode_picture(small, optimize=True)).decode()
