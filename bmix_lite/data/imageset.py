"""Images as arrays, with labels, groups and a split: what every other part of the kit works on."""

import base64
import functools
import hashlib
import html
import io
import json
from dataclasses import dataclass

import numpy as np

from bmix_lite.base.errors import BmixError, require, require_choice
from bmix_lite.base.numbers import from_torch
from bmix_lite.data.designs import SplitDesign
from bmix_lite.distribution import count_classes, imbalance_ratio

SPLITS = ("train", "val", "test")
UNUSED = "unused"  # what a split leaves aside: the val that the data came with, see assign_split
BLOCK = 1024  # images in memory at a time
LISTED = 30  # classes in the table that a notebook shows


@dataclass(frozen=True)
class ImageSet:
    """Images with labels, and how they are split. Raises BmixError if the fields do not fit.

    images (N, H, W, C) uint8, in memory or memory-mapped; or what a frozen network makes of images,
      features (N, 1, 1, D) float32: images of one pixel and D channels, for all that reads them
    labels (N,) integers 0..C-1
    class_names: C texts
    groups (N,) or None: patient, lesion or slide; a split never divides a group
    split (N,) of "train", "val", "test", "unused", or None
    ids (N,) or None: the name of each image; splits are drawn by it, whatever the order of rows
    folds (N,) integers or None: the folds that the publisher of the data gives, see `assign_split`
    images_sha256: of the pixels, where it is known from their preparation
    ordered: True where class numbers are grades, so that a neighbouring class is a smaller error
    design: which split it is, of how many images, where the kit made it: see `describe_split`
    made_of (N, H, W, C) uint8 or None: the images that features were made of, where they are known
    origin: of features, a hash of these images and of the network
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
    images_sha256: str = ""
    ordered: bool = False  # changes no training, nor does design: neither is in the fingerprint
    design: SplitDesign | None = None
    made_of: np.ndarray | None = None
    origin: str = ""

    def __post_init__(self):
        for field in ("images", "labels", "groups", "split", "ids", "folds"):
            object.__setattr__(self, field, from_torch(getattr(self, field)))
        self._check_images()
        count_classes(self.labels, len(self.class_names))
        object.__setattr__(self, "labels", np.asarray(self.labels, dtype=np.int64))
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))
        self._check_columns()
        if self.split is not None:
            self._check_split()

    def _check_images(self):
        images = self.images
        rows = len(self.labels)
        require(images.ndim == 4, f"images must be (N, H, W, C), got shape {images.shape}")
        if images.dtype != np.uint8 and not self.has_features:
            features = "features must be (N, 1, 1, D) float32"
            raise BmixError(f"images must be uint8, got {images.dtype}; {features}")
        if len(images) != rows:
            raise BmixError(f"images and labels differ in length: {len(images)} and {rows}")
        if self.made_of is not None and len(self.made_of) != rows:
            raise BmixError(f"made_of must have {rows} images, got {len(self.made_of)}")

    def _check_columns(self):
        rows = len(self.labels)
        for field in ("groups", "split", "ids", "folds"):
            values = getattr(self, field)
            if values is not None and len(values) != rows:
                raise BmixError(f"{field} must have {rows} entries, one for each image")
        if self.ids is not None and len(set(map(str, self.ids))) < rows:
            raise BmixError("ids must differ from image to image")

    def _check_split(self):
        unknown = sorted(set(np.unique(self.split).tolist()) - {*SPLITS, UNUSED})
        require(not unknown, f"split must be one of {SPLITS}, got {unknown}")
        trained = set(self.labels[self.rows("train")].tolist())
        names = [name for j, name in enumerate(self.class_names) if j not in trained]
        require(not names, f"every class needs at least one training image, {names} have none")

    @property
    def has_features(self):
        """Whether `images` are features of a frozen network, not pixels."""
        return self.images.dtype == np.float32 and self.images.shape[1:3] == (1, 1)

    @property
    def pictures(self):
        """What a figure can show, (N, H, W, C) uint8: of features the images they were made of.

        Raises BmixError where these do not lie where they lay.
        """
        if not self.has_features:
            return self.images
        if self.made_of is None:
            raise BmixError(
                f"{self.name!r} holds features, and the images that they were made of are not "
                "where they were, or have changed: nothing can be shown"
            )
        return self.made_of

    def rows(self, split):
        """Row numbers of one split, (n,)."""
        require_choice("split", split, SPLITS)
        if self.split is None:
            raise BmixError(f"dataset {self.name!r} has no split yet: see assign_split")
        return np.flatnonzero(np.asarray(self.split) == split)

    def counts(self, split="train"):
        """Images per class in one split, (C,)."""
        return np.bincount(self.labels[self.rows(split)], minlength=len(self.class_names))

    @functools.cached_property
    def fingerprint(self):
        """Hash of everything that training sees: pixels, labels, names, groups and split."""
        pixels = self.images_sha256 or hash_images(self.images)
        digest = hashlib.sha256(pixels.encode())
        digest.update(self.labels.tobytes())
        digest.update(self.origin.encode())
        for column in (self.class_names, self.groups, self.split):
            texts = None if column is None else [str(text) for text in column]
            digest.update(json.dumps(texts).encode())
        return digest.hexdigest()

    def __repr__(self):
        """One line: sizes, classes with their imbalance ratio, and the parts of the split."""
        size = "×".join(map(str, self.images.shape[1:]))
        parts = [f"{len(self.labels)} images {size}"]
        if self.has_features:
            parts = [f"{len(self.labels)} images as {self.images.shape[3]} features"]
        if self.groups is not None:
            parts.append(f"{len(set(self.groups))} groups")
        counts = self._tabulate()
        first = next(iter(counts.values()))  # the training images, or all without a split
        parts.append(f"{len(self.class_names)} classes")
        parts.append(f"{round(imbalance_ratio(first), 1):g}:1")
        sizes = ", ".join(f"{split} {count.sum()}" for split, count in counts.items())
        unused = 0 if self.split is None else np.sum(np.asarray(self.split) == UNUSED)
        if unused:
            sizes += f", unused {unused}"
        split = "no split yet" if self.split is None else sizes
        return f"ImageSet {self.name!r}: {', '.join(parts)}; {split}"

    def _repr_html_(self):
        """The same line and a table of images per class and split, for notebooks."""
        import pandas as pd

        table = pd.DataFrame(self._tabulate(), index=pd.Index(self.class_names, name="class"))
        return f"<p>{html.escape(repr(self))}</p>\n{table.to_html(border=0, max_rows=LISTED)}"

    def _tabulate(self):
        """{split: images per class (C,)}, or all images together where there is no split."""
        if self.split is None:
            return {"images": np.bincount(self.labels, minlength=len(self.class_names))}
        return {split: self.counts(split) for split in SPLITS}


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
    """Yield 1024 images at a time, so that a memory-mapped array never lies in memory whole."""
    for start in range(0, len(images), BLOCK):
        yield images[start : start + BLOCK]


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
