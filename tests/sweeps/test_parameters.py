import nbformat
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.sweeps.parameters import read_parameters
from toy_sweeps import CELLS, write_notebook


def test_parameters_are_the_literals_of_the_tagged_cell(tmp_path):
    parameters, content = read_parameters(write_notebook(tmp_path / "one.ipynb", *CELLS))
    assert parameters == {
        "dataset": "digits_lt",
        "split": 0,
        "method": "instance",
        "alpha": None,
        "lr": 0.01,
        "epochs": 1,
        "seed": 0,
        "live": True,
        "how": "",
        "gate": "",
        "run_folder": "",
    }
    assert len(content) == 64


@pytest.mark.parametrize(
    ("line", "value"),
    [("x = -0.5", -0.5), ("x = [1, 'a']", [1, "a"]), ("x = {'a': None}", {"a": None})],
)
def test_negative_numbers_and_lists_are_literals(tmp_path, line, value):
    assert read_parameters(write_notebook(tmp_path / "one.ipynb", parameters=[line]))[0] == {
        "x": value
    }


@pytest.mark.parametrize(
    "line",
    [
        "x = 1 / 10",
        "x = y",
        "import os",
        "x += 1",
        "x.y = 1",
        "x, y = 1, 2",
        "x = y = 1",
        "x = ",
        "x = f(1)",
    ],
)
def test_a_parameters_cell_with_anything_but_literals_is_refused_with_its_line(tmp_path, line):
    path = write_notebook(tmp_path / "one.ipynb", parameters=[f"alpha = 1\n{line}"])
    with pytest.raises(
        BmixError, match=r"one\.ipynb: the 'parameters' cell may only hold name = literal, line 2"
    ):
        read_parameters(path)


def test_a_parameter_set_twice_is_refused(tmp_path):
    path = write_notebook(tmp_path / "one.ipynb", parameters=["alpha = 1\nalpha = 2"])
    with pytest.raises(BmixError, match=r"one\.ipynb: the parameter 'alpha' is set twice"):
        read_parameters(path)


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ("print(seed)", True),
        ("seed = 3", True),
        ("%matplotlib inline\nprint(seed)", True),
        ("!echo seed", False),
        ("%%bash\necho $seed", False),
        ("import os\nlater = 1", False),
    ],
)
def test_a_parameter_used_before_it_is_set_is_refused(tmp_path, source, refused):
    path = write_notebook(tmp_path / "one.ipynb")
    content = nbformat.read(path, as_version=4)
    content.cells.insert(0, nbformat.v4.new_code_cell(source))
    nbformat.write(content, path)
    if refused:
        with pytest.raises(
            BmixError, match=r"one\.ipynb: 'seed' is used above the 'parameters' cell"
        ):
            read_parameters(path)
    else:
        assert read_parameters(path)[0]["seed"] == 0
