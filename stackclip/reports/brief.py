"""What a report says first: who is best and worst, what the worst one misses, and the command that shows it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stackclip.ops.words import counted, few_of
from stackclip.reports.columns import METRICS
from stackclip.reports.exhibits import Exhibit
from stackclip.reports.table import Summary
from stackclip.types import ANOMALOUS

__all__ = ["Brief", "briefs"]


@dataclass(frozen=True, slots=True)
class Brief:
    """What is said of a table, by its number, before it is shown: `worst` is the method that the `sentences` are of."""

    table: int
    title: str
    worst: str
    sentences: tuple[str, ...]


def briefs(tables: Sequence[Summary], exhibits: Sequence[Exhibit]) -> Iterator[Brief]:
    """A brief of each table in which something was measured."""
    for number, table in enumerate(tables):
        if ranking := _ranking(table):
            metric, methods = ranking
            (worst, low), (best, high) = methods[-1], methods[0]
            shown = metric.replace("_", " ")
            alike = [method for method, value in methods[:-1] if f"{100 * value:.1f}" == f"{100 * low:.1f}"]
            same = f", the same as {few_of(alike)}" if alike else ""
            told = f"{best} with {shown} {100 * high:.1f}"
            first = (
                f"Worst of {counted(len(methods), 'method')} is {worst} with {shown} {100 * low:.1f}{same}; "
                f"best is {told}."
                if len(methods) > 1
                else f"The only method is {told}."
            )
            own = [each for each in exhibits if each.table == number and each.method == worst]
            yield Brief(number, table.title, worst, (first, *_misses(own)))


def _ranking(table: Summary) -> tuple[str, list[tuple[str, float]]] | None:
    """The first metric that all methods of a table have, else the first of any, and these by it, the best first."""
    lines = [line for line in table.lines if line.category is None and not line.beside]
    found = dict[str, dict[str, float]]()
    for column, metric in enumerate(table.metrics):
        values = [(line.method, line.cells[column].value) for line in lines]
        known = [(method, value) for method, value in values if value is not None]
        if known and metric in METRICS:
            found[metric] = dict(known)
    if not found:
        return None
    first = max(found, key=lambda name: len(found[name]))  # of equals the first
    by = [first, *(name for name in found if found[name].keys() >= found[first].keys())]  # what is alike, by the others
    ranking = sorted(found[first], key=lambda method: [-round(found[name][method], 3) for name in by])
    return first, [(method, found[first][method]) for method in ranking]


def _misses(exhibits: Sequence[Exhibit]) -> Iterator[str]:
    """What a method misses at the thresholds of the best F1, kind by kind, and its worst miss."""
    told = [each for each in exhibits if each.threshold is not None]
    if not told:
        return
    bad, missed = Counter[str](), Counter[str]()
    for each in told:
        kinds = each.pictures.defects
        bad.update(kind for kind, label in zip(kinds, each.pictures.labels, strict=True) if label == ANOMALOUS)
        missed.update(kinds[place] for place in each.missed)
    false, good = sum(len(each.false) for each in told), sum(len(each.pictures) for each in told) - bad.total()
    raised = f"raises {counted(false, 'false alarm')} on {counted(good, 'good picture')}"
    where = "the threshold of the best F1" + (" in each category" if len(told) > 1 else "")
    seed = "" if told[0].seed is None else f" (seed {told[0].seed})"
    yield f"At {where}{seed} it misses {missed.total()} of {counted(bad.total(), 'defective picture')} and {raised}."
    if missed and max(missed.values()) > 1:
        kind, count = max(missed.items(), key=lambda item: (item[1], item[1] / bad[item[0]]))
        yield f"Of the kinds of defects it misses {kind} most often, {count} of {bad[kind]}."
    yield from _worst("miss", "the good pictures score as high or higher", [(each, each.missed) for each in told])
    yield from _worst("false alarm", "the defective ones score as low or lower", [(each, each.false) for each in told])


def _worst(noun: str, than: str, wrong: Sequence[tuple[Exhibit, Sequence[int]]]) -> Iterator[str]:
    """The picture that most of the others outrank, of those of the exhibits that are wrong, the worst first."""
    firsts = [(each, places[0]) for each, places in wrong if places]
    if firsts:
        each, place = max(firsts, key=lambda found: found[0].outranked[found[1]])
        name = each.pictures.ids[place]
        kind = f" ({each.pictures.defects[place]})" if noun == "miss" else ""
        yield f"Its worst {noun} is {name}{kind}: {100 * each.outranked[place]:.0f} % of {than}."
