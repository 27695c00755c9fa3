import numpy as np
import pytest
from PIL import Image

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.report import read_report
from field import photo, prepare_small


def make_set(root, top, kind="png"):
    """40 grey files of 16 bits; top(number): the highest pixel of a file."""
    for number in range(40):
        grey = np.asarray(photo(number, 64, grey=True)) / 255
        path = root / ("normal", "fracture")[number % 2] / f"{number}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.round(grey / grey.max() * top(number)).astype(np.uint16)
        Image.fromarray(pixels).save(path)
    return root


TOPS = np.random.default_rng(3).integers(2500, 5000, 40)


def test_sixteen_bits_are_taken_as_they_are(tmp_path):
    data = prepare_small(make_set(tmp_path / "in", lambda number: 65535), tmp_path / "out")
    assert data.images.max() >= 250
    assert read_report(tmp_path / "out").counts() == {}


@pytest.mark.parametrize(("bits", "kind"), [(14, "png"), (12, "png"), (12, "tif"), (10, "png")])
def test_fewer_bits_in_files_of_sixteen_are_noticed_over_the_whole_set_and_can_be_said(
    tmp_path, bits, kind
):
    root = make_set(tmp_path / "in", lambda number: 2**bits - 1, kind)
    with pytest.raises(
        BmixError, match=rf"depth, 1: (.|\n)*no pixel over {2**bits - 1} in 40 files"
    ):
        prepare_small(root, tmp_path / "out")
    [fault] = read_report(tmp_path / "out").faults
    assert f"bits={bits} makes {2**bits - 1} white" in fault["found"]
    data = prepare_small(root, tmp_path / "out", bits=bits)
    eight = prepare_small(make_set(tmp_path / "full", lambda n: 65535, kind), tmp_path / "eight")
    assert len(data.images) == 40
    assert np.abs(data.images.astype(int) - eight.images).max() <= 1


@pytest.mark.parametrize("on_bad", ["stop", "skip"])
def test_maxima_that_differ_from_file_to_file_throw_no_file_out(tmp_path, on_bad):
    root = make_set(tmp_path / "in", lambda number: TOPS[number], "tif")
    over = sum(TOPS > 4095)
    words = rf"pixels up to {TOPS.max()} in {over} of 40 files are more than the 4095 of 12 bits"
    with pytest.raises(BmixError, match=words):
        prepare_small(root, tmp_path / "twelve", bits=12, on_bad=on_bad)
    with pytest.raises(BmixError, match="bits=13 makes 8191 white"):
        prepare_small(root, tmp_path / "none", on_bad=on_bad)
    data = prepare_small(root, tmp_path / "thirteen", bits=13, on_bad=on_bad)
    assert len(data.images) == 40
    assert 140 <= data.images.max() <= TOPS.max() * 255 / 8191
    data = prepare_small(root, tmp_path / "sixteen", bits=16, on_bad=on_bad)
    assert len(data.images) == 40
    [fault] = read_report(tmp_path / "sixteen").faults
    assert (fault["kind"], fault["level"], fault["where"]) == ("depths", "warning", "40 files")


def test_a_class_of_another_depth_is_a_warning_with_its_numbers_and_a_dark_file_is_none(tmp_path):
    root = make_set(tmp_path / "in", lambda number: (65535, 4095)[number % 2])
    data = prepare_small(root, tmp_path / "out")
    [fault] = read_report(tmp_path / "out").faults
    assert len(data.images) == 40
    assert (fault["kind"], fault["level"]) == ("depths", "warning")
    assert "no pixel over 4095 in 20 of 40, the others more: 20 in 'fracture'" in fault["found"]
    root = make_set(tmp_path / "dark", lambda number: 4000 if number == 7 else 60000)
    prepare_small(root, tmp_path / "fine")
    assert read_report(tmp_path / "fine").counts() == {}


def test_files_of_eight_bits_beside_deep_ones_do_not_hide_their_depth(tmp_path):
    root = make_set(tmp_path / "in", lambda number: 4095)
    for number in range(40, 50):
        photo(number).save(root / "normal" / f"{number}.png")
    with pytest.raises(BmixError, match="no pixel over 4095 in 40 files of more than 8 bits"):
        prepare_small(root, tmp_path / "out")
    assert len(prepare_small(root, tmp_path / "out", bits=12).images) == 50


def test_eight_bits_in_files_of_sixteen_are_no_black_images(tmp_path):
    root = make_set(tmp_path / "in", lambda number: 255)
    with pytest.raises(BmixError, match="bits=8 makes 255 white"):
        prepare_small(root, tmp_path / "out")
    assert prepare_small(root, tmp_path / "out", bits=8).images.max() >= 250


@pytest.mark.parametrize(("every", "is_named"), [(2, True), (4, False), (1, False)])
def test_grey_images_of_one_class_among_coloured_ones_are_a_warning(tmp_path, every, is_named):
    for number in range(40):
        path = tmp_path / "in" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        is_grey = number % 2 == 0 if every == 2 else number // 2 % every == 0
        picture = photo(number).convert("L").convert("RGB") if is_grey else photo(number)
        picture.save(path, quality=90)
    prepare_small(tmp_path / "in", tmp_path / "out")
    faults = [fault["found"] for fault in read_report(tmp_path / "out").faults]
    assert faults == (["grey are 20 of 20 in 'a', 0 of 20 in 'b'"] if is_named else [])
