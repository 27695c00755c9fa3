"""What lies among the images and is none of them: masks, previews, archives, the set once more."""

import os
import re
from collections import Counter, defaultdict

from bmix_lite.base.errors import BmixError
from bmix_lite.preparation.faults import Fault, shorten
from bmix_lite.preparation.paths import is_image

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
# words of masks and previews; with one of these, a single pair is enough
KNOWN = (
    "mask|masks|seg|segs|segm|segmentation|segmented|annotation|annotated|annot|label|labels|"
    "gt|groundtruth|roi|rois|contour|contours|overlay|outline|lesion|heatmap|cam|gradcam|"
    "saliency|thumb|thumbs|thumbnail|thumbnails|preview|previews|icon|small|lowres|copy|"
    "original|edges|edge"
)
JPEG = (".jpg", ".jpeg", ".JPG", ".JPEG")  # of two endings the photographs'
PAIRS = 2  # pairs that make a companion of any other word
WORD = r"[^\W\d_]{2,}"  # letters only: "x (2).png" is no companion of "x.png"
ENDING = re.compile(rf"[-_. (]+((?:{WORD}[-_. ]+)*{WORD})[-_. ]*\d*\)?|({KNOWN})\d*", re.IGNORECASE)


def find_companions(items, rows, kind="companion"):
    """Faults of images that lie beside another under the same name plus a word, one per word.

    "benign (4)_mask.png" and "benign (4)_mask_1.png" are companions of "benign (4).png"; so are
    "masks/4.png" of "photos/4.png", and "4.png" of "4.jpg" where that is so of all .png.
    rows: those that are looked at; kind: of the faults, "beside" for mere warnings, "" for none
    """
    if not kind:
        return []
    stems = {}  # (folder, name without its ending): rows
    for row in rows:
        if items[row].box is None:
            stems.setdefault(_cut_path(items[row].id)[:2], []).append(row)
    names = {stem for _, stem in stems}
    rows_of = _find_endings(items, stems)
    for (folder, stem), members in stems.items():
        word = _find_word(folder, stem, stems) or _find_folder(folder, stem, stems, names)
        if word:
            rows_of[word] += members
    return [
        _name_companions(items, kind, word, members)
        for word, members in sorted(rows_of.items())
        if len(members) >= PAIRS or _is_known(word)
    ]


def _cut_path(path):
    """(folder, name without its ending, ending)"""
    folder, _, name = path.rpartition("/")
    return folder, *os.path.splitext(name)


def _find_endings(items, stems):
    """{ending: rows} where all files of an ending lie beside one of the same name."""
    paired = defaultdict(list)
    total = Counter()
    for members in stems.values():
        endings = [_cut_path(items[row].id)[2] for row in members]
        total.update(endings)
        if len(members) > 1:
            for row, ending in zip(members, endings, strict=True):
                paired[ending].append(row)
    complete = [ending for ending, members in paired.items() if len(members) == total[ending]]
    photographs = max(sorted(total), key=lambda ending: (total[ending], ending in JPEG), default="")
    chosen = [ending for ending in complete if ending != photographs]
    return defaultdict(list, {ending: paired[ending] for ending in chosen})


def _find_word(folder, stem, stems):
    """The word by which the name is longer than that of an image beside it, "" where it is not."""
    for end in range(len(stem) - 1, 0, -1):
        if (folder, stem[:end]) in stems:
            match = ENDING.fullmatch(stem[end:])
            if match:
                return (match[1] or match[2]).lower()
    return ""


def _find_folder(folder, stem, stems, names):
    """The name of the folder, where it is a known word and another folder has the same file."""
    word = folder.rpartition("/")[2].lower()
    if not _is_known(word):
        return ""
    above = folder[: -len(word)]
    others = {place for place, name in stems if name == stem and place != folder}
    is_beside = any(place.rpartition("/")[0] == above.rstrip("/") for place in others)
    return f"{word}/" if is_beside else ""


def _is_known(word):
    return any(re.fullmatch(KNOWN, part) for part in re.split(r"[-_. /]+", word))


def _name_companions(items, kind, word, rows):
    names = shorten([items[row].id for row in rows], 4)
    if word.startswith("."):
        pattern = f"*{word}"
        found = f"{names}: each beside an image of the same name with another ending: masks?"
    elif word.endswith("/"):
        folder = items[rows[0]].id.rpartition("/")[0].rpartition("/")[2]
        pattern = folder
        found = f"{names}: other folders hold the same names: masks or previews?"
    else:
        pattern = f"*{_find_written(items[rows[0]].id, word)}*"
        found = f"{names}: each beside an image of the same name without {word!r}: masks?"
    where = f"{len(rows)} images"
    drop = tuple(rows) if kind == "companion" else ()
    return Fault(kind, where, f"{found} leave_out={pattern!r}", tuple(rows), drop)


def _find_written(path, word):
    """The word as the file's name has it, with the sign before it."""
    name = path.rpartition("/")[2]
    at = name.lower().rfind(word)
    start = at - 1 if at > 0 and name[at - 1] in "-_." else at
    return name[start : at + len(word)]


def refuse_wrapper(root, leave_out, folders, loose):
    """Raise BmixError where the folder holds nothing but one folder, which holds folders again."""
    if len(folders) != 1 or any(map(is_image, loose)):
        return
    inner, files = leave_out.scan(folders[0])
    if inner and not any(map(is_image, files)):
        raise BmixError(
            f"{root}: holds one folder only, {folders[0]}, and that holds {shorten(inner)}: "
            f"give {os.path.join(root, folders[0])}"
        )


def find_second_copies(listing, leave_out, below, folders):
    """The folders without those that hold their neighbours once more; each becomes a fault."""
    kept = []
    for name in folders:
        path = f"{below}/{name}" if below else name
        others = set(folders) - {name}
        inner = _find_again(leave_out, path, others)
        if inner is None:
            kept.append(name)
            continue
        again = shorten(sorted(others & set(leave_out.scan(inner)[0])))
        found = (
            f"holds {again} once more, a second copy or a sample of the set: leave_out={name!r} "
            f"uses what lies beside it; for what is in it give {listing.source / inner}"
        )
        listing.fault("second_copy", path, found)
    return kept


def _find_again(leave_out, path, others):
    """The folder, `path` or one below it, that holds folders with the names of `others`."""
    for _ in range(3):  # an archive unpacked in its own folder, and that once more
        inner, files = leave_out.scan(path)
        shared = others & set(inner)
        if shared and (len(shared) > 1 or shared == others):
            return path
        if len(inner) != 1 or any(map(is_image, files)):
            return None
        path = f"{path}/{inner[0]}"
    return None


def find_packed(listing, leave_out, files):
    """The files without the archives, which become faults unless they are unpacked beside."""
    kept = []
    for path in files:
        name = path.lower()
        is_archive = name.endswith(ARCHIVES)
        stem = path
        while stem.lower().endswith(ARCHIVES):
            stem = os.path.splitext(stem)[0]
        if is_archive and not os.path.isdir(os.path.join(leave_out.root, stem)):
            listing.fault("packed", path, "an archive: are there images in it?")
        else:
            kept.append(path)
    return kept
