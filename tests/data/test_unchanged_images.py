"""Prepared bytes are what was prepared: what was written to images.npy since is noticed."""

import os
import shutil

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.data import prepared
from bmix_lite.data.datasets import load
from bmix_lite.data.prepared import load_prepared, save_prepared, verify_images
from bmix_lite.sweeps.sweep import run_grid
from tiny import make
from toy_sweeps import write_light

BASE = make(split=["train", "train", "val", "test"])


@pytest.fixture
def folder(tmp_path):
    save_prepared(BASE, tmp_path / "cells")
    # as if made some time ago, so that the clock's steps do not matter
    for name in ("images.npy", "table.csv", "dataset.json"):
        os.utime(tmp_path / "cells" / name, (1e9, 1e9))
    return tmp_path / "cells"


def overwrite(folder, change):
    """Write other pixels of the same length, as `np.save` or a writable map does it."""
    images = np.array(np.load(folder / "images.npy"))
    change(images)
    np.save(folder / "images.npy", images)


def set_one(images):
    images[2, 1, 1, 0] ^= 1


def shuffle(images):
    images[:] = images[::-1].copy()


@pytest.mark.parametrize("change", [set_one, shuffle])
@pytest.mark.parametrize("read", [load_prepared, load, verify_images])
def test_images_overwritten_at_the_same_length_are_refused(folder, change, read):
    overwrite(folder, change)
    with pytest.raises(BmixError, match=r"images\.npy: its pixels are not those .* prepare the im"):
        read(folder)


def test_one_byte_written_in_place_is_noticed_at_load(folder):
    with open(folder / "images.npy", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(BmixError, match=r"sha256 differs"):
        load_prepared(folder)


@pytest.mark.parametrize("change", [lambda data: data + b"\0", lambda data: data * 2])
def test_a_file_that_is_longer_than_its_header_says_is_refused(folder, change):
    path = folder / "images.npy"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BmixError, match=r"must be \d+ bytes long by its header, found \d+"):
        load_prepared(folder)


def count_hashes(monkeypatch):
    hashed = []
    real = prepared.hash_images
    monkeypatch.setattr(prepared, "hash_images", lambda images: hashed.append(1) or real(images))
    return hashed


def test_untouched_images_are_not_hashed_and_copied_ones_once(folder, tmp_path, monkeypatch):
    hashed = count_hashes(monkeypatch)
    load_prepared(folder)
    assert hashed == []
    shutil.copytree(folder, tmp_path / "copy")  # keeps the times
    load_prepared(tmp_path / "copy")
    assert hashed == []
    os.utime(tmp_path / "copy" / "images.npy")  # as `cp` and `git` leave it
    for _ in range(2):
        assert load_prepared(tmp_path / "copy").fingerprint == BASE.fingerprint
    assert hashed == [1]


def test_a_folder_that_is_only_read_is_hashed_each_time_and_good(folder, monkeypatch):
    os.utime(folder / "images.npy")

    def refuse(path):
        raise PermissionError(13, "read-only", str(path))

    monkeypatch.setattr(os, "utime", refuse)
    assert load_prepared(folder).fingerprint == BASE.fingerprint


def test_a_sweep_hashes_its_images_before_any_kernel_even_if_their_time_was_put_back(tmp_path):
    notebook = write_light(tmp_path)
    path = tmp_path / "cells" / "images.npy"
    before = path.stat()
    overwrite(tmp_path / "cells", set_one)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    load_prepared(tmp_path / "cells")  # which cannot know
    with pytest.raises(BmixError, match=r"images\.npy: its pixels are not those that were prepare"):
        run_grid(notebook, [{"seed": 0}], tmp_path / "out", progress=False)
    assert not list((tmp_path / "out").glob("*/notebook*.ipynb"))
    assert not (tmp_path / "out" / "ledger.jsonl").exists()
