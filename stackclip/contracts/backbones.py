"""What backbones and executors promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stackclip.clip import Tower
from stackclip.contracts.trial import (
    Promises,
    Subject,
    global_randomness_untouched,
    require,
    require_close,
)
from stackclip.errors import StackclipError
from stackclip.executors import Agenda, Job, Tell, carried_out
from stackclip.types import CLS, Part

__all__ = ["BACKBONES", "EXECUTORS"]


def _loaded(subject: Subject, **changes: Any) -> Tower:
    wanted = {"image_size": None, "layers": None, "device": "cpu", "precision": "fp32", **changes}
    tower = subject.make().load(**wanted)
    require(isinstance(tower, Tower), f"load() gave a {type(tower).__name__}, wanted a Tower")
    loaded: Tower = tower
    return loaded


def _tower_parts(tower: Tower, count: int = 2) -> dict[Part, Tensor]:
    noise = np.random.default_rng(6).standard_normal((count, 3, *tower.spec.frame.size), np.float32)
    return tower.encode(torch.from_numpy(noise), (*tower.spec.taps, CLS))


def _gives_parts(subject: Subject) -> None:
    tower = _loaded(subject)
    spec = tower.spec
    shapes = {CLS: (2, spec.joint), **dict.fromkeys(spec.taps, (2, spec.patches, spec.width))}
    for part, tensor in _tower_parts(tower).items():
        require(tensor.shape == shapes[part], f"{part} has the shape {tuple(tensor.shape)}, wanted {shapes[part]}")
        require(bool(tensor.isfinite().all()), f"{part} holds NaN or infinity")
    text = tower.encode_text(["a photo of a bottle."])
    require(text.shape == (1, spec.joint), f"text features have the shape {tuple(text.shape)}")


def _gives_parts_again(subject: Subject) -> None:
    with global_randomness_untouched():
        one, same = _loaded(subject), _loaded(subject)
    require(one.fingerprint == same.fingerprint, "two loads have two fingerprints")
    first, again = _tower_parts(one), _tower_parts(same)
    for part in first:
        require_close(again[part], first[part], f"{part} of two loads", 0.0)


def _parts_batch_independent(subject: Subject) -> None:
    tower = _loaded(subject)
    alone, together = _tower_parts(tower, 1), _tower_parts(tower, 3)
    for part in alone:
        require_close(alone[part], together[part][:1], f"{part} of a picture alone and in a batch")


BACKBONES: Promises = {
    "its parts are finite and have the shapes that it declares": _gives_parts,
    "it loads the same tower again, and leaves the global random state alone": _gives_parts_again,
    "a picture's parts do not depend on its batch": _parts_batch_independent,
}


def trial_do(job: Job, tell: Tell) -> int:
    """Give the number that a job is about; raise StackclipError for one below 0."""
    if job.what < 0:
        raise StackclipError("this job fails on purpose")
    tell(1, 1)
    return int(job.what)


def _does_all(subject: Subject) -> None:
    with subject.make().hired(trial_do) as run:
        for numbers in ((), (0,), range(7), (0, -1, 1)):
            found = {done.job.what: done for done in carried_out(run, _trial_agenda(numbers), lambda *_: None)}
            results = {number: done.result for number, done in found.items() if not done.error}
            wanted = {number: number for number in numbers if number >= 0}
            require(results == wanted, f"the jobs {[*numbers]} gave {results}")
    error = found[-1].error if -1 in found else None
    require(isinstance(error, StackclipError), f"the error of a job that raises StackclipError is {error!r}")


def _trial_agenda(numbers: Sequence[int]) -> Agenda:
    """A job for each number, of which the first is waited for by the others."""
    jobs = [
        Job("trial", number, ("first",) if place else (), "" if place else "first")
        for place, number in enumerate(numbers)
    ]
    return Agenda(jobs, lambda job: [])


EXECUTORS: Promises = {
    "it does all jobs, those that wait for others too, and tells their results and errors": _does_all,
}
