"""Numbers and arrays as people bring them: of NumPy, of torch, in lists; torch is not imported."""

import numpy as np


def plain_number(value):
    """Python's own number for one of NumPy or torch, also in an array of no dimension.

    Anything else comes back as it is.
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def from_torch(values):
    """A tensor, on whatever device, as a NumPy array; anything else comes back as it is.

    Also a list of tensors; bfloat16, which NumPy does not have, becomes float32.
    """
    if isinstance(values, (list, tuple)) and any(hasattr(value, "detach") for value in values):
        return np.array([from_torch(value) for value in values])
    if not hasattr(values, "detach"):
        return values
    values = values.detach().cpu()
    if str(values.dtype) == "torch.bfloat16":
        values = values.float()
    return values.numpy()


def rounding(values):
    """Half the gap between 1 and the next number of the type of `values`; 0 for no floats."""
    name = str(getattr(values, "dtype", "")).removeprefix("torch.")
    if name == "bfloat16":
        return 2.0**-8
    try:
        return float(np.finfo(name).eps) / 2
    except (TypeError, ValueError):
        return 0.0
