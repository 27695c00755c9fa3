"""Decoded images on disk, 32 to a file: a file appears when its images are done, so a killed preparation goes on."""

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import hash_json, sha256_of, write_atomic
from bmix_lite.data.imageset import to_picture
from bmix_lite.preparation.decode import decode_image

CHUNK = 32  # images: few enough that a kill loses little, many enough that files and messages cost nothing
SIDE = 16  # pixels of the small grey copies by which near-duplicates are found
VERSION = 1  # of what a chunk holds; raised when decoding changes, so that old chunks are not taken for new ones


@dataclass(frozen=True)
class Facts:
    """What decoding found: sha256 (N,) text, shapes (N, 2) width and height, grey (N, 256) uint8, faults, N texts."""

    sha256: np.ndarray
    shapes: np.ndarray
    grey: np.ndarray
    faults: np.ndarray


def name_chunks(items, folder, **options):
    """The chunk files of `items` in `folder`, in order: hashes of the images' names, dates, lengths and of options."""
    folder = Path(folder)
    return [
        folder
        / f"{hash_json([VERSION, options, [(item.id, item.box, _date(item.path)) for item in part]])[:32]}.npz"
        for part in _cut(items)
    ]


def decode_items(items, paths, *, jobs=-1, progress=True, **options):
    """Decode every item into the chunk files `paths`, in parallel processes. Those that are there are not made again.

    jobs: processes, -1 for one a core; options: those of `decode_image`
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from tqdm.auto import tqdm

    todo = [
        (path, part) for path, part in zip(paths, _cut(items), strict=True) if not path.exists()
    ]
    done = len(items) - sum(len(part) for _, part in todo)
    calls = (
        delayed(_decode_chunk)(path, [(item.path, item.box) for item in part], options)
        for path, part in todo
    )
    try:
        with tqdm(
            total=len(items), initial=done, unit="image", disable=None if progress else True
        ) as bar:
            for made in Parallel(
                n_jobs=jobs if len(todo) > 2 else 1, return_as="generator_unordered"
            )(calls):
                bar.update(made)
    except TerminatedWorkerError as error:
        raise BmixError(
            f"{paths[0].parent}: a decoding process was killed, out of memory perhaps: run it again with jobs=1; "
            "finished images are kept"
        ) from error


def save_chunk(path, pixels, sha256, shapes, faults):
    """Write one chunk: pixels (n, H, W, C) uint8, and for each image its sha256, width and height, and fault or ""."""
    grey = np.stack([_make_grey(image) for image in pixels])
    buffer = io.BytesIO()
    arrays = dict(
        pixels=pixels,
        sha256=np.array(sha256),
        shapes=np.array(shapes),
        faults=np.array(faults, str),
    )
    np.savez(buffer, grey=grey, **arrays)
    write_atomic(path, buffer.getvalue())


def read_facts(paths):
    """The Facts of all images in the chunks."""
    parts = [_load(path, "sha256", "shapes", "grey", "faults") for path in paths]
    return Facts(*map(np.concatenate, zip(*parts, strict=True)))


def read_pixels(paths, rows):
    """Yield the images of `rows` (sorted numbers), a block a chunk; one chunk is in memory at a time."""
    starts = np.searchsorted(rows, np.arange(len(paths) + 1) * CHUNK)
    for number, path in enumerate(paths):
        inside = np.asarray(rows[starts[number] : starts[number + 1]]) - number * CHUNK
        if len(inside):
            yield _load(path, "pixels")[0][inside]


def _decode_chunk(path, tasks, options):
    size, found = options["size"], []
    pixels = np.zeros((len(tasks), size, size, 3), np.uint8)
    for number, (file, box) in enumerate(tasks):
        digest, shape, fault = "", (0, 0), ""
        try:
            pixels[number] = decode_image(file, box=box, **options)
            digest, shape = sha256_of(file), _read_shape(file, box)
            if box is not None:
                digest = hashlib.sha256(f"{digest}{box}".encode()).hexdigest()
        except (BmixError, OSError) as error:
            fault = str(error).removeprefix(f"{file}: ")
        found.append((digest, shape, fault))
    digests, shapes, faults = zip(*found, strict=True)
    save_chunk(path, pixels, digests, shapes, faults)
    return len(tasks)


def _cut(items):
    return [items[at : at + CHUNK] for at in range(0, len(items), CHUNK)]


def _date(path):
    try:
        status = os.stat(path)
    except OSError:  # gone since it was listed: decoding will say so
        return None
    return status.st_mtime_ns, status.st_size


def _read_shape(file, box):
    from PIL import Image

    if box is not None:
        return box[2] - box[0], box[3] - box[1]
    with Image.open(file) as image:
        return image.size


def _make_grey(image):
    from PIL import Image

    picture = to_picture(image).convert("L")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX)).ravel()


def _load(path, *names):
    try:
        with np.load(path, allow_pickle=False) as chunk:
            return [chunk[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        path.unlink(missing_ok=True)
        raise BmixError(
            f"{path}: was damaged ({error}) and is removed: run it again to make it anew"
        ) from error
