"""The students' version of the exercises, made from the notebook that holds the solutions."""

import re
from pathlib import Path

from bmix_lite.base.errors import require
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

    notebook = read_notebook(source)
    cells = [cell for cell in notebook.cells if TAG not in cell.metadata.get("tags", [])]
    require(
        len(cells) < len(notebook.cells),
        f"{source}: no cell is tagged {TAG!r}, so nothing can be left out",
    )
    target = Path(folder) / Path(source).name
    require(
        target.resolve() != Path(source).resolve(),
        f"{target}: the students' version would replace the solutions",
    )
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = LINK.sub(r"\1", cell.source)
    notebook.cells = cells
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, nbformat.writes(notebook) + "\n")
    return target
