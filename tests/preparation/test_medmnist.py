import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.cache import CHUNK, name_chunks, read_pixels
from bmix_lite.preparation.medmnist import list_npz, unpack_npz

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")


def make_arrays(counts=(50, 7, 40), shape=(28, 28), dtype=np.uint8):
    rng, arrays = np.random.default_rng(0), {}
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, *shape)).astype(dtype)
        arrays[f"{split}_labels"] = (np.arange(count) % 3).astype(np.uint8)[:, None]
    return arrays


def save(path, arrays, compressed=True):
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (28, 28, 3)])
def test_images_and_labels_keep_their_order_across_chunks(tmp_path, shape, compressed):
    arrays = make_arrays(shape=shape)
    path = save(tmp_path / "x.npz", arrays, compressed)
    listing = list_npz(path)
    assert listing.side == 28
    assert [item.label for item in listing.items] == [
        str(n % 3) for count in (50, 7, 40) for n in range(count)
    ]
    assert [item.split for item in listing.items] == ["train"] * 50 + ["val"] * 7 + ["test"] * 40
    chunks = name_chunks(listing.items, tmp_path / "chunks")
    assert len(chunks) == -(-97 // CHUNK)
    unpack_npz(path, chunks)
    whole = np.concatenate(
        [
            arrays[f"{split}_images"].reshape(-1, 28, 28, shape[2] if shape[2:] else 1)
            for split in ("train", "val", "test")
        ]
    )
    assert np.array_equal(np.concatenate(list(read_pixels(chunks, range(97)))), whole)
    assert np.array_equal(
        np.concatenate(list(read_pixels(chunks, [0, 31, 32, 96]))), whole[[0, 31, 32, 96]]
    )


def test_chunks_that_are_there_are_not_written_again(tmp_path):
    path = save(tmp_path / "x.npz", make_arrays())
    chunks = name_chunks(list_npz(path).items, tmp_path / "chunks")
    unpack_npz(path, chunks)
    dates = [chunk.stat().st_mtime_ns for chunk in chunks]
    chunks[1].unlink()
    unpack_npz(path, chunks)
    assert [
        chunk.stat().st_mtime_ns == date for chunk, date in zip(chunks, dates, strict=True)
    ] == [
        True,
        False,
        True,
        True,
    ]


class Payload:
    def __reduce__(self):
        return open, ("side_effect", "w")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(val_images=None), "no array 'val_images', found"),
        (dict(train_labels=None), "no array 'train_labels', found"),
        (dict(train_images=np.zeros((50, 28, 28))), "train_images must be uint8, found float64"),
        (
            dict(train_images=np.zeros((50, 28, 28, 28), np.uint8)),
            r"must be \(N, S, S\) or \(N, S, S, 3\), found",
        ),
        (dict(train_images=np.zeros((50, 28, 30), np.uint8)), r"must be \(N, S, S\)"),
        (
            dict(train_labels=np.zeros((50, 14), np.uint8)),
            "must be one label for each of 50 images",
        ),
        (dict(train_labels=np.zeros((49, 1), np.uint8)), "must be one label for each of 50 images"),
        (dict(train_labels=np.full((50, 1), 0.5)), "train_labels must be integers, found float64"),
        (dict(train_labels=np.full((50, 1), -1)), "must be 0 or more, found -1 in row 0"),
        (dict(val_images=np.zeros((7, 32, 32), np.uint8)), "images of different shapes"),
        (
            dict(train_images=np.array([Payload()] * 50)),
            "holds Python objects, which are never loaded",
        ),
        (
            dict(train_labels=np.array([Payload()] * 50)),
            "holds Python objects, which are never loaded",
        ),
    ],
)
def test_what_is_no_set_of_images_with_labels_is_refused_and_no_code_runs(
    tmp_path, monkeypatch, change, message
):
    monkeypatch.chdir(tmp_path)
    arrays = {name: array for name, array in (make_arrays() | change).items() if array is not None}
    with pytest.raises(BmixError, match=message):
        list_npz(save(tmp_path / "x.npz", arrays))
    assert not (tmp_path / "side_effect").exists()


@pytest.mark.parametrize("place", [0.3, 0.5])
def test_a_flipped_bit_is_found(tmp_path, place):
    path = save(tmp_path / "x.npz", make_arrays(), compressed=False)
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(content)
    chunks = name_chunks(list_npz(path).items, tmp_path / "chunks")
    with pytest.raises(BmixError, match=r"x\.npz: \w+_images: damaged"):
        unpack_npz(path, chunks)


def test_a_cut_file_is_refused(tmp_path):
    path = save(tmp_path / "x.npz", make_arrays())
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BmixError, match=r"x\.npz: no \.npz that can be read"):
        list_npz(path)
