import numpy as np
import pandas as pd
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.data.datasets import load
from bmix_lite.preparation.arrays import list_arrays, read_texts
from bmix_lite.preparation.prepare import prepare, prepare_arrays
from bmix_lite.preparation.report import read_report
from bmix_lite.preparation.sources import list_images
from field import photo

ABNORMAL = {"acrosome": 454, "head": 418, "vacuole": 239, "tail": 69}  # of 1,540: README of MHSMA


def draw(count, side=16, grey=True):
    return np.stack([np.asarray(photo(number, side, grey=grey)) for number in range(count)])


def make_files(root, words=("train", "valid", "test"), sizes=(30, 10, 10)):
    images = draw(sum(sizes))
    labels = np.arange(sum(sizes)) % 2
    root.mkdir()
    at = 0
    for word, size in zip(words, sizes, strict=True):
        np.save(root / f"x_{word}.npy", images[at : at + size])
        np.save(root / f"y_{word}.npy", labels[at : at + size].astype(np.uint8))
        at += size
    return images, labels


def test_a_table_of_pixels_and_one_of_labels_take_five_lines(tmp_path):
    """Kaggle's form: a row of grey values per image; labels and patients in a second file."""
    images = draw(60)
    pd.DataFrame(images.reshape(60, -1)).to_csv(tmp_path / "pixels.csv", index=False)
    table = pd.DataFrame({"label": ["cat", "dog"] * 30, "patient": np.arange(60) // 2})
    table.to_csv(tmp_path / "labels.csv", index=False)

    pixels = pd.read_csv(tmp_path / "pixels.csv").to_numpy().reshape(-1, 16, 16)
    table = pd.read_csv(tmp_path / "labels.csv")
    data = prepare_arrays(pixels, table["label"], tmp_path / "data", groups=table["patient"])

    assert np.array_equal(data.images[..., 0], images)
    assert [data.class_names[label] for label in data.labels] == table["label"].tolist()
    assert data.groups.tolist() == [str(number // 2) for number in range(60)]
    split = load(tmp_path / "data")
    sides = [set(split.groups[split.rows(part)]) for part in ("train", "val", "test")]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 30


def test_the_same_arrays_again_read_what_is_there_and_others_are_refused(tmp_path):
    images = draw(40)
    labels = np.arange(40) % 2
    first = prepare_arrays(images, labels, tmp_path / "data")
    assert prepare_arrays(images, labels.tolist(), tmp_path / "data").fingerprint == (
        first.fingerprint
    )
    images[3, 4, 5] += 1
    with pytest.raises(BmixError, match="holds a dataset made of other files or options"):
        prepare_arrays(images, labels, tmp_path / "data")


def test_a_split_groups_names_and_colours_are_kept(tmp_path):
    images = draw(40, grey=False)
    split = ["training"] * 24 + ["valid"] * 8 + ["test"] * 8
    data = prepare_arrays(
        images,
        np.arange(40) % 2,
        tmp_path / "data",
        split=split,
        ids=[f"cell {number}" for number in range(40)],
        class_names={"1": "round", "0": "flat"},
        about={"licence": "CC0"},
    )
    assert np.array_equal(data.images, images)
    assert data.class_names == ("round", "flat")
    assert data.labels.tolist() == [1, 0] * 20
    assert [len(data.rows(part)) for part in ("train", "val", "test")] == [24, 8, 8]
    assert data.ids[3] == "cell 3"


def test_arrays_are_checked_as_files_are_and_faulty_rows_can_be_left_out(tmp_path):
    images = draw(50)
    images[7] = images[3]
    labels = [str(number % 2) for number in range(50)]
    labels[7] = labels[3]
    labels[20] = None
    patients = [float(number // 2) for number in range(50)]
    patients[31] = np.nan
    with pytest.raises(BmixError) as caught:
        prepare_arrays(images, labels, tmp_path / "data", groups=patients)
    for words in ("images[3], images[7]: 3, 7", "images[20]: no label", "images[31]: no group"):
        assert words in str(caught.value)
    data = prepare_arrays(images, labels, tmp_path / "data", groups=patients, on_bad="skip")
    assert [int(name) for name in data.ids] == [n for n in range(50) if n not in (7, 20, 31)]
    for name, image in zip(data.ids, data.images, strict=True):
        assert np.array_equal(image[..., 0], images[int(name)])
    assert set(data.groups) <= {str(number) for number in range(25)}  # 3, not 3.0


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images.astype(np.int64),
        lambda images: images.astype(np.float32),
        lambda images: images / 255,
        lambda images: images[..., None],
        lambda images: images.tolist(),
    ],
)
def test_pixels_of_other_kinds_give_the_same_images(tmp_path, change):
    images = draw(20)
    data = prepare_arrays(change(images), np.arange(20) % 2, tmp_path / "data")
    assert np.array_equal(data.images[..., 0], images)


GREY = draw(10)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (GREY.reshape(10, -1), r"rows of 16 x 16 pixels\? images\.reshape\(-1, 16, 16\)"),
        (np.zeros((10, 300), np.uint8), r"images\.reshape\(-1, 10, 10, 3\)"),
        (np.zeros((10, 257), np.uint8), "257 values per row are no square"),
        (GREY[:, :, :9], "must be square, found"),
        (np.zeros((10, 3, 8, 8), np.uint8), r"channels must come last.*transpose\(0, 2, 3, 1\)"),
        (np.zeros((10, 8, 8, 4), np.uint8), "1 or 3 channels"),
        (GREY[:0], "no image in it"),
        (GREY.astype(int) * 257, "found .* to 6.*: scale all of them alike"),
        (GREY / 10, "whole numbers of 0..255, or floats in"),
        (GREY.astype(int) - 200, "whole numbers of 0..255"),
        ((GREY > 99).astype(int), "no pixel over 1, where 255 is white: multiply by 255"),
        (np.where(GREY[4, 5, 6] == GREY, np.nan, GREY), r"images\[\d\] has pixels that are no fin"),
        (GREY > 99, "found bool"),
        (np.array([GREY[0], GREY[1, :8]], object), "images of different sizes"),
    ],
)
def test_pixels_that_cannot_be_meant_are_refused_with_what_to_do(tmp_path, images, words):
    with pytest.raises(BmixError, match=words):
        prepare_arrays(images, [0, 1] * 5, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": [0, 1]}, r"labels must be one for each of 10 images, found shape \(2,\)"),
        ({"labels": np.eye(2)[[0, 1] * 5]}, r"columns of 0 and 1, labels\.argmax\(axis=1\)"),
        ({"groups": [1]}, "groups must be one for each of 10 images"),
        ({"split": ["train"] * 9 + ["tset"]}, r"images\[9\]: split 'tset'; did you mean 'test'"),
        ({"ids": ["a"] * 10}, "ids must differ from image to image"),
    ],
)
def test_columns_that_do_not_fit_are_refused_by_name(tmp_path, options, words):
    with pytest.raises(BmixError, match=words):
        prepare_arrays(**{"images": GREY, "labels": [0, 1] * 5, "folder": tmp_path / "d"} | options)


def test_a_folder_of_arrays_is_read_with_its_split(tmp_path):
    images, labels = make_files(tmp_path / "in")
    names = {"images": "x_{}.npy", "labels": "y_{}.npy"}
    data = prepare(tmp_path / "in", tmp_path / "out", arrays=names, progress=False)
    assert np.array_equal(data.images[..., 0], images)
    assert np.array_equal(data.labels, labels)
    assert data.split.tolist() == ["train"] * 30 + ["val"] * 10 + ["test"] * 10
    assert data.ids[[0, 30, 40]].tolist() == ["train/0", "val/0", "test/0"]


def test_arrays_without_a_split_and_with_groups_are_read_too(tmp_path):
    images, _ = make_files(tmp_path / "in", ("all",), (40,))
    np.save(tmp_path / "in/patients.npy", np.array([f"p{number // 2}" for number in range(40)]))
    names = {"images": "x_all.npy", "labels": "y_all.npy", "groups": "patients.npy"}
    data = prepare(tmp_path / "in", tmp_path / "out", arrays=names, progress=False)
    assert np.array_equal(data.images[..., 0], images)
    assert len(set(data.groups)) == 20
    assert data.split is None


class Payload:
    def __reduce__(self):
        return open, ("side_effect", "w")


def test_a_folder_of_arrays_that_does_not_fit_is_refused_by_the_name_of_the_file(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "in"
    make_files(root)
    names = {"images": "x_{}.npy", "labels": "y_{}.npy"}

    def check(words, **arrays):
        with pytest.raises(BmixError, match=words):
            list_arrays(root, names | arrays)

    with pytest.raises(BmixError, match=r"holds arrays: say which .* found x_test\.npy, x_train"):
        list_images(root)
    check("arrays must be one of images, labels, groups, got 'label'", label="y")
    check("arrays: labels must be named", labels="")
    check(r"no file of .* is 'z_\{\}\.npy' with train, val or test", images="z_{}.npy")
    check(r"z_train\.npy is not there; .* holds x_test\.npy", labels="z_{}.npy")
    np.save(root / "x_val.npy", draw(3))
    check("fits 'val' and 'valid', both are val")
    (root / "x_val.npy").unlink()
    np.save(root / "x_test.npy", draw(10, 8))
    check("images of different shapes")
    np.save(root / "x_test.npy", draw(9))
    check(r"y_test\.npy must be one for each of 9 images, found shape \(10,\)")
    np.save(root / "x_test.npy", np.array([Payload()] * 10), allow_pickle=True)
    check(r"x_test\.npy: no array that can be read")
    (root / "x_test.npy").write_bytes(b"")
    check(r"x_test\.npy: no array that can be read")
    assert not (tmp_path / "side_effect").exists()


@pytest.mark.parametrize(("label", "abnormal"), ABNORMAL.items())
def test_the_real_arrays_of_mhsma_hold_the_published_counts(shared, tmp_path, label, abnormal):
    names = {"images": "x_64_{}.npy", "labels": f"y_{label}_{{}}.npy"}
    listing = list_images(shared / "data/mhsma/mhsma", arrays=names)
    assert listing.labels == {"0": 1540 - abnormal, "1": abnormal}
    if label == "tail":
        data = prepare(listing, tmp_path / "out", on_bad="skip", progress=False)
        assert data.images.shape[1:] == (64, 64, 1)
        counts = read_report(tmp_path / "out").counts()
        assert counts == {"near": 12, "lookalike": 1}  # by eye the same cells, in two parts
        assert len(data.labels) == 1540 - 12


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, pd.NA, ""])
@pytest.mark.parametrize("start", ["p", ""])
def test_what_a_list_lacks_is_no_group_and_no_label(tmp_path, missing, start):
    images = draw(12)
    groups = [f"{start}{number}" for number in range(12)]
    groups[3] = missing
    with pytest.raises(BmixError, match=r"images\[3\]: no group"):
        prepare_arrays(images, [0, 1] * 6, tmp_path / "a", groups=groups, jobs=1, progress=False)
    labels = ["cat", "dog"] * 6
    labels[3] = missing
    with pytest.raises(BmixError, match=r"images\[3\]: no label"):
        prepare_arrays(images, labels, tmp_path / "b", jobs=1, progress=False)


def test_numbers_in_lists_are_read_as_those_of_arrays():
    for kind in (int, float, np.float32, np.int64, np.uint8):
        assert read_texts("labels", [kind(3), kind(0)], 2) == ["3", "0"]
        assert read_texts("labels", [[kind(3)], [kind(0)]], 2) == ["3", "0"]
    assert read_texts("labels", [2**60 + 1, 0.5], 2) == [str(2**60 + 1), "0.5"]
    assert read_texts("groups", [7, "a", b"b"], 3) == ["7", "a", "b"]
