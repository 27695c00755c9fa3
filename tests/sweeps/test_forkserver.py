"""Forked kernels: as good as new ones, told of truly, and gone with whoever started them."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import nbformat
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.runs.reading import read_runs
from bmix_lite.sweeps.forkserver import ForkServer, list_imports, start_server
from bmix_lite.sweeps.kernels import Watch, execute
from bmix_lite.sweeps.sweep import run_grid
from toy_sweeps import (
    KERNEL,
    PATIENCE,
    is_alive,
    kernels,
    results,
    wait_until,
    write_light,
    write_notebook,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")
TELL = """import json, os, pathlib, signal, sys
import numpy
seen = {
    "pid": os.getpid(),
    "parent": os.getppid(),
    "session": os.getsid(0),
    "cwd": os.getcwd(),
    "variable": os.environ.get("A_VARIABLE"),
    "draw": numpy.random.random(),
    "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "path": sys.path[0],
    "arguments": sys.argv[0],
    "threads": __import__("threadpoolctl").threadpool_info(),
}
pathlib.Path(run_folder, "seen.json").write_text(json.dumps(seen, default=str))"""


@pytest.fixture(scope="module")
def server():
    server = ForkServer(["numpy"], os.environ | {"OMP_NUM_THREADS": "1"})
    yield server
    server.close()


def look(folder, server, **env):
    """What a kernel sees of itself."""
    folder.mkdir()
    notebook = write_notebook(folder / "tell.ipynb", TELL, parameters=['run_folder = ""'])
    parameters = {"run_folder": str(folder)}
    execute(notebook, folder / "out.ipynb", parameters, env=env, cwd=folder, server=server)
    return json.loads((folder / "seen.json").read_text())


def test_a_forked_kernel_sees_what_a_new_one_sees_and_draws_its_own_numbers(server, tmp_path):
    threads = {"OPENBLAS_NUM_THREADS": "2"}
    first = look(tmp_path / "first", server, A_VARIABLE="one", **threads)
    second = look(tmp_path / "second", server, A_VARIABLE="two", **threads)
    new = look(tmp_path / "new", None, A_VARIABLE="one", **threads)
    assert (first["parent"], new["parent"]) == (server._process.pid, os.getpid())
    assert first["cwd"] == str(tmp_path / "first")
    assert (first["variable"], second["variable"]) == ("one", "two")
    assert first["session"] == first["pid"]
    assert len({first["draw"], second["draw"], new["draw"]}) == 3
    assert first["interrupt"] == new["interrupt"]
    assert first["path"] == new["path"]
    blas = [info["num_threads"] for info in first["threads"] if info["user_api"] == "blas"]
    assert blas == [info["num_threads"] for info in new["threads"] if info["user_api"] == "blas"]


def test_a_sweep_of_forked_kernels_gives_the_table_of_new_ones(tmp_path):
    notebook = write_light(tmp_path)
    grid = [{"seed": seed} for seed in range(3)]
    for fork in (True, False):
        endings = run_grid(notebook, grid, tmp_path / str(fork), fork=fork, progress=False)
        assert [ending.status for ending in endings] == ["complete"] * 3
    assert results(read_runs(tmp_path / "True")) == results(read_runs(tmp_path / "False"))


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/usr/bin/env", "-m", "ipykernel_launcher", "-f", "x"], "another interpreter"),
        ([sys.executable, "-m", "xeus", "-f", "x"], "another kernel"),
    ],
)
def test_a_kernel_of_another_kind_is_not_forked(server, command, reason):
    assert server.start(command, {}, "/") is None, reason


def begin(server, tmp_path, cell):
    """A forked kernel that runs no notebook: its connection file is broken, unless it waits."""
    file = tmp_path / "connection.json"
    file.write_text("no JSON" if cell == "broken" else "{}")
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", str(file)]
    return server.start(command, dict(os.environ), str(tmp_path))


def test_exit_codes_and_signals_are_told_as_of_any_process(server, tmp_path):
    failing = begin(server, tmp_path, "broken")
    assert failing.wait(PATIENCE) > 0
    assert failing.poll() == failing.returncode
    killed = begin(server, tmp_path, "waits")
    assert killed.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(0.02)
    killed.kill()
    assert killed.wait(PATIENCE) == -signal.SIGKILL
    killed.terminate()  # nothing is left to signal


def test_kernels_end_with_their_server_and_are_told_as_killed(tmp_path):
    server = ForkServer([], dict(os.environ))
    kernel = begin(server, tmp_path, "waits")
    os.kill(server._process.pid, signal.SIGKILL)
    assert kernel.wait(PATIENCE) == -signal.SIGKILL
    wait_until(lambda: not is_alive(kernel.pid), "the kernel ends when its parent is gone", 10)
    assert begin(server, tmp_path, "waits") is None  # the next kernel starts by itself
    server.close()


def test_a_closed_server_ends_its_kernels_and_a_retired_one_waits_for_them(tmp_path):
    closed = ForkServer([], dict(os.environ))
    kernel = begin(closed, tmp_path, "waits")
    closed.close()
    assert kernel.wait(PATIENCE) == -signal.SIGKILL
    retired = ForkServer([], dict(os.environ))
    kernel = begin(retired, tmp_path, "waits")
    retired.retire()
    time.sleep(0.2)
    assert kernel.poll() is None
    kernel.kill()
    assert kernel.wait(PATIENCE) == -signal.SIGKILL
    assert retired._process.wait(PATIENCE) == 0


def test_a_driver_that_is_killed_leaves_neither_server_nor_kernel(tmp_path):
    notebook = write_light(tmp_path)
    gate = tmp_path / "gate"
    script = f"""
        from bmix_lite.sweeps.sweep import run_grid
        grid = [{{"how": "wait", "gate": {str(gate)!r}, "seed": seed}} for seed in range(2)]
        run_grid({str(notebook)!r}, grid, {str(tmp_path / "out")!r}, progress=False)
    """
    driver = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    wait_until(lambda: len(kernels(tmp_path / "out")) == 2, "both have begun")
    (parent,) = {read_parent(pid) for pid, _ in kernels(tmp_path / "out")}
    assert read_parent(parent) == driver.pid
    driver.kill()
    driver.wait()
    pids = [parent, *(pid for pid, _ in kernels(tmp_path / "out"))]
    wait_until(lambda: not any(map(is_alive, pids)), "all have ended", 10)


def read_parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_where_an_import_starts_a_thread_kernels_start_by_themselves(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "threaded.py"
    package.parent.mkdir()
    package.write_text(
        "import threading\nthreading.Thread(target=input, daemon=True).start()\n"
        "import time\nthreading.Thread(target=time.sleep, args=[99], daemon=True)"
        ".start()\n"
    )
    monkeypatch.syspath_prepend(package.parent)
    path = os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])
    notebook = write_notebook(tmp_path / "a.ipynb", "import threaded", "1 / 1", parameters=())
    server = start_server(notebook, {"PYTHONPATH": path})
    watch = Watch()
    execute(
        notebook,
        tmp_path / "out.ipynb",
        {},
        watch=watch,
        server=server,
        cwd=tmp_path,
        env={"PYTHONPATH": path},
    )
    assert isinstance(watch.process, subprocess.Popen)
    server.close()


def test_only_installed_modules_that_cells_import_are_imported_beforehand(tmp_path):
    (tmp_path / "beside.py").write_text("raise SystemExit")
    cells = [
        "import json, numpy.linalg as la\nfrom bmix_lite.training import train",
        "%matplotlib inline\nimport pandas",
        "def f():\n    import scipy",
        "import beside, no_such_module\nfrom . import x",
    ]
    notebook = write_notebook(tmp_path / "a.ipynb", *cells, parameters=())
    content = nbformat.read(notebook, as_version=4)
    assert content.metadata.kernelspec.name == KERNEL["name"]
    assert list_imports(notebook) == ["json", "numpy.linalg", "bmix_lite.training"]
    (tmp_path / "none.ipynb").write_text("none")
    with pytest.raises(BmixError, match=r"none\.ipynb"):
        list_imports(tmp_path / "none.ipynb")
