import numpy as np
import pytest

from bmix_lite.base.errors import BmixError, require_integer


@pytest.mark.parametrize("value", [1, 5, np.int64(3)])
def test_integers_within_the_limits_come_back_as_int(value):
    found = require_integer("n", value, 1, 5)
    assert (type(found), found) == (int, value)


@pytest.mark.parametrize("value", [0, 6, -1, 1.0, True, "3", None, np.float64(2)])
def test_what_is_no_integer_within_the_limits_is_refused_with_its_value(value):
    with pytest.raises(BmixError, match=r"n must be an integer in 1\.\.5, got ") as caught:
        require_integer("n", value, 1, 5)
    assert str(caught.value).endswith(f"got {value!r}")


def test_without_an_upper_limit_the_words_name_the_lower_one_alone():
    assert require_integer("n", 10**30, 0) == 10**30
    with pytest.raises(BmixError, match="n must be an integer >= 0, got -1"):
        require_integer("n", -1, 0)
