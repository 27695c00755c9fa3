import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from bmix_lite.__main__ import main
from bmix_lite.pages import demo, refresh


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "lesson.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# A lesson")]), path)
    return path


def test_help_lists_the_commands(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    words = capsys.readouterr().out
    for command in ("demo", "html", "refresh"):
        assert f"\n    {command} " in words


@pytest.mark.parametrize("arguments", [[], ["deno"], ["html"], ["demo", "--seeds", "five"]])
def test_a_wrong_command_line_ends_with_two_and_the_usage(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m bmix_lite" in capsys.readouterr().err


def test_an_error_of_the_user_is_one_line_on_stderr_without_traceback(tmp_path):
    missing = tmp_path / "missing.ipynb"
    done = subprocess.run(
        [sys.executable, "-m", "bmix_lite", "html", str(missing)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"bmix_lite html: there is no notebook {str(missing)!r}\n"


@pytest.mark.parametrize("command", ["html", "refresh"])
@pytest.mark.parametrize("content", [None, "", '{"cells": ['])
def test_every_command_that_reads_a_notebook_refuses_what_is_none(
    tmp_path, capsys, command, content
):
    path = tmp_path / "lesson.ipynb"
    if content is not None:
        path.write_text(content)
    assert main([command, str(path)]) == 2
    words = capsys.readouterr()
    assert words.out == ""
    assert words.err.startswith(f"bmix_lite {command}: ")
    assert str(path) in words.err


def test_the_demo_refuses_notebooks_that_are_not_there(tmp_path, capsys):
    assert main(["demo", "--notebooks", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "there is no notebook" in capsys.readouterr().err


def test_html_writes_the_page_beside_the_notebook_or_where_it_is_told(notebook, tmp_path, capsys):
    for arguments, page in (
        ([], "lesson.html"),
        (["--out", str(tmp_path / "pages" / "one.html")], "pages/one.html"),
    ):
        assert main(["html", str(notebook), *arguments]) == 0
        assert capsys.readouterr().out == f"{tmp_path / page}\n"
        assert "A lesson" in (tmp_path / page).read_text()


def test_refresh_says_of_each_notebook_whether_it_changed(monkeypatch, capsys):
    monkeypatch.setattr(refresh, "refresh", lambda path: path == "one.ipynb")
    assert main(["refresh", "one.ipynb", "two.ipynb"]) == 0
    assert capsys.readouterr().out == "one.ipynb: changed\ntwo.ipynb: unchanged\n"


def test_the_demo_runs_as_told_and_prints_the_table_and_where_the_report_lies(monkeypatch, capsys):
    asked = []

    def run_demo(*arguments, **options):
        asked.append((arguments, options))
        return pd.DataFrame(
            {"runs": [3], "mean": [0.83751]}, index=pd.Index(["balanced_mixup"], name="method")
        )

    monkeypatch.setattr(demo, "run_demo", run_demo)
    assert (
        main(["demo", "--out", "here", "--notebooks", "there", "--seeds", "3", "--jobs", "1"]) == 0
    )
    assert main(["demo"]) == 0
    given = {"splits": 1, "seeds": 3, "jobs": 1, "dataset": "digits_lt"}
    assert asked == [
        (("there", "here"), given),
        (("notebooks", "build/demo"), given | {"seeds": 5, "jobs": 2}),
    ]
    words = capsys.readouterr().out
    assert "balanced_mixup" in words
    assert "0.838" in words
    assert "here/results.csv" in words
    assert "here/report.html" in words
