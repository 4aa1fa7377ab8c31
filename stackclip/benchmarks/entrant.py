"""The methods of a plan on a tower: each name resolved once, with what it reads, or why it cannot work there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from stackclip.benchmarks.plan import Plan, Shots
from stackclip.errors import BrokenPlugin, StackclipError, WeightsError
from stackclip.methods import Method
from stackclip.registry import guarded
from stackclip.types import CLS, MASK, Part, Sample, TowerSpec

__all__ = ["Entrant", "entrants_of", "needed", "needs_of"]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A method that takes part: its spec, the parts that it reads, the mask among them, and the shots that it is shown.

    One that cannot work on the tower has the reason in `why_not`, and reads the mask alone.
    """

    spec: str
    method: Method
    shots: Shots
    parts: frozenset[Part]
    why_not: StackclipError | None = None


def entrants_of(plan: Plan, tower: TowerSpec) -> tuple[Entrant, ...]:
    """The methods of a plan in its order. With `fail_fast` it raises why the first of them cannot work."""
    found = []
    for spec, method in plan.resolved.items():
        parts, why_not = frozenset({MASK}), None
        try:
            parts = needs_of(method, tower, name=spec)
        except StackclipError as error:
            if plan.fail_fast:
                raise
            why_not = error
        found.append(Entrant(spec, method, plan.shots_for(method), parts, why_not))
    return tuple(found)


def needs_of(method: Method, tower: TowerSpec, *, name: str = "it") -> frozenset[Part]:
    """The parts that a method reads, the mask among them; `name` is what an error calls it.

    Raises NotApplicable for a part that the tower does not have, BrokenPlugin where the method cannot say.
    """
    with guarded(f"{name} cannot say what it needs"):
        parts = frozenset(method.needs(tower)) | {MASK}
        for part in parts - {CLS, MASK}:
            if not isinstance(part, Part):
                raise BrokenPlugin(f"the needs of {name} are parts, but {part!r} is among them")
            tower.shape(part)
    return parts


def needed(plan: Plan, entrants: Collection[Entrant]) -> tuple[tuple[Sample, ...], frozenset[Part]]:
    """The pictures and parts that a bench reads: what is trained on, tested, and drawn as shots.

    Raises WeightsError where a method was given weights that do not fit the tower.
    """
    for entrant in entrants:
        if isinstance(entrant.why_not, WeightsError):
            raise entrant.why_not
    tested = (sample for dataset in plan.test_on for sample in dataset.select(split="test").samples)
    parts = frozenset({MASK}).union(*(entrant.parts for entrant in entrants))
    return tuple(dict.fromkeys([*plan.training, *tested, *plan.all_shots()])), parts
