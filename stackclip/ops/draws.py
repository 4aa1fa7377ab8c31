"""Random numbers: what one piece of work draws from the global generators is nothing to what comes after it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["same_draws_after"]


@contextmanager
def same_draws_after(device: torch.device) -> Iterator[None]:
    """Put the generators of Python, NumPy, PyTorch and the device back to where they were before the block."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
