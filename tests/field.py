"""Small photographs and calls for the tests of what people bring."""

import numpy as np
from PIL import Image

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
