"""Where a tower runs and with which numbers: device, precision, and two switches of PyTorch on a CPU."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from stackclip.errors import UsageError

__all__ = [
    "DTYPES",
    "choose_device",
    "choose_precision",
    "cost_of_bf16",
    "flush_denormals",
    "name_device",
    "plain_attention",
]

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

    bf16 and fp16 mean autocast over float32 weights. On most CPUs both are slower than fp32, so never chosen there.
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


def cost_of_bf16() -> float:
    """How long a matrix product takes on this CPU in bf16, of what it takes in float32: measured, in 20 ms."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        one, other = (torch.ones(shape, dtype=dtype) for shape in ((512, 512), (512, 256)))
        took = []
        for _ in range(7):
            start = time.perf_counter()
            torch.mm(one, other)
            took.append(time.perf_counter() - start)
        seconds[dtype] = min(took)  # others may be at work
    return seconds[torch.bfloat16] / seconds[torch.float32]


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
