"""A sweep on a cluster, started from the repository's folder:

    python notebooks/cluster.py here | slurm | kubernetes

All machines must see this folder under the same path (a shared file system) and have
bmix-lite[cluster] installed. Edit the entry of your cluster; the sweep itself stays as it is. Start
it again after any interruption: it goes on.

By hand, with a worker for each GPU or core, on any machine, at any time:

    dask scheduler --host 127.0.0.1 --port 8786 &
    dask worker tcp://127.0.0.1:8786 --nthreads 1 &
    python -m bmix_lite sweep notebooks/05_train.ipynb --grid seed=0:5 --grid epochs=20 \\
        --out build/seeds --scheduler tcp://127.0.0.1:8786

These commands and `here` were run; of `slurm` the job script was checked, `kubernetes` was not run.
"""

import sys

from distributed import Client, LocalCluster

from bmix_lite.pages.sweep_report import write_report
from bmix_lite.sweeps.sweep import describe_endings, expand_grid, run_grid

GRID = expand_grid(method=["balanced_mixup"], alpha=[0.1, 0.2, 0.3], epochs=[20], seed=range(2))
OUT = "build/cluster"


def start_here():
    """Two workers on this machine, to try out the rest."""
    return LocalCluster(n_workers=2, threads_per_worker=1)


def start_slurm():
    """Twenty jobs of one GPU each; needs dask-jobqueue."""
    from dask_jobqueue import SLURMCluster

    options = {"queue": "gpu", "walltime": "04:00:00", "job_extra_directives": ["--gres=gpu:1"]}
    cluster = SLURMCluster(cores=1, processes=1, memory="16 GB", **options)
    cluster.scale(jobs=20)
    return cluster


def start_kubernetes():
    """Twenty pods that mount the same volume; needs dask-kubernetes and its operator."""
    from dask_kubernetes.operator import KubeCluster

    return KubeCluster(name="bmix", image="your/image-with-bmix-lite", n_workers=20)


STARTS = {"here": start_here, "slurm": start_slurm, "kubernetes": start_kubernetes}

if __name__ == "__main__":
    with STARTS[sys.argv[1]]() as cluster, Client(cluster) as client:
        endings = run_grid("notebooks/05_train.ipynb", GRID, OUT, scheduler=client)
    print(describe_endings(endings))
    print(*write_report(OUT), sep="\n")
