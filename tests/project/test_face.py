"""What `from bmix_lite import ...` gives, and that an editor and a type checker see the same."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import bmix_lite


def names_for_editors():
    """{name: module} of the imports that only a type checker reads."""
    tree = ast.parse(Path(bmix_lite.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {alias.name: line.module for line in block.body for alias in line.names}


@pytest.mark.parametrize("name", bmix_lite.__all__)
def test_each_name_of_the_face_is_the_object_of_its_module(name):
    home = importlib.import_module(names_for_editors()[name])
    assert getattr(bmix_lite, name) is getattr(home, name)


def test_editors_users_and_dir_see_the_same_names():
    assert set(names_for_editors()) == set(bmix_lite.__all__) == set(bmix_lite._HOME)
    assert set(bmix_lite.__all__) <= set(dir(bmix_lite))


@pytest.mark.parametrize("name", sorted(set(bmix_lite.__all__) - {"METHODS", "BmixError"}))
def test_the_face_is_documented_and_annotated(name):
    value = getattr(bmix_lite, name)
    assert inspect.getdoc(value)
    function = value.__init__ if inspect.isclass(value) else value
    parameters = inspect.signature(function).parameters.values()
    missing = [p.name for p in parameters if p.annotation is p.empty and p.name != "self"]
    assert missing == []


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'trane'"):
        bmix_lite.trane  # noqa: B018
    with pytest.raises(ImportError):
        from bmix_lite import trane  # noqa: F401
