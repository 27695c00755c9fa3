"""From prepared images to a prepared dataset of features: what a frozen network makes of them."""

import os
import shutil
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bmix_lite.base.cluster import connect
from bmix_lite.base.errors import BmixError, require
from bmix_lite.base.files import hash_json, remove_leftovers
from bmix_lite.data.datasets import BUILT_IN
from bmix_lite.data.imageset import ImageSet, hash_images
from bmix_lite.data.prepared import (
    FEATURES,
    IMAGES,
    load_prepared,
    read_about,
    save_prepared,
    write_description,
    write_images,
)
from bmix_lite.preparation.once import unless_made
from bmix_lite.preparation.shards import Shard, make_shard, make_shard_there

VERSION = 1  # of what features are; a change of resizing or of a network raises it
SHARD = 512  # images: some seconds of a laptop, and 2.6 MB of features
# of the dataset.json of the images, what is not true of their features
OF_IMAGES = ("key", "size", "fit", "bits", "kind")


def embed(
    data: str | Path | ImageSet,
    model: str = "efficientnet_lite0",
    weights: str | Path = "imagenet",
    *,
    size: int | None = None,
    out: str | Path | None = None,
    threads: int | None = None,
    scheduler: object = None,
    progress: bool = True,
) -> ImageSet:
    """Make a prepared dataset of the features that a frozen network makes of images; return it.

    data: a prepared folder (all its splits stay), a built-in name or an ImageSet, saved as it is
    model, weights, size: see `embedding.make_embedder`
    out: the new folder; by default beside the images, NAME-MODEL
    threads: of the CPU, None for all cores; scheduler: address or Client of a Dask cluster, whose
      workers then do the work; they must see the folders alike
    Labels, groups, ids, split and folds are those of the images; `load(out, split=…)` splits them
    alike, and a head trains on them as on images: `Recipe.on_features(out, method)`.
    The same call again returns what is there, and after a kill it goes on where it stopped.
    Raises BmixError, also where the folder holds something else.
    """
    from bmix_lite.embedding import make_embedder

    images, place = _open(data)
    folder = _choose_out(out, place, model)
    arguments = (model, os.fspath(weights), images.images.shape[1:], size)
    job = _Job(make_embedder(*arguments), arguments, threads)
    images = _set_origin(images, job.embedder)
    key = _hash_call(images)
    with unless_made(folder, key) as is_made:
        if not is_made:
            shards = _cut(images, place, folder / "shards" / images.origin[:16])
            _compute(job, shards, scheduler, progress)
            _write(images, place, folder, shards, {"key": key, "network": job.describe()})
    return load_prepared(folder)


@dataclass(frozen=True)
class _Job:
    """What makes features: here an Embedder, elsewhere the arguments that make the same one."""

    embedder: object
    arguments: tuple
    threads: int | None

    def describe(self):
        """What dataset.json says of the network."""
        model, weights, _, _ = self.arguments
        about = {"model": model, "weights": Path(weights).name}
        return {**about, "sha256": self.embedder.sha256, "size": self.embedder.size}


def _open(data):
    """(the images with all their folds, the folder in which they lie or None)."""
    place = None
    if isinstance(data, ImageSet):
        images = data
    elif data in BUILT_IN:
        images = BUILT_IN[data]()
    else:
        place = Path(data)
        images = load_prepared(place)
    require(not images.has_features, f"{images.name!r} holds features already: embed its images")
    require(images.images.size > 0, f"{images.name!r} holds labels only, no images to embed")
    return images, place


def _choose_out(out, place, model):
    if out is not None:
        return Path(out)
    if place is None:
        raise BmixError("out must be a folder: these images lie in none beside which it could be")
    place = Path(os.path.abspath(place))
    return place.with_name(f"{place.name}-{model.rpartition('/')[2]}")


def _set_origin(images, embedder):
    """The images, with the hash of their pixels and of what will be made of them."""
    pixels = images.images_sha256 or hash_images(images.images)
    origin = hash_json([VERSION, pixels, embedder.sha256, embedder.size])
    return replace(images, images_sha256=pixels, origin=origin)


