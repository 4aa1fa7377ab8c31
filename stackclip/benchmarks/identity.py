"""What a trained head and a finished row depend on: equal identities mean that nothing has to be computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from stackclip.benchmarks.entrant import Entrant
from stackclip.benchmarks.plan import Cell, Plan
from stackclip.benchmarks.rows import cell_id
from stackclip.benchmarks.truth import fpr_limits
from stackclip.cache import Store
from stackclip.clip import Tower
from stackclip.data import Dataset
from stackclip.errors import NotApplicable, StackclipError, UsageError
from stackclip.methods import Composition, component_of
from stackclip.ops.files import canonical_json, content_hash, expanded, file_hash
from stackclip.prompts.jitter import lists_hash
from stackclip.registry import EDITION, Component, Spec, as_learned, bind, code_of, named_by
from stackclip.types import MASK, Sample

__all__ = ["SEMANTICS", "Identities"]

SEMANTICS = 5
"""Raised when a change of the package's own code changes figures, so that old rows and heads are not taken for new ones
(decision 0034)."""

SHORT = 32  # digits of the hashes that rows carry
_SHOWN = ("shots", "draw")  # options that training does not see


@dataclass(frozen=True)
class Identities:
    """The identities of one seed's heads and rows, by pictures and files as they were when first asked for.

    `training` are the training pictures that each method can use, by its spec.
    """

    plan: Plan
    tower: Tower
    store: Store
    seed: int
    training: Mapping[str, tuple[Sample, ...]]
    entrants: Mapping[str, Entrant]
    source: str = "stored"
    live_precision: str = "fp32"

    def head(self, spec: str) -> str:
        """The name of what a method learns, which is that of all methods that learn the same."""
        return cell_id(self._of_training(spec, self._as_learned(spec)))

    def earlier_head(self, spec: str) -> str:
        """The name that it had when each spelling of a method learned for itself."""
        return cell_id(self.of_training(spec))

    def row(self, spec: str, cell: Cell) -> str:
        """The name of a method's row for a cell."""
        shown: tuple[Sample, ...] = ()
        entrant = self.entrants[spec]
        shots = entrant.shots
        with suppress(NotApplicable):
            shown = self.plan.shots_of(cell.dataset, cell.category, self.seed, shots=shots)
        tested: dict[str, Any] = {
            "test_on": cell.dataset.name,
            "layout": cell.dataset.layout,
            "family": cell.dataset.family,  # which may choose the words of a method
            "category": cell.category,
            "tested": self.pictures(cell),
            "named": spec,  # rows carry it
            "shots": [shots.count, shots.repeated],
            "shown": self._content(shown),
        }
        if entrant.reads("calibrate"):
            tested["normals"] = self._content(self.plan.normals_of(cell.dataset, cell.category, shown))
        if cell.without_mask:
            tested["without_mask"] = [sample.id for sample in cell.without_mask]
        if configs := {sample.defects for sample in cell.samples if sample.defects is not None}:
            tested["defects"] = sorted(self._file_hash(path) if path.is_file() else "" for path in configs)
        if (form := self.plan.pixel_form(cell, self.tower.spec)) != "exact":
            tested["pixel_metrics"] = form
        if limits := fpr_limits(cell.dataset):
            tested["fpr_limits"] = list(limits)
        if self.plan.tiling is not None:
            tested["tiles"] = self.plan.tiling.facts
        return cell_id({**self.of_training(spec), **tested})

    def pictures(self, cell: Cell) -> str:
        """The hash of what is tested in a cell: pictures, masks and labels, in order."""
        return self._content(cell.samples)

    def tested(self, dataset: Dataset) -> dict[str, str]:
        """The short hash of all test pictures of each category of a data set, whoever can use them."""
        of_category = {name: dataset.select(split="test", categories=(name,)).samples for name in dataset.categories}
        return {category: self._content(samples)[:SHORT] for category, samples in of_category.items()}

    @cached_property
    def trained(self) -> dict[str, Any]:
        """The short hash of all that is trained on, the places where it lies, and what it was drawn from, if it was."""
        places = [str(dataset.root.absolute()) for dataset in self.plan.train_on]
        drawn = {} if self.plan.train_shots is None else {"drawn_from": _listing_of(self.plan.train_on)[:SHORT]}
        return {"content": self._content(self.plan.training_of(self.seed))[:SHORT], "places": places, **drawn}

    def options(self, spec: str) -> dict[str, str]:
        """Every option of a method as it would be typed, given or by default."""
        parsed = Spec.parse(spec)
        return _options(component_of(parsed.name), parsed)

    def of_training(self, spec: str) -> dict[str, Any]:
        """Everything that what a method learns depends on, with all that it was asked for beside that but shots."""
        return self._of_training(spec, _without_shots(Spec.parse(spec)))

    def _of_training(self, spec: str, taken_for: Spec) -> dict[str, Any]:
        own = self._own(taken_for)
        names = self.plan.class_names or own["options"].get("class_names", "")
        return {
            **self._shared,
            "pictures": self._content(self.training[spec]),
            **self._among(spec),
            **own,
            "class_names": names,
            "class_names_file": self._file_hash(expanded(names)) if _is_file(names) else "",
            **({"ways": ways} if (ways := _ways_from_outside(self.entrants[spec])) else {}),
            **self._stopped,
        }

    def _among(self, spec: str) -> dict[str, str]:
        """The hash of all training pictures, over which the order is drawn, where a method cannot use some of them."""
        every = self.plan.training_of(self.seed)
        return {} if self.training[spec] == every else {"among": self._content(every)}

    @cached_property
    def protocol(self) -> str:
        """The same for rows that may stand in one table: everything that is asked of all methods alike."""
        unasked = ("semantics", "seed")
        asked = {name: value for name, value in self._shared.items() if name not in unasked}
        tiles = {"tiles": self.plan.tiling.facts} if self.plan.tiling else {}
        asked |= {**tiles, **self._stopped, "class_names": self.plan.class_names}
        return content_hash(canonical_json(asked))[:12]

    @property
    def _stopped(self) -> dict[str, int]:
        """After how many epochs of their schedules all methods stop, if they do."""
        return {} if self.plan.stop_after is None else {"stop_after": self.plan.stop_after}

    @cached_property
    def _shared(self) -> dict[str, Any]:
        """What all methods of the bench have in common."""
        return {
            "semantics": SEMANTICS,
            "train_on": [[d.name, d.family, d.layout, list(d.categories)] for d in self.plan.train_on],
            "seed": self.seed,
            "epochs": self.plan.epochs,
            "batch_size": self.plan.batch_size,
            "features": self.store.digest,
            "text": dict(self.tower.text_fingerprint),
            **({} if self.source == "stored" else {"source": self.source}),
            **({} if self.live_precision == "fp32" else {"live_precision": self.live_precision}),
            **({"train_list": self.plan.listed} if self.plan.listed else {}),
            **({} if self.plan.train_shots is None else {"train_shots": self.plan.train_shots}),
            **({"words": [self.plan.words, lists_hash()]} if self.plan.words else {}),
        }

    @cached_property
    def _content(self) -> Callable[[tuple[Sample, ...]], str]:
        """The hash of pictures, masks and labels, in order; it is made once."""
        return cache(partial(_hash_of, self.store))

    @cached_property
    def _as_learned(self) -> Callable[[str], Spec]:
        """A method as far as its training goes, in one spelling; it is found once."""
        return cache(_as_learned)

    @cached_property
    def _own(self) -> Callable[[Spec], dict[str, Any]]:
        """What a method is, without shots: its options, its code and the files that they name; it is found once."""
        return cache(partial(_facts_of, self._file_hash))

    @cached_property
    def _file_hash(self) -> Callable[[Path], str]:
        """The hash of a file; each is read once."""
        return cache(file_hash)


