"""Randomness as a pure function of (seed, purpose, epoch)."""

import hashlib

import numpy as np


def derive_seed(seed, purpose, epoch=0):
    """A 63-bit integer hashed from (seed, purpose, epoch), so that no two streams overlap.

    Adding a purpose, or drawing more for one of them, never changes what another one draws.
    """
    key = f"{int(seed)}/{purpose}/{int(epoch)}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1


def stream(seed, purpose, epoch=0):
    """A private numpy Generator, e.g. stream(0, "lam", epoch=3).

    The global generators are never touched.
    """
    return np.random.Generator(np.random.PCG64(derive_seed(seed, purpose, epoch)))
