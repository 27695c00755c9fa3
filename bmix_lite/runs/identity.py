"""Whose folder is this: what a run is called, and whether a folder holds the run of its name."""

import os
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import read_json
from bmix_lite.base.sameness import name_dataset

ABOUT = "recipe.json"
# as `folder.make_run_id` writes it; before 0.2 a split was called a fold
RUN_ID = re.compile(r".+-(?:split|fold)\d+-seed\d+-[0-9a-f]{10}")


def describe_recipe(method, recipe):
    """The readable part of a run id, "mixup-alpha0.2-cells-split0-seed3". recipe: its fields."""
    alpha = f"-alpha{recipe['alpha']:g}" if recipe["mixing"] != "none" else ""
    dataset = re.sub(r"[^\w-]+", "_", name_dataset(recipe["dataset"]))[:60]
    name = "split" if "split" in recipe else "fold"
    return f"{method}{alpha}-{dataset}-{name}{recipe[name]}-seed{recipe['seed']}"


def claimed_id(folder):
    """The folder's name if it is a run id, else None."""
    name = os.path.basename(os.path.abspath(folder))
    return name if RUN_ID.fullmatch(name) else None


def is_named_for(folder, about):
    """Whether a recipe.json, as a dict, is that of the run for which its folder is named.

    A name that a user chose claims nothing, and so does what another program wrote. Runs of earlier
    versions did not note their run id: there the readable part of the name has to do.
    """
    run_id = claimed_id(folder)
    readable = _describe(about)
    if run_id is None or readable is None:
        return True
    return about.get("run_id", run_id) == run_id and run_id.rsplit("-", 1)[0] == readable


def refuse_other_run(folder):
    """Raise BmixError if the folder holds another run than the one for which it is named."""
    try:
        about = read_json(Path(folder) / ABOUT)
    except (OSError, ValueError):  # none there, or half of one: nothing of another run
        return
    if not is_named_for(folder, about):
        other = about.get("run_id") or _describe(about)
        raise BmixError(f"{folder} belongs to another run, {other}: move it away, then run again")


def hash_content(data):
    """A fingerprint of prepared data that is the same for all splits; None for other data.

    So runs on several splits can be seen to be of one dataset, wherever it lay.
    """
    if not getattr(data, "images_sha256", ""):
        return None
    return replace(data, split=None).fingerprint


def _describe(about):
    """The readable part of the run id of a recipe.json; None where another program wrote it."""
    with suppress(LookupError, TypeError, ValueError):
        return describe_recipe(about["method"], about["recipe"])
    return None
