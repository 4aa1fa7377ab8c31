"""How a method is trained, and the checks of the numbers that say so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer

from stackclip.clip.device import DTYPES
from stackclip.errors import BadOption, BrokenPlugin
from stackclip.methods.method import Stage, Task, Terms
from stackclip.types import Features

__all__ = [
    "BETAS",
    "BILINEAR_POSITIONS",
    "OPEN_CLIP_POSITIONS",
    "adam",
    "check_schedule",
    "check_shots",
    "check_sigma",
    "descend",
    "descend_by",
    "lower_products",
    "schedule_of",
    "schedules_of",
]

logger = logging.getLogger(__name__)

AT_HAND = frozenset(("cpu",))
"""Devices whose numbers are read without waiting."""

BETAS = (0.5, 0.999)  # of Adam, in the released code of APRIL-GAN and of AnomalyCLIP

OPEN_CLIP_POSITIONS, BILINEAR_POSITIONS = "bicubic-antialias", "bilinear"
"""How released code resizes position embeddings; a method says it as its fact `released_positions`."""


def adam(parameters: Iterable[Tensor], *, lr: float, betas: tuple[float, float] = BETAS) -> Adam:
    """Adam that moves all parameters at once where PyTorch can, which is on a CPU and on a CUDA device."""
    learned = list(parameters)
    return Adam(learned, lr=lr, betas=betas, fused=all(each.device.type in ("cpu", "cuda") for each in learned))


def lower_products(head: Any, task: Task) -> None:
    """Let the matrix products of a head's training be made in the task's numbers; it is said of a head that cannot."""
    if task.precision == "fp32":
        return
    if hasattr(head, "products"):
        head.products = DTYPES[task.precision]
    else:
        logger.warning("%s is trained in fp32: it has no products in %s", type(head).__name__, task.precision)


def descend(optimiser: Optimizer, terms: Mapping[str, Tensor], *, clipped: Iterable[Tensor] = ()) -> Terms:
    """One step down the gradient of the term `loss`; returns the values of all terms.

    The gradients of `clipped` parameters are made no longer than 1, each by itself.
    Raises BrokenPlugin where no term is called so.
    """
    optimiser.zero_grad(set_to_none=True)
    _backward(terms)
    _move(optimiser, clipped)
    return _values(terms)


def descend_by(
    loss: Callable[[Features], Mapping[str, Tensor]],
    features: Features,
    optimiser: Optimizer,
    task: Task,
    *,
    clipped: Iterable[Tensor] = (),
) -> Terms:
    """`descend` the `loss` of a batch, whose terms are means over its pictures, `task.micro_batch` of them at once.

    The gradient is the sum of those of the micro-batches, by their share of the pictures: the same step up to rounding,
    in the memory of a micro-batch.
    """
    whole, totals = len(features), dict[str, float | Tensor]()
    at_once = task.micro_batch or whole
    optimiser.zero_grad(set_to_none=True)
    for start in range(0, whole, at_once):
        some = features.rows(start, start + at_once)
        terms, share = loss(some), len(some) / whole
        _backward(terms, share)
        for name, value in _values(terms).items():
            totals[name] = totals.get(name, 0.0) + share * value
    _move(optimiser, clipped)
    return totals


def _values(terms: Mapping[str, Tensor]) -> Terms:
    """The values of terms; those on a device stay there, as reading them would wait for all that it has to do."""
    values = torch.stack([term.detach().reshape(()) for term in terms.values()])
    return dict(zip(terms, values.tolist() if values.device.type in AT_HAND else values, strict=True))


def _backward(terms: Mapping[str, Tensor], share: float = 1.0) -> None:
    if "loss" not in terms:
        raise BrokenPlugin(f"its terms are {', '.join(terms) or 'none'}; wanted one called loss, which is descended")
    for name, term in terms.items():
        if not isinstance(term, Tensor) or term.numel() != 1:
            shape = tuple(term.shape) if isinstance(term, Tensor) else type(term).__name__
            raise BrokenPlugin(f"its term {name} is {shape}; wanted a tensor of one number")
    scaled = terms["loss"] if share == 1 else terms["loss"] * share
    scaled.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _move(optimiser: Optimizer, clipped: Iterable[Tensor]) -> None:
    for parameter in clipped:
        clip_grad_norm_(parameter, 1.0)
    optimiser.step()


def schedule_of(task: Task, stage: Stage, *, lr: float) -> dict[str, Any]:
    """How a stage that steps on every batch trains: epochs, rate, batch size and steps."""
    steps = stage.epochs * stage.steps(task.pictures)
    return {"epochs": stage.epochs, "lr": lr, "batch": stage.batch, "steps": steps}


def schedules_of(task: Task, stages: Iterable[Stage], *, lr: float) -> dict[str, dict[str, Any]]:
    """How each stage of a method with one rate trains, by name."""
    return {stage.name: schedule_of(task, stage, lr=lr) for stage in stages}


def check_schedule(epochs: int | None, lr: float | None) -> None:
    """Raise BadOption for a schedule that none can follow; None is what the method chooses."""
    if epochs is not None and epochs < 0:
        raise BadOption(f"epochs={epochs}; wanted 0 or more")
    if lr is not None and not 0 < lr < float("inf"):
        raise BadOption(f"lr={lr}; wanted a number above 0")


def check_shots(shots: int | str | None) -> None:
    """Raise BadOption for a number of shots below 0."""
    if isinstance(shots, int) and shots < 0:
        raise BadOption(f"shots={shots}; wanted 0 or more")


def check_sigma(sigma: float | None) -> None:
    """Raise BadOption for a Gaussian that there is not; None is what the method chooses."""
    if sigma is not None and not 0 <= sigma < float("inf"):
        raise BadOption(f"sigma={sigma}; wanted 0 pixels or more")
