"""The methods of a plan on a tower: each name resolved once, with what it reads, or why it cannot work there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from inspect import signature

from stackclip.benchmarks.plan import Plan, Shots
from stackclip.errors import BrokenPlugin, NotApplicable, StackclipError, WeightsError
from stackclip.methods import PHASES, Method, Phase, Stage
from stackclip.ops.tiling import Tiling
from stackclip.registry import guarded
from stackclip.types import CLS, MASK, Part, Sample, TowerSpec, exact, is_live

__all__ = [
    "Entrant",
    "Errand",
    "check_method",
    "check_stages",
    "entrants_of",
    "errands_in_tiles",
    "errands_of",
    "needed",
    "needs_of",
    "readers_of",
    "stored",
]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A method that takes part: its spec, the shots that it is shown, and the parts that it reads in each phase.

    One that cannot work on the tower has the reason in `why_not`, and reads the mask alone. With a `tiling` it reads
    all pictures in tiles but those that are trained on.
    """

    spec: str
    method: Method
    shots: Shots
    needs: Mapping[Phase, frozenset[Part]] = field(default_factory=dict)
    why_not: StackclipError | None = None
    tiling: Tiling | None = None

    def reads(self, phase: Phase) -> frozenset[Part]:
        """The parts of a phase; the mask is among those of training and tested pictures, but of no survey."""
        parts = self.needs.get(phase, frozenset())
        if self.tiling is not None and phase != "train":
            parts = self.tiling.parts(parts)
        return parts | ({MASK} if phase in ("train", "test") else frozenset())

    @property
    def untiled(self) -> Entrant:
        """The same method beside pictures as they are."""
        return replace(self, tiling=None)

    @property
    def of_tested(self) -> frozenset[Part]:
        """The parts of a tested picture that must be there, the mask among them."""
        return self.reads("test") | self.reads("survey")

    @property
    def parts(self) -> frozenset[Part]:
        """The parts of all phases, the mask among them."""
        return frozenset[Part]().union(*map(self.reads, PHASES))


def entrants_of(plan: Plan, tower: TowerSpec) -> tuple[Entrant, ...]:
    """The methods of a plan in its order. With `fail_fast` it raises why the first of them cannot work."""
    found = []
    for spec, method in plan.resolved.items():
        needs: dict[Phase, frozenset[Part]] = {}
        why_not, shots = None, plan.shots_for(method)
        try:
            needs = {phase: _needs_in(phase, method, tower, spec) for phase in _phases(shots)}
            check_method(method, tower, name=spec)
            _check_tiles(method, plan.tiling, "it")
        except StackclipError as error:
            if plan.fail_fast:
                raise
            why_not = error
        found.append(Entrant(spec, method, shots, {} if why_not else needs, why_not, plan.tiling))
    return tuple(found)


def readers_of(methods: Mapping[str, Method], tower: TowerSpec, tiling: Tiling | None) -> tuple[Entrant, ...]:
    """Methods by their specs as what they read in all phases. Raises why one of them cannot work on the tower."""
    found = []
    for spec, method in methods.items():
        needs: dict[Phase, frozenset[Part]] = {phase: _needs_in(phase, method, tower, spec) for phase in PHASES}
        check_method(method, tower, name=spec)
        _check_tiles(method, tiling, spec)
        found.append(Entrant(spec, method, Shots(0), needs, tiling=tiling))
    return tuple(found)


def needs_of(method: Method, tower: TowerSpec, *, name: str = "it") -> frozenset[Part]:
    """The parts that a method reads in any phase, the mask among them; `name` is what an error calls it.

    Raises NotApplicable for a part that the tower does not have, BrokenPlugin where the method cannot say.
    """
    return frozenset({MASK}).union(*(_needs_in(phase, method, tower, name) for phase in PHASES))


def _needs_in(phase: Phase, method: Method, tower: TowerSpec, name: str) -> frozenset[Part]:
    with guarded(f"{name} cannot say what it needs"):
        if not _takes(method.needs, tower, phase):
            raise BrokenPlugin(f"{name} cannot say what it needs in a phase; wanted needs(tower, phase)")
        parts = frozenset(method.needs(tower, phase))
        if other := [part for part in parts if not isinstance(part, Part)]:
            raise BrokenPlugin(f"the needs of {name} are parts, but {other[0]!r} is among them")
        for part in sorted(parts - {CLS, MASK}):  # of several that a tower lacks always the same is told
            tower.shape(part)
        return exact(parts)


