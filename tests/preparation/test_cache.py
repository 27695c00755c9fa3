from pathlib import Path

import numpy as np
import pytest

from bmix_lite.base.files import sha256_of
from bmix_lite.preparation.cache import CHUNK, decode_items, name_chunks, read_facts, read_pixels
from bmix_lite.preparation.decode import decode_image
from bmix_lite.preparation.folders import list_folder
from clinic import make_folder

pytestmark = pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")
SIZE = dict(size=16)


class Bar:
    """Stands for tqdm and remembers what was shown."""

    def __init__(self, **options):
        self.options = options
        self.moves = []
        Bar.last = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, count):
        self.moves.append(count)


def test_the_progress_bar_counts_every_image_once_and_begins_where_a_killed_run_ended(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    items = list_folder(make_folder(tmp_path / "photos", (40, 30, 20))).items
    chunks = name_chunks(items, tmp_path / "chunks", **SIZE)
    decode_items(items, chunks, jobs=1, **SIZE)
    assert (Bar.last.options["total"], Bar.last.options["initial"]) == (90, 0)
    assert sum(Bar.last.moves) == 90
    chunks[-1].unlink()
    decode_items(items, chunks, jobs=1, **SIZE)
    assert (Bar.last.options["initial"], Bar.last.moves) == (64, [90 - 2 * CHUNK])
    decode_items(items, chunks, jobs=1, progress=False, **SIZE)
    assert Bar.last.options["disable"]


def test_a_fault_of_any_library_is_kept_with_its_image_and_harms_no_other(tmp_path, monkeypatch):
    items = list_folder(make_folder(tmp_path / "photos", (40, 10))).items
    chunks = name_chunks(items, tmp_path / "chunks", **SIZE)
    odd = items[17].path
    from PIL import Image

    opener = Image.open

    def break_at_one(file, *rest, **named):
        if getattr(file, "name", file) in (odd, Path(odd)):
            raise KeyError("a table that is not there")
        return opener(file, *rest, **named)

    monkeypatch.setattr(Image, "open", break_at_one)
    decode_items(items, chunks, jobs=1, progress=False, **SIZE)
    monkeypatch.undo()
    facts = read_facts(chunks)
    pixels = np.concatenate(list(read_pixels(chunks, range(50))))
    assert [number for number, fault in enumerate(facts.faults) if fault] == [17]
    assert facts.faults[17] == "cannot be decoded ('a table that is not there')"
    for number in (16, 18, 49):
        assert np.array_equal(pixels[number], decode_image(items[number].path, 16))
        assert facts.sha256[number] == sha256_of(items[number].path)


def test_another_size_or_a_changed_file_has_another_chunk(tmp_path):
    items = list_folder(make_folder(tmp_path / "photos", (40, 10))).items
    first, second = name_chunks(items, tmp_path, **SIZE)
    assert [first, second] == name_chunks(items, tmp_path, **SIZE)
    assert not {first, second} & set(name_chunks(items, tmp_path, size=17))
    Path(items[0].path).write_bytes(b"another length")
    changed = name_chunks(items, tmp_path, **SIZE)
    assert changed[0] != first
    assert changed[1] == second
