"""Fixtures shared by the tests of run folders."""

import pytest

from examples import make_images


@pytest.fixture(scope="module")
def data():
    return make_images()
