"""One page that needs nothing beside itself: a report for a browser without a network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from stackclip.ops.colours import HEAT_COLOURS
from stackclip.ops.words import legible
from stackclip.reports.gallery import Gallery
from stackclip.reports.heat import HeatMap
from stackclip.reports.lines import Panel
from stackclip.reports.table import Figure, Summary, TableLine, ranked

__all__ = ["Board", "Page", "Provenance", "Said", "render"]

_SHAPES = (
    "M{x} {y}m-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0",
    "M{x} {y}m-3 -3h6v6h-6z",
    "M{x} {y}m0 -4l4 7h-8z",
    "M{x} {y}m0 -4l4 4l-4 4l-4 -4z",
    "M{x} {y}m0 4l4 -7h-8z",
    "M{x} {y}m-1 -4h2v3h3v2h-3v3h-2v-3h-3v-2h3z",
    "M{x} {y}m-3 -3l6 0l-6 6l6 0z",
)


@dataclass(frozen=True, slots=True)
class Said:
    """Sentences that stand first, about what has this title, and the command that made it."""

    title: str
    sentences: Sequence[str]
    command: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """A table, and others behind it that are folded, by what they are called."""

    summary: Summary
    parts: Sequence[tuple[str, Summary]] = ()


@dataclass(frozen=True, slots=True)
class Provenance:
    """How something was made: facts by name, and a command line."""

    title: str
    facts: Sequence[tuple[str, str]]
    command: str = ""


@dataclass(frozen=True)
class Page:
    """What a page shows, part by part; what is empty is left out.

    `start` is the exhibit of the gallery that is seen first, `tables` are the titles of the tables of exhibits.
    """

    title: str
    subtitle: str
    briefs: Sequence[Said] = ()
    boards: Sequence[Board] = ()
    curves: Sequence[tuple[str, Sequence[Panel]]] = ()
    grids: Sequence[HeatMap] = ()
    gallery: Gallery | None = None
    tables: Sequence[str] = ()
    start: int = 0
    gallery_notes: Sequence[str] = ()
    commands_again: Sequence[str] = ()
    notes: Sequence[str] = ()
    records: Sequence[Provenance] = ()

    @property
    def intervals_for(self) -> str:
        """What the intervals of the tables are for: `other pictures`, `other categories`; empty for none."""
        found = (
            each.summary.inference.other
            for each in self.boards
            if each.summary.inference
            and any(cell.interval for line in each.summary.lines if not line.beside for cell in line.cells)
        )
        return next(found, "")

    @property
    def labelled(self) -> bool:
        """Whether it is known of the pictures of the gallery which are good."""
        return self.gallery is None or any(each.labelled for each in self.gallery.exhibits)


def render(page: Page) -> str:
    """The page as HTML: equal bytes for equal pages. Text in it is legible, and none of it is markup."""
    script, style = _part("page.js"), _part("page.css")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    gallery = _json(_data(page)) if page.gallery and page.gallery.exhibits else None
    return _template().render(page=page, policy=policy, script=Markup(script), style=Markup(style), gallery=gallery)


def _data(page: Page) -> dict[str, Any]:
    """What the script of the page reads."""
    assert page.gallery is not None
    tables, colours = [legible(title) for title in page.tables], HEAT_COLOURS.round().astype(int).tolist()
    return {**page.gallery.data, "tables": tables, "start": page.start, "colours": colours}


def _json(data: Mapping[str, Any]) -> Markup:
    """JSON that ends no element and opens none."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026"))


def _part(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _template() -> Template:
    made = Environment(autoescape=True, undefined=StrictUndefined, loader=FunctionLoader(_part))
    made.filters |= {"legible": legible, "grouped": _grouped, "cells": _cells, "legend": _legend}
    made.globals |= {"mark": _mark}
    return made.get_template("page.html")


def _grouped(summary: Summary) -> list[list[TableLine]]:
    """Each measured line with those that stand below it."""
    number = 0
    keyed = []
    for line in summary.lines:
        number += not line.beside
        keyed.append((number, line))
    return [[line for _, line in group] for _, group in groupby(keyed, key=lambda each: each[0])]


def _cells(line: TableLine, summary: Summary) -> Iterator[tuple[str, int, Figure]]:
    return ((text, rank, cell) for (text, rank), cell in zip(ranked(summary, line), line.cells, strict=True))


def _legend(panels: Sequence[Panel]) -> list[tuple[str, int]]:
    """The names of the curves of some panels with their looks, each once."""
    return list(dict.fromkeys((curve.name, curve.look) for panel in panels for curve in panel.curves))


def _mark(x: float, y: float, look: int) -> Markup:
    """The mark of a look at a place."""
    return Markup('<path class="dot look{}" d="{}"/>').format(look, _SHAPES[look].format(x=x, y=y))
