"""One root seed, and from it a named, independent stream of random numbers for each use."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(root: int, *names: str | int) -> int:
    """Derive an independent seed in [0, 2**31) from a root seed and the path of its use.

    >>> derive_seed(0, "search", 1) == derive_seed(0, "search", 1) != derive_seed(0, "search", 2)
    True
    """
    digest = hashlib.sha256("/".join(map(str, (root, *names))).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


def torch_rng(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a torch generator with this seed."""
    return torch.Generator(device=device).manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python inside the block; put them back after.

    For code that draws from them and cannot be told otherwise: layers that initialise themselves.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
