"""Suites: the tables and figures of papers as benches, one TOML file each."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from stackclip.benchmarks.curves import EvalEvery, interval
from stackclip.errors import DamagedFile, UsageError
from stackclip.ops.files import expanded
from stackclip.ops.seals import read_regular
from stackclip.papers.published import Published, published
from stackclip.registry import did_you_mean

__all__ = ["PaperTower", "Run", "Suite", "find_suites", "merged", "read_suite", "redirected", "suites"]

_FOLDER = "tables"
_LARGEST = 1 << 20  # bytes of a suite
_SHARED = (
    "seeds",
    "shots",
    "epochs",
    "batch_size",
    "train_shots",
    "eval_every",
    "tower",
)  # of all runs, where the suite says them


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One table or figure of a paper: what it compares, where its numbers are printed, what it shows.

    `source` and `tables` say where the printed numbers are; `shows` are the metrics that stand in the table.
    With `over_shots` its runs differ in their shots, which are the columns of a table of each metric.
    """

    name: str
    title: str
    source: str
    runs: tuple[Run, ...]
    tables: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    remark: str = ""
    over_shots: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of all runs."""
        return tuple(dict.fromkeys(method for run in self.runs for method in run.methods))

    @property
    def published(self) -> tuple[Published, ...]:
        """What the paper prints there."""
        return tuple(line for line in published() if line.source == self.source and line.table in self.tables)


@cache
def suites() -> Mapping[str, Suite]:
    """The suites of the package by name, paper by paper in the order of their tables."""
    folder = resources.files("stackclip.papers") / _FOLDER
    files = [file for file in folder.iterdir() if file.name.endswith(".toml")]
    read = [_suite(file.name.removesuffix(".toml"), file.read_text("utf-8")) for file in files]
    return {suite.name: suite for suite in sorted(read, key=lambda suite: _place(suite.name))}


def find_suites(name: str) -> tuple[Suite, ...]:
    """The suite of that name, all suites of a paper (`fuzzyclip`), or the one in a file `MINE.toml`.

    Raises UsageError with the nearest name, or with what is wrong with the file.
    """
    if name.endswith(".toml"):
        return (read_suite(expanded(name)),)
    every = suites()
    if name in every:
        return (every[name],)
    papers = dict.fromkeys(suite.source for suite in every.values())
    if name in papers:
        return tuple(suite for suite in every.values() if suite.source == name)
    near = did_you_mean(name, (*every, *papers))
    raise UsageError(f"no suite is named {name!r}{near}; see: stackclip list suites")


def read_suite(path: Path) -> Suite:
    """The suite in a TOML file of one's own. Raises UsageError where it is none."""
    try:
        text = read_regular(path, largest=_LARGEST).decode()
    except DamagedFile as error:
        raise UsageError(f"{path}: cannot be read ({error.why(path)})") from None
    except ValueError as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    return _suite(path.stem, text, where=str(path))


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


def _suite(name: str, text: str, *, where: str = "") -> Suite:
    where = where or f"suite {name}"
    try:
        facts = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: not TOML ({error})") from None
    shared: dict[str, Any] = {name: facts.pop(name) for name in _SHARED if name in facts}
    given = facts.pop("runs", [])
    if not given or not isinstance(given, list):
        raise UsageError(f"{where}: has no [[runs]], and a suite is at least one")
    if not all(isinstance(each, dict) for each in given):
        raise UsageError(f"{where}: runs are {given!r}; wanted tables, [[runs]]")
    runs = tuple(_run(each, where) for facts_of_run in given for each in _by_shots({**shared, **facts_of_run}))
    made: Suite = _made(Suite, {"source": "", "name": name, "title": name, **facts, "runs": runs}, where)
    return made


def _by_shots(facts: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The facts of a run, or where it lists numbers of `shots`, those of one for each of them."""
    shots = facts.get("shots", 0)
    for each in shots if isinstance(shots, list) and shots else [shots]:
        yield {**facts, "shots": each}


def _run(facts: Mapping[str, Any], where: str) -> Run:
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
    made_tower = None if tower is None else _made(PaperTower, tower, where)
    made: Run = _made(Run, {**facts, "methods": tuple(dict.fromkeys(methods)), "tower": made_tower}, where)
    return made


def _filled(method: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        method = method.replace(f"{{{name}}}", str(value))
    return method


def _made(kind: type[Any], facts: Mapping[str, Any], where: str) -> Any:
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


def _place(name: str) -> tuple[str, bool, int]:
    """Paper by paper, `table10` after `table9`, figures behind the tables."""
    paper, _, item = name.rpartition("-")
    kind = item.rstrip("0123456789")
    return paper, kind == "figure", int(item[len(kind) :] or 0)
