"""Features that a bench reads more than once, kept in the memory of the device or of the host where they fit."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from stackclip.cache import Store, decode, is_mask, part_bytes, part_shape
from stackclip.errors import UsageError
from stackclip.ops.memory import available_memory
from stackclip.ops.words import counted
from stackclip.types import Part, Sample

__all__ = [
    "GPU_SHARE",
    "RAM_SHARE",
    "Kept",
    "Residence",
    "Resident",
    "choose_residence",
    "exact_dtype",
    "transfer_dtype",
]

logger = logging.getLogger(__name__)

Resident = Literal["auto", "gpu", "ram", "off"]
"""Where features stay: chosen by their size, in the device's memory, in the host's, or nowhere."""

GPU_SHARE = RAM_SHARE = 0.5  # of what is free, that `auto` takes at most: steps and metrics need the rest


@dataclass(frozen=True, slots=True)
class Residence:
    """Where features stay, and why: the bytes that they need, and those that were free there (None where unknown)."""

    place: Literal["gpu", "ram", "off"]
    pictures: int
    needed: int
    free: int | None

    def __str__(self) -> str:
        where = {"gpu": "kept on the device", "ram": "kept in memory", "off": "too large to keep, read each time anew"}
        free = "free memory unknown" if self.free is None else f"{_in_words(self.free)} free"
        return (
            f"features of {counted(self.pictures, 'picture')}, {_in_words(self.needed)}: {where[self.place]} ({free})"
        )


def choose_residence(wish: Resident, *, pictures: int, on_device: int, on_host: int, device: torch.device) -> Residence:
    """Where features stay that need `on_device` bytes there, or `on_host` bytes here.

    `auto` is the device if it is a CUDA one and half of its free memory is enough, else the host on the same terms,
    else nowhere. Raises UsageError for a place that is named and does not exist or is too small.
    """
    if wish == "off":
        return Residence("off", pictures, on_host, None)
    if wish == "gpu" and device.type != "cuda":
        raise UsageError(f"--resident gpu wants a CUDA device, this one is {device.type}: use --resident ram")
    if device.type == "cuda" and wish != "ram":
        free = _free_on(device)
        if on_device <= free * (GPU_SHARE if wish == "auto" else 1):
            return Residence("gpu", pictures, on_device, free)
        if wish == "gpu":
            raise _too_small("the device", pictures, on_device, free)
    available = available_memory()
    if wish == "ram" and available is not None and on_host > available:
        raise _too_small("memory", pictures, on_host, available)
    fits = wish == "ram" or (available is not None and on_host <= available * RAM_SHARE)
    return Residence("ram" if fits else "off", pictures, on_host, available)


class Kept:
    """The features of some samples: read when they are first asked for, and kept from then on as they are stored.

    Threads may share one; a process that it is sent to begins with nothing.
    """

    def __init__(
        self,
        store: Store,
        samples: Iterable[Sample],
        parts: Iterable[Part],
        *,
        device: torch.device,
        resident: Resident = "auto",
    ) -> None:
        """Choose where the parts of the samples are to stay; raises what `choose_residence` raises."""
        self.store, self.device, self.resident = store, device, resident
        self.samples, self.parts = frozenset(samples), frozenset(parts)
        bytes_of = {place: sum(_row_bytes(store, part, place) for part in self.parts) for place in ("gpu", "ram")}
        count = len(self.samples)
        self.residence = choose_residence(
            resident,
            pictures=count,
            on_device=count * bytes_of["gpu"],
            on_host=count * bytes_of["ram"],
            device=device,
        )
        self._rows: dict[Part, dict[Sample, Any]] = {part: {} for part in self.parts}
        self._silent, self._lock = resident == "off", threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.store, self.samples, self.parts, self.device, self.resident)

    def serves(self, samples: Iterable[Sample], parts: Iterable[Part]) -> bool:
        """Whether these are kept, or will be from the first time on."""
        if not (self.samples.issuperset(samples) and self.parts.issuperset(parts)):
            return False
        with self._lock:
            silent, self._silent = self._silent, True
        if not silent:
            logger.info("%s", self.residence)
        return self.residence.place != "off"

    def batch(self, samples: Sequence[Sample], parts: Iterable[Part]) -> dict[Part, Tensor]:
        """Parts of the samples on the device: float32, masks uint8. Raises what `Store.batch` raises."""
        wanted = tuple(parts)
        lacking = [sample for sample in dict.fromkeys(samples) if any(sample not in self._rows[p] for p in wanted)]
        if lacking:
            self._read(lacking, wanted)
        return {part: self._gathered([self._rows[part][sample] for sample in samples], part) for part in wanted}

    def _read(self, samples: Sequence[Sample], parts: Sequence[Part]) -> None:
        """Keep rows of arrays that hold no other rows, so that what is kept takes no more than was reckoned."""
        on_device = self.residence.place == "gpu"
        arrays = self.store.batch(samples, parts, dtype=exact_dtype(self.store) if on_device else None)
        for part, array in arrays.items():
            kept = self._rows[part]
            new = [index for index, sample in enumerate(samples) if sample not in kept]
            rows: Any = torch.from_numpy(array).to(self.device) if on_device else array
            rows = rows if len(new) == len(samples) else rows[new]
            kept.update(zip([samples[index] for index in new], rows, strict=True))

    def _gathered(self, rows: Sequence[Any], part: Part) -> Tensor:
        if self.residence.place == "gpu":
            together = torch.stack(list(rows))
            return together if is_mask(part) else together.float()
        if is_mask(part):
            return torch.from_numpy(np.stack(rows)).to(self.device)
        shape = (len(rows), *part_shape(part, self.store.spec))
        batch = self.store.buffers.empty(shape, transfer_dtype(self.store, self.device))
        for row, into in zip(rows, batch, strict=True):
            decode(row, into)
        return torch.from_numpy(batch).to(self.device).float()


def exact_dtype(store: Store) -> DTypeLike:
    """The smallest floating type in which the store's features lose nothing."""
    return np.float16 if store.feature_dtype == "float16" else np.float32


def transfer_dtype(store: Store, device: torch.device) -> DTypeLike:
    """How features leave the host: as they are worked on for the CPU, as small as they can be for other devices."""
    return np.float32 if device.type == "cpu" else exact_dtype(store)


def _again(
    store: Store, samples: frozenset[Sample], parts: frozenset[Part], device: torch.device, resident: Resident
) -> Kept:
    return Kept(store, samples, parts, device=device, resident=resident)


def _row_bytes(store: Store, part: Part, place: str) -> int:
    """The bytes of one kept row."""
    if is_mask(part):
        return store.spec.frame.size.area
    if place == "gpu":
        return math.prod(part_shape(part, store.spec)) * np.dtype(exact_dtype(store)).itemsize
    return part_bytes(part, store.spec, dtype=store.feature_dtype)


def _free_on(device: torch.device) -> int:
    """The bytes of a CUDA device that are free, or held by PyTorch and unused."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _too_small(place: str, pictures: int, needed: int, free: int) -> UsageError:
    found = f"features of {counted(pictures, 'picture')} need {_in_words(needed)}, {place} has {_in_words(free)} free"
    return UsageError(f"{found}: use --resident auto or off")


def _in_words(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
