"""Pictures on their way to the device of a tower, and features on their way back, while the host goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stackclip.cache.preparation import Encoder
from stackclip.types import Part

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Coming", "is_awaited", "sent"]

Coming = Callable[[], Mapping[Part, NDArray[np.float16]]]
"""Gives the features of a batch (B, ...) as soon as they are here."""


def is_awaited(tower: Encoder) -> bool:
    """Whether the tower computes beside the host, which may go on until it needs what comes of it."""
    device = getattr(tower, "device", None)
    return device is not None and device.type == "cuda"


def sent(tower: Encoder, pictures: Sequence[NDArray[np.float32]], parts: Sequence[Part]) -> Coming:
    """Have the parts of prepared pictures computed.

    Nothing waits for a CUDA device: pictures and features are copied from and to pinned memory beside whatever the host
    does, in the order of the device's stream.
    """
    import torch

    batch = torch.from_numpy(np.stack(pictures))  # (B, 3, H, W)
    if not is_awaited(tower):
        given = {part: each.to(torch.float16).cpu().numpy() for part, each in tower.encode(batch, parts).items()}
        return lambda: given
    return _copied_back(tower.encode(batch.pin_memory(), parts), tower.device)  # type: ignore[attr-defined]  # asked above


def _copied_back(features: Mapping[Part, Tensor], device: torch.device) -> Coming:
    """Copy features to the host, halved in size on the device; what is given waits until that is done."""
    import torch

    here = {}
    for part, each in features.items():
        here[part] = torch.empty(each.shape, dtype=torch.float16, pin_memory=True)
        here[part].copy_(each.to(torch.float16), non_blocking=True)
    copied: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch's own
    copied.record(torch.cuda.current_stream(device))

    def arrived() -> Mapping[Part, NDArray[np.float16]]:
        copied.synchronize()
        return {part: each.numpy().copy() for part, each in here.items()}  # pinned memory serves the next batch

    return arrived
