import json
import os
import re
import subprocess
import threading
import time

import nbformat
import papermill
import pytest
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from bmix_lite.sweeps.kernels import PARTIAL, NoResult, Watch, execute
from toy_sweeps import CELL, CELLS, LAST, PATIENCE, is_alive, kernels, wait_until, write_notebook


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    return write_notebook(tmp_path_factory.mktemp("kernels") / "runs.ipynb", *CELLS)


def states(path):
    """[(papermill's status, execution count)] of the cells that are the author's."""
    cells = nbformat.read(path, as_version=4).cells
    added = ("injected-parameters", "papermill-error-cell-tag")
    own = [cell for cell in cells if not set(cell.metadata.get("tags", [])) & set(added)]
    return [(cell.metadata.papermill.get("status"), cell.get("execution_count")) for cell in own]


def run(notebook, folder, how, watch=None, **options):
    folder.mkdir(parents=True)
    execute(
        notebook,
        folder / "notebook.ipynb",
        {"how": how, "run_folder": str(folder)},
        watch=watch,
        **options,
    )


@pytest.fixture(scope="module")
def failed(notebook, tmp_path_factory):
    """{how: (folder, error, watch)} of runs that a cell's error and the kernel's death end."""
    found = {}
    for how in ("error", "kill"):
        folder, watch = tmp_path_factory.mktemp("failed") / how, Watch()
        with pytest.raises((PapermillExecutionError, DeadKernelError)) as caught:
            run(notebook, folder, how, watch)
        found[how] = folder, caught.value, watch
    return found


@pytest.mark.parametrize("how", ["error", "kill"])
def test_cells_are_counted_as_the_author_counts_them_though_papermill_adds_one(failed, how):
    _, _, watch = failed[how]
    assert (watch.cell, watch.cells) == (CELL[how], LAST)


@pytest.mark.parametrize("how", ["error", "kill"])
def test_a_notebook_that_did_not_end_is_marked_so_and_its_unrun_cells_too(failed, how):
    folder, _, _ = failed[how]
    assert not (folder / "notebook.ipynb").exists()
    assert nbformat.read(folder / PARTIAL, as_version=4).metadata.papermill.exception is True
    found = states(folder / PARTIAL)
    assert len(found) == LAST
    assert all(status == "completed" for status, _ in found[: CELL[how] - 1])
    assert [state for state in found[CELL[how] :] if state != ("pending", None)] == []
    if how == "error":
        assert found[CELL[how] - 1][0] == "failed"
        assert "ZeroDivisionError" in (folder / PARTIAL).read_text()


def test_the_exit_code_of_a_dead_kernel_is_known(failed):
    assert failed["kill"][2].exit_code() == -9
    assert Watch().exit_code() is None


def test_a_notebook_that_ends_is_written_whole_without_widgets_and_traces(tmp_path):
    notebook = write_notebook(
        tmp_path / "one.ipynb",
        "import os\nprint(os.getcwd(), os.environ['SHARED_OUT'])",
        "print(seed)",
    )
    content = nbformat.read(notebook, as_version=4)
    content.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    nbformat.write(content, notebook)
    out = tmp_path / "a {braced} folder" / "notebook.ipynb"
    (tmp_path / "here").mkdir()
    execute(
        notebook,
        out,
        {"seed": 3},
        env={"SHARED_OUT": "cores"},
        cwd=tmp_path / "here",
        check=lambda: True,
    )
    done = nbformat.read(out, as_version=4)
    assert [cell.outputs[0].text for cell in done.cells[3:]] == [
        f"{tmp_path / 'here'} cores\n",
        "3\n",
    ]
    assert "widgets" not in done.metadata
    assert [path.name for path in out.parent.iterdir()] == ["notebook.ipynb"]


def test_a_notebook_that_ends_without_its_result_leaves_the_earlier_one_alone(
    tmp_path, monkeypatch
):
    output = tmp_path / "notebook.ipynb"
    output.write_text("earlier")
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: nbformat.v4.new_notebook())
    with pytest.raises(NoResult):
        execute("any.ipynb", output, {}, check=lambda: False)
    assert output.read_text() == "earlier"


def test_a_notebook_that_fails_leaves_the_earlier_output_as_it_was(tmp_path, monkeypatch):
    output = tmp_path / "out.ipynb"
    output.write_text("earlier")
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        execute("any.ipynb", output, {})
    assert output.read_text() == "earlier"


