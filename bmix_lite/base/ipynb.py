"""Notebook files, read so that a file that is none is refused by name, and run so that an error names its cell."""

import json
from pathlib import Path

from bmix_lite.base.errors import BmixError, require

KERNEL = "python3"
QUIET = ["--IPKernelApp.log_level=50"]  # else each kernel prints two lines of warnings


def read_notebook(path):
    """The notebook at `path` as nbformat 4. Raises BmixError if there is none or the file holds something else."""
    import nbformat

    require(Path(path).is_file(), f"there is no notebook {str(path)!r}")
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises many kinds for a file that is not a notebook
        raise BmixError(f"{path}: not a notebook ({error})") from error


def read_cells(path):
    """(kind, source, tags) of each cell; format 4 is read without nbformat, whose import takes a second."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        cells = content["cells"] if content["nbformat"] == 4 else read_notebook(path).cells
        cells = [
            (cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", []))
            for cell in cells
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        cells = [
            (cell.cell_type, cell.source, cell.metadata.get("tags", []))
            for cell in read_notebook(path).cells
        ]
    return cells


def run_notebook(path):
    """The notebook at `path` executed in its folder, as nbformat 4. Raises BmixError naming the cell that failed."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, CellTimeoutError, DeadKernelError

    notebook = read_notebook(path)
    try:
        client = NotebookClient(notebook, timeout=600, kernel_name=KERNEL, record_timing=False)
        client.extra_arguments = QUIET
        client.execute(cwd=str(Path(path).parent.resolve()))
    except (CellControlSignal, CellTimeoutError, DeadKernelError) as error:
        raise BmixError(f"{path}: {error}") from error
    return notebook
