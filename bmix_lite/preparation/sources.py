"""Which kind of source it is: a table, an npz, boxes, points, arrays, or class folders."""

from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.arrays import list_arrays
from bmix_lite.preparation.faults import shorten
from bmix_lite.preparation.folders import list_folder
from bmix_lite.preparation.groups import set_groups
from bmix_lite.preparation.leave_out import LeaveOut
from bmix_lite.preparation.listing import list_table
from bmix_lite.preparation.medmnist import list_npz
from bmix_lite.preparation.paths import scan
from bmix_lite.preparation.points import list_points, refuse_for_tables
from bmix_lite.preparation.voc import list_boxes

TABLES = (".csv", ".tsv", ".txt")
WORKBOOKS = (".xlsx", ".xls", ".ods")


def list_images(source, *, group_from=None, leave_out=None, folder=None, **listing):
    """The Listing of whatever `source` is; see `prepare`. Raises BmixError.

    group_from: a regular expression with one group, which finds the patient in the name of a file,
      r"(person\\d+)_" in "person7_virus_2.jpeg"
    leave_out: one or several patterns, such as "*_mask*", of files and folders that are not used;
      [] where all images that look like masks or previews of others are meant
    listing: arguments of `list_table`, of `list_points`, or arrays for `list_arrays`
    folder: where the prepared set will be; where it lies in the source, it is no part of it
    """
    source = Path(source)
    is_table = source.suffix.lower() in TABLES
    leaves = LeaveOut(source, leave_out, folder)
    if is_table:
        refuse_for_tables(listing)
        images = list_table(source, group_from=group_from, leave_out=leaves, **listing)
    else:
        images = _list_others(source, leaves, listing)
        if group_from is not None:
            set_groups(images, group_from)
    leaves.note(images)
    if leaves.is_given:
        images.companions = "beside" if leaves.patterns else ""
    return images


def _list_others(source, leave_out, listing):
    """The Listing of what is no table."""
    suffix = source.suffix.lower()
    if suffix in WORKBOOKS:
        raise BmixError(
            f"{source} is a workbook of a spreadsheet: "
            "save its sheet as CSV UTF-8 and give that file"
        )
    if "points" in listing:
        return list_points(source, leave_out=leave_out, **listing)
    if "arrays" in listing:
        return list_arrays(source, **listing)
    if listing:
        raise BmixError(
            f"{', '.join(listing)}: only for a table of labels, {source} is none: "
            "its name must end in .csv, .tsv, .txt"
        )
    if suffix == ".npz":
        return list_npz(source)
    if (source / "Annotations").is_dir():
        return list_boxes(source, leave_out)
    _refuse_bare_arrays(source)
    return list_folder(source, leave_out)


def _refuse_bare_arrays(source):
    """Raise BmixError for a folder of .npy files, of which nobody said what they hold."""
    if not source.is_dir():
        return
    folders, files = scan(source)
    arrays = [name for name in files if name.lower().endswith(".npy")]
    if arrays and not folders:
        raise BmixError(
            f"{source} holds arrays: say which are the images and which the labels, such as "
            f'arrays={{"images": "x_{{}}.npy", "labels": "y_{{}}.npy"}}; found {shorten(arrays)}'
        )
