"""From files to a checked, memory-mapped dataset: list, decode once, find every fault, write."""

import contextlib
from collections import Counter
from pathlib import Path

from bmix_lite.base.errors import BmixError, require_choice, require_integer
from bmix_lite.base.files import hash_json
from bmix_lite.data.prepared import load_prepared, read_about
from bmix_lite.preparation.cache import decode_items, name_chunks, read_facts, read_pixels
from bmix_lite.preparation.class_faults import (
    find_class_faults,
    find_odd_labels,
    find_same_files,
    find_same_groups,
    order_classes,
    strip_labels,
)
from bmix_lite.preparation.class_names import check_names, merge_labels, name_labels
from bmix_lite.preparation.decode import FITS, HALF_TONES, decode_image
from bmix_lite.preparation.grades import find_grades
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
from bmix_lite.preparation.several import refuse_several
from bmix_lite.preparation.voc import list_boxes
from bmix_lite.preparation.writing import write_dataset

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
    ordered=None,
    on_bad="stop",
    jobs=-1,
    progress=True,
    about=None,
    **listing,
):
    """Make a prepared dataset in `folder`, its report beside it, and return it: an ImageSet.

    source: a Listing, or what `list_images` makes one of: class folders (or train, val, test of
      such), a table (`listing`: the arguments of `list_table`), a MedMNIST .npz, or VOC's folders
    size: pixels of a side; fit, bits: see `decode_image`; an .npz is taken as it is
    class_names: {label: name} in the order of the classes, or a list of them in that order
    ordered: True where the classes are grades in their order, so that kappa means something
    on_bad: "stop" raises BmixError with all faults; "skip" leaves faulty images out
    jobs: processes, -1 for one per core; about: {"source", "licence", "citation"} of the data
    The same call again returns what is there; after a kill it goes on; another call is refused.
    """
    size = _check_options(size, fit, bits, on_bad)
    check_names(class_names, ordered)
    images = source if isinstance(source, Listing) else list_images(source, **listing)
    images, class_names = _name_classes(images, class_names, ordered, on_bad)
    folder = Path(folder)
    options = {"size": images.side or size, "fit": fit, "bits": bits}
    chunks = name_chunks(images.items, folder / "chunks", **options)
    key = _hash_call(images, chunks, on_bad, class_names, ordered)
    if not _is_made(folder, key):
        _decode(images, chunks, jobs, progress, options)
        said = {} if ordered is None else {"ordered": ordered}
        about = {**(about or {}), **options, "key": key, **said}
        _check_and_write(images, chunks, folder, on_bad, class_names, about)
    return load_prepared(folder)


def _check_options(size, fit, bits, on_bad):
    """The size as an int, if the options are known."""
    require_choice("on_bad", on_bad, ("stop", "skip"))
    require_choice("fit", fit, FITS)
    require_choice("bits", bits, HALF_TONES)
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


def _check_and_write(images, chunks, folder, on_bad, class_names, about):
    """Write the report, then the dataset. Raises BmixError with all faults where they stop it."""
    facts = read_facts(chunks)
    size = about["size"]
    faults, left, order = find_faults(images, facts, size, class_names)
    names = [_name_class(label, class_names) for label in order]
    faults += find_grades(names, about.get("ordered"), class_names is not None)
    report = _report(images, faults, left, on_bad, class_names)
    pictures = _picture(images, faults, chunks) | _picture_asides(faults, size)
    save_report(report, folder, pictures)
    if report.stops:
        raise BmixError(f"{report.describe()}\nall of it with pictures: {folder / 'report.html'}")
    write_dataset(images, facts, chunks, folder, left, order, class_names, about)


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
        faults += [*find_same_groups(items, left), *find_same_files(items, left)]
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
    faults = [(fault.kind, fault.where, fault.found) for fault in images.faults]
    names = [chunk.name for chunk in chunks]
    said = [] if ordered is None else [ordered]
    return hash_json([on_bad, class_names, rows, faults, names, *said])
