"""Checkpoints that survive `kill -9` and notice a flipped bit; files of models and weights."""

import contextlib
import hashlib
import io
import json
import math
import os
import pickle
import warnings
from pathlib import Path

import torch

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import remove_leftovers, write_atomic
from bmix_lite.base.weights import enter_state, unwrap_state
from bmix_lite.inference import held

HEADER = b"bmix-lite checkpoint 1\n"  # the number is the format version
# what decides over the bytes of a file of torch: (read, write, value)
FILE_SETTINGS = [
    (torch.serialization.get_crc32_options, torch.serialization.set_crc32_options, True)
]


def save_checkpoint(path, state):
    """Write `state` (tensors and plain values) after its sha256; the previous one is kept."""
    path = Path(path)
    body = _to_bytes(state)
    fresh = path.with_suffix(".new")
    write_atomic(fresh, HEADER + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    if path.exists():
        os.replace(path, previous(path))
    os.replace(fresh, path)


def note_progress(path, recipe, history):
    """Write beside the checkpoint `path` how far training is, for whoever watches from outside."""
    scores = [record[f"val_{recipe.monitor}"] for record in history]
    best = max((score for score in scores if not math.isnan(score)), default=0.0)
    seen = {"epoch": history[-1]["epoch"], "epochs": recipe.epochs, "best": best}
    with contextlib.suppress(OSError):  # nobody's training ends because it cannot be watched
        write_atomic(Path(path).with_suffix(".json"), json.dumps(seen), durable=False)


def load_checkpoint(path):
    """The newest state that is whole, or None if there is no checkpoint.

    A damaged file is passed over with a warning if the previous one is whole, else it raises
    BmixError.
    """
    path = Path(path)
    remove_leftovers(path.parent)
    faults = []
    for candidate in (path, previous(path)):
        if not candidate.exists():
            continue
        try:
            state = _read(candidate)
        except BmixError as error:
            faults.append(str(error))
            continue
        for fault in faults:
            warnings.warn(f"{fault}; going on from {candidate.name}", stacklevel=2)
        return state
    if faults:
        raise BmixError(
            f"no usable checkpoint: {'; '.join(faults)}. Delete the folder to start again"
        )
    return None


def describe_run(recipe, data):
    """What a state says of its run: `require_same_run` compares it."""
    return {
        "recipe": recipe.asdict(),
        "weights": recipe.identity()["weights"],
        "fingerprint": data.fingerprint,
    }


def save_finished(path, recipe, data, weights, history):
    """Write the checkpoint of a training that is over: `train` goes on with `recipe.posthoc`.

    weights: the file that `save_model` wrote of it; history: its records. Raises BmixError for a
    file that holds something else.
    """
    try:
        model = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        raise BmixError(f"{weights}: no weights of a network ({error})") from error
    ending = {"model": model, "optimizer": None, "best": model, "history": history}
    save_checkpoint(path, describe_run(recipe, data) | ending)


def require_same_run(state, recipe, data, path):
    """Raise BmixError unless the state at `path` is of this recipe and these data.

    Where the data lie may differ: their fingerprint says what they are.
    """
    theirs = dict(state["recipe"])
    # a field of an older version is empty unless used
    ours = dict.fromkeys(theirs, "") | recipe.asdict()
    if "weights" in state:  # by their content; an older version kept the path alone
        theirs["weights"] = state["weights"]
        ours["weights"] = recipe.identity()["weights"]
    is_same_data = state["fingerprint"] == data.fingerprint
    differences = []
    for name, value in ours.items():
        if theirs.get(name) != value and not (name == "dataset" and is_same_data):
            differences.append(f"{name}: {theirs.get(name)!r} there, {value!r} here")
    if differences:
        raise BmixError(f"{path} belongs to another run ({'; '.join(differences)})")
    if not is_same_data:
        words = f"{path} was made with other data than this {data.name!r}: fingerprints differ"
        raise BmixError(words)


def previous(path):
    """Where the last but one checkpoint lies."""
    return Path(path).with_suffix(".previous")


def save_model(model, path):
    """Write the weights of `model`; equal weights give equal files, on every device."""
    order = torch.contiguous_format
    weights = {
        name: tensor.detach().cpu().clone(memory_format=order)
        for name, tensor in model.state_dict().items()
    }
    write_atomic(path, _to_bytes(weights))


def load_model(model, path):
    """Read weights into `model` in place and return it; BmixError names a misfit file."""
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (
        Exception
    ) as error:  # torch raises many kinds for files that are cut, foreign or of another network
        raise BmixError(f"{path}: no weights for this network ({error})") from error
    return model


def load_weights(net, path, head, without=(), convert=None):
    """Weights from a file into a network; those of its last layer, `head`, only where they fit.

    head: the beginning of its names, or several; without: beginnings of names to pass over
    convert: function of what the file holds that puts it under the network's names
    """
    if path in ("", "imagenet"):
        return
    if not Path(path).is_file():
        raise BmixError(f"weights must be '', 'imagenet' or a file, and there is no file {path!r}")
    try:
        if Path(path).suffix == ".npz":
            net.load_pretrained(path)
            return
        own = net.state_dict()
        heads = (head,) if isinstance(head, str) else head
        state = _read_state(path)
        if convert is not None:
            state = convert(enter_state(state))
        state = unwrap_state(state, own, heads, without)
        for name in (name for name in own if name.startswith(heads)):
            if name not in state or state[name].shape != own[name].shape:
                state[name] = own[name]  # it is made anew in any case
        net.load_state_dict(state)
    except pickle.UnpicklingError as error:
        rule = "must hold tensors only, as torch.save(model.state_dict(), path) writes them"
        raise BmixError(f"weights {path!r} {rule} ({error!s:.200})") from error
    except Exception as error:
        words = " ".join(str(error).split())  # torch's are of several lines
        raise BmixError(f"weights {path!r} do not fit the network: {words:.400}") from error


def _read_state(path):
    """What a file of weights holds, on the CPU, wherever it was saved."""
    if Path(path).suffix != ".safetensors":
        return torch.load(path, map_location="cpu", weights_only=True)
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise BmixError("a .safetensors file needs: pip install safetensors") from error
    return load_file(path)


def _to_bytes(value):
    buffer = io.BytesIO()
    with held(FILE_SETTINGS):
        torch.save(value, buffer)
    return buffer.getvalue()


def _read(path):
    content = path.read_bytes()
    header, _, rest = content.partition(b"\n")
    if header + b"\n" != HEADER:
        raise BmixError(
            f"{path}: not a checkpoint of this version (expected {HEADER.decode().strip()!r})"
        )
    digest, _, body = rest.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise BmixError(f"{path}: damaged, its content does not match its sha256")
    try:
        return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for content it will not unpickle
        raise BmixError(
            f"{path}: refused, it holds more than tensors and plain values ({error})"
        ) from error
