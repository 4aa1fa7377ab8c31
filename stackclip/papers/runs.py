"""The runs of suites: one bench each, as TOML says it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from stackclip.benchmarks.curves import EvalEvery, interval
from stackclip.errors import UsageError
from stackclip.registry import did_you_mean

__all__ = ["PaperTower", "Run", "by_shots", "made_of", "merged", "redirected", "run_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTower:
    """The tower of a paper: open_clip's name, the tag of its weights and the side of the picture in pixels."""

    backbone: str
    pretrained: str | None = None
    image_size: int | None = None

    def __str__(self) -> str:
        return " ".join(str(word) for word in (self.backbone, self.pretrained, self.image_size) if word is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One bench of a suite: `methods` trained on one place and tested on others, by the names of data sets.

    In a file `shots` may list several numbers, each of which is a run. No `train_on` is for methods that are not
    trained. `train_categories` and `train_without` take some categories of the training sets only. `epochs` is for all
    methods; without it each has its paper's. `eval_every` asks for training curves.
    """

    methods: tuple[str, ...]
    test_on: tuple[str, ...]
    train_on: tuple[str, ...] = ()
    train_categories: tuple[str, ...] = ()
    train_without: tuple[str, ...] = ()
    shots: int | Literal["all"] = 0
    seeds: tuple[int, ...] = (0,)
    epochs: int | None = None
    batch_size: int | None = None
    train_shots: int | None = None
    eval_every: EvalEvery | None = None
    tower: PaperTower | None = None


def redirected(
    runs: Iterable[Run], *, train_on: Sequence[str] = (), test_on: Sequence[str] = (), **asked: Any
) -> tuple[Run, ...]:
    """The runs on other data sets, and with other values of their fields (`seeds`, `epochs`, `methods` ...).

    What is not trained stays so. Runs on some categories only are dropped where the training sets are others.
    """
    moved = []
    for run in runs:
        if train_on and (run.train_categories or run.train_without):
            continue
        training = tuple(train_on) if train_on and run.train_on else run.train_on
        moved.append(replace(run, train_on=training, test_on=tuple(test_on) or run.test_on, **asked))
    return merged(moved)


def merged(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Runs that differ in nothing but their methods become one, so that they share their scans."""
    alike: dict[Run, dict[str, None]] = {}
    for run in runs:
        alike.setdefault(replace(run, methods=()), {}).update(dict.fromkeys(run.methods))
    return tuple(replace(run, methods=tuple(methods)) for run, methods in alike.items())


def by_shots(facts: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The facts of a run, or where it lists numbers of `shots`, those of one for each of them."""
    shots = facts.get("shots", 0)
    for each in shots if isinstance(shots, list) and shots else [shots]:
        yield {**facts, "shots": each}


def run_of(facts: Mapping[str, Any], where: str) -> Run:
    """The run of a `[[runs]]` table, with the grid of its methods written out."""
    facts = dict(facts)
    grid, tower = facts.pop("grid", {}), facts.get("tower")
    if not isinstance(grid, dict) or not all(isinstance(values, list) for values in grid.values()):
        raise UsageError(f"{where}: grid is {grid!r}; wanted {{ name = [value, ...] }}")
    if not isinstance(tower, dict | None):
        raise UsageError(
            f"{where}: tower is {tower!r}; wanted {{ backbone = ..., pretrained = ..., image_size = ... }}"
        )
    if (shots := facts.get("shots", 0)) != "all" and (not isinstance(shots, int) or shots < 0):
        raise UsageError(f"{where}: shots is {shots!r}; wanted a number of normal pictures, or all")
    if "eval_every" in facts:
        try:
            facts["eval_every"] = interval(facts["eval_every"])
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
    methods = [
        _filled(method, dict(zip(grid, values, strict=True)))
        for method in facts.get("methods", ())
        for values in itertools.product(*grid.values())
    ]
    made_tower = None if tower is None else made_of(PaperTower, tower, where)
    made: Run = made_of(Run, {**facts, "methods": tuple(dict.fromkeys(methods)), "tower": made_tower}, where)
    return made


def _filled(method: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        method = method.replace(f"{{{name}}}", str(value))
    return method


def made_of(kind: type[Any], facts: Mapping[str, Any], where: str) -> Any:
    known = [field.name for field in fields(kind)]
    for name in facts:
        if name not in known:
            raise UsageError(
                f"{where}: {name!r} means nothing{did_you_mean(name, known)}; known are {', '.join(known)}"
            )
    lists = {field.name for field in fields(kind) if str(field.type).startswith("tuple")}
    for name in lists & set(facts):
        if not isinstance(facts[name], (list, tuple)):
            raise UsageError(f"{where}: {name} is {facts[name]!r}; wanted a list")
    try:
        return kind(**{name: tuple(value) if name in lists else value for name, value in facts.items()})
    except TypeError as error:
        raise UsageError(f"{where}: {str(error).partition('() ')[2] or error}") from None
