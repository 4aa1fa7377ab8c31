"""The component on trial, the synthetic task that it is tried on, and what it means to break a promise."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.clip import TextEncoder, Tower, random_tower
from stackclip.clip.views import by_view, moved, seen_pixels
from stackclip.errors import StackclipError
from stackclip.methods import Composition, Method, Task
from stackclip.ops.maps import unit
from stackclip.registry import Component, Spec
from stackclip.training.text import TaskEncode
from stackclip.types import ANOMALOUS, CLS, GOOD, MASK, NORMAL, PICTURE, Features, Part, Sample

__all__ = [
    "CATEGORIES",
    "GATES",
    "MANY",
    "UNSEEN",
    "Promises",
    "Subject",
    "Unkept",
    "encoded",
    "features_of",
    "gate",
    "global_randomness_untouched",
    "noisy_features",
    "picture_of",
    "require",
    "require_all",
    "require_close",
    "task_of",
    "trial_encode",
    "trial_tower",
]


@dataclass(frozen=True, slots=True)
class Subject:
    """The component on trial; every `make` is a new one. `data_root` is where a data set's own pictures lie."""

    component: Component
    spec: Spec
    data_root: Path | None = None

    def make(self) -> Any:
        return self.component.create(self.spec)

    def method(self) -> Method:
        """The component as a method: a prompt strategy is run through the pipeline."""
        if self.component.shelf == "prompts":
            return Composition(self.component.name, self.component.doc).create(self.spec)
        method: Method = self.make()
        return method


class Unkept(StackclipError):
    """A promise was not kept; the message is the reason."""


Promise = Callable[[Subject], str | None]
"""Raises Unkept, or returns what there is to say of it."""

Promises = Mapping[str, Promise]
GATES: set[Promise] = set()
"""Promises without which there is nothing to try: where one of them is not kept, the others would fail by the same."""


def gate(promise: Promise) -> Promise:
    GATES.add(promise)
    return promise


def require(kept: bool, reason: str) -> None:
    if not kept:
        raise Unkept(reason)


def require_all(made: object, *names: str, what: str = "it") -> None:
    """Require methods and facts by name; those that are lacking are named together."""
    lacking = [name for name in names if not hasattr(made, name)]
    require(not lacking, f"{what} lacks {', '.join(lacking)}")


def require_close(found: Tensor, wanted: Tensor, reason: str, tolerance: float = 1e-4) -> None:
    require(found.shape == wanted.shape, f"{reason}: shapes {tuple(found.shape)} and {tuple(wanted.shape)}")
    apart = float((found - wanted).abs().max()) if found.numel() else 0.0
    require(apart <= tolerance, f"{reason}: {apart:.2g} apart")


@contextmanager
def global_randomness_untouched() -> Iterator[None]:
    before = _global_randomness()
    yield
    for source, state in _global_randomness().items():
        kept = state == before[source]
        require(kept, f"it drew from, or seeded, the global state of {source}: draw from a generator of your own")


def _global_randomness() -> dict[str, Any]:
    _, numbers, *rest = np.random.get_state()
    return {
        "random": random.getstate(),
        "numpy": (bytes(np.asarray(numbers)), *rest),
        "torch": torch.get_rng_state().tolist(),
    }


_CHANGES = ("move-", "jitter-", "live-")
CATEGORIES = ("bottle", "metal nut", "t-shirt")
MANY = (*CATEGORIES, "pcb1", "pcb2", "o-ring 2")
UNSEEN = ("zipper", "tin can lid", "usb-c plug", "macaroni2", "pipe_fryum")


@cache
def trial_tower() -> Tower:
    return random_tower(image_size=32)


@cache
def trial_encode() -> TaskEncode:
    """The random tower's text side, with the class means of random pictures."""
    return TaskEncode(TextEncoder(trial_tower()), _trial_mean)


def _trial_mean(category: str) -> Tensor:
    name = category.replace("_", " ")
    return unit(encoded(noisy_features(3, [*name.encode()]), {CLS})[CLS]).mean(0)


def noisy_features(count: int, seed: Sequence[int]) -> Tensor:
    """Noise at the tower's size: (count, 3, H, W)."""
    shape = (count, 3, *trial_tower().spec.frame.size)
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, np.float32))


def encoded(pictures: Tensor, parts: set[Part] | frozenset[Part]) -> dict[Part, Tensor]:
    found: dict[Part, Tensor] = {}
    for view, asked in by_view(parts).items():
        seen = _in_view(pictures, view)
        given = trial_tower().encode(seen, sorted(part for part in asked if part != PICTURE))
        found |= {asked[part]: tensor for part, tensor in given.items()}
        found |= {part: seen for plain, part in asked.items() if plain == PICTURE}
    return found


def _in_view(pictures: Tensor, view: str) -> Tensor:
    """Prepared pictures (B, 3, H, W) in a view, at the same size; masks (B, H, W) where it moves them."""
    if not view:
        return pictures
    if view.startswith(_CHANGES):  # of pictures that are prepared, so their colours stay
        return torch.from_numpy(np.stack([moved(each, view, str(n)) for n, each in enumerate(pictures.numpy())]))
    turned = [torch.from_numpy(seen_pixels(each.permute(1, 2, 0).numpy(), view).copy()) for each in pictures]
    return F.interpolate(torch.stack(turned).permute(0, 3, 1, 2), size=pictures.shape[2:], mode="bilinear")


def features_of(parts: frozenset[Part], categories: Sequence[str], *, seed: int = 0) -> Features:
    """Two noise pictures a category, one normal and one with a brighter square, whose mask is known."""
    samples, masks = [], []
    pictures = noisy_features(2 * len(categories), [seed])
    height, width = pictures.shape[-2:]
    for index in range(len(pictures)):
        label = (NORMAL, ANOMALOUS)[index % 2]
        mask = torch.zeros(height, width)
        mask[height // 4 : height // 2, width // 4 : width // 2] = label
        pictures[index] += 4 * mask
        masks.append(mask)
        name = f"{index:03d}.png"
        defect = "square" if label == ANOMALOUS else GOOD
        category = categories[index // 2]
        samples.append(Sample(name, "synthetic", category, "test", Path(name), None, label, defect))
    tensors, mask = encoded(pictures, parts - {MASK}), torch.stack(masks)
    seen = {Part("mask", view=view): _in_view(mask, view) for view in by_view(parts) if view.startswith(_CHANGES)}
    return Features(tuple(samples), {**tensors, MASK: mask, **seen})


def task_of(categories: tuple[str, ...] = CATEGORIES, **changes: Any) -> Task:
    tower = trial_tower()
    task = Task(
        tower=tower.spec,
        encode=trial_encode(),
        categories=categories,
        train_on=("synthetic",),
        seed=0,
        device=tower.device,
        epochs=None,
        text=tower.text,
        image=tower.image,
        pictures=2 * len(categories),
    )
    return replace(task, **changes)


def picture_of(features: Features, row: int) -> Features:
    """One picture of a batch, as a batch."""
    return Features((features.samples[row],), {part: tensor[row : row + 1] for part, tensor in features.parts.items()})
