"""From files to a checked, memory-mapped dataset: list, decode once, find everything that is wrong, write."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError, require, require_choice, require_integer
from bmix_lite.base.files import hash_json
from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.prepared import load_prepared, read_about, write_description, write_images
from bmix_lite.preparation.cache import decode_items, name_chunks, read_facts, read_pixels
from bmix_lite.preparation.class_faults import (
    find_absences,
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
    """Make a prepared dataset in `folder` and return it; report.html, .json and .csv beside it say what was found.

    source: a Listing, or what `list_images` makes one of: a folder with a folder a class (or train, val, test folders
      of such), a CSV or TSV (`listing` are then the arguments of `list_table`), a MedMNIST .npz, or a folder with VOC's
      Annotations and JPEGImages, of which boxes are cut out
    size: pixels of a side; fit, bits: see `decode_image`; an .npz is taken as it is
    class_names: {label: name} in the order of the classes, where labels are codes
    on_bad: "stop" raises BmixError with all faults; "skip" leaves the images out, and the report says which
    jobs: processes, -1 for one a core; about: {"source", "licence", "citation"} to be kept with the data
    The same call again returns what is there; after a kill it goes on. Another call on the folder is refused.
    """
    require_choice("on_bad", on_bad, ("stop", "skip"))
    require_choice("fit", fit, FITS)
    require_choice("bits", bits, HALF_TONES)
    size = require_integer("size", size, 1, 4096)
    folder, images = (
        Path(folder),
        source if isinstance(source, Listing) else list_images(source, **listing),
    )
    require(
        images.items,
        f"no image is left: {_report(images, images.faults, [], on_bad, {}).describe()}",
    )
    options = dict(size=images.side or size, fit=fit, bits=bits)
    chunks = name_chunks(images.items, folder / "chunks", **options)
    key = _hash_call(images, chunks, on_bad, class_names)
    if (folder / "dataset.json").exists():
        found = read_about(folder).get("key")
        require(
            found == key,
            f"{folder} holds a dataset made of other files or options: choose another folder",
        )
        return load_prepared(folder)
    if images.side:
        unpack_npz(images.source, chunks)
    else:
        decode_items(images.items, chunks, jobs=jobs, progress=progress, **options)
    facts = read_facts(chunks)
    faults, left, order = find_faults(images, facts, options["size"], class_names)
    names = [(class_names or {}).get(label, label) for label in order]
    report = _report(images, faults, left, on_bad, class_names or {})
    save_report(report, folder, _picture(images, faults, chunks))
    if report.stops:
        raise BmixError(f"{report.describe()}\nall of it with pictures: {folder / 'report.html'}")
    digest = write_images(folder / "images.npy", _shape(chunks, left), read_pixels(chunks, left))
    items = [images.items[number] for number in left]
    data = ImageSet(
        np.load(folder / "images.npy", mmap_mode="r"),
        np.array([order.index(item.class_label) for item in items]),
        names,
        groups=_column(items, "group"),
        split=_column(items, "split"),
        ids=_column(items, "id"),
        folds=None if (folds := _column(items, "fold")) is None else folds.astype(int),
        name=folder.name,
        source=(about or {}).get("source", images.source.name),
        images_sha256=digest,
    )
    write_description(
        data, folder, sha256=facts.sha256[left], about=(about or {}) | options | {"key": key}
    )
    shutil.rmtree(folder / "chunks")
    return load_prepared(folder)


def list_images(source, **listing):
    """The Listing of whatever `source` is; see `prepare`."""
    source = Path(source)
    book = source.suffix.lower() in WORKBOOKS
    require(
        not book,
        f"{source} is a workbook of a spreadsheet: save its sheet as CSV UTF-8 and give that file",
    )
    if source.suffix.lower() in TABLES:
        return list_table(source, **listing)
    given = ", ".join(listing)
    require(
        not listing,
        f"{given}: only for a table of labels, {source} is none: its name must end in .csv, .tsv, .txt",
    )
    if source.suffix.lower() == ".npz":
        return list_npz(source)
    return list_boxes(source) if (source / "Annotations").is_dir() else list_folder(source)


def find_faults(images, facts, size, class_names=None):
    """(all faults, numbers of the images that are left without them, labels in the order of the classes)."""
    items, bad = images.items, set()
    faults = list(images.faults)

    def add(found):
        faults.extend(found)
        bad.update(number for fault in found for number in fault.drop)
        return [number for number in range(len(items)) if number not in bad]

    odd = find_odd_labels(items, class_names)
    add(odd)
    left = add(find_unreadable(items, facts))
    left = add(find_copies(items, facts, left))
    left = add(find_near(items, facts, left))
    left = add(find_leaks(items, left))
    listed = images.labels - Counter(items[number].label for fault in odd for number in fault.drop)
    order = order_classes(items[number].label for number in left)
    if class_names is not None:
        order = [label for label in class_names if label in order]
    if left:
        add(find_odd_sizes(items, facts, left, size))
        add(find_class_faults(items, left, listed, class_names))
        if not any(fault.level == "stop" for fault in faults):
            add(find_absences(items, left, order))
    return faults, left, order


def _report(images, faults, left, on_bad, names):
    listed = strip_labels(images.labels)
    kept = Counter(images.items[number].class_label for number in left)
    classes = {
        names.get(label, label): (listed[label], kept[label]) for label in order_classes(listed)
    }
    return make_report(images, faults, left, classes, on_bad)


def _picture(images, faults, chunks):
    """{id: image} of what can be shown of the images with faults, from the chunks: their files are not opened again."""
    shown = sorted({number for fault in faults for number in fault.images})[: 2 * THUMBNAILS]
    pictures = (image for block in read_pixels(chunks, shown) for image in block)
    return {
        images.items[n].id: image for n, image in zip(shown, pictures, strict=True) if image.any()
    }


def _shape(chunks, left):
    block = next(read_pixels(chunks, left))
    return (len(left), *block.shape[1:])


def _column(items, name):
    values = np.array([getattr(item, name) for item in items], object)
    return values if any(values) else None


def _hash_call(images, chunks, on_bad, class_names):
    rows = [(item.id, item.label, item.group, item.split, item.fold) for item in images.items]
    faults = [(fault.kind, fault.where, fault.found) for fault in images.faults]
    key = [on_bad, class_names, rows, faults, [chunk.name for chunk in chunks]]
    return hash_json(key)
