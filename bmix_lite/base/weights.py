"""Files of weights as people have them: what is wrapped around a network's state is taken off."""

from collections.abc import Mapping

from bmix_lite.base.errors import BmixError

# under which training scripts put the state, in the order in which they are asked for
ENTRIES = (
    *("state_dict", "model_state_dict", "model_state", "model", "network", "net", "module"),
    *("params", "weights"),
)
COMPILED = "_orig_mod."  # what torch.compile puts before, or into, a name
SHOWN = 3  # names in a message


def unwrap_state(state, names, head=(), without=()):
    """The tensors of `state` by the names of a network; `state` is what a file holds.

    names: the network's own, in its order; head: beginnings of the names of its last layer, which
    is made anew, so that the file may lack it or have it for other classes; without: beginnings of
    names that the file may have and the network does not need.
    Taken off are entries such as "state_dict", and whatever stands before all names: "module." of
    DataParallel, "model." of Lightning, "_orig_mod." of torch.compile, "2." of the kit's own files.
    Raises BmixError, to which the caller adds the file, for what is no state of this network.
    """
    state = enter_state(state)
    state = {name.replace(COMPILED, ""): value for name, value in state.items()}
    prefix = _find_prefix(state, names)
    inside = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
    body = [name for name in names if not name.startswith(tuple(head))]
    missing = [name for name in body if name not in inside]
    # files of torch before 0.4.1 have no counters of batches
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    known = tuple(head) + tuple(without)
    strange = [name for name in inside if name not in names and not name.startswith(known)]
    if missing:
        raise BmixError(f"{_count(missing)} of the network missing in it")
    if strange:
        raise BmixError(f"{_count(strange)} in it that the network does not have")
    return {name: inside[name] for name in names if name in inside}


def enter_state(state):
    """The innermost of the entries that hold a state."""
    if not isinstance(state, Mapping):
        raise BmixError(f"it holds no state dict but a {type(state).__name__}")
    for entry in ENTRIES:
        if isinstance(state.get(entry), Mapping):
            return enter_state(state[entry])
    named = {name: value for name, value in state.items() if isinstance(name, str)}
    return {name: value for name, value in named.items() if hasattr(value, "shape")}


def _find_prefix(state, names):
    """What stands before the network's names in the file: the text with which most are found."""
    first = next(iter(names))
    prefixes = {name[: -len(first)] for name in state if f".{name}".endswith(f".{first}")}
    known = set(names)
    found = {
        prefix: sum(
            name.startswith(prefix) and name.removeprefix(prefix) in known for name in state
        )
        for prefix in sorted(prefixes)
    }
    most = max(found.values(), default=0)
    best = [prefix for prefix, count in found.items() if count == most]
    if not best:
        raise BmixError(
            f"it has no {first!r}; its first names are {', '.join(list(state)[:SHOWN])}"
        )
    if len(best) > 1:
        raise BmixError(f"it holds several such networks, {' and '.join(best)}: save one of them")
    return best[0]


def _count(names):
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} names ({', '.join(names[:SHOWN])}{more})"
