"""Where a tower runs and with which numbers: device, precision, and two switches of PyTorch on a CPU."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

import torch

from stackclip.errors import UsageError

__all__ = [
    *("DTYPES", "bf16_share", "choose_device", "choose_precision", "flush_denormals", "name_device", "plain_attention"),
    "settle_threads",
]

_FEW = 1 << 16  # numbers of a picture's tokens: 25 thousand of stackclip-tiny, 151 of ViT-B/16 at 224
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is the first CUDA device, else the CPU (others only when named).

    Raises UsageError for a device that is not here, or that PyTorch can spell and not compute on.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with warnings.catch_warnings(action="ignore"):  # of names that PyTorch gave up
            device = torch.device(name)
    except (RuntimeError, ValueError):
        raise UsageError(f"{name!r} is no device, wanted auto, cpu, cuda, cuda:1 or mps") from None
    count = {"cuda": torch.cuda.device_count(), "cpu": 1}.get(device.type)
    if count is not None and (device.index or 0) >= count:
        raise UsageError(f"{name} was asked for, this machine has {count}: use --device cpu")
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.ones(1, device=device).add(1).item()
    except Exception as error:  # a back end that is not there fails in its own way: AssertionError, NotImplementedError
        raise UsageError(f"{name} was asked for, this PyTorch cannot compute on it: use --device cpu") from error
    return device


def choose_precision(
    name: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device
) -> Literal["fp32", "bf16", "fp16"]:
    """The numbers of the image forward: `auto` is bf16 on a GPU (fp16 on one older than Ampere), fp32 elsewhere.

    On most CPUs bf16 and fp16 are slower than fp32, so never chosen there; `bf16_share` says what bf16 costs.
    """
    if name not in ("auto", *DTYPES):
        raise UsageError(f"{name!r} is no precision, wanted auto, fp32, bf16 or fp16")
    if name != "auto":
        return name
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"


def name_device(device: torch.device) -> str:
    """What a device is: the model of a GPU, else its type."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextmanager
def plain_attention() -> Iterator[None]:
    """Keep attention off PyTorch's fused inference path: one picture at a time, the plain one is faster on a CPU.

    It keeps long sequences in the processor's cache (1.25 times the speed for ViT-L/14 at 518 pixels). The switch
    belongs to the process and is put back on leaving.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def flush_denormals() -> bool:
    """Let this thread round numbers below 1e-38 to zero from now on; False where the CPU cannot.

    Saturated softmaxes make such numbers, and a CPU takes a hundred cycles for each. PyTorch offers no way to ask for
    the state before, so nothing here calls this unasked: a program calls it once, where it begins.
    """
    return torch.set_flush_denormal(True)


def settle_threads(numbers: int, device: torch.device) -> None:
    """Have PyTorch compute in one thread on a CPU where the tokens of a picture are few `numbers`, else in all it had.

    Small products take less time than it takes to share them, and in one thread figures do not depend on how many
    processors there are. OMP_NUM_THREADS and MKL_NUM_THREADS have the last word. This is of the whole process.
    """
    if not any(map(os.environ.get, _THREADS)):
        _settled.settle(1 if device.type == "cpu" and numbers < _FEW else None)


class _Settled:
    """The threads that PyTorch had when they were not ours."""

    def __init__(self) -> None:
        self._had = self._ours = 0

    def settle(self, threads: int | None) -> None:
        """Have so many, or None: as many as there were, which is what somebody else said last."""
        if torch.get_num_threads() != self._ours:
            self._had = torch.get_num_threads()
        self._ours = threads or self._had
        torch.set_num_threads(self._ours)


_settled = _Settled()


def bf16_share() -> float:
    """What a product of a block of ViT-B/16 takes in bf16 on this CPU, of what it takes in float32: measured now."""
    seconds = {dtype: list[float]() for dtype in (torch.float32, torch.bfloat16)}
    factors = {dtype: [torch.ones(size, dtype=dtype) for size in ((197, 768), (768, 768))] for dtype in seconds}
    with torch.inference_mode():
        for _ in range(8):
            for dtype, (tokens, weight) in factors.items():
                started = perf_counter()
                torch.nn.functional.linear(tokens, weight)
                seconds[dtype].append(perf_counter() - started)
    return min(seconds[torch.bfloat16]) / min(seconds[torch.float32])
