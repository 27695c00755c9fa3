from fractions import Fraction

import pytest

from bmix_lite.preparation.sameness import group_same, group_same_files, read_number, reads_as, show

SAME = [
    ("0", "0.0"),
    ("0", "00"),
    ("0", " 0"),
    ("0", "0,0"),
    ("0", "-0"),
    ("0", "0."),
    ("0", "'0"),
    ("0", "\u0660"),  # Arabic-Indic
    ("0", "０"),
    ("10", "1E+01"),
    ("1.5", "1,50"),
    ("1234", "1,234"),
    ("1234567", "1.234.567"),
    ("1234", "1\u202f234"),
    ("1234", "1’234"),
    ("-1", "\u22121"),
    ("é", "e\u0301"),
    ("No_DR", "No DR"),
    ("No-DR", "no dr"),
    ("NoDR", "No DR"),
    ("mild", "Mild "),
    ("mild", "ｍｉｌｄ"),
    ("mild", "mi\u200bld"),
    ("mild", "mi\u00adld"),
    ("mild", "\ufeffmild"),
    ("mild", "mild\u3164"),
    ("mild", "“mild”"),
    ("mild", "mild."),
    ("mild", "mild,"),
    ("a b", "a\u00a0b"),
    ("a b", "a\u2003 b"),
    ("a b", "a\tb"),
    ("Crohn's", "crohn’s"),
    ("fibrosis", "ﬁbrosis"),
    ("Straße", "STRASSE"),
    ("A", "\u0410"),  # Cyrillic
    ("K", "\u039a"),  # Greek
    ("O", "0"),
    ("50%", "0.5"),
    ("5 %", "5,0%"),
    ("l", "1"),
    ("\u0412\u043e\u0434\u0430", "\u0432\u043e\u0434\u0430"),
]
DIFFERENT = [
    ("0", "1"),
    ("1-2", "12"),
    ("1 2", "12"),
    ("-1", "1"),
    ("1.5", "15"),
    ("A", "A-"),
    ("HER2+", "HER2-"),
    ("benign?", "benign"),
    ("é", "e"),
    ("grade 1", "grade 2"),
    ("I", "II"),
    ("5", "5%"),
    ("123456789012345678", "123456789012345679"),
    ("NA", "None"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_a_person_reads_as_one_text_is_one(one, other):
    assert group_same([one, "elsewhere", other]) == [sorted([one, other])]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_a_person_reads_as_two_texts_is_two(one, other):
    assert group_same([one, other]) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("007", 7), ("+3", 3), ("1e-2", Fraction(1, 100)), (".5", Fraction(1, 2))],
)
def test_numbers_are_read_exactly(text, number):
    assert read_number(text) == number


@pytest.mark.parametrize(
    "text", ["", ".", "1e999999999", "0x1", "nan", "inf", "1/2", "1_000", "9" * 5000]
)
def test_what_is_no_number_is_none(text):
    assert read_number(text) is None


def test_three_ways_to_write_one_label_are_one_group():
    assert group_same(["0", "0.0", "O", "1"]) == [["0", "0.0", "O"]]


def test_true_and_false_joined_with_1_and_0_are_two_labels():
    assert group_same(["True", "False", "1", "0"]) == [["0", "False"], ["1", "True"]]
    assert group_same(["TRUE", "true", "FALSE"]) == [["TRUE", "true"]]
    assert (
        group_same(["yes", "no"]) == group_same(["1", "0"]) == group_same(["1", "true", "x"]) == []
    )


def test_names_of_patients_keep_their_separators():
    assert group_same(["p 1", "p1"], joined=False) == []
    assert group_same(["P1", "p1 ", "p_1", "p 1"], joined=False) == [["P1", "p1 "], ["p 1", "p_1"]]
    assert reads_as("1", joined=False) == reads_as("001", joined=False)


def test_files_read_the_same_only_within_one_folder():
    names = ["a/x.jpg", "b/x.jpg", "a/X.JPEG", "a/x.png", "a/e\u0301.png", "a/é.png", "noend"]
    assert group_same_files(names) == [["a/X.JPEG", "a/x.jpg"], ["a/e\u0301.png", "a/é.png"]]


def test_twins_are_shown_with_their_codes():
    assert show("a") == "'a'"
    assert show("é") != show("e\u0301")
    assert "\\u0410" in show("\u0410")
