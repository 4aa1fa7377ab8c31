"""Which pictures a method can use: those of which a store holds what it reads itself, whoever runs beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stackclip.benchmarks.entrant import stored
from stackclip.benchmarks.plan import Cell, Plan
from stackclip.cache import Store
from stackclip.types import ANOMALOUS, MASK, Part, Sample

__all__ = ["UNUSABLE", "Usable", "cells_by", "usable_by"]

UNUSABLE = "mask cannot be used"


@dataclass(frozen=True, slots=True, eq=False)
class Usable:
    """The samples that can be used, the others with the reason, and those of the first without a usable mask."""

    samples: tuple[Sample, ...]
    left_out: tuple[tuple[Sample, str], ...] = ()
    without_mask: tuple[Sample, ...] = ()

    def same_as(self, other: Usable) -> bool:
        """Whether the same can be used, for the same reasons."""
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)


def usable_by(
    needs: Iterable[frozenset[Part]], samples: Sequence[Sample], store: Store, *, localised: bool = False
) -> dict[frozenset[Part], Usable]:
    """What of the samples can be used where each of these sets of parts is read; the store is asked once.

    Sets under which the same can be used have one `Usable`, so that who reads them shares batches. `localised` leaves
    out samples without a usable mask, and defective ones without a mask: no map learns from them.
    """
    held, found = store.holdings(samples), dict[frozenset[Part], Usable]()
    for parts in dict.fromkeys(needs):
        usable = _usable(stored(parts), samples, held, localised)
        found[parts] = next((each for each in found.values() if each.same_as(usable)), usable)
    return found


def cells_by(needs: Mapping[str, frozenset[Part]], plan: Plan, store: Store) -> dict[str, list[Cell]]:
    """The cells of each method that reads these parts; methods that can use the same pictures have the same cells."""
    found: dict[str, list[Cell]] = {spec: [] for spec in needs}
    for dataset in plan.test_on:
        for category in dataset.categories:
            samples = dataset.select(split="test", categories=(category,)).samples
            usable = usable_by(needs.values(), samples, store)
            cells = {
                each: Cell(dataset, category, each.samples, each.left_out, each.without_mask)
                for each in usable.values()
            }
            for spec, parts in needs.items():
                found[spec].append(cells[usable[parts]])
    return found


def _usable(
    wanted: frozenset[Part], samples: Sequence[Sample], held: Sequence[frozenset[Part]], localised: bool
) -> Usable:
    usable, left_out, without_mask = [], [], []
    for sample, there in zip(samples, held, strict=True):
        missing = wanted - there
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
