import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from bmix_lite.base.errors import BmixError
from bmix_lite.data.imageset import SPLITS, to_data_uri, to_picture
from tiny import make

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


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_survives_its_way_into_the_page(channels):
    image = np.random.default_rng(0).integers(0, 256, (5, 4, channels), dtype=np.uint8)
    kind, content = to_data_uri(to_picture(image)).split(",")
    assert kind == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    assert np.array_equal(shown.reshape(image.shape), image)
