import os
import re

import pytest
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from bmix_lite.base.files import read_json, sha256_of, write_atomic, write_json
from bmix_lite.runs.complete import TASK, is_complete, read_wall
from bmix_lite.runs.ledger import append_ledger, read_ledger
from bmix_lite.sweeps import tasks
from bmix_lite.sweeps.tasks import RETRIED, STARTS, Task, kernel_environment, run_task


@pytest.fixture
def task(tmp_path):
    return Task(tmp_path / "kept.ipynb", tmp_path / "out" / "run", {"seed": 1})


def write_result(folder):
    write_json(folder / "recipe.json", {})
    for name in ("history.csv", "predictions.csv"):
        write_atomic(folder / name, name)
    hashes = {
        name: sha256_of(folder / name) for name in ("recipe.json", "history.csv", "predictions.csv")
    }
    write_json(folder / "metrics.json", {"sha256": hashes})
    append_ledger(folder.parent, folder.name, "complete", seconds=1.0)


@pytest.fixture
def play(task, monkeypatch):
    """The list of what each try does: an error is raised, a function is called."""
    left = []

    def execute(*_, watch, check, **__):
        act = left.pop(0)
        if isinstance(act, BaseException):
            raise act
        act(watch)
        assert check()

    monkeypatch.setattr(tasks, "execute", execute)
    return left


def good(task):
    return lambda _: write_result(task.folder)


class Gone:
    """A process that has ended."""

    pid = 0

    def __init__(self, code):
        self.code = code

    def poll(self):
        return self.code


def die(code, cell=3, oom=False):
    def act(watch):
        watch.process, watch.cell, watch.reached, watch.cells, watch.oom = (
            Gone(code),
            cell,
            cell,
            9,
            oom,
        )
        raise DeadKernelError("Kernel died")

    return act


NO_START = RuntimeError("Kernel died before replying to kernel_info")
CLASH = RuntimeError("Kernel didn't respond in 120 seconds")


@pytest.mark.parametrize("problem", [NO_START, CLASH, TimeoutError("the kernel did not answer")])
def test_a_kernel_that_does_not_start_is_started_again_beyond_the_retries(task, play, problem):
    play += [problem] * (STARTS - 1) + [good(task)]
    assert run_task(task, "sweep", retries=0).status == "complete"
    assert play == []
    assert [(line["status"], line["tries"]) for line in read_ledger(task.folder.parent)[:-1]] == [
        ("not started", 0)
    ] * (STARTS - 1)
    assert read_json(task.folder / TASK)["tries"] == 1


def test_a_kernel_that_never_starts_is_given_up(task, play):
    play += [NO_START] * 10
    ending = run_task(task, "sweep", retries=1)
    assert (ending.status, ending.good) == ("not started", False)
    assert ending.error == "the kernel did not start: Kernel died before replying to kernel_info"
    assert 10 - len(play) == STARTS + 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_run_that_is_killed_each_time_is_given_up_after_the_retries(task, play, retries):
    play += [die(-9)] * 10
    ending = run_task(task, "sweep", retries=retries)
    assert (ending.status, ending.error) == (
        "killed",
        "the kernel died in cell 3 of 9, exit code -9",
    )
    assert 10 - len(play) == retries + 1
    assert [line["tries"] for line in read_ledger(task.folder.parent)] == list(
        range(1, retries + 2)
    )


def error(name, value):
    return PapermillExecutionError(2, 3, "", name, value, [])


