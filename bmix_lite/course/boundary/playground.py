"""The stored trainings of lesson 4: trained once, kept in one file, looked up by their settings."""

import functools
import io
import itertools
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from bmix_lite import __version__
from bmix_lite.base.errors import BmixError, require_choice
from bmix_lite.base.files import write_atomic
from bmix_lite.course.boundary.regions import LAST_EPOCH, toy_recipe, train_boundary
from bmix_lite.course.boundary.toys import GRID, KINDS, make_toy

RATIOS = (1, 10, 30, 100)
ALPHAS = (0.05, 0.1, 0.2, 0.4, 1.0)
EPOCHS = (1, 2, 5, 10, 20, LAST_EPOCH)  # after which regions and recall are kept
SEEDS = 5
WITHOUT_ALPHA = ("instance", "class_balanced")
WITH_ALPHA = ("mixup", "balanced_mixup")
ROWS = (
    *((method, 0.0) for method in WITHOUT_ALPHA),
    *((method, alpha) for method in WITH_ALPHA for alpha in ALPHAS),
)
FORMAT = 1  # of the file
STALE = "make it again: python -m bmix_lite playground --out"


class Playground:
    """Stored trainings: `regions`, `recall` and `data` by kind, ratio, method, alpha and epoch."""

    def __init__(self, path, about, arrays):
        self.path = path
        self.about = about
        self.arrays = arrays
        self.kinds = tuple(about["class_names"])
        self.ratios = about["ratios"]
        self.epochs = about["epochs"]
        self.rows = [tuple(row) for row in about["rows"]]
        self.alphas = sorted({alpha for _, alpha in self.rows if alpha > 0})
        self.data = functools.cache(self._make_data)

    def regions(self, kind, imbalance_ratio, method, alpha, epoch):
        """Class (GRID, GRID) uint8 that the network of seed 0 predicts, [row of y, column of x]."""
        return self._look_up("regions", kind, imbalance_ratio, method, alpha, epoch)

    def recall(self, kind, imbalance_ratio, method, alpha, epoch):
        """Test recall (seeds, C)."""
        return self._look_up("recall", kind, imbalance_ratio, method, alpha, epoch)

    def _make_data(self, kind, imbalance_ratio):
        """The toy that seed 0 was trained on; BmixError where this package draws other points."""
        require_choice("kind", kind, self.kinds)
        require_choice("imbalance_ratio", imbalance_ratio, self.ratios)
        data = make_toy(kind, imbalance_ratio)
        stored = self.about["fingerprints"][kind][self.ratios.index(imbalance_ratio)]
        if data.fingerprint != stored:
            raise BmixError(
                f"{self.path} was made with other points than toy {kind!r} has now;"
                f" {STALE} {self.path}"
            )
        return data

    def _look_up(self, quantity, kind, imbalance_ratio, method, alpha, epoch):
        require_choice("kind", kind, self.kinds)
        require_choice("imbalance_ratio", imbalance_ratio, self.ratios)
        require_choice("method", method, tuple(dict.fromkeys(name for name, _ in self.rows)))
        require_choice("epoch", epoch, self.epochs)
        stored_alphas = [stored for name, stored in self.rows if name == method]
        if stored_alphas == [0]:  # a method that does not mix: whatever the slider says
            alpha = 0
        require_choice("alpha", alpha, stored_alphas)
        ratio_index = self.ratios.index(imbalance_ratio)
        row_index = self.rows.index((method, alpha))
        epoch_index = self.epochs.index(epoch)
        return self.arrays[f"{kind} {quantity}"][ratio_index, row_index, epoch_index]


