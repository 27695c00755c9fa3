"""Notebook files: a file that is not a notebook is refused by name; a failing cell is named."""

import json
from pathlib import Path

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.limits import require_files

KERNEL = "python3"
QUIET = ["--IPKernelApp.log_level=50"]  # else each kernel prints two lines of warnings


def read_notebook(path):
    """The notebook at `path` as nbformat 4. Raises BmixError if there is none."""
    import nbformat

    require(Path(path).is_file(), f"there is no notebook {str(path)!r}")
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises many kinds for a file that is not a notebook
        raise BmixError(f"{path}: not a notebook ({error})") from error


def read_cells(path):
    """(kind, source, tags) of each cell. Raises BmixError if the file is not a notebook.

    Format 4 is read without nbformat, whose import takes a second.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["nbformat"] == 4:
            return [_read_cell(cell) for cell in content["cells"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # nbformat says what is wrong
    return [_read_cell(cell) for cell in read_notebook(path).cells]


def _read_cell(cell):
    source = "".join(cell["source"])  # a text, or a list of lines
    return cell["cell_type"], source, cell["metadata"].get("tags", [])


def run_notebook(path):
    """The notebook at `path` executed in its folder, as nbformat 4.

    Raises BmixError naming the cell that failed.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, CellTimeoutError, DeadKernelError

    notebook = read_notebook(path)
    require_files(1)
    try:
        client = NotebookClient(notebook, timeout=600, kernel_name=KERNEL, record_timing=False)
        client.extra_arguments = QUIET
        client.execute(cwd=str(Path(path).parent.resolve()))
    except (CellControlSignal, CellTimeoutError, DeadKernelError) as error:
        raise BmixError(f"{path}: {error}") from error
    return notebook
