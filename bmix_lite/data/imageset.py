"""Images as arrays, with labels, groups and a split: what every other part of the kit works on."""

import base64
import functools
import hashlib
import io
import json
from dataclasses import dataclass

import numpy as np

from bmix_lite.base.errors import require, require_choice
from bmix_lite.distribution import count_classes

SPLITS = ("train", "val", "test")
BLOCK = 1024  # images in memory at a time


@dataclass(frozen=True)
class ImageSet:
    """Images with labels, and how they are split.

    images (N, H, W, C) uint8, in memory or memory-mapped; labels (N,) integers 0..C-1; class_names, C texts
    groups (N,) or None: patient, lesion, slide: never apart in a split; split (N,) of "train", "val", "test"
    ids (N,) or None: the name of each image, by which splits are drawn, so that the order of rows does not matter
    folds (N,) integers or None: the folds that the publisher of the data gives, see `assign_split`
    ordered: True where class numbers are grades, so that a neighbouring class is a smaller error
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple
    groups: np.ndarray | None = None
    split: np.ndarray | None = None
    ids: np.ndarray | None = None
    folds: np.ndarray | None = None
    name: str = "unnamed"
    source: str = ""
    images_sha256: str = ""  # of the pixels, where it is known from their preparation
    ordered: bool = False  # changes no training, so it is not in the fingerprint

    def __post_init__(self):
        images, n = self.images, len(self.labels)
        require(images.dtype == np.uint8, f"images must be uint8, got {images.dtype}")
        require(images.ndim == 4, f"images must be (N, H, W, C), got shape {images.shape}")
        require(len(images) == n, f"images and labels differ in length: {len(images)} and {n}")
        count_classes(self.labels, len(self.class_names))
        object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.int64))
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        for field in ("groups", "split", "ids", "folds"):
            value = getattr(self, field)
            require(
                value is None or len(value) == n,
                f"{field} must have {n} entries, one for each image",
            )
        require(
            self.ids is None or len(set(map(str, self.ids))) == n,
            "ids must differ from image to image",
        )
        if self.split is not None:
            unknown = sorted(set(np.unique(self.split).tolist()) - set(SPLITS))
            require(not unknown, f"split must be one of {SPLITS}, got {unknown}")
            absent = set(range(len(self.class_names))) - set(
                self.labels[self.rows("train")].tolist()
            )
            names = [self.class_names[j] for j in sorted(absent)]
            require(not absent, f"every class needs at least one training image, {names} have none")

    def rows(self, split):
        """Row numbers of one split, (n,)."""
        require_choice("split", split, SPLITS)
        require(self.split is not None, f"dataset {self.name!r} has no split yet: see assign_split")
        return np.flatnonzero(np.asarray(self.split) == split)

    def counts(self, split="train"):
        """Images per class in one split, (C,)."""
        return np.bincount(self.labels[self.rows(split)], minlength=len(self.class_names))

    @functools.cached_property
    def fingerprint(self):
        """Hash of everything that training sees: pixels, labels, names, groups and split."""
        digest = hashlib.sha256((self.images_sha256 or hash_images(self.images)).encode())
        digest.update(self.labels.tobytes())
        for texts in (self.class_names, self.groups, self.split):
            digest.update(
                json.dumps(None if texts is None else [str(text) for text in texts]).encode()
            )
        return digest.hexdigest()


def hash_images(images):
    """sha256 of shape and pixels."""
    return hash_blocks(images.shape, cut_blocks(images))


def hash_blocks(shape, blocks):
    """The same of images that come block by block."""
    digest = hashlib.sha256(repr(tuple(shape)).encode())
    for block in blocks:
        digest.update(np.ascontiguousarray(block))
    return digest.hexdigest()


def cut_blocks(images):
    """Yield the images a thousand at a time, so that a memory-mapped array never lies in memory whole."""
    for at in range(0, len(images), BLOCK):
        yield images[at : at + BLOCK]


def to_picture(image):
    """One image (H, W, 1 or 3) uint8 as a Pillow picture."""
    from PIL import Image

    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def encode_picture(picture, kind="PNG", **options):
    """The bytes of a Pillow picture's file; options: those of Pillow's `save`."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def to_data_uri(picture, kind="PNG", **options):
    """A Pillow picture as text that a page can hold."""
    content = base64.b64encode(encode_picture(picture, kind, **options)).decode()
    return f"data:image/{kind.lower()};base64,{content}"
