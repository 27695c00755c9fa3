import os
from pathlib import Path

import pytest

from bmix_lite.base import sameness
from bmix_lite.base.files import sha256_of
from bmix_lite.base.sameness import hash_weights, name_dataset


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("digits_lt", "digits_lt"),
        ("data/cells", "cells"),
        ("data/cells/", "cells"),
        ("./data/../data/cells", "cells"),
        ("/scratch/me/cells", "cells"),
        ("データ/細胞", "細胞"),
    ],
)
def test_a_folder_of_data_is_its_name_wherever_it_lies(dataset, name):
    assert name_dataset(dataset) == name


def test_the_folder_that_one_stands_in_has_its_name_too(tmp_path, monkeypatch):
    (tmp_path / "cells" / "inside").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cells")
    assert name_dataset(".") == "cells"
    monkeypatch.chdir(tmp_path / "cells" / "inside")
    assert name_dataset("..") == "cells"


def test_weights_are_what_their_file_holds_and_are_hashed_once(tmp_path, monkeypatch):
    path = tmp_path / "w.pth"
    path.write_bytes(b"one")
    (tmp_path / "copy.pth").write_bytes(b"one")
    assert hash_weights(str(path)) == hash_weights(str(tmp_path / "copy.pth")) == sha256_of(path)
    monkeypatch.setattr(sameness, "sha256_of", lambda path: pytest.fail("hashed again"))
    hash_weights(str(path))
    monkeypatch.setattr(sameness, "sha256_of", sha256_of)
    before = hash_weights(str(path))
    path.write_bytes(b"two")  # as long as before
    os.utime(path, ns=(1, 1))
    assert hash_weights(str(path)) not in (None, before)


def test_what_is_no_file_of_weights_has_no_hash(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("imagenet").write_bytes(b"a file of that name is not meant")
    for weights in ("", "imagenet", "missing.pth", str(tmp_path), "a\0b"):
        assert hash_weights(weights) is None
