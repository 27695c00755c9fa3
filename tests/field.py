"""Small photographs and calls for the tests of what people bring."""

from dataclasses import replace

import numpy as np
from PIL import Image

from bmix_lite.preparation.cache import GREY_SIDE, Facts
from bmix_lite.preparation.listing import Item
from bmix_lite.preparation.prepare import prepare


def photo(number, size=48, grey=False):
    """A different drawn picture for each number."""
    shape = (6, 6) if grey else (6, 6, 3)
    coarse = np.random.default_rng(number).integers(20, 235, shape).astype(np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def put(root, *names, start=0, **options):
    """One photograph under each name, all different; returns the root."""
    for number, name in enumerate(names, start=start):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(number, **options).save(path)
    return root


def prepare_small(source, out, **options):
    return prepare(source, out, **{"size": 16, "jobs": 1, "progress": False} | options)


def make_items(splits, **fields):
    items = [Item(f"{n}.png", "", "0", f"row {n}", split=split) for n, split in enumerate(splits)]
    return [
        replace(item, **{name: values[n] for name, values in fields.items()})
        for n, item in enumerate(items)
    ]


def make_facts(n, sha256=None, grey=None):
    grey = (
        np.random.default_rng(0).integers(0, 256, (n, GREY_SIDE**2), dtype=np.uint8)
        if grey is None
        else grey
    )
    return Facts(
        np.array(sha256 or [str(i) for i in range(n)]),
        np.full((n, 2), 64),
        grey,
        np.array([""] * n),
    )
