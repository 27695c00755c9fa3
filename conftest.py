"""What nbval compares, and which tests start first.

nbval skips plotly's JSON: a sister cell prints its numbers, rounded.
"""

SKIPPED = ("application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json")


def pytest_collectstart(collector):
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare += SKIPPED


# the longest files, so that no worker begins one when the others have ended; tests of a file share
# fixtures, and stay together in one worker (--dist loadfile --no-loadscope-reorder)
LONGEST = (
    "07_sweep.ipynb",
    "09_your_data.ipynb",
    "10_defects.ipynb",
    "test_lab.py",
    "test_pages.py",
    "test_printed_commands.py",
    "test_sweep_chaos.py",
    "test_doors.py",
    "test_demo.py",
    "test_notebooks.py",
    "test_pools.py",
    "test_bccd.py",
    "test_crash.py",
    "test_sweep.py",
    "test_export.py",
    "test_models.py",
    "test_training.py",
    "test_fuzz_runs.py",
    "test_distributed.py",
)


def pytest_collection_modifyitems(items):
    """The files of LONGEST before all others, in their order."""
    items.sort(key=lambda item: _place(item.path.as_posix()))


def _place(path):
    return next((n for n, name in enumerate(LONGEST) if path.endswith(name)), len(LONGEST))
