"""A document as one HTML file: leaderboards, curves, and a gallery of what methods said of single pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from stackclip.benchmarks.facts import facts_of
from stackclip.ops.words import counted
from stackclip.registry import writers
from stackclip.reports.again import command_of
from stackclip.reports.brief import Brief, briefs
from stackclip.reports.document import Document
from stackclip.reports.exhibits import Exhibit
from stackclip.reports.gallery import LIMIT, Gallery
from stackclip.reports.lines import drawings
from stackclip.reports.pages import Board, Page, Provenance, Said, render
from stackclip.reports.table import Summary, rows_of_tables
from stackclip.types import Row

__all__ = ["Html"]


@writers.register("html")
class Html:
    """A page for a browser, which needs no network, with the worst pictures first.

    Every category and kind of defect has its lines, however the tables are asked for. Pictures and maps take at most
    `limit` bytes; where they would take more, those of the worst pictures stay.
    """

    def __init__(self, *, limit: int = LIMIT) -> None:
        self.limit = limit

    def write(self, document: Document) -> str:
        """The page."""
        plain = replace(document.ordinary, per_category=False, per_defect=False)
        exhibits = document.exhibits
        gallery = Gallery(exhibits, self.limit) if exhibits else None
        groups = _groups(document)
        told = list(briefs(plain.tables, exhibits))
        said = [Said(each.title, each.sentences, command_of(groups[each.table])) for each in told]
        lacking = document.without_pictures
        page = Page(
            title="Anomaly detection bench",
            subtitle=_subtitle(document.rows),
            briefs=said,
            boards=list(_boards(document, plain)),
            curves=list(drawings(document.plain, document.charts, document.shot_curves)),
            grids=plain.heat_maps(),
            gallery=gallery,
            tables=[table.title for table in plain.tables],
            start=_start(told, exhibits),
            gallery_notes=[*(gallery.notes if gallery else ()), *_lacking_notes(lacking, document.rows)],
            commands_again=[command_of(group, again=True) for group in _groups(replace(document, rows=lacking))],
            notes=document.notes,
            records=[
                record
                for table, group in zip(plain.tables, groups, strict=True)
                for record in (_of_table(table, group), *_of_methods(group))
            ],
        )
        return render(page)


def _groups(document: Document) -> list[list[Row]]:
    """The rows of each table."""
    return [group for alike in rows_of_tables(document.rows) for group in alike]


def _boards(document: Document, plain: Document) -> Iterator[Board]:
    """Each table, with its categories and its kinds of defects behind it; first those over shots, where asked for."""
    if document.over_shots or document.transfer:
        yield from (Board(table) for table in document.tables if table.over_shots)
    whole = replace(plain, per_category=True).tables
    kinds = [table for table in replace(plain, per_defect=True).tables if table.by_defect]
    for table, each in zip(plain.tables, whole, strict=True):
        lines = tuple(line for line in each.lines if line.category is not None)
        parts = [("By category", replace(each, lines=lines))] if len(table.categories) > 1 else []
        parts += [("By kind of defect", kind) for kind in kinds if _alike(kind, table)]
        yield Board(table, parts)


def _alike(kind: Summary, table: Summary) -> bool:
    return replace(kind, metrics=table.metrics, lines=table.lines, compared=table.compared, by_defect=False) == table


def _subtitle(rows: Sequence[Row]) -> str:
    """What there is, in a line."""
    methods, places = {row.method for row in rows}, {(row.test_on, row.category) for row in rows}
    categories = "category" if len(places) == 1 else "categories"
    failed = sum(bool(row.error) for row in rows)
    words = [counted(len(methods), "method"), f"{len(places)} tested {categories}"]
    words += [counted(len({row.seed for row in rows}), "seed"), counted(len(rows), "cell")]
    return ", ".join([*words, *([f"{failed} of them failed"] if failed else [])])


def _start(told: Sequence[Brief], exhibits: Sequence[Exhibit]) -> int:
    """The exhibit to see first: of the first table's worst method, where it is wrong most often."""
    own = [place for place, each in enumerate(exhibits) if told and _is_of(told[0], each)]
    wrong = {place: len(exhibits[place].missed) + len(exhibits[place].false) for place in own}
    return max(own, key=lambda place: wrong[place] / len(exhibits[place].pictures), default=0)


def _is_of(brief: Brief, exhibit: Exhibit) -> bool:
    return (exhibit.table, exhibit.method) == (brief.table, brief.worst)


def _lacking_notes(lacking: Sequence[Row], rows: Sequence[Row]) -> Iterator[str]:
    """What is said above the command that computes rows again of whose pictures nothing is known."""
    if lacking:
        some = f"{len(lacking)} of {counted(len(rows), 'cell')} have" if len(lacking) > 1 else "1 cell has"
        yield (
            f"{some} no scores of single pictures: they are of an older stackclip, or were measured where these could "
            "not be kept. This computes them again:"
        )


def _of_table(table: Summary, group: Sequence[Row]) -> Provenance:
    """How a table was made."""
    facts = facts_of(group[0])
    versions = {"stackclip": facts.stackclip, **facts.recorded}
    said = {
        "tower": facts.tower,
        "fingerprint": json.dumps(facts.kept["fingerprint"], sort_keys=True) if facts.fingerprint else "",
        "features": f"{facts.features} {facts.feature_dtype}".strip(),
        "protocol": facts.protocol,
        "versions": ", ".join(f"{name} {value}" for name, value in versions.items() if value not in ("", None)),
        "trained on": f"{'+'.join(group[0].train_on)} ({facts.trained.content})" if group[0].train_on else "nothing",
        "tested on": f"{group[0].test_on}, at {facts.tested.place}" if facts.tested.place else group[0].test_on,
    }
    return Provenance(table.title, [(name, value) for name, value in said.items() if value], command_of(group))


def _of_methods(group: Sequence[Row]) -> Iterator[Provenance]:
    """How each method of a table was made."""
    for method in dict.fromkeys(row.method for row in group):
        own = [row for row in group if row.method == method]
        options = facts_of(own[0]).kept.get("options")
        seconds = sum(row.seconds for row in own)
        typed = ", ".join(f"{name}={value}" for name, value in options.items()) if isinstance(options, dict) else ""
        said = {"method": method, "options": typed, "seconds of testing": f"{seconds:.3g}"}
        said["errors"] = "; ".join(dict.fromkeys(row.error for row in own if row.error))
        yield Provenance(
            f"{method}: options", [(name, value) for name, value in said.items() if value], command_of(own)
        )
