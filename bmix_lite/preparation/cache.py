"""Decoding all files once, in processes; a broken one is noted as a fault and harms no other.

Decoded images lie on disk, 32 to a chunk file that appears when all its images are done: so a
preparation that was killed goes on where it stopped.
"""

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
from bmix_lite.preparation.decode import decode_file

CHUNK = 32  # images: a kill loses little, and files and messages cost next to nothing
GREY_SIDE = 16  # pixels of the small grey copies by which near-duplicates are found
TINT = 2  # grey levels by which the channels of a grey photograph may differ
VERSION = 1  # of what a chunk holds; a change of decoding raises it, so that old chunks do not pass


@dataclass(frozen=True)
class Facts:
    """What decoding found of N images.

    sha256 (N,) of the file and box, shapes (N, 2) width and height, grey (N, 256) uint8
    faults (N,): what is wrong, "" where nothing is
    tops (N,): the highest pixel of a grey file of more than 8 bits, 0 for all others
    colours (N,) bool: whether an image has colours
    """

    sha256: np.ndarray
    shapes: np.ndarray
    grey: np.ndarray
    faults: np.ndarray
    tops: np.ndarray | None = None
    colours: np.ndarray | None = None


def name_chunks(items, folder, **options):
    """The chunk files of `items` in `folder`, in order.

    A name is a hash of the images' ids, boxes, dates and lengths, and of the options.
    """
    paths = []
    for part in _cut(items):
        images = [(item.id, item.box, _read_date(item.path)) for item in part]
        digest = hash_json([VERSION, options, images])
        paths.append(Path(folder) / f"{digest[:32]}.npz")
    return paths


def decode_items(items, paths, *, jobs=-1, progress=True, **options):
    """Decode every item into the chunk files `paths`, in processes; chunks that exist are kept.

    jobs: processes, -1 for one per core; options: those of `decode_image`
    Raises BmixError where a process was killed; what is wrong with a file stands in its chunk.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from tqdm.auto import tqdm

    chunks = zip(paths, _cut(items), strict=True)
    missing = [(path, part) for path, part in chunks if not path.exists()]
    done = len(items) - sum(len(part) for _, part in missing)
    tasks = (
        delayed(_decode_chunk)(path, [(item.path, item.box) for item in part], options)
        for path, part in missing
    )
    jobs = jobs if len(missing) > 2 else 1
    disable = None if progress else True  # None: no bar where no one looks on
    try:
        with tqdm(total=len(items), initial=done, unit="image", disable=disable) as bar:
            for count in Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks):
                bar.update(count)
    except TerminatedWorkerError as error:
        raise BmixError(
            f"{paths[0].parent}: a decoding process was killed, out of memory perhaps: "
            "run it again with jobs=1; finished images are kept"
        ) from error


def _decode_chunk(path, files, options):
    """Decode [(path, box), …] into one chunk file; returns how many they are."""
    size = options["size"]
    pixels = np.zeros((len(files), size, size, 3), np.uint8)
    digests = [""] * len(files)
    shapes = [(0, 0)] * len(files)
    faults = [""] * len(files)
    tops = [0] * len(files)
    for number, (file, box) in enumerate(files):
        try:
            pixels[number], tops[number] = decode_file(file, box=box, **options)
            digests[number] = _hash_cut(file, box)
            shapes[number] = _read_shape(file, box)
        except (BmixError, OSError) as error:
            faults[number] = str(error).removeprefix(f"{file}: ")
    save_chunk(path, pixels, digests, shapes, faults, tops)
    return len(files)


def save_chunk(path, pixels, sha256, shapes, faults, tops=None):
    """Write one chunk: pixels (n, H, W, C) uint8, and what `Facts` holds of each image."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        grey=np.stack([_make_grey(image) for image in pixels]),
        pixels=pixels,
        sha256=np.array(sha256),
        shapes=np.array(shapes),
        faults=np.array(faults, str),
        tops=np.array(tops or [0] * len(pixels)),
        colours=np.array([_has_colours(image) for image in pixels]),
    )
    write_atomic(path, buffer.getvalue())


def save_blocks(blocks, chunks):
    """Write images that come as blocks (n, S, S, C) into the chunk files that are missing."""
    chunks = iter(chunks)
    waiting = np.empty(0)
    for block in blocks:
        waiting = np.concatenate([waiting, block]) if len(waiting) else block
        while len(waiting) >= CHUNK:
            _save_block(next(chunks), waiting[:CHUNK])
            waiting = waiting[CHUNK:]
    if len(waiting):
        _save_block(next(chunks), waiting)


def _save_block(chunk, pixels):
    if not chunk.exists():
        digests = [hashlib.sha256(np.ascontiguousarray(image)).hexdigest() for image in pixels]
        shapes = [pixels.shape[1:3]] * len(pixels)
        save_chunk(chunk, pixels, digests, shapes, [""] * len(pixels))


def read_facts(paths):
    """The Facts of all images in the chunks."""
    names = ("sha256", "shapes", "grey", "faults", "tops", "colours")
    parts = [_load(path, *names) for path in paths]
    return Facts(*map(np.concatenate, zip(*parts, strict=True)))


def read_pixels(paths, rows):
    """Yield the images of `rows` (sorted numbers), one block per chunk, in little memory."""
    starts = np.searchsorted(rows, np.arange(len(paths) + 1) * CHUNK)
    for number, path in enumerate(paths):
        inside = np.asarray(rows[starts[number] : starts[number + 1]]) - number * CHUNK
        if len(inside):
            yield _load(path, "pixels")[0][inside]


def _cut(items):
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]


def _read_date(path):
    try:
        status = os.stat(path)
    except OSError:  # gone since it was listed: decoding will say so
        return None
    return status.st_mtime_ns, status.st_size


def _hash_cut(file, box):
    digest = sha256_of(file)
    if box is None:
        return digest
    return hashlib.sha256(f"{digest}{box}".encode()).hexdigest()


def _read_shape(file, box):
    from PIL import Image

    if box is not None:
        left, top, right, bottom = box[:4]
        return right - left, bottom - top
    with Image.open(file) as image:
        return image.size


def _has_colours(image):
    """Whether the channels of an image differ by more than a JPEG makes grey ones differ."""
    image = image.astype(np.int16)
    return bool(np.ptp(image, axis=-1).mean() > TINT)


def _make_grey(image):
    from PIL import Image

    picture = to_picture(image).convert("L")
    return np.asarray(picture.resize((GREY_SIDE, GREY_SIDE), Image.Resampling.BOX)).ravel()


def _load(path, *names):
    try:
        with np.load(path, allow_pickle=False) as chunk:
            rows = len(chunk["faults"])
            defaults = {"tops": np.zeros(rows, int), "colours": np.ones(rows, bool)}
            # chunks of a preparation that began under an older version lack what has a default
            return [chunk[name] if name in chunk else defaults[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        path.unlink(missing_ok=True)
        raise BmixError(
            f"{path}: was damaged ({error}) and is removed: run it again to make it anew"
        ) from error
