"""All lessons as a static site: an index with pictures, and pages whose sliders are alive."""

import base64
import re
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import fill_static, write_atomic
from bmix_lite.base.ipynb import read_notebook
from bmix_lite.pages.export import export_html

LESSONS = "[0-9][0-9]_*.ipynb"


def make_site(notebooks, out, *, run=True):
    """Write the site into the folder `out`; returns the path of its index.

    It holds index.html, a page of each lesson, pictures and one plotly.js, and needs neither kernel
    nor network. run: execute each lesson, so that its sliders are alive; else pages show what the
    notebooks hold. Raises BmixError if the folder `notebooks` holds no lesson, or naming a failing
    cell.
    """
    paths = sorted(Path(notebooks).glob(LESSONS))
    out = Path(out)
    if not paths:
        raise BmixError(f"{notebooks} holds no lesson named like {LESSONS}")
    lessons = [_describe(path, out) for path in paths]
    for path, lesson in zip(paths, lessons, strict=True):
        export_html(path, out / lesson["page"], title=lesson["title"], run=run, share_plotly=True)
    write_atomic(out / "index.html", fill_static("site.html", lessons=lessons))
    return out / "index.html"


def _describe(path, out):
    """Number, title, page, minutes and first picture of a lesson; the picture is written."""
    notebook = read_notebook(path)
    head = notebook.cells[0].source
    title = re.match(r"# (?:\d+ )?(.*)", head)[1]
    minutes = re.search(r"\*\*Time:\*\* ([^.*]*)\.", head)
    picture = first_picture(notebook)
    if picture:
        write_atomic(out / "pictures" / f"{path.stem}.png", picture)
    return {
        "number": path.stem[:2],
        "title": title,
        "page": f"{path.stem}.html",
        "time": minutes[1] if minutes else "",
        "picture": f"pictures/{path.stem}.png" if picture else "",
    }


def first_picture(notebook):
    """The first figure of a notebook as PNG, bytes, or None."""
    for cell in notebook.cells:
        # figures without the tag begin empty, such as a training that is watched
        if "figure" not in cell.metadata.get("tags", []):
            continue
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png")
            if picture:
                return base64.b64decode(picture)
    return None
