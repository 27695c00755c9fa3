"""Writing the prepared dataset of the images that are left."""

import shutil

import numpy as np

from bmix_lite.data.imageset import ImageSet
from bmix_lite.data.prepared import write_description, write_images
from bmix_lite.preparation.cache import read_pixels


def write_dataset(images, facts, chunks, folder, left, order, class_names, about):
    """Write the dataset of the rows `left`, and remove the chunks.

    order: labels in the order of the classes; class_names: {label: name} or None
    """
    digest = write_images(folder / "images.npy", _shape(chunks, left), read_pixels(chunks, left))
    items = [images.items[row] for row in left]
    folds = _get_column(items, "fold")
    number = {label: j for j, label in enumerate(order)}
    data = ImageSet(
        np.load(folder / "images.npy", mmap_mode="r"),
        np.array([number[item.class_label] for item in items]),
        [(class_names or {}).get(label, label) for label in order],
        groups=_get_column(items, "group"),
        split=_get_column(items, "split"),
        ids=_get_column(items, "id"),
        folds=None if folds is None else np.array([int(fold or -1) for fold in folds]),
        name=folder.name,
        source=about.get("source", images.source.name),
        images_sha256=digest,
    )
    write_description(data, folder, sha256=facts.sha256[left], about=about)
    shutil.rmtree(folder / "chunks")


def _shape(chunks, left):
    """Shape (N, H, W, C) of the images that are left."""
    block = next(read_pixels(chunks, left))
    return (len(left), *block.shape[1:])


def _get_column(items, name):
    """One field of all items, (N,); None where it is blank in all of them."""
    values = np.array([getattr(item, name) for item in items], object)
    return values if any(values) else None
