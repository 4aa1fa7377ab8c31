"""What the parts of a method are worth, for its card: from the file that `make parts` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from stackclip.registry import Component, Spec
from stackclip.studies.ablation import ADDED, AWAY, removable_parts
from stackclip.studies.worth import points

__all__ = ["parts_section", "worth_section"]

_FILE = Path(__file__).with_name("parts.json")
_SAME = "no digit changes"


def parts_section(component: Component) -> Iterator[tuple[str, str, str]]:
    """The parts that a method can be without: what each is called, what takes it away, whether it is there."""
    spec = Spec(component.name)
    there = removable_parts(component, spec)
    for part in removable_parts(component, spec, absent=True):
        yield part.name, f"`{part.taken_away_by}`", "there" if part in there else "not there"


def worth_section(name: str) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Of each tested set what stands above its table, the heads and the lines; nothing where nothing was measured."""
    found = _measured().get(name)
    if found is None:
        return
    for test_on in dict.fromkeys(each["test_on"] for each in found["worth"]):
        records = [each for each in found["worth"] if each["test_on"] == test_on]
        metrics = [*dict.fromkeys(each["metric"] for each in records if each["worth"] is not None)]
        heads = [f"{metric.replace('_', ' ')}, {way}" for metric in metrics for way in (AWAY, ADDED)]
        parts = dict.fromkeys(each["part"] for each in records)
        lines = [
            [part, *(_cell(records, part, metric, way) for metric in metrics for way in (AWAY, ADDED))]
            for part in parts
        ]
        if metrics:
            yield f"Tested on `{test_on}`:", ["part", *heads], lines


def about(name: str) -> str:
    """With what it was measured, in sentences."""
    found = _measured()[name]
    trained, _, seeds, tower = found["about"]
    said = [f"`{found['method']}` {trained}, {seeds}, {tower}.", f"Without any part it is `{found['bare']}`."]
    return " ".join([*said, *(f"{note[0].upper()}{note[1:]}." for note in (*found["notes"], *found["remarks"]))])


@cache
def _measured() -> Mapping[str, Any]:
    """What was measured of each method, by its name without options."""
    return {Spec.parse(each["method"]).name: each for each in json.loads(_FILE.read_text("utf-8"))}


def _cell(records: Sequence[Mapping[str, Any]], part: str, metric: str, way: str) -> str:
    """The worth with its interval over categories, or of one category over pictures; bold where both leave out 0."""
    named = {"part": part, "metric": metric, "way": way}
    each = next((each for each in records if named.items() <= each.items()), None)
    if each is None:
        return ""
    if each["worth"] is None:
        return "n/a"
    if each["in_words"] == _SAME:
        return "="
    low, high = each["pictures"] if each["categories"][0] is None else each["categories"]
    text = f"{points(each['worth'])} [{points(low)}, {points(high)}]"
    return f"**{text}**" if each["in_words"].startswith(("worth", "costs")) else text
