"""Suites: the tables and figures of papers as benches, one TOML file each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from stackclip.errors import DamagedFile, UsageError
from stackclip.ops.files import expanded
from stackclip.ops.seals import read_regular
from stackclip.papers.published import Published, published
from stackclip.papers.runs import Run, by_shots, check_titles, made_of, on_towers, run_of, with_shared
from stackclip.registry import did_you_mean

__all__ = ["Suite", "find_suites", "read_suite", "suites"]

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
    "ci",
    "per_category",
    "per_defect",
    "ci_over",
    "ranks",
    "select_by",
)  # of all runs, where the suite says them


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One table or figure of a paper: what it compares, where its numbers are printed, what it shows.

    `source` and `tables` say where the printed numbers are; `shows` are the metrics that stand in the table.
    With `over_shots` its runs differ in their shots, which are the columns of a table of each metric. `towers` are the
    names of those that each run without a tower of its own has, one after another, whatever else is at hand.
    """

    name: str
    title: str
    source: str
    runs: tuple[Run, ...]
    tables: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    remark: str = ""
    over_shots: bool = False
    towers: tuple[str, ...] = ()

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
    if "select_by" in shared and not any(each.get("select") for each in given):
        raise UsageError(f"{where}: select_by is about a selection, and no run selects: add select = ... to one")
    runs = tuple(run_of(each, where) for one in given for each in by_shots(with_shared(one, shared)))
    check_titles(runs, where)
    told = {"source": "", "name": name, "title": name, **facts, "runs": runs}
    made: Suite = made_of(Suite, told, where, beside=_SHARED)
    try:
        return replace(made, runs=tuple(on_towers(made.runs, made.towers))) if made.towers else made
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _place(name: str) -> tuple[str, bool, int]:
    """Paper by paper, `table10` after `table9`, figures behind the tables."""
    paper, _, item = name.rpartition("-")
    kind = item.rstrip("0123456789")
    return paper, kind == "figure", int(item[len(kind) :] or 0)
