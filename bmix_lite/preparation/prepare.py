"""From files to a checked, memory-mapped dataset: list, decode once, find every fault, write."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bmix_lite.base.errors import BmixError, require_choice, require_integer
from bmix_lite.base.files import hash_json
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.prepared import load_prepared
from bmix_lite.preparation.arrays import list_memory
from bmix_lite.preparation.cache import (
    decode_items,
    name_chunks,
    read_facts,
    read_pixels,
    save_blocks,
)
from bmix_lite.preparation.checks import find_faults
from bmix_lite.preparation.class_faults import order_classes, strip_labels
from bmix_lite.preparation.class_names import check_names, merge_labels, name_labels
from bmix_lite.preparation.decode import FITS, HALF_TONES, decode_image
from bmix_lite.preparation.faults import as_text
from bmix_lite.preparation.grades import find_grades
from bmix_lite.preparation.leave_out import refuse_same
from bmix_lite.preparation.listing import Listing
from bmix_lite.preparation.once import unless_made
from bmix_lite.preparation.report import THUMBNAILS, choose_pictured, make_report, save_report
from bmix_lite.preparation.several import refuse_several
from bmix_lite.preparation.sources import TABLES, list_images  # noqa: F401  a lesson asks here
from bmix_lite.preparation.writing import write_dataset


def prepare(
    source: str | Path | Listing,
    folder: str | Path,
    *,
    size: int = 64,
    fit: str = "crop",
    bits: int | None = None,
    class_names: Mapping[Any, str] | Sequence[str] | None = None,
    ordered: bool | None = None,
    on_bad: str = "stop",
    jobs: int = -1,
    progress: bool = True,
    about: Mapping[str, Any] | None = None,
    **listing: Any,
) -> ImageSet:
    """Make a prepared dataset in `folder`, its report beside it, and return it.

    source: class folders (or train, val, test of such), a CSV or TSV (`list_table`), a MedMNIST
      .npz, VOC's Annotations and JPEGImages, photographs with points=FOLDER (`list_points`), .npy
      files with arrays={…} (`list_arrays`); size: pixels of a side; fit: see `decode_image`
    bits: of grey files with more than 8, 8 to 16; unsaid 16, refused where all look like fewer
    class_names: {label: name} in the order of the classes, or a list of them in that order
    ordered: True where the classes are grades in their order: kappa then means something
    on_bad: "stop" raises BmixError with all faults; "skip" leaves faulty images out
    jobs: processes, -1 for one per core; about: {"source", "licence", "citation"}
    listing: group_from and leave_out of `list_images`, and what this kind of source takes
    The same call again returns what is there, after a kill it goes on; another one is refused.
    """
    size = _check_options(size, fit, bits, on_bad, class_names, ordered)
    listed = _list(source, folder, listing)
    images, class_names = _name_classes(listed, class_names, ordered, on_bad)
    options = {"size": images.side or size, "fit": fit, "bits": bits or 16}
    chunks = _name_chunks(images, Path(folder), options)
    key = _hash_call(images, chunks, on_bad, class_names, ordered)
    with unless_made(Path(folder), key) as is_made:
        if not is_made:
            _decode(images, chunks, jobs, progress, options)
            options |= _describe(about, key, ordered)
            _check_and_write(images, chunks, Path(folder), on_bad, class_names, bits, options)
    return load_prepared(folder)


def prepare_arrays(images, labels, folder, *, groups=None, split=None, ids=None, **options):
    """Make a prepared dataset in `folder` of arrays in memory, checked as files are: an ImageSet.

    images (N, S, S) or (N, S, S, 1 or 3): 0..255, or floats in [0, 1]; their size is kept
    labels, groups, split, ids (N,): numbers or texts, in lists, arrays or columns of a table;
      split holds train, val and test
    options: of `prepare`, such as class_names, on_bad and about
    A table of pixels, one row of grey values per image, and a second one with labels:
      pixels = pandas.read_csv("pixels.csv").to_numpy().reshape(-1, 48, 48)
      table = pandas.read_csv("labels.csv")
      prepare_arrays(pixels, table["label"], "data/faces", groups=table["patient"])
    Raises BmixError as `prepare`, and where the arrays do not fit each other.
    """
    listing = list_memory(images, labels, groups=groups, split=split, ids=ids)
    return prepare(listing, folder, **options)


def _list(source, folder, listing):
    if isinstance(source, Listing):
        return source
    refuse_same(source, folder)
    return list_images(source, folder=folder, **listing)


def _name_chunks(images, folder, options):
    content = {"pixels": images.digest} if images.digest else {}
    return name_chunks(images.items, folder / "chunks", **options, **content)


def _check_options(size, fit, bits, on_bad, class_names, ordered):
    """The size as an int, if the options are known."""
    require_choice("on_bad", on_bad, ("stop", "skip"))
    require_choice("fit", fit, FITS)
    require_choice("bits", 16 if bits is None else bits, HALF_TONES)
    check_names(class_names, ordered)
    return require_integer("size", size, 1, 4096)


def _name_classes(images, class_names, ordered, on_bad):
    """(the Listing with one label per class, {label: name} or None), before a file is opened."""
    class_names = name_labels(class_names, images.labels, ordered)
    refuse_several(images, class_names)
    images, class_names = merge_labels(images, class_names)
    if not images.items:
        report = _report(images, images.faults, [], on_bad, class_names)
        raise BmixError(f"no image is left: {report.describe()}")
    return images, class_names


def _describe(about, key, ordered):
    said = {} if ordered is None else {"ordered": ordered}
    return {**(about or {}), "key": key, **said}


def _decode(images, chunks, jobs, progress, options):
    if images.blocks:
        save_blocks(images.blocks(), chunks)
    else:
        decode_items(images.items, chunks, jobs=jobs, progress=progress, **options)


def _check_and_write(images, chunks, folder, on_bad, class_names, bits, about):
    """Write the report, then the dataset. Raises BmixError with all faults where they stop it."""
    facts = read_facts(chunks)
    size = about["size"]
    faults, left, order = find_faults(images, facts, size, class_names, bits)
    names = [_name_class(label, class_names) for label in order]
    faults += find_grades(names, about.get("ordered"), class_names is not None)
    report = _report(images, faults, left, on_bad, class_names)
    pictures = _picture(images, faults, chunks) | _picture_asides(faults, size)
    save_report(report, folder, pictures)
    if report.stops or not left:
        raise BmixError(f"{report.describe()}\nall of it with pictures: {folder / 'report.html'}")
    write_dataset(images, facts, chunks, folder, left, order, class_names, about)


def _report(images, faults, left, on_bad, class_names):
    kept = Counter(images.items[row].class_label for row in left)
    listed = strip_labels(images.labels)
    classes = {
        as_text(_name_class(label, class_names)): (listed[label], kept[label])
        for label in order_classes(listed)
    }
    return make_report(images, faults, left, classes, on_bad)


def _name_class(label, class_names):
    return (class_names or {}).get(label, label)


def _picture(images, faults, chunks):
    """{id: image} of the images with faults, from the chunks: no file is opened again.

    A file that could not be decoded has no picture.
    """
    rows = choose_pictured(faults)
    pictures = [image for block in read_pixels(chunks, rows) for image in block]
    named = zip(rows, pictures, strict=True)
    return {images.items[row].id: image for row, image in named if image.any()}


def _picture_asides(faults, size):
    """{id: image} of the images that faults keep out of the list, as far as they can be read."""
    asides = [item for fault in faults for item in fault.asides]
    pictures = {}
    for item in asides[:THUMBNAILS]:
        with contextlib.suppress(BmixError):
            pictures[item.id] = decode_image(item.path, size, box=item.box)
    return pictures


def _hash_call(images, chunks, on_bad, class_names, ordered):
    rows = [(item.id, item.label, item.group, item.split, item.fold) for item in images.items]
    # notes and warnings change no pixel: a file more beside the images makes no other dataset
    grave = [fault for fault in images.faults if fault.level in ("stop", "bad")]
    faults = [(fault.kind, fault.where, fault.found) for fault in grave]
    names = [chunk.name for chunk in chunks]
    said = [] if ordered is None else [ordered]
    return hash_json([on_bad, class_names, rows, faults, names, *said])
