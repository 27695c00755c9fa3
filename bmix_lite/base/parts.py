"""The parts of a dataset that a training uses beside the training images."""

from bmix_lite.base.errors import BmixError

USES = {"val": "to choose an epoch with", "test": "to report a score on"}


def require_rows(data):
    """Raise BmixError unless val and test have images; data: an ImageSet, or what is like one."""
    for part, use in USES.items():
        if len(data.rows(part)) == 0:
            raise BmixError(f"dataset {data.name!r} has no {part!r} rows {use}")


def require_parts(data):
    """Raise BmixError unless val and test have images of every class; data: as `require_rows`."""
    require_rows(data)
    for part, use in USES.items():
        counts = data.counts(part)
        missing = [name for name, count in zip(data.class_names, counts, strict=True) if not count]
        if missing:
            raise BmixError(
                f"dataset {data.name!r} has no {part!r} images of "
                f"{', '.join(map(repr, missing))} {use}: prepare it with the class merged with "
                "another or left out, or without that part, which a fold of train then replaces"
            )
