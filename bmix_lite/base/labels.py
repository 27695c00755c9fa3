"""Labels of a Dataset of any framework, found without loading an image."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.base.numbers import from_torch

IMAGES = ("image", "images", "pixel_values", "img", "input", "x")
LABELS = ("label", "labels", "target", "targets", "class", "y")


def find_labels(data: Any) -> np.ndarray:
    """Labels (N,) of a Dataset, without loading an image; or of labels as they are.

    Raises BmixError where they are not found, or are no integers.
    """
    labels = np.asarray(from_torch(_look_for_labels(data)))
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        found = f"{labels.dtype} of shape {labels.shape}"
        raise BmixError(f"labels must be integers 0..C-1, one per image, got {found}")
    is_dataset = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if is_dataset and len(labels) != len(data):
        raise BmixError(f"the data hold {len(data)} images, their labels are {len(labels)}")
    return labels


def _look_for_labels(data):
    if isinstance(data, (np.ndarray, list, tuple, range)) or hasattr(data, "detach"):
        return data
    if hasattr(data, "dataset") and hasattr(data, "indices"):  # torch's Subset
        return find_labels(data.dataset)[np.asarray(data.indices)]
    if hasattr(data, "datasets"):  # torch's ConcatDataset
        return np.concatenate([find_labels(part) for part in data.datasets])
    for name in ("targets", "labels"):  # torchvision, timm, MedMNIST
        if getattr(data, name, None) is not None:
            return np.asarray(from_torch(getattr(data, name))).squeeze()
    if hasattr(data, "samples"):
        return [label for _, label in data.samples]
    if hasattr(data, "tensors"):
        return data.tensors[1]
    columns = getattr(data, "column_names", None)  # Hugging Face
    if columns:
        return data[find_field(dict.fromkeys(columns), LABELS)]
    items = getattr(data, "data", None)  # MONAI
    if isinstance(items, Sequence) and items and isinstance(items[0], Mapping):
        name = find_field(items[0], LABELS)
        return [item[name] for item in items]
    kind = type(data).__name__
    raise BmixError(f"no labels are found in a {kind} without loading its images: give them")


def find_field(batch, names):
    """The one of `names` that a sample or batch has. Raises BmixError where none or several are."""
    found = [name for name in names if name in batch]
    if len(found) != 1:
        words = f"exactly one of {', '.join(names)}, got {', '.join(map(str, batch))}"
        raise BmixError(f"a sample must have {words}")
    return found[0]
