import dataclasses

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.data.imageset import SPLITS
from tiny import HOSTILE_TEXTS, make, read_rows

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(images=np.zeros((4, 2, 2, 3))), "images must be uint8, got float64"),
        (
            dict(images=np.zeros((4, 2, 2), np.uint8)),
            r"images must be \(N, H, W, C\), got shape \(4, 2, 2\)",
        ),
        (
            dict(images=np.zeros((5, 2, 2, 3), np.uint8)),
            "images and labels differ in length: 5 and 4",
        ),
        (dict(labels=np.array([0, 1, 0, 2])), r"labels must lie in 0\.\.1, got 2 in row 3"),
        (dict(labels=np.array([0, -1, 0, 1])), r"labels must lie in 0\.\.1, got -1 in row 1"),
        (dict(labels=np.array([0, 1, 0, 2.5])), "labels must be integers .* got dtype float64"),
        (
            dict(labels=np.array([0, 0, 0, 0])),
            r"every class needs at least one image, classes \[1\] have none",
        ),
        (dict(groups=["a", "b"]), "groups must have 4 entries"),
        (dict(split=["train"] * 3), "split must have 4 entries"),
        (dict(ids=["a"] * 5), "ids must have 4 entries"),
        (dict(ids=["a", "b", "c", "a"]), "ids must differ from image to image"),
        (dict(folds=[0, 1]), "folds must have 4 entries"),
        (
            dict(split=["train", "train", "Test", "train"]),
            r"split must be one of .* got \['Test'\]",
        ),
        (
            dict(split=["train", "val", "train", "test"]),
            r"at least one training image, \['class 1'\] have none",
        ),
    ],
)
def test_an_image_set_refuses_what_does_not_fit_in_words(fields, message):
    with pytest.raises(BmixError, match=message):
        dataclasses.replace(make(), **fields)


def test_rows_and_counts_belong_to_one_split():
    data = make([0, 1, 0, 1, 1], split=np.array(["train", "train", "val", "test", "val"]))
    assert [data.rows(split).tolist() for split in SPLITS] == [[0, 1], [2, 4], [3]]
    assert [data.counts(split).tolist() for split in SPLITS] == [[1, 1], [1, 1], [0, 1]]
    with pytest.raises(
        BmixError, match="split must be one of train, val, test, got 'valid'; did you mean 'val'"
    ):
        data.rows("valid")
    with pytest.raises(BmixError, match="dataset 'unnamed' has no split yet"):
        make().rows("train")


BASE = make(groups=["a", "b", "c", "d"], split=["train", "train", "val", "test"])


@pytest.mark.parametrize(
    "change",
    [
        dict(images=BASE.images ^ np.uint8([[[[1, 0, 0]]]])),
        dict(
            images=np.where(
                np.arange(96).reshape(4, 4, 2, 3) == 95, BASE.images + np.uint8(1), BASE.images
            )
        ),
        dict(images=BASE.images.reshape(4, 2, 4, 3)),
        dict(images=BASE.images[::-1]),
        dict(labels=np.array([0, 1, 1, 0])),
        dict(class_names=("class 1", "class 0")),
        dict(class_names=("class 0class", " 1")),
        dict(groups=["a", "b", "c", "e"]),
        dict(groups=["a", "b", "cd", ""]),
        dict(groups=None),
        dict(split=["train", "train", "test", "val"]),
        dict(split=None),
        dict(groups=BASE.split, split=BASE.split),
    ],
)
def test_every_part_that_training_sees_changes_the_fingerprint(change):
    assert dataclasses.replace(BASE, **change).fingerprint != BASE.fingerprint


def test_the_fingerprint_depends_on_content_not_on_memory_layout_or_name():
    same = dict(
        images=np.asfortranarray(BASE.images), labels=BASE.labels.astype(np.int8), name="other"
    )
    assert dataclasses.replace(BASE, **same).fingerprint == BASE.fingerprint
    assert len(BASE.fingerprint) == 64


def test_the_fingerprint_does_not_ask_how_the_files_were_called():
    assert dataclasses.replace(BASE, ids=list("abcd")).fingerprint == BASE.fingerprint


def test_an_image_set_is_shown_in_one_line():
    split = np.array(["train"] * 5 + ["val", "test", "test"])
    data = make([0, 0, 0, 0, 1, 0, 1, 1], name="eyes", split=split)
    assert repr(data) == ("ImageSet 'eyes': 8 images 4×2×3, 2 classes, 4:1; train 5, val 1, test 2")
    unsplit = dataclasses.replace(data, split=None, groups=list("aabbccdd"))
    assert repr(unsplit) == (
        "ImageSet 'eyes': 8 images 4×2×3, 4 groups, 2 classes, 1.7:1; no split yet"
    )


def test_a_notebook_shows_images_per_class_and_split():
    split = np.array(["train", "train", "train", "val", "test", "test"])
    rows = read_rows(make([0, 0, 1, 0, 1, 1], split=split)._repr_html_())
    assert rows[""] == list(SPLITS)
    assert rows["class 0"] == ["2", "1", "0"]
    assert rows["class 1"] == ["1", "0", "2"]


def test_without_a_split_a_notebook_shows_all_images():
    rows = read_rows(make([0, 0, 1])._repr_html_())
    assert (rows[""], rows["class 0"], rows["class 1"]) == (["images"], ["2"], ["1"])


def test_names_are_text_in_every_view_never_markup_nor_lines():
    labels = np.arange(len(HOSTILE_TEXTS))
    data = make(labels, class_names=HOSTILE_TEXTS, name=HOSTILE_TEXTS[1] + HOSTILE_TEXTS[3])
    page = data._repr_html_()
    assert "\n" not in repr(data)
    assert "<img" not in page
    assert "<script" not in page
    shown = set(read_rows(page))
    assert {name.replace("\n", "\\n") for name in HOSTILE_TEXTS} < shown


def test_a_thousand_classes_do_not_fill_a_notebook():
    page = make(np.arange(1000))._repr_html_()
    assert page.count("<tr") < 40
    assert "class 999" in page
