"""Listing a folder with a folder per class, or the parts of a split with such folders."""

from pathlib import Path

from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.files import name_special
from bmix_lite.preparation.companions import find_packed, find_second_copies, refuse_wrapper
from bmix_lite.preparation.faults import shorten
from bmix_lite.preparation.leave_out import LeaveOut
from bmix_lite.preparation.listing import Item, Listing
from bmix_lite.preparation.paths import FileFinder, begins_like_image, is_image
from bmix_lite.preparation.rows import read_split

NO_CLASSES = (
    "put the images of each class into a folder with its name, "
    "or give a table: prepare(TABLE, …, images=FOLDER)"
)


def list_folder(root, leave_out=None):
    """The images of a folder with a folder per class, or of train, val and test folders of such.

    leave_out: a LeaveOut. Raises BmixError where there are no class folders.
    """
    root = Path(root)
    if root.is_file():
        raise BmixError(f"{root}: is a file, neither a table (.csv, .tsv, .txt) nor arrays (.npz)")
    special = name_special(root)
    if special not in ("", "a folder"):
        raise BmixError(f"{root}: is {special}, expected a folder")
    require(root.is_dir(), f"{root}: there is no such folder")
    leave_out = leave_out or LeaveOut(root)
    listing = Listing(root)
    find = FileFinder(root)
    classes, loose, parts = _find_class_folders(listing, leave_out)
    listing.parts.update(parts)
    others = [name for name in loose if not is_image(name)]
    _find_odd_endings(listing, root.name, others)
    for name in loose:
        if is_image(name):
            listing.fault("stray", name, "lies outside the class folders")
    for folder, label, split in classes:
        others += _list_class(listing, find, leave_out, folder, label, split)
    others = find_packed(listing, leave_out, others)
    if others:
        listing.fault("ignored", root.name, f"{len(others)} files: {shorten(sorted(others))}")
    return listing


def _find_class_folders(listing, leave_out):
    """[(folder, label, split)], files that lie beside class folders, {(part, ""): 0}."""
    root = listing.source
    folders, loose = leave_out.scan()
    require(folders, f"{root}: no class folders in it: {NO_CLASSES}")
    refuse_wrapper(root, leave_out, folders, loose)
    folders = find_second_copies(listing, leave_out, "", folders)
    parts = [name for name in folders if read_split(name)]
    if len(parts) < len(folders) and _hold_classes(leave_out, parts):
        others = [name for name in folders if name not in parts]
        raise BmixError(
            f"{root}: {', '.join(parts)} are parts of a split, {shorten(others)} is none: move it "
            "elsewhere, or name it train, val or test"
        )
    splits = {read_split(name) for name in folders}
    if "" in splits or not splits > {"train"}:
        return [(name, name, "") for name in folders], loose, {}
    classes = []
    for part in folders:
        labels, files = leave_out.scan(part)
        labels = find_second_copies(listing, leave_out, part, labels)
        split = read_split(part)
        classes += [(f"{part}/{label}", label, split) for label in labels]
        loose += [f"{part}/{name}" for name in files]
    return classes, loose, {(read_split(part), ""): 0 for part in folders}


def _hold_classes(leave_out, parts):
    """Whether folders named like the parts of a split, train among them, hold folders alone."""
    if not {read_split(name) for name in parts} > {"train"}:
        return False
    for part in parts:
        labels, files = leave_out.scan(part)
        if not labels or any(is_image(name) for name in files):
            return False
    return True


def _list_class(listing, find, leave_out, folder, label, split):
    """Add the images of a class folder; returns the files that are no images by their names."""
    nested, files = leave_out.scan(folder)
    for name in nested:
        if not is_image(name):  # one that is named like an image is reported as unreadable
            listing.fault("stray", f"{folder}/{name}", "a folder in the folder of a class")
    images = sorted(name for name in nested + files if is_image(name))
    if not images:
        texts = sum(name.lower().endswith(".txt") for name in files)
        hint = f", but {texts} .txt: points of photographs? say points=FOLDER" if texts else ""
        listing.fault("empty", folder, f"no image in it{hint}")
    listing.labels[label] += len(images)
    if split:
        listing.parts[split, label] += len(images)
    for name in images:
        file = find(f"{folder}/{name}")
        if file.fault:
            listing.fault(file.kind, file.id, file.fault)
        else:
            listing.items.append(Item(file.id, file.path, label, file.id, split=split))
    others = [f"{folder}/{name}" for name in files if not is_image(name)]
    _find_odd_endings(listing, folder, others)
    return others


def _find_odd_endings(listing, where, names):
    """A warning of files that begin like images and are not used for the ending of their names."""
    odd = [name for name in names if begins_like_image(listing.source / name)]
    if odd:
        listing.fault("ending", where, f"{len(odd)} files: {shorten(odd)}")