@pytest.mark.parametrize(
    ("act", "status", "words"),
    [
        (die(-9), "killed", "the kernel died in cell 3 of 9, exit code -9"),
        (die(-11), "killed", "exit code -11"),
        (die(3), "killed", "the kernel died in cell 3 of 9, exit code 3"),
        (die(0), "killed", "the kernel died in cell 3 of 9, exit code 0"),
        (die(None), "killed", "the kernel died in cell 3 of 9"),
        (die(-9, cell=0), "killed", "the kernel died before the first cell, exit code -9"),
        (error("MemoryError", ""), "out of memory", "cell 0: MemoryError: "),
        (error("OutOfMemoryError", "CUDA out of memory"), "out of memory", "OutOfMemoryError"),
        (
            error("RuntimeError", "DefaultCPUAllocator: can't allocate memory"),
            "out of memory",
            "can't allocate",
        ),
        (error("KeyError", "'x'"), "failed", "cell 0: KeyError: 'x'"),
        (error("SystemExit", "3"), "failed", "cell 0: SystemExit: 3"),
        (
            OSError(28, "No space left on device", "/x/notebook.partial.ipynb"),
            "failed",
            "No space left .*partial",
        ),
        (OSError(24, "Too many open files"), "failed", "OSError: .*Too many open files"),
        (ValueError("a\nb"), "failed", "ValueError: a$"),
        (ValueError(""), "failed", "ValueError: "),
    ],
)
def test_each_ending_has_its_name_and_a_cells_own_error_is_not_tried_again(
    task, play, act, status, words
):
    play += [act] * 2
    ending = run_task(task, "sweep", retries=1)
    assert ending.status == status
    assert re.search(words, ending.error)
    assert len(play) == (0 if status in RETRIED else 1)
    line = read_ledger(task.folder.parent)[-1]
    assert (line["status"], line["error"]) == (ending.status, ending.error)


def test_the_system_ending_a_kernel_for_want_of_memory_is_told(task, play, monkeypatch):
    counts = [0, 1]
    monkeypatch.setattr(tasks, "_count_oom_kills", lambda: counts.pop(0))
    play += [die(-9)]
    ending = run_task(task, "sweep", retries=0)
    assert ending.status == "out of memory"
    assert ending.error == "the system ended the kernel in cell 3 of 9: no memory was left"


def test_the_systems_count_of_such_ends_is_read(tmp_path):
    (tmp_path / "events").write_text("low 0\nhigh 3\nmax 9\noom 4\noom_kill 2\n")
    assert tasks._count_oom_kills(tmp_path / "events") == 2
    (tmp_path / "events").write_text("nonsense")
    assert tasks._count_oom_kills(tmp_path / "events") == 0
    assert tasks._count_oom_kills(tmp_path / "none") == 0


def stop(reason, limit=None):
    def act(watch):
        watch.cell, watch.cells, watch.timeout = 4, 9, limit
        watch.stop(reason)
        raise DeadKernelError("Kernel died")

    return act


def test_a_time_limit_is_told_with_cell_and_seconds_and_tried_again(task, play):
    play += [stop("timed out", 2.5), stop("timed out", 2.5)]
    ending = run_task(task, "sweep", timeout=2.5, retries=1)
    assert (ending.status, ending.error) == ("timed out", "timed out in cell 4 of 9 after 2.5 s")
    assert play == []


def test_an_interrupted_run_is_not_tried_again(task, play):
    play += [stop("interrupted"), good(task)]
    ending = run_task(task, "sweep", retries=5)
    assert (ending.status, ending.error) == ("interrupted", "interrupted in cell 4 of 9")
    assert len(play) == 1


def test_a_good_try_after_a_bad_one_is_complete_and_its_time_is_noted(task, play):
    play += [die(-9), good(task)]
    ending = run_task(task, "sweep", retries=1)
    assert (ending.status, ending.error) == ("complete", "")
    assert read_json(task.folder / TASK) == {
        "notebook": "kept",
        "sweep": "sweep",
        "tries": 2,
        "wall": read_wall(task.folder),
    }
    assert read_wall(task.folder) >= 0
    assert read_wall(task.folder.parent / "none") is None


