"""The students' version of the exercises, made from the notebook that holds the solutions."""

import re
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import write_atomic
from bmix_lite.base.ipynb import read_notebook

TAG = "solution"
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?://)[^)]+\)")


def write_student(source, folder):
    """Write the notebook `source` into `folder` without solutions and outputs; returns the path.

    Cells tagged "solution" are left out, and links to other files become their words, so that the
    notebook stands alone. Raises BmixError where no cell is tagged: the solutions would be handed
    out.
    """
    import nbformat
    from nbconvert.preprocessors import ClearOutputPreprocessor, TagRemovePreprocessor

    notebook = read_notebook(source)
    target = Path(folder) / Path(source).name
    before = len(notebook.cells)
    TagRemovePreprocessor(remove_cell_tags={TAG}).preprocess(notebook, {})
    if len(notebook.cells) == before:
        raise BmixError(f"{source}: no cell is tagged {TAG!r}, so nothing can be left out")
    if target.resolve() == Path(source).resolve():
        raise BmixError(f"{target}: the students' version would replace the solutions")
    ClearOutputPreprocessor().preprocess(notebook, {})
    for cell in notebook.cells:
        if cell.cell_type != "code":
            cell.source = LINK.sub(r"\1", cell.source)
    write_atomic(target, nbformat.writes(notebook) + "\n")
    return target
