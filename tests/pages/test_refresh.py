import base64
import io
import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from plotly import graph_objects

from bmix_lite.base.errors import BmixError
from bmix_lite.pages.export import WIDGET_MIME
from bmix_lite.pages.refresh import clean, refresh
from bmix_lite.plots.mixing import plot_class_shares
from bmix_lite.widgets.explore import PLOTLY_MIME

LESSON = (
    "import sys\nimport ipywidgets\nfrom bmix_lite.plots.mixing import plot_class_shares\n"
    "from bmix_lite.widgets.explore import explore\nprint(6 * 7)\nprint('a bar', file=sys.stderr)",
    "explore(plot_class_shares, counts=[9, 1], alpha=ipywidgets.FloatSlider(0.2))",
    "plot_class_shares([90, 9, 1], q=0.5, alpha=0.2)",
)


def write(path, *sources):
    cells = [new_markdown_cell("# Words"), *(new_code_cell(source) for source in sources)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def outputs(path):
    return [
        output
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
    ]


def figure_cell(**options):
    figure = json.loads(plot_class_shares([90, 9, 1], **options).to_json())
    return new_code_cell("draw()", outputs=[new_output("display_data", data={PLOTLY_MIME: figure})])


@pytest.fixture
def drawn(monkeypatch):
    """Every figure that is drawn as a picture, with a small picture in place of Chromium's."""
    figures = []

    def to_image(figure, *arguments, **options):
        figures.append(figure)
        picture = io.BytesIO()
        Image.new("RGB", (4, 3 + len(figures)), "red").save(picture, "PNG")
        return picture.getvalue()

    monkeypatch.setattr(graph_objects.Figure, "to_image", to_image)
    return figures


def test_a_notebook_is_executed_in_its_folder_and_a_second_time_changes_nothing(tmp_path, drawn):
    path = write(tmp_path / "lesson.ipynb", *LESSON)
    assert refresh(path)
    first = path.read_bytes()
    printed, live, figure = outputs(path)
    assert printed["text"] == "42\n"
    assert (
        set(live.data)
        == set(figure.data) | {"text/plain"}
        == {PLOTLY_MIME, "image/png", "text/plain"}
    )
    assert live.data["text/plain"] == "explore(plot_class_shares, alpha=0.2)"
    assert len(drawn) == 2
    assert not refresh(path)
    assert path.read_bytes() == first
    assert len(drawn) == 2
    content = json.loads(first)
    assert set(content["metadata"]) == {"kernelspec", "language_info"}
    assert [cell["execution_count"] for cell in content["cells"][1:]] == [1, 2, 3]
    assert all(cell["metadata"] == {} for cell in content["cells"])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0", "1 / 0(.|\n)*ZeroDivisionError"),
        ("import os; os.kill(os.getpid(), 9)", "[Kk]ernel died"),
    ],
)
def test_a_failing_cell_is_named_and_the_notebook_left_as_it_was(tmp_path, source, words):
    path = write(tmp_path / "lesson.ipynb", "print(1)", source, "print(2)")
    before = path.read_bytes()
    with pytest.raises(BmixError, match=rf"lesson\.ipynb(.|\n)*{words}"):
        refresh(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [None, "", '{"cells": ['])
def test_what_is_no_notebook_is_refused_by_name(tmp_path, content):
    path = tmp_path / "lesson.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BmixError, match=r"lesson\.ipynb"):
        refresh(path)
    assert path.exists() == (content is not None)


def test_widgets_times_progress_bars_and_the_names_of_this_machine_are_dropped():
    cell = new_code_cell(
        "train()", metadata={"execution": {"iopub": "12:00"}, "papermill": {}, "tags": ["figure"]}
    )
    cell.outputs = [
        new_output("stream", name="stderr", text="50 %"),
        new_output("stream", name="stdout", text="done"),
        new_output("display_data", data={WIDGET_MIME: {"model_id": "1"}, "text/plain": "VBox()"}),
    ]
    mine = {
        "kernelspec": {"name": "mine", "display_name": "Mine"},
        "language_info": {"name": "python", "version": "3"},
    }
    notebook = new_notebook(cells=[cell], metadata=mine | {"widgets": {}, "papermill": {}})
    clean(notebook)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert cell.metadata == {"tags": ["figure"]}
    assert [output.get("text") or dict(output.data) for output in cell.outputs] == [
        "done",
        {"text/plain": "VBox()"},
    ]


def test_the_picture_is_kept_where_the_figure_is_the_same_and_drawn_anew_where_it_is_not(drawn):
    cells = [figure_cell(alpha=0.1), figure_cell(alpha=0.2)]
    old = new_notebook(cells=cells)
    clean(old)
    kept, other = (cell.outputs[0].data["image/png"] for cell in cells)
    assert kept != other
    old = nbformat.reads(nbformat.writes(old), as_version=4)
    fresh = new_notebook(cells=[figure_cell(alpha=0.3), figure_cell(alpha=0.1)])
    clean(fresh, old)
    assert len(drawn) == 3
    assert drawn[2].data[2].name == "after mixing, alpha = 0.3"
    anew, again = (cell.outputs[0].data["image/png"] for cell in fresh.cells)
    assert again == kept
    assert anew not in (kept, other)


def test_the_picture_shows_the_figure_and_is_small(chromium, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", chromium)
    notebook = new_notebook(cells=[figure_cell()])
    clean(notebook)
    content = base64.b64decode(notebook.cells[0].outputs[0].data["image/png"])
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    assert picture.size == (700, 380)
    colours = {colour for n, colour in picture.getcolors(10_000) if n > 200}
    for bar in ((102, 102, 102), (0, 114, 178), (213, 94, 0), (255, 255, 255)):
        assert (
            min(max(abs(a - b) for a, b in zip(bar, colour, strict=True)) for colour in colours)
            <= 8
        )
    assert len(content) < 50_000


def test_what_was_printed_in_pieces_becomes_one_text_up_to_what_was_shown_between():
    def say(text, name="stdout"):
        return new_output("stream", name=name, text=text)

    shown = new_output("display_data", data={"text/plain": "a table"})
    notebook = new_notebook(
        cells=[
            new_code_cell(outputs=[say("a\n"), say("bar", "stderr"), say("b\n"), shown, say("c")])
        ]
    )
    clean(notebook)
    assert [output.get("text") for output in notebook.cells[0].outputs] == ["a\nb\n", None, "c"]
