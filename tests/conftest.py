"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared():
    """The folder of reference data beside the repository; in CI its absence is a failure."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        message = "the reference data are not on this machine"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT
