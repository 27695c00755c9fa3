"""Open files: what kernels of notebooks need, asked for before one starts."""

from bmix_lite.base.errors import BmixError

# measured with 1, 2 and 4 kernels: 8 and 28 for each, and 64 in a kernel; with something to spare
BASE = 64
PER_KERNEL = 32
FEWEST = 128


def require_files(jobs):
    """See that `jobs` kernels can be run side by side; the soft limit is raised where it may be.

    A kernel that meets the limit aborts inside its messaging library, without a word of Python.
    Raises BmixError, which names the limit and both ways out.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    needed = max(FEWEST, BASE + PER_KERNEL * int(jobs))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _reaches(soft, needed, resource):
        return
    highest = needed if _reaches(hard, needed, resource) else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    if highest < needed:
        fitting = (highest - BASE) // PER_KERNEL if highest >= FEWEST else 0
        fewer = f", or jobs={fitting}" if fitting > 0 else ""
        raise BmixError(
            f"Too many open files: {jobs} kernels at a time need about {needed}, this shell allows "
            f"{highest}: `ulimit -n {needed}` first{fewer}"
        )


def _reaches(limit, needed, resource):
    return limit == resource.RLIM_INFINITY or limit >= needed