def test_an_old_result_never_stands_for_that_of_a_new_try(task, play):
    write_result(task.folder)
    append_ledger(task.folder.parent, "run", "failed", error="later cell")
    play += [lambda _: None] * 2
    ending = run_task(task, "sweep")
    assert ending.status == "failed"  # `check` said no
    assert not is_complete(task.folder)


def test_a_result_that_a_lost_worker_left_is_taken(task, play):
    write_result(task.folder)
    assert run_task(task, "sweep").status == "complete"
    assert len(read_ledger(task.folder.parent)) == 1


@pytest.mark.parametrize(("sweep", "tried"), [("this", 3), ("other", 5)])
def test_a_task_whose_process_died_again_and_again_is_given_up_in_that_sweep_only(
    task, play, sweep, tried
):
    write_json(task.folder / TASK, {"sweep": "this", "tries": 2, "notebook": "kept"})
    play += [die(-9)] * 5
    ending = run_task(task, sweep, retries=1)
    if sweep == "this":
        assert (ending.status, ending.error) == (
            "killed",
            "given up: the process that ran it died 2 times",
        )
        assert len(play) == 5
        assert [line["error"] for line in read_ledger(task.folder.parent)] == [ending.error]
    else:
        assert len(play) == 3


@pytest.mark.parametrize("content", ["", "[1]", "null", '{"tries": 7}'])
def test_a_note_that_is_damaged_is_no_obstacle(task, play, content):
    write_atomic(task.folder / TASK, content)
    play += [good(task)]
    assert run_task(task, "sweep").status == "complete"


def test_a_folder_that_is_a_link_is_refused_and_nothing_is_written_through_it(task, play, tmp_path):
    (tmp_path / "outside").mkdir()
    task.folder.parent.mkdir()
    task.folder.symlink_to(tmp_path / "outside")
    ending = run_task(task, "sweep")
    assert ending.status == "failed"
    assert "is a link: nothing is written through it" in ending.error
    assert os.listdir(tmp_path / "outside") == []


def test_files_that_are_links_are_replaced_not_followed(task, play, tmp_path):
    task.folder.mkdir(parents=True)
    (tmp_path / "outside").write_text("mine")
    for name in (TASK, "metrics.json", "predictions.csv"):
        (task.folder / name).symlink_to(tmp_path / "outside")
    play += [good(task)]
    assert run_task(task, "sweep").status == "complete"
    assert (tmp_path / "outside").read_text() == "mine"
    assert not [path for path in task.folder.iterdir() if path.is_symlink()]


def test_a_disk_that_is_full_from_the_first_byte_is_told(task, play, monkeypatch):
    def full(path, *_, **__):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(tasks, "write_json", full)
    monkeypatch.setattr(tasks, "append_ledger", full)
    ending = run_task(task, "sweep")
    assert ending.status == "failed"
    assert "No space left on device" in ending.error
    assert TASK in ending.error


def test_watches_show_what_runs_and_nothing_afterwards(task, play):
    seen, watches = [], {}
    play += [lambda watch: seen.append(dict(watches)) or die(-9)(watch), good(task)]
    assert run_task(task, "sweep", watches=watches).status == "complete"
    assert list(seen[0]) == ["run"]
    assert watches == {}


def test_an_endless_error_text_is_cut(task, play):
    play += [error("ValueError", "x" * 1_000_000)]
    assert len(run_task(task, "sweep").error) == tasks.LONGEST
    assert (task.folder.parent / "ledger.jsonl").stat().st_size < 2 * tasks.LONGEST


def test_kernels_side_by_side_share_the_cores(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    for jobs, threads in ((2, "4"), (50, "1")):
        assert [kernel_environment(jobs)[name] for name in names] == [threads] * 3
    assert kernel_environment(2, 3)["CUDA_VISIBLE_DEVICES"] == "3"
    assert "CUDA_VISIBLE_DEVICES" not in kernel_environment(2)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # the user's word counts
    assert "OMP_NUM_THREADS" not in kernel_environment(2)