def _hash_call(images):
    """What makes another dataset of features: pixels and network, and all that is said of rows."""
    columns = (images.ids, images.folds)
    texts = [None if column is None else list(map(str, column)) for column in columns]
    return hash_json([images.fingerprint, images.ordered, images.source, texts])


def _cut(images, place, folder):
    """The Shards of all images, in their order."""
    source = images.images if place is None else Path(os.path.abspath(place)) / IMAGES
    starts = range(0, len(images.images), SHARD)
    stops = [min(start + SHARD, len(images.images)) for start in starts]
    return [
        Shard(source, start, stop, Path(os.path.abspath(folder)) / f"{start:09d}.npy")
        for start, stop in zip(starts, stops, strict=True)
    ]


def _compute(job, shards, scheduler, progress):
    """Make the shards that are missing, here or on a Dask cluster."""
    from tqdm.auto import tqdm

    remove_leftovers(shards[0].path.parent)
    missing = [shard for shard in shards if not shard.path.exists()]
    done = shards[-1].stop - sum(map(len, missing))
    disable = None if progress else True  # None: no bar where no one looks on
    with tqdm(total=shards[-1].stop, initial=done, unit="image", disable=disable) as bar:
        for shard in _make_all(job, missing, scheduler):
            bar.update(len(shard))


def _make_all(job, shards, scheduler):
    """Yield each Shard that has been made."""
    if scheduler is not None:
        yield from _make_there(job, shards, scheduler)
        return
    for shard in shards:
        make_shard(shard, job.embedder, job.threads)
        yield shard


def _make_there(job, shards, scheduler):
    """The same on a Dask cluster, which gives a lost worker's shard to another worker."""
    if shards and not isinstance(shards[0].source, Path):
        raise BmixError("scheduler: the workers need the folder of prepared images, not an array")
    client, is_ours = connect(scheduler)
    pool = client.get_executor(pure=False)
    arguments = (job.arguments, job.embedder.sha256)
    try:
        shard_of = {pool.submit(make_shard_there, shard, *arguments): shard for shard in shards}
        for future in as_completed(shard_of):
            _require_made(future, shard_of[future])
            yield shard_of[future]
    finally:
        pool.shutdown(wait=False)
        if is_ours:
            client.close()


def _require_made(future, shard):
    try:
        future.result()
    except BmixError:
        raise
    except Exception as error:  # Dask's KilledWorker, and whatever else a cluster can raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BmixError(
            f"scheduler: images {shard.start} to {shard.stop} were not embedded ({reason}); "
            "what is done is kept: run it again"
        ) from error


def _write(images, place, out, shards, about):
    """Write the dataset of features, and remove the shards. images: with pixel hash and origin."""
    blocks = (shard.read()[:, None, None, :] for shard in shards)
    shape = (len(images.labels), 1, 1, shards[0].read().shape[1])
    digest = write_images(out / FEATURES, shape, blocks)
    if place is None:
        save_prepared(replace(images, origin=""), out / "images")
    features = replace(
        images,
        images=np.load(out / FEATURES, mmap_mode="r")[:, None, None, :],
        images_sha256=digest,
        name=out.name,
    )
    kept = {} if place is None else read_about(place)
    kept = {name: value for name, value in kept.items() if name not in OF_IMAGES}
    pictures = "images" if place is None else os.path.relpath(place, out)
    pictured = {"pictures": pictures, "pictures_sha256": images.images_sha256}
    sources = None if place is None else _read_sources(place)
    write_description(features, out, sha256=sources, about=kept | pictured | about)
    shutil.rmtree(out / "shards")


def _read_sources(place):
    """sha256 of the file of each image, (N,), as the table of the images says; or None."""
    import pandas as pd

    table = pd.read_csv(place / "table.csv", dtype=str, keep_default_na=False)
    return table["sha256"].to_numpy() if "sha256" in table else None
