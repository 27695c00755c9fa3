"""A part of the features of a dataset, made in one go: the file of a shard appears when it is done.

So what was killed goes on where it stopped, and a lost worker of a cluster costs its shard.
"""

import functools
import io
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import write_atomic

_one_at_a_time = threading.Lock()  # of a worker's threads: a network takes all cores it may


@dataclass(frozen=True)
class Shard:
    """Images `start` to `stop` of a source, and the file of their features."""

    source: Path | np.ndarray  # an images.npy, or the images themselves
    start: int
    stop: int
    path: Path

    def __len__(self):
        return self.stop - self.start

    def images(self):
        """Its images (n, H, W, C), in memory. The file is mapped anew: of a map pages pile up."""
        source = self.source
        if isinstance(source, Path):
            source = np.load(source, mmap_mode="r", allow_pickle=False)
        return np.array(source[self.start : self.stop])

    def read(self):
        """Its features (n, D). A damaged file is removed, and BmixError says so."""
        try:
            features = np.load(self.path, allow_pickle=False)
            if len(features) != len(self):
                raise ValueError(f"{len(features)} rows in place of {len(self)}")
        except (OSError, ValueError, EOFError) as error:
            self.path.unlink(missing_ok=True)
            raise BmixError(
                f"{self.path}: was damaged ({error}) and is removed: run it again to make it anew"
            ) from error
        return features


def make_shard(shard, embedder, threads=None):
    """Write the features of a shard."""
    buffer = io.BytesIO()
    np.save(buffer, embedder(shard.images(), threads))
    write_atomic(shard.path, buffer.getvalue())


def make_shard_there(shard, arguments, sha256):
    """The same on a worker of a Dask cluster, with a network made there.

    arguments: of `make_embedder`; sha256: of the network, which must be the same here
    """
    from distributed import get_worker

    with _one_at_a_time:
        if shard.path.exists():  # by a worker that was lost before it could say so
            return
        make_shard(shard, _make_embedder(arguments, sha256), get_worker().state.nthreads)


@functools.lru_cache(maxsize=1)
def _make_embedder(arguments, sha256):
    """The Embedder of `arguments`. BmixError unless it has this hash."""
    from bmix_lite.embedding import make_embedder

    embedder = make_embedder(*arguments)
    if embedder.sha256 != sha256:
        raise BmixError(f"the worker has other weights of {arguments[0]!r} than this machine")
    return embedder
