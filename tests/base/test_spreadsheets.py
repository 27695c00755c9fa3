import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmix_lite.base.spreadsheets import guard, unguard

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "+1", "-1", "@sum", "\t=1", "\r=1", "'=1", "''-"]
)
def test_what_a_spreadsheet_would_compute_begins_with_a_quote(text):
    assert guard(text) == f"'{text}"
    assert unguard(guard(text)) == text


@pytest.mark.parametrize("text", ["", "007", "a=b", "'s Gravenhage", "'", "''", "é", " =1"])
def test_other_text_is_left_as_it_is(text):
    assert guard(text) == unguard(text) == text


@given(st.text("'=+-@\t\ra0 ", max_size=6) | st.text())
def test_any_text_comes_back_and_none_begins_as_a_formula(text):
    assert unguard(guard(text)) == text
    assert not guard(text).startswith(("=", "+", "-", "@", "\t", "\r"))
