"""How long, at which rate and in which batches methods train: what differs in a table, and from the published ones.

A row has its own under `schedule`: for each part that the method learns, `epochs`, `lr`, `batch` and `steps`. What
papers and released code say is in `tables/schedules.csv`; a training set that it does not name is any other.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from stackclip.benchmarks.facts import facts_of
from stackclip.errors import StackclipError
from stackclip.methods import component_of, method_names
from stackclip.ops.words import counted, few_of
from stackclip.registry import Spec
from stackclip.types import Row

__all__ = ["PublishedSchedule", "apart_from_published", "published_schedules", "said_of", "schedule_notes"]

_FILE = "tables/schedules.csv"
_NAMES = {"epochs": "epochs", "lr": "learning rate", "batch": "batch", "steps": "steps"}
Schedule = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PublishedSchedule:
    """What a paper or its released code says of one learned part; what it does not say is missing."""

    said_by: str
    values: Mapping[str, float]


@cache
def published_schedules(method: str, part: str, trained_on: tuple[str, ...]) -> tuple[PublishedSchedule, ...]:
    """What is said of a part of a method, paper first; `trained_on` are published data sets.

    Epochs and rates that stand in the method's own options take the place of those that are said in general.
    """
    text = (resources.files("stackclip.papers") / _FILE).read_text("utf-8")
    spec = Spec.parse(method)
    of_part = [row for row in csv.DictReader(text.splitlines()) if (row["method"], row["part"]) == (spec.name, part)]
    here = [row for row in of_part if row["trained_on"] in trained_on] or [r for r in of_part if not r["trained_on"]]
    own = _own_options(spec, part)
    return tuple(
        PublishedSchedule(
            row["said_by"], {**{name: float(row[name]) for name in ("epochs", "lr", "batch") if row[name]}, **own}
        )
        for row in here
    )


def schedule_notes(rows: Iterable[Row]) -> Iterator[str]:
    """What differs between the schedules of methods that were trained on the same place, in one line a place."""
    places: dict[tuple[tuple[str, ...], str], dict[str, Mapping[str, Schedule]]] = {}
    for row in rows:
        if parts := _parts(row):
            asked = facts_of(row).protocol
            places.setdefault((row.train_on, asked), {}).setdefault(row.method, parts)
    notes: dict[str, list[str]] = {}
    for (trained_on, _), methods in places.items():
        if line := _differences(methods):
            notes.setdefault(line, []).append("+".join(trained_on))
    for line, places_of in notes.items():
        where = f"trained on {', '.join(dict.fromkeys(places_of))}: " if len(places) > 1 else ""
        yield f"{where}{line}"


def apart_from_published(row: Row, method: str, trained_on: tuple[str, ...]) -> Iterator[str]:
    """How a row was trained otherwise than a printed line of `method`, trained on `trained_on`: a line a part."""

    def order(item: tuple[str, str]) -> int:
        return list(_NAMES).index(item[0])

    for part, own in facts_of(row).schedule.items():
        differ: dict[str, str] = {}
        for said in published_schedules(method, part, trained_on):
            for name, value in said.values.items():
                if value != own[name]:
                    differ[name] = ", ".join(filter(None, [differ.get(name), f"{said.said_by} {value:g}"]))
        if differ:
            found = "; ".join(
                f"{_NAMES[name]} {own[name]:g} ({said})" for name, said in sorted(differ.items(), key=order)
            )
            yield f"{row.method}'s {part} is not trained as published: {found}"


def said_of(schedule: Schedule, names: Sequence[str] = tuple(_NAMES)) -> str:
    """A schedule in words: `2 epochs, lr 0.001, batches of 16, 50 + 86 steps`."""
    words = {
        "epochs": lambda value: counted(int(value), "epoch"),
        "lr": lambda value: f"lr {value:g}",
        "batch": lambda value: f"batches of {value:g}",
        "steps": lambda value: (
            f"{' + '.join(map(str, value))} steps" if isinstance(value, list) else counted(value, "step")
        ),
    }
    return ", ".join(words[name](schedule[name]) for name in names if name in schedule)


def _parts(row: Row) -> Mapping[str, Schedule]:
    """The schedules of what a method learns; rows from before there were such have their epochs alone."""
    facts = facts_of(row)
    return facts.schedule or ({"": {"epochs": facts.epochs}} if facts.epochs else {})


def _differences(methods: Mapping[str, Mapping[str, Schedule]]) -> str:
    """In which of their values methods differ, and what each has of these; empty where they are alike."""

    def differ(name: str) -> bool:
        values = [[part.get(name) for part in parts.values()] for parts in methods.values()]
        return any(value != values[0] for value in values)

    names = [name for name in _NAMES if differ(name)]
    if not names:
        return ""
    alike: dict[str, list[str]] = {}
    for method, parts in sorted(methods.items(), key=lambda item: -max(p["epochs"] for p in item[1].values())):
        several = len(parts) > 1
        words = [f"{part} {said_of(each, names)}" if several else said_of(each, names) for part, each in parts.items()]
        alike.setdefault(", and ".join(words), []).append(method)
    spans = [f"{few_of(who)}: {words}" for words, who in alike.items()]
    flags = {"epochs": "--epochs gives one number of epochs", "batch": "--batch-size gives one size"}
    hint = f" ({', '.join(words for name, words in flags.items() if name in names)})" if {*flags} & {*names} else ""
    what = ", ".join(_NAMES[name] for name in names)
    return f"not trained alike, but each by its own schedule, in {what}{hint}: {'; '.join(spans)}"


def _own_options(spec: Spec, part: str) -> dict[str, float]:
    """Epochs and rate that stand in a method's options, or in those of its learner; `text_epochs` is of its text."""
    options = dict(spec.options)
    if part == "learner":
        try:
            options = dict(Spec.parse(options.get("learner", "none")).options)
        except StackclipError:
            options = {}
    named = {option.label for option in component_of(spec.name).options} if spec.name in method_names() else set()
    found = {name: f"{part}_{name}" if f"{part}_{name}" in named else name for name in ("epochs", "lr")}
    return {name: float(options[label]) for name, label in found.items() if label in options}
