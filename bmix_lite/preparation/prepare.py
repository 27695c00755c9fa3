"""From files to a checked, memory-mapped dataset: list, decode once, find every fault, write."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require_choice, require_integer
from bmix_lite.base.files import hash_json
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.prepared import load_prepared, read_about, write_description, write_images
from bmix_lite.preparation.cache import decode_items, name_chunks, read_facts, read_pixels
from bmix_lite.preparation.class_faults import (
    find_class_faults,
    find_odd_labels,
    order_classes,
    strip_labels,
)
from bmix_lite.preparation.decode import FITS, HALF_TONES
from bmix_lite.preparation.image_faults import (
    find_copies,
    find_leaks,
    find_near,
    find_odd_sizes,
    find_unreadable,
)
from bmix_lite.preparation.listing import Listing, list_folder, list_table
from bmix_lite.preparation.medmnist import list_npz, unpack_npz
from bmix_lite.preparation.part_faults import find_absences, find_lost_parts
from bmix_lite.preparation.report import THUMBNAILS, make_report, save_report
from bmix_lite.preparation.voc import list_boxes

TABLES = (".csv", ".tsv", ".txt")
WORKBOOKS = (".xlsx", ".xls", ".ods")


def prepare(
    source,
    folder,
    *,
    size=64,
    fit="crop",
    bits=16,
    class_names=None,
    on_bad="stop",
    jobs=-1,
    progress=True,
    about=None,
    **listing,
):
    """Make a prepared dataset in `folder`, its report beside it, and return it: an ImageSet.

    source: a Listing, or what `list_images` makes one of: class folders (or train, val, test
      folders of such), a CSV or TSV (`listing`: the arguments of `list_table`), a MedMNIST .npz,
      or a folder with VOC's Annotations and JPEGImages, whose boxes are cut out
    size: pixels of a side; fit, bits: see `decode_image`; an .npz is taken as it is
    class_names: {label: name} in the order of the classes, where labels are codes
    on_bad: "stop" raises BmixError with all faults; "skip" leaves faulty images out
    jobs: processes, -1 for one per core; about: {"source", "licence", "citation"} of the data
    The same call again returns what is there; after a kill it goes on; another call is refused.
    """
    size = _check_options(size, fit, bits, on_bad)
    images = source if isinstance(source, Listing) else list_images(source, **listing)
    _check_any(images, on_bad, class_names)
    folder = Path(folder)
    options = {"size": images.side or size, "fit": fit, "bits": bits}
    chunks = name_chunks(images.items, folder / "chunks", **options)
    key = _hash_call(images, chunks, on_bad, class_names)
    if not _is_made(folder, key):
        _decode(images, chunks, jobs, progress, options)
        facts = read_facts(chunks)
        left, order = _check(images, facts, chunks, folder, options["size"], on_bad, class_names)
        about = {**(about or {}), **options, "key": key}
        _write(images, facts, chunks, folder, left, order, class_names, about)
    return load_prepared(folder)


def _check_options(size, fit, bits, on_bad):
    """The size as an int, if the options are known."""
    require_choice("on_bad", on_bad, ("stop", "skip"))
    require_choice("fit", fit, FITS)
    require_choice("bits", bits, HALF_TONES)
    return require_integer("size", size, 1, 4096)


def _check_any(images, on_bad, class_names):
    if not images.items:
        report = _report(images, images.faults, [], on_bad, class_names)
        raise BmixError(f"no image is left: {report.describe()}")


def _is_made(folder, key):
    """Whether the folder holds the dataset of this very call. Raises BmixError for another."""
    if not (folder / "dataset.json").exists():
        return False
    if read_about(folder).get("key") != key:
        raise BmixError(
            f"{folder} holds a dataset made of other files or options: choose another folder"
        )
    return True


def _decode(images, chunks, jobs, progress, options):
    if images.side:
        unpack_npz(images.source, chunks)
    else:
        decode_items(images.items, chunks, jobs=jobs, progress=progress, **options)


def _check(images, facts, chunks, folder, size, on_bad, class_names):
    """Write the report; returns rows of the images that are left, and the labels in order.

    Raises BmixError with all faults where they stop the preparation.
    """
    faults, left, order = find_faults(images, facts, size, class_names)
    report = _report(images, faults, left, on_bad, class_names)
    save_report(report, folder, _picture(images, faults, chunks))
    if report.stops:
        raise BmixError(f"{report.describe()}\nall of it with pictures: {folder / 'report.html'}")
    return left, order


def _write(images, facts, chunks, folder, left, order, class_names, about):
    """Write the dataset of the images that are left, and remove the chunks."""
    digest = write_images(folder / "images.npy", _shape(chunks, left), read_pixels(chunks, left))
    items = [images.items[row] for row in left]
    folds = _get_column(items, "fold")
    data = ImageSet(
        np.load(folder / "images.npy", mmap_mode="r"),
        np.array([order.index(item.class_label) for item in items]),
        [_name_class(label, class_names) for label in order],
        groups=_get_column(items, "group"),
        split=_get_column(items, "split"),
        ids=_get_column(items, "id"),
        folds=None if folds is None else folds.astype(int),
        name=folder.name,
        source=about.get("source", images.source.name),
        images_sha256=digest,
    )
    write_description(data, folder, sha256=facts.sha256[left], about=about)
    shutil.rmtree(folder / "chunks")


def list_images(source, **listing):
    """The Listing of whatever `source` is; see `prepare`. Raises BmixError."""
    source = Path(source)
    suffix = source.suffix.lower()
    if suffix in WORKBOOKS:
        raise BmixError(
            f"{source} is a workbook of a spreadsheet: "
            "save its sheet as CSV UTF-8 and give that file"
        )
    if suffix in TABLES:
        return list_table(source, **listing)
    if listing:
        raise BmixError(
            f"{', '.join(listing)}: only for a table of labels, {source} is none: "
            "its name must end in .csv, .tsv, .txt"
        )
    if suffix == ".npz":
        return list_npz(source)
    if (source / "Annotations").is_dir():
        return list_boxes(source)
    return list_folder(source)


def find_faults(images, facts, size, class_names=None):
    """(all faults, rows of the images that are left, labels in the order of the classes).

    Each check looks at the images that the checks before it have left.
    """
    items = images.items
    odd_labels = find_odd_labels(items, class_names)
    faults = [*images.faults, *odd_labels, *find_unreadable(items, facts)]
    left = _list_left(items, faults)
    for find in (
        lambda rows: find_copies(items, facts, rows),
        lambda rows: find_near(items, facts, rows),
        lambda rows: find_leaks(items, rows),
    ):
        faults += find(left)
        left = _list_left(items, faults)
    order = _order_left(items, left, class_names)
    if left:
        odd = Counter(items[row].label for fault in odd_labels for row in fault.drop)
        faults += find_odd_sizes(items, facts, left, size)
        faults += find_class_faults(items, left, images.labels - odd, class_names)
        faults += find_lost_parts(images.parts, [items[row] for row in left])
        if all(fault.level != "stop" for fault in faults):
            faults += find_absences(items, left, order)
    return faults, left, order


def _list_left(items, faults):
    """Rows of the images that no fault leaves out."""
    dropped = {row for fault in faults for row in fault.drop}
    return [row for row in range(len(items)) if row not in dropped]


def _order_left(items, left, class_names):
    """Labels of the images that are left, in the order of the classes."""
    order = order_classes(items[row].label for row in left)
    if class_names is None:
        return order
    return [label for label in class_names if label in order]


def _report(images, faults, left, on_bad, class_names):
    kept = Counter(images.items[row].class_label for row in left)
    listed = strip_labels(images.labels)
    classes = {
        _name_class(label, class_names): (listed[label], kept[label])
        for label in order_classes(listed)
    }
    return make_report(images, faults, left, classes, on_bad)


def _name_class(label, class_names):
    return (class_names or {}).get(label, label)


def _picture(images, faults, chunks):
    """{id: image} of the images with faults, from the chunks: no file is opened again.

    A file that could not be decoded has no picture.
    """
    rows = sorted({row for fault in faults for row in fault.images})[: 2 * THUMBNAILS]
    pictures = [image for block in read_pixels(chunks, rows) for image in block]
    named = zip(rows, pictures, strict=True)
    return {images.items[row].id: image for row, image in named if image.any()}


def _shape(chunks, left):
    """Shape (N, H, W, C) of the images that are left."""
    block = next(read_pixels(chunks, left))
    return (len(left), *block.shape[1:])


def _get_column(items, name):
    """One field of all items, (N,); None where it is blank in all of them."""
    values = np.array([getattr(item, name) for item in items], object)
    return values if any(values) else None


def _hash_call(images, chunks, on_bad, class_names):
    rows = [(item.id, item.label, item.group, item.split, item.fold) for item in images.items]
    faults = [(fault.kind, fault.where, fault.found) for fault in images.faults]
    names = [chunk.name for chunk in chunks]
    return hash_json([on_bad, class_names, rows, faults, names])
