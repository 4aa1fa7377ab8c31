"""Maps that several methods give alike are measured once: what takes in those of the first serves all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from stackclip.metrics import Measured, PixelAccumulator
from stackclip.ops.digests import digest_of

if TYPE_CHECKING:
    from stackclip.benchmarks.evaluation import Evaluation

__all__ = ["EqualMaps"]

Take = Callable[["Evaluation"], None]
_TAKERS = ("pixels", "counter", "looked")


@dataclass
class _Place:
    """How far an evaluation is: the digest of all its maps, whose takers it shares, and what these still lack."""

    path: bytes = b""
    first: Evaluation | None = None
    waiting: Take | None = None
    is_followed: bool = False


@dataclass
class EqualMaps:
    """Evaluations of one scan. Those whose maps have been the same, bit by bit, have the same takers of maps.

    Where one parts from the first it gets a copy of these from before they parted, so the first of several takes in a
    batch only when its next one comes.
    """

    _first: dict[bytes, Evaluation] = field(default_factory=dict)
    _places: dict[int, _Place] = field(default_factory=dict)
    _measured: dict[int, Measured] = field(default_factory=dict)

    def add(self, who: Evaluation, maps: Tensor | None, take: Take) -> None:
        """Have an evaluation `take` its next maps (B, H, W), unless another with the same takers did."""
        place = self._places.setdefault(id(who), _Place())
        before, shared = place.path, place.first
        place.path = digest_of(*(() if maps is None else (maps,)), behind=before)
        first = self._first.get(place.path)
        if first is None:
            self._first[place.path] = who
            if self._first.get(before) is who:  # all have looked for what came before
                del self._first[before]
            if shared is not None:
                self._part(who, place, shared, before)
            self._settle(who, place)
            place.waiting = take
            if not place.is_followed:
                self._settle(who, place)
        elif first is not shared:  # it begins with it, or parts from another together with it
            for name in _TAKERS:
                setattr(who, name, getattr(first, name))
            place.first, self._places[id(first)].is_followed = first, True

    def measured(self, who: Evaluation, pixels: PixelAccumulator) -> Measured:
        """The pixel metrics of all that was taken into `pixels`."""
        place = self._places.get(id(who), _Place())
        first = place.first or who
        self._settle(first, self._places.get(id(first), place))
        if id(pixels) not in self._measured:
            self._measured[id(pixels)] = pixels.compute()
        return self._measured[id(pixels)]

    def settle(self) -> None:
        """Have all take in what they still lack."""
        for who in self._first.values():
            self._settle(who, self._places[id(who)])

    def is_served(self, who: Evaluation) -> bool:
        """Whether an evaluation measures nothing itself: another's maps were the same."""
        place = self._places.get(id(who))
        return place is not None and place.first is not None

    def _part(self, who: Evaluation, place: _Place, first: Evaluation, before: bytes) -> None:
        """Give an evaluation takers of its own, as they were before its maps differed from those of the first."""
        of_first = self._places[id(first)]
        if of_first.path == before:  # it failed since, and what it lacks both have in common
            self._settle(first, of_first)
        for name in _TAKERS:
            setattr(who, name, copy.deepcopy(getattr(first, name)))
        place.first = None

    def _settle(self, who: Evaluation, place: _Place) -> None:
        if place.waiting is not None:
            self._measured.pop(id(who.pixels), None)
            take, place.waiting = place.waiting, None
            take(who)
