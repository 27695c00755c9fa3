"""Processes that these tests start find the scripts' own modules, as a script does."""

import os

import pytest

from conftest import ROOT


@pytest.fixture(autouse=True)
def scripts_on_the_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "data_scripts"), prepend=os.pathsep)