def test_a_partial_notebook_cut_short_by_a_full_disk_hides_no_error(tmp_path, monkeypatch):
    def execute_notebook(source, output, *_, **__):
        with open(output, "w") as file:
            file.write('{"cells": [')
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    with pytest.raises(OSError, match="No space left"):
        execute("any.ipynb", tmp_path / "out.ipynb", {})
    assert not (tmp_path / "out.ipynb").exists()


def test_nothing_is_written_through_a_link_in_the_place_of_the_notebook(tmp_path, monkeypatch):
    (tmp_path / "outside").write_text("mine")
    for name in (PARTIAL, "notebook.ipynb"):
        (tmp_path / name).symlink_to(tmp_path / "outside")

    def execute_notebook(source, output, *_, **__):
        with open(output, "w") as file:
            file.write("partial")
        return nbformat.v4.new_notebook()

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    execute("any.ipynb", tmp_path / "notebook.ipynb", {})
    assert (tmp_path / "outside").read_text() == "mine"
    assert not (tmp_path / "notebook.ipynb").is_symlink()


def test_a_stop_ends_the_kernel_and_its_children(tmp_path):
    starts_child = """import subprocess
child = subprocess.Popen(['sleep', '200'])
(folder / 'child').write_text(str(child.pid))"""
    notebook = write_notebook(
        tmp_path / "children.ipynb", CELLS[0], starts_child, "time.sleep(200)"
    )
    watch = Watch()
    child = tmp_path / "run" / "child"
    thread = threading.Thread(
        target=lambda: (wait_until(lambda: watch.cell == 5), watch.stop("timed out"))
    )
    thread.start()
    with pytest.raises(DeadKernelError):
        run(notebook, tmp_path / "run", "", watch)
    thread.join()
    pids = [kernels(tmp_path)[0][0], int(child.read_text())]
    wait_until(lambda: not any(map(is_alive, pids)), "kernel and child are gone", 5)


def test_the_time_limit_stops_what_runs(tmp_path, monkeypatch):
    def execute_notebook(*_, watch, **__):
        process = subprocess.Popen(["sleep", "200"], start_new_session=True)
        watch.begin(process, [])
        raise DeadKernelError(process.wait(PATIENCE))

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    watch, started = Watch(timeout=0.3), time.monotonic()
    with pytest.raises(DeadKernelError):
        execute("any.ipynb", tmp_path / "out.ipynb", {}, watch=watch)
    assert time.monotonic() - started >= 0.3
    assert (watch.stopped, watch.exit_code()) == ("timed out", -9)


def test_a_stop_before_the_kernel_is_there_ends_it_as_soon_as_it_is(notebook, tmp_path):
    watch = Watch()
    watch.stop("interrupted")
    watch.stop("timed out")
    assert watch.stopped == "interrupted"  # the first reason is the true one
    with pytest.raises(DeadKernelError):
        run(notebook, tmp_path / "run", "sleep", watch)
    assert watch.reached <= 2
    assert kernels(tmp_path) == []


def test_a_limit_that_is_not_reached_leaves_no_thread_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: nbformat.v4.new_notebook())
    before, watch = threading.active_count(), Watch(timeout=1000)
    execute("any.ipynb", tmp_path / "out.ipynb", {}, watch=watch)
    wait_until(lambda: threading.active_count() <= before)
    assert watch.stopped is None


def test_a_notebook_without_a_kernelspec_and_one_of_format_3_are_run(tmp_path):
    plain = write_notebook(tmp_path / "plain.ipynb", "print(6 * 7)", kernelspec=None)
    cells = [
        {
            "cell_type": "code",
            "collapsed": False,
            "input": "print(6 * 7)",
            "language": "python",
            "outputs": [],
        }
    ]
    old = {"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0}
    (tmp_path / "old.ipynb").write_text(
        json.dumps(old | {"worksheets": [{"cells": cells, "metadata": {}}]})
    )
    for path in (plain, tmp_path / "old.ipynb"):
        execute(path, tmp_path / "out" / path.name, {})
        assert "42\\n" in (tmp_path / "out" / path.name).read_text()


def test_secrets_of_the_environment_are_in_no_file(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "f00dcafe-secret")
    run(notebook, tmp_path / "run", "", check=lambda: True)
    with pytest.raises(PapermillExecutionError):
        run(notebook, tmp_path / "bad", "error", check=lambda: True)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"notebook.ipynb", PARTIAL, "ledger.jsonl"} <= {path.name for path in files}
    assert not [path for path in files if re.search(b"f00dcafe|KAGGLE", path.read_bytes())]
    assert os.environ["KAGGLE_KEY"] == "f00dcafe-secret"
