"""A running Dask cluster: found, or told in words why not."""

from bmix_lite.base.errors import BmixError

ADDRESS = "address of a running Dask scheduler, such as tcp://node1:8786"  # as commands ask for it


def connect(scheduler):
    """(client of a Dask cluster, whether it is ours to close).

    scheduler: address such as "tcp://node1:8786", or a Client, which stays open. Raises BmixError
    where Dask is missing, nothing answers, or `scheduler` is neither.
    """
    try:
        from distributed import Client
    except ImportError as error:
        fix = "pip install bmix-lite[cluster]"
        raise BmixError(f"scheduler: Dask is not installed: {fix}") from error
    is_ours = isinstance(scheduler, str)
    try:
        client = Client(scheduler, timeout="20s") if is_ours else scheduler
    except (OSError, ValueError, TimeoutError) as error:
        raise BmixError(
            f"scheduler: no Dask scheduler answers at {scheduler!r} ({error})"
        ) from error
    if not hasattr(client, "get_executor"):
        raise BmixError(f"scheduler must be an address or a Client, got {scheduler!r}")
    return client, is_ours