def read_playground(path):
    """The `Playground` that `make_playground` stored; BmixError for a file that is not one."""
    if not Path(path).is_file():
        raise BmixError(f"there is no stored playground {str(path)!r}; {STALE} {path}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            arrays = {name: stored[name] for name in stored.files if name != "about"}
        file_format = about["format"]
        fits = _arrays_fit(arrays, about)
    except Exception as error:  # zip, zlib, JSON: a damaged file can raise anything
        reason = f"{type(error).__name__}: {error}"
        raise BmixError(f"{path} is not a stored playground: {reason}; {STALE} {path}") from error
    if file_format != FORMAT:
        raise BmixError(f"{path} has format {file_format}, not {FORMAT}; {STALE} {path}")
    if not fits:
        reason = "its arrays do not fit its settings"
        raise BmixError(f"{path} is not a stored playground: {reason}; {STALE} {path}")
    return Playground(str(path), about, arrays)


def make_playground(
    path,
    *,
    kinds=KINDS,
    ratios=RATIOS,
    rows=ROWS,
    epochs=EPOCHS,
    seeds=SEEDS,
    jobs=2,
    progress=True,
):
    """Train every kind, ratio, row (method, alpha) and seed; store what `read_playground` reads.

    Each seed has its own points, initial weights and batches. Kept are the recalls of every seed
    and the regions of seed 0. A few minutes on two cores; on one machine the same file every time.
    """
    shape = len(ratios), len(rows), len(epochs)
    arrays = {}
    for kind in kinds:
        arrays[f"{kind} regions"] = np.zeros((*shape, GRID, GRID), np.uint8)
    for kind in kinds:
        classes = len(make_toy(kind, 1).class_names)
        arrays[f"{kind} recall"] = np.zeros((*shape, seeds, classes), np.float32)
    settings = list(itertools.product(kinds, ratios, rows, range(seeds)))
    for (kind, ratio, row, seed), records in _train_all(settings, epochs, jobs, progress):
        at = ratios.index(ratio), rows.index(row)
        arrays[f"{kind} recall"][at][:, seed] = [record["recall"] for record in records]
        if seed == 0:
            arrays[f"{kind} regions"][at] = [record["regions"] for record in records]
    about = _describe(kinds, ratios, rows, epochs, seeds)
    content = io.BytesIO()
    np.savez_compressed(content, about=np.array(json.dumps(about)), **arrays)
    write_atomic(path, content.getvalue())


def _describe(kinds, ratios, rows, epochs, seeds):
    """What the file says about itself."""
    return {
        "format": FORMAT,
        "version": __version__,
        "recipe": toy_recipe("instance", epochs=epochs[-1]).asdict(),
        "ratios": list(ratios),
        "rows": [list(row) for row in rows],
        "epochs": list(epochs),
        "seeds": seeds,
        "class_names": {kind: make_toy(kind, 1).class_names for kind in kinds},
        "fingerprints": {
            kind: [make_toy(kind, ratio).fingerprint for ratio in ratios] for kind in kinds
        },
    }


def _arrays_fit(arrays, about):
    shape = len(about["ratios"]), len(about["rows"]), len(about["epochs"])
    return all(
        arrays[f"{kind} regions"].shape == (*shape, GRID, GRID)
        and arrays[f"{kind} recall"].shape == (*shape, about["seeds"], len(names))
        for kind, names in about["class_names"].items()
    )


def _train_all(settings, epochs, jobs, progress):
    """Yield (setting, records) of all settings, in order."""
    from tqdm.auto import tqdm

    train_one = functools.partial(_train_one, tuple(epochs))
    bar = functools.partial(tqdm, total=len(settings), unit="training", disable=not progress)
    if jobs == 1:
        yield from bar(zip(settings, map(train_one, settings), strict=True))
        return
    # one thread per process from the start: changing it in every epoch costs more than the training
    one_thread = dict(initializer=torch.set_num_threads, initargs=(1,))
    with ProcessPoolExecutor(jobs, get_context("spawn"), **one_thread) as pool:
        trained = pool.map(train_one, settings, chunksize=4)
        yield from bar(zip(settings, trained, strict=True))


def _train_one(epochs, setting):
    kind, ratio, (method, alpha), seed = setting
    recipe = toy_recipe(
        method, alpha=alpha if method in WITH_ALPHA else None, epochs=epochs[-1], seed=seed
    )
    return list(train_boundary(make_toy(kind, ratio, seed=seed), recipe, epochs))