def _takes(function: Callable[..., object], *given: object) -> bool:
    """Whether a function of a plugin takes what it is given, as far as it says."""
    try:
        signature(function).bind(*given)
    except TypeError:
        return False
    except ValueError:  # it does not say
        return True
    return True


def check_stages(entrant: Entrant, stages: Iterable[Stage]) -> None:
    """Raise BrokenPlugin for a stage that reads what its method does not need for training: nobody has it there."""
    for stage in stages:
        if other := exact(stage.needs) - entrant.reads("train"):
            names = ", ".join(map(str, sorted(other)))
            raise BrokenPlugin(f"its stage {stage.name} reads {names}; wanted parts that its needs() name for training")


def check_method(method: Method, tower: TowerSpec, *, name: str = "it") -> None:
    """Read the files that a method was given. Raises WeightsError for weights that do not fit the tower."""
    with guarded(f"{name} cannot say whether it can work"):
        method.check(tower)


def _check_tiles(method: Method, tiling: Tiling | None, name: str) -> None:
    """Raise NotApplicable for a method that has to see whole pictures, and says why, where there are several tiles."""
    why = getattr(method, "why_no_tiles", "")
    if why and tiling is not None and len(tiling.views) > 1:
        raise NotApplicable(f"{name} {why}, which tiles do not show: leave --tiles out")


def stored(parts: Iterable[Part]) -> frozenset[Part]:
    """What a store must hold for parts to be read: of a picture itself, that it could be encoded."""
    wanted = frozenset(parts)
    live = frozenset(part for part in wanted if is_live(part))
    return (wanted - live) | ({CLS} if live else frozenset())


@dataclass(frozen=True, slots=True)
class Errand:
    """Pictures, and the parts that a store must hold of each."""

    samples: tuple[Sample, ...]
    parts: frozenset[Part]


def errands_of(plan: Plan, entrants: Collection[Entrant]) -> tuple[Errand, ...]:
    """What a bench reads from the store. In tiles, only of the pictures and in the phases that are read so.

    Raises WeightsError where a method was given weights that do not fit the tower.
    """
    samples, parts = needed(plan, entrants)
    if plan.tiling is None:
        return (Errand(samples, parts),)
    others = needed(replace(plan, train_on=(), train_list=None, train_shots=None), entrants)[0]
    training = Errand(plan.training, _stored_of(entrants, ("train",)))
    return (*((training,) if plan.training else ()), *errands_in_tiles(others, entrants))


def errands_in_tiles(samples: Iterable[Sample], entrants: Collection[Entrant]) -> tuple[Errand, ...]:
    """What methods that see tiles read of pictures that they are not trained on: of tested ones, and of the others."""
    every = tuple(samples)
    tested = tuple(sample for sample in every if sample.split == "test")
    shown = tuple(sample for sample in every if sample.split != "test")
    found = [Errand(tested, _stored_of(entrants, ("test", "survey")))]
    found += [Errand(shown, _stored_of(entrants, ("shots", "calibrate")))]
    return tuple(errand for errand in found if errand.samples)


def _stored_of(entrants: Iterable[Entrant], phases: Iterable[Phase]) -> frozenset[Part]:
    """What a store must hold of a picture that methods read in some phases."""
    every = tuple(phases)
    return stored(frozenset({MASK}).union(*(each.reads(phase) for each in entrants for phase in every)))


def needed(plan: Plan, entrants: Collection[Entrant]) -> tuple[tuple[Sample, ...], frozenset[Part]]:
    """The pictures that a bench reads from the store, what is trained on, tested, and drawn as shots, and all parts.

    Raises WeightsError where a method was given weights that do not fit the tower.
    """
    for entrant in entrants:
        if isinstance(entrant.why_not, WeightsError):
            raise entrant.why_not
    tested = (sample for dataset in plan.test_on for sample in dataset.select(split="test").samples)
    normals = plan.all_normals() if any(entrant.reads("calibrate") for entrant in entrants) else ()
    parts = frozenset({MASK}).union(*(entrant.parts for entrant in entrants))
    return tuple(dict.fromkeys([*plan.training, *tested, *plan.all_shots(), *normals])), stored(parts)


def _phases(shots: Shots) -> tuple[Phase, ...]:
    """The phases that there are: without shots none are read."""
    return PHASES if shots.count else tuple(phase for phase in PHASES if phase != "shots")