def _ways_from_outside(entrant: Entrant) -> list[str]:
    """The parts of a method that code from outside gives, each with the digest of that code."""
    return sorted(str(part) for part in entrant.parts if EDITION in part.kind)


def _hash_of(store: Store, samples: tuple[Sample, ...]) -> str:
    masks = iter(store.digests([sample for sample in samples if sample.mask], MASK))
    pairs = zip(samples, store.digests(samples), strict=True)
    facts = [
        [each.id, each.label, digest, next(masks) if each.mask else None, *([each.group] if each.group else [])]
        for each, digest in pairs
    ]
    return content_hash(canonical_json({"samples": facts}))


def _listing_of(datasets: Iterable[Dataset]) -> str:
    """The hash of what may be trained on by names and labels alone: no picture is read that is not drawn."""
    samples = (sample for dataset in datasets for sample in dataset.select(split="test").samples)
    return content_hash(canonical_json({"samples": [[sample.id, sample.label] for sample in samples]}))


def _facts_of(file_hash: Callable[[Path], str], spec: Spec) -> dict[str, Any]:
    options = _options(component_of(spec.name), spec)
    return {
        "method": str(spec),
        "options": {name: value for name, value in options.items() if name not in _SHOWN},
        "code": sorted({f"{name} {file_hash(file)}" for name, file in _code(spec)}),
        "files": sorted(map(file_hash, _files(spec))),
    }


def _as_learned(spec: str) -> Spec:
    parsed = Spec.parse(spec)
    return as_learned(component_of(parsed.name), _without_shots(parsed))


def _without_shots(spec: Spec) -> Spec:
    """A method as far as its training goes, which sees no shots."""
    return Spec(spec.name, tuple((name, value) for name, value in spec.options if name not in _SHOWN))


def _is_file(names: str) -> bool:
    return names.lower().endswith(".json") and expanded(names).is_file()


def _options(component: Component, given: Spec) -> dict[str, str]:
    """Every option of a component as it would be typed, given or by default."""
    return {**{option.label: option.default_text for option in component.options}, **dict(given.options)}


def _code(spec: Spec) -> Iterator[tuple[str, Path]]:
    """The modules and files in which a method and the components that it is made of are written, if not by us."""
    return (each for component, _ in _components(spec) for each in code_of(component).items())


def _files(spec: Spec) -> list[Path]:
    """The files that are named in options of the type Path, by default too, of a method and of those components."""
    found: list[Path] = []
    for component, given in _components(spec):
        with suppress(UsageError):  # a default that names what is not there
            values = {option.name: option.default for option in component.options}
            values |= bind(given.name, component.options, dict(given.options))
            found += [value for value in values.values() if isinstance(value, Path) and value.is_file()]
    return found


def _components(spec: Spec) -> Iterator[tuple[Component, Spec]]:
    """A method, the strategy that it is composed of, and every component that an option names, by default too."""
    method = component_of(spec.name)
    waiting = [(method, spec)]
    known: set[tuple[str, Spec]] = set()
    if isinstance(method.factory, Composition):
        waiting.append((method.factory.component, Spec(method.factory.strategy)))
    while waiting:
        component, given = waiting.pop()
        yield component, given
        texts = _options(component, given)
        for option in component.options:
            with suppress(StackclipError):  # a default that names what is not there
                found = list(named_by(option, texts[option.label]))
                waiting += [(each, named) for each, named in found if (each.shelf, named) not in known]
                known.update((each.shelf, named) for each, named in found)
