"""Which kind of source it is: a table, an npz, boxes, points, arrays, or class folders."""

from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.groups import set_groups
from bmix_lite.preparation.leave_out import LeaveOut
from bmix_lite.preparation.listing import list_folder, list_table
from bmix_lite.preparation.medmnist import list_npz
from bmix_lite.preparation.voc import list_boxes

TABLES = (".csv", ".tsv", ".txt")
WORKBOOKS = (".xlsx", ".xls", ".ods")


def list_images(source, *, group_from=None, leave_out=None, folder=None, **listing):
    """The Listing of whatever `source` is; see `prepare`. Raises BmixError.

    folder: where the prepared set will be; where it lies in the source, it is no part of it
    """
    source = Path(source)
    is_table = source.suffix.lower() in TABLES
    leaves = LeaveOut(source, leave_out, folder)
    if is_table:
        images = list_table(source, group_from=group_from, leave_out=leaves, **listing)
    else:
        images = _list_others(source, leaves, listing)
        if group_from is not None:
            set_groups(images, group_from)
    leaves.note(images)
    images.asks_companions = not leaves.is_given
    return images


def _list_others(source, leave_out, listing):
    """The Listing of what is no table."""
    suffix = source.suffix.lower()
    if suffix in WORKBOOKS:
        raise BmixError(
            f"{source} is a workbook of a spreadsheet: "
            "save its sheet as CSV UTF-8 and give that file"
        )
    if listing:
        raise BmixError(
            f"{', '.join(listing)}: only for a table of labels, {source} is none: "
            "its name must end in .csv, .tsv, .txt"
        )
    if suffix == ".npz":
        return list_npz(source)
    if (source / "Annotations").is_dir():
        return list_boxes(source, leave_out)
    return list_folder(source, leave_out)
