"""Features made by two workers of a real Dask cluster, one of which is killed."""

from collections import Counter
from importlib.util import find_spec
from threading import Thread

import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.data.prepared import save_prepared
from bmix_lite.preparation import embed as module
from bmix_lite.preparation.embed import embed
from conftest import miss
from examples import file_contents
from sweeps.test_pools import Dask
from tiny import make
from toy_sweeps import PATIENCE, wait_until

QUICK = dict(model="small_cnn", weights="", size=8, progress=False)
# what each worker runs first: its shards take a moment, and are noted when they begin
SLOWLY = """
import os, time
from bmix_lite.preparation import shards
def make_slowly(shard, *rest, make_shard=shards.make_shard):
    with open({log!r}, "a") as file:
        file.write(f"{{os.getpid()}} {{shard.start}}\\n")
    time.sleep(0.3)
    make_shard(shard, *rest)
if shards.make_shard.__name__ != "make_slowly":  # Dask runs this file twice
    shards.make_shard = make_slowly
"""


def read_begun(log):
    """(process, start of the shard) of each shard that a worker began."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [tuple(map(int, line.split())) for line in lines]


@pytest.fixture
def dask(tmp_path):
    if find_spec("distributed") is None:
        miss("Dask is not installed")
    (tmp_path / "dask").mkdir()
    cluster = Dask(tmp_path / "dask")
    yield cluster
    cluster.close()


def test_a_lost_worker_costs_its_shard_and_the_features_are_those_of_one_machine(
    dask, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "SHARD", 4)
    save_prepared(make((0, 1) * 20), tmp_path / "toy")
    log = tmp_path / "begun"
    (tmp_path / "slowly.py").write_text(SLOWLY.format(log=str(log)))
    lost, _ = (dask.worker("--no-nanny", "--preload", str(tmp_path / "slowly.py")) for _ in "12")
    dask.wait_for_workers(2)
    faults = []

    def run():
        try:
            embed(tmp_path / "toy", out=tmp_path / "there", scheduler=dask.address, **QUICK)
        except BmixError as error:
            faults.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: lost.pid in dict(read_begun(log)), "the worker has begun a shard")
    lost.kill()
    lost.wait()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert faults == []
    begun = Counter(start for _, start in read_begun(log))
    assert set(begun) == set(range(0, 40, 4))
    assert sum(begun.values()) <= 11  # the one that was lost, once more
    embed(tmp_path / "toy", out=tmp_path / "here", **QUICK)
    contents = [
        file_contents(tmp_path / name, leave_out=["dataset.json"]) for name in ("there", "here")
    ]
    assert contents[0] == contents[1]
