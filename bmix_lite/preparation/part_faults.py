"""What can be wrong with parts and splits: empty ones, and classes that a part lacks."""

from collections import Counter, defaultdict

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.data.folds import FOLDS
from bmix_lite.data.imageset import SPLITS, ImageSet
from bmix_lite.data.splits import came_whole, count_folds, deal_repeat, place_fold
from bmix_lite.preparation.faults import Fault, shorten

REPEATS = 2  # of five folds: the ten splits of a comparison


def find_lost_parts(listed, kept):
    """Parts of a split that came with the data, and classes in one, of which no image is left.

    listed: {(part, label): images}, faulty ones too; kept: the items that are left
    """
    left = Counter((item.split, item.class_label) for item in kept)
    classes = {label for _, label in left}
    for part in SPLITS:
        counts = Counter()
        for (other, label), count in listed.items():
            if other == part:
                counts[label.strip()] += count
        if counts.keys() and not any(left[part, label] for label in classes):
            yield Fault("part", part, f"{counts.total()} images listed, none is left")
            continue
        for label in sorted(classes):
            if counts[label] and not left[part, label]:
                found = f"{counts[label]} images listed in {part}, none is left"
                yield Fault("lost", repr(label), found)


def find_untrained(kept):
    """Classes whose images all lie in val and test of a split that was given."""
    splits = defaultdict(set)
    for item in kept:
        splits[item.class_label].add(item.split)
    left = Counter(item.class_label for item in kept)
    for label, parts in sorted(splits.items()):
        if parts <= {"val", "test"}:
            found = f"{left[label]} images, all in {' and '.join(sorted(parts))}"
            yield Fault("untrained", repr(label), found)


def find_few(kept):
    """Classes with too few images to be dealt to folds, unless the data came with their own."""
    parts = {item.split for item in kept}
    if any(item.fold for item in kept) or parts >= set(SPLITS):
        return
    dealt = Counter(item.class_label for item in kept if item.split in ("", "train"))
    kind = "images" if parts == {""} else "training images"
    for label, count in sorted(dealt.items()):
        if count < FOLDS:
            yield Fault("few", repr(label), f"{count} {kind} for {FOLDS} folds")


def find_absences(items, rows, order):
    """Warnings of classes that a part of a split lacks, and of splits that cannot be made.

    rows: the images that are left; order: their labels in the order of the classes
    """
    kept = [items[row] for row in rows]
    is_grouped = all(item.group for item in kept)
    if not is_grouped and not any(item.split or item.fold for item in kept):
        return []  # dealt image by image, every part has every class
    data = _make_plain(kept, order, is_grouped)
    splits, faults = _try_splits(data)
    for j, parts in sorted(_list_absences(data.labels, splits, len(order)).items()):
        of_class = data.labels == j
        size = f"{np.sum(of_class)} images"
        if is_grouped:
            size += f" in {len(set(data.groups[of_class]))} groups"
        faults.append(Fault("absent", repr(order[j]), f"{size}: none in {'; '.join(parts)}"))
    return faults


def _make_plain(kept, order, is_grouped):
    """An ImageSet of the items without their pixels."""
    number = {label: j for j, label in enumerate(order)}
    split = np.array([item.split for item in kept])
    has_folds = any(item.fold for item in kept)
    return ImageSet(
        np.zeros((len(kept), 1, 1, 1), np.uint8),
        np.array([number[item.class_label] for item in kept]),
        order,
        groups=np.array([item.group for item in kept]) if is_grouped else None,
        split=split if split.all() else None,
        ids=[item.id for item in kept],
        folds=np.array([int(item.fold or -1) for item in kept]) if has_folds else None,
    )


def _try_splits(data):
    """({split: part of each image (N,)}, faults of splits that cannot be made)."""
    splits = {0: np.asarray(data.split)} if came_whole(data) else {}
    faults = []
    for repeat in range(REPEATS if data.folds is None else 1):
        try:
            folds = count_folds(data)
            fold_of = deal_repeat(data, repeat)
        except BmixError as error:  # as every repeat would say
            where = "every split but 0" if splits else "every split"
            return splits, [Fault("absent", where, str(error))]
        for fold in range(folds):
            split = folds * repeat + fold
            if split in splits:
                continue
            try:
                splits[split] = place_fold(data, fold_of, folds, fold)
            except BmixError as error:
                faults.append(Fault("absent", f"split {split}", str(error)))
    return splits, faults


def _list_absences(labels, splits, num_classes):
    """{class number: ["train of splits 0, 3", …]} of the parts that have no image of the class."""
    lacking = defaultdict(list)
    for split, parts in splits.items():
        for part in SPLITS:
            counts = np.bincount(labels[parts == part], minlength=num_classes)
            for j in np.flatnonzero(counts == 0):
                lacking[int(j), part].append(split)
    absences = defaultdict(list)
    for (j, part), numbers in sorted(lacking.items(), key=lambda entry: entry[1]):
        which = "every split"
        if len(numbers) < len(splits):
            which = f"split{'s' if len(numbers) > 1 else ''} {shorten(numbers)}"
        absences[j].append(f"{part} of {which}")
    return absences
