"""A graph run by onnxruntime beside the live detector, on the same pictures: how far apart they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from stackclip.errors import StackclipError
from stackclip.export.batching import INPUT, Layout
from stackclip.export.deployed import Deployed
from stackclip.export.tracing import named
from stackclip.ops.words import counted, one_line

__all__ = ["PARITY_BOUND", "Parity", "measured"]

PARITY_BOUND = 1e-4
"""The largest difference of a graph that is kept: in units of the output's largest value, where that is above 1."""

BATCHES = (1, 3, 8)  # how many pictures a graph is given at once, in turn

Values = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The largest absolute differences by output, of so many `pictures` in `batches` of several sizes.

    `live` is that to the live detector in float32, given the same pixels; it is at most `PARITY_BOUND` times the
    output's `largest` value, or times 1. `stored` is that to the detector on parts in float16, as a feature store has
    them: what a bench would say. `prepared`, of a graph that prepares pictures itself, is that to the live detector
    where each resizes the pictures by itself; no bound is set to it.
    """

    pictures: int
    batches: tuple[int, ...]
    largest: Mapping[str, float]
    live: Mapping[str, float]
    stored: Mapping[str, float]
    prepared: Mapping[str, float] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {**asdict(self), "batches": list(self.batches), "tolerance": PARITY_BOUND}

    @property
    def worst(self) -> float:
        """The largest of the differences to the live detector, in units of the tolerance."""
        return max((apart / max(1.0, self.largest[name]) for name, apart in self.live.items()), default=0.0)

    def __str__(self) -> str:
        apart = ", ".join(f"{name} {value:.1e}" for name, value in self.live.items())
        return f"{counted(self.pictures, 'picture')} through onnxruntime and through torch differ by at most {apart}"


def measured(deployed: Deployed, path: Path, pictures: Sequence[Image.Image], layout: Layout | None) -> Parity:
    """Run a graph and the live detector on RGB pictures. Raises StackclipError where onnxruntime refuses the graph."""
    session = _session(path)
    prepared = np.stack([deployed.tower.prepare(each) for each in pictures])
    live = _live(deployed, prepared)
    given = prepared if layout is None else np.stack([_raw(each, deployed, layout) for each in pictures])
    found = _joined([_run(session, given[some]) for some in _turns(len(pictures))])
    itself = {} if layout is None else _joined([_run(session, _as_laid(each, layout)[None]) for each in pictures])
    return Parity(
        pictures=len(pictures),
        batches=tuple(dict.fromkeys(len(given[some]) for some in _turns(len(pictures)))),
        largest={name: float(np.abs(each).max()) for name, each in live.items()},
        live=_apart(found, live),
        stored=_apart(found, _live(deployed, prepared, rounded=True)),
        prepared=_apart(itself, live),
    )


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise StackclipError(f"onnxruntime does not take the graph: {one_line(error)[:300]}") from error


def _run(session: Any, pictures: NDArray[Any]) -> Values:
    names = [each.name for each in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, {INPUT: pictures}), strict=True))
    except Exception as error:
        shape = tuple(pictures.shape)
        raise StackclipError(f"onnxruntime fails on pictures of shape {shape}: {one_line(error)[:300]}") from error


def _live(deployed: Deployed, prepared: NDArray[np.float32], *, rounded: bool = False) -> Values:
    """What the live detector says of each picture, a batch at a time."""
    with torch.no_grad():
        batches = [
            named(deployed.predict(torch.from_numpy(prepared[some]), rounded=rounded)) for some in _turns(len(prepared))
        ]
    return _joined([{name: each.numpy() for name, each in batch.items()} for batch in batches])


def _turns(count: int) -> Iterator[slice]:
    """Slices of 1, 3, 8, 1 ... until all are taken."""
    start = turn = 0
    while start < count:
        stop = min(count, start + BATCHES[turn % len(BATCHES)])
        yield slice(start, stop)
        start, turn = stop, turn + 1


def _joined(batches: Sequence[Values]) -> dict[str, NDArray[np.float32]]:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _apart(found: Values, wanted: Values) -> dict[str, float]:
    return {name: float(np.abs(each - wanted[name]).max()) for name, each in found.items()}


def _raw(picture: Image.Image, deployed: Deployed, layout: Layout) -> NDArray[np.uint8]:
    """A picture squashed in 8 bits by Pillow, which a graph of such pictures leaves as it is."""
    return _as_laid(deployed.tower.transform.squashed(picture), layout)


def _as_laid(picture: Image.Image, layout: Layout) -> NDArray[np.uint8]:
    pixels = np.asarray(picture)
    return pixels if layout == "nhwc" else np.ascontiguousarray(pixels.transpose(2, 0, 1))
