"""Which pictures a method can use: those of which a store holds what it reads itself, whoever runs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stackclip.benchmarks.entrant import stored
from stackclip.cache import Store
from stackclip.types import ANOMALOUS, MASK, Part, Sample

__all__ = ["UNUSABLE", "Usability", "Usable"]

UNUSABLE = "mask cannot be used"


@dataclass(frozen=True, slots=True)
class Usable:
    """The samples that can be used, the others with the reason, and those of the first without a usable mask."""

    samples: tuple[Sample, ...]
    left_out: tuple[tuple[Sample, str], ...] = ()
    without_mask: tuple[Sample, ...] = ()


class Usability:
    """What a store holds of pictures; each list of them is looked up once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holdings: dict[tuple[Sample, ...], list[frozenset[Part]]] = {}

    def of(self, samples: Sequence[Sample], parts: frozenset[Part], *, localised: bool = False) -> Usable:
        """The samples that can be used where these parts are read.

        `localised` leaves out those without a usable mask, and defective pictures without one: no map learns from them.
        """
        listed, wanted = tuple(samples), stored(parts)
        if listed not in self._holdings:
            self._holdings[listed] = self._store.holdings(listed)
        usable, left_out, without_mask = [], [], []
        for sample, held in zip(listed, self._holdings[listed], strict=True):
            missing = wanted - held
            if missing - {MASK}:
                left_out.append((sample, "not encoded"))
            elif missing and localised:
                left_out.append((sample, UNUSABLE))
            elif localised and sample.label == ANOMALOUS and sample.mask is None:
                left_out.append((sample, "no mask to learn from"))
            else:
                usable.append(sample)
                without_mask += [sample] if missing else []
        return Usable(tuple(usable), tuple(left_out), tuple(without_mask))
