"""What has to be said under tables: of towers, training, reasons, failures, and pictures that do not count."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from stackclip.benchmarks.facts import EmptyMasks, facts_of
from stackclip.benchmarks.overlap import overlap_notes
from stackclip.metrics import AUPRO_LIMITS, ON_REQUEST, SAMPLE_METRICS, aupro_name
from stackclip.ops.words import counted, few_of
from stackclip.papers.positions import position_notes
from stackclip.papers.published import Lookup
from stackclip.papers.remarks import remarks
from stackclip.papers.schedules import schedule_notes
from stackclip.reports.marks import TRANSDUCTIVE, dependent_on_others
from stackclip.reports.protocols import towers_of
from stackclip.types import Row

__all__ = ["notes", "stack_notes"]

_AUPRO = tuple(map(aupro_name, AUPRO_LIMITS))
_SPRO = tuple(name for name in ON_REQUEST if name.startswith("pixel") and name not in _AUPRO)
_BOXES = re.compile(r"[\[,]boxes=mask[,\]]")
NAMED = 12  # pictures left out that a note names; rows name all


def notes(rows: Sequence[Row], published: Lookup | None = None, metrics: Sequence[str] = ()) -> list[str]:
    """What has to be said under a table: towers, also that some say nothing about CLIP, stacks, reasons, failures.

    `metrics` are the only ones in the table, if given. What is the same of several methods is said once.
    """
    towers = towers_of(rows)
    said = dict.fromkeys([f"tower{'s' * (len(towers) > 1)}: {'; '.join(towers)}"] if towers else [])
    said |= dict.fromkeys(note for row in rows if (note := facts_of(row).note))
    said |= dict.fromkeys(remarks(published, rows) if published else ())
    said |= dict.fromkeys((*stack_notes(rows), *_reasons(rows, metrics)))
    figures = (
        schedule_notes(rows),
        position_notes(rows),
        _binned(rows),
        _on_request(rows, metrics),
        _nowhere(rows, metrics),
    )
    about_figures = (_transductive(rows), *figures)
    about_pictures = (overlap_notes(rows), _boxes(rows), _empty_masks(rows), _left_out(rows))
    return [*said, *(note for notes in (*about_figures, *about_pictures) for note in notes)]


def stack_notes(rows: Iterable[Row]) -> Iterator[str]:
    """Which stacks methods made, and the scores by which they chose the number."""
    curves: dict[tuple[int, str], dict[str, None]] = {}
    for row in rows:
        facts = facts_of(row)
        if facts.scores:
            curves.setdefault((row.seed, _curve(facts.scores, facts.stacks)), {})[row.method] = None
    seeds: dict[tuple[str, str], list[str]] = {}
    for (seed, curve), who in curves.items():
        seeds.setdefault((few_of(who), curve), []).append(str(seed))
    for (named, curve), several in seeds.items():
        yield f"{named}, seed{'s' * (len(several) > 1)} {', '.join(several)}: {curve}"


def _reasons(rows: Sequence[Row], metrics: Sequence[str]) -> Iterator[str]:
    """Why metrics are not defined, and why cells failed, each reason once."""
    found: dict[str, dict[str, dict[str, dict[str, None]]]] = {}  # reason -> what -> method -> places
    for reason, what, row in _unmeasured(rows, metrics):
        found.setdefault(reason, {}).setdefault(what, {}).setdefault(row.method, {})[_place(row)] = None
    places = {_place(row) for row in rows}
    for reason, whats in found.items():
        yield f"{'; '.join(_where(whats, places))}{': ' if '' in whats else ' '}{reason}"


def _unmeasured(rows: Iterable[Row], metrics: Sequence[str]) -> Iterator[tuple[str, str, Row]]:
    """Each reason of each row, with the metrics that it is about; nothing for all of a row that failed."""
    for row in rows:
        for metric, reason in row.undefined.items():
            if not metrics or metric in metrics:
                kind = "sPRO" if metric in _SPRO else f"{metric.partition('_')[0]} metrics"
                yield f"n/a: {reason}", kind, row
        if row.error:
            yield f"failed: {row.error}", "", row


def _where(whats: Mapping[str, Mapping[str, Mapping[str, None]]], places: Collection[str]) -> Iterator[str]:
    """Of which methods what is meant, and where; what holds of the same ones is told together."""
    together: dict[str, list[str]] = {}
    for what, methods in whats.items():
        alike: dict[str, dict[str, None]] = {}
        for method, where in methods.items():
            place = "everywhere" if len(where) == len(places) else ", ".join(where)
            alike.setdefault(place, {})[method] = None
        who = "; ".join(f"{few_of(names)}, {place}" for place, names in alike.items())
        together.setdefault(who, []).append(what)
    for who, about in together.items():
        yield f"{who}: {_joined(about)}" if any(about) else who


def _joined(about: Sequence[str]) -> str:
    """`image and pixel metrics`, `image metrics and sPRO`."""
    return " and ".join(about).replace("image metrics and pixel", "image and pixel")


def _place(row: Row) -> str:
    return f"{row.test_on} {row.category}"


def _transductive(rows: Iterable[Row]) -> Iterator[str]:
    """Of which methods what depends on all tested pictures together."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if what := dependent_on_others(row):
            found.setdefault(what, {})[row.method] = None
    for what, who in found.items():
        yield f"{TRANSDUCTIVE} {few_of(who)}: transductive, its {what} depend on all tested pictures of a category"


def _binned(rows: Iterable[Row]) -> Iterator[str]:
    """How far pixel metrics that were binned may be off, and which could not be."""
    forms = [facts_of(row).pixel_metrics for row in rows]
    bounds = [max(each.bounds.values()) for each in forms if each.form == "streamed" and each.bounds]
    refused = [each for each in forms if each.refused_streamed_bound]
    if bounds:
        cells = counted(len(bounds), "cell")
        yield f"pixel metrics of {cells} are binned (streamed): the exact ones differ by at most {max(bounds):.0e}"
    if refused:
        cells = counted(len(refused), "cell")
        yield f"pixel metrics of {cells} are exact, as bins could not bound their error well enough"


def _nowhere(rows: Sequence[Row], metrics: Sequence[str]) -> Iterator[str]:
    """What every data set can have, was asked for, and no row has, nor a reason why not."""
    held = {name for row in rows for name in (*row.metrics, *row.undefined)}
    if held and (lacking := [name for name in metrics if name not in (*ON_REQUEST, *held)]):
        yield f"no row has {' or '.join(lacking)}"


def _on_request(rows: Sequence[Row], metrics: Sequence[str]) -> Iterator[str]:
    """How far sPRO that is shown may be off, and what was asked for and no row has."""
    if bounds := [facts_of(row).saturation.bounds.get(name, 0.0) for row in rows for name in metrics if name in _SPRO]:
        yield from [f"sPRO is binned: the exact one differs by at most {max(bounds):.0e}"] if max(bounds) else []
    held = {name for row in rows for name in (*row.metrics, *row.undefined)}
    if lacking := [name for name in metrics if name in ON_REQUEST and name not in held]:
        views, strict = set(lacking) & set(SAMPLE_METRICS), set(lacking) & set(_AUPRO)
        whose = [*(["of several views an object"] if views else []), *(["as MVTec AD 2"] if strict else [])]
        whose += ["of logical and structural anomalies"] if set(lacking) - views - strict else []
        yield f"no row has {', '.join(lacking)}: only data sets {' or '.join(whose)} have"


def _boxes(rows: Iterable[Row]) -> Iterator[str]:
    """Of which data sets the masks are boxes around the defects."""
    layouts = {row.test_on: facts_of(row).tested_layout for row in rows}
    found = [name for name, layout in layouts.items() if _BOXES.search(layout)]
    if found:
        yield f"{few_of(found)}: masks are boxes (boxes=mask), so pixel metrics measure boxes, not outlines"


def _empty_masks(rows: Iterable[Row]) -> Iterator[str]:
    """How many defective pictures have no anomalous pixel: their masks are black, or it was lost in scaling."""
    by_size: dict[int | str | None, dict[str, EmptyMasks]] = {}
    for row in rows:
        facts = facts_of(row)
        if facts.empty_masks:
            by_size.setdefault(facts.map_side or facts.image_size, {})[_place(row)] = facts.empty_masks
    for size, counts in by_size.items():
        masks = sum(each.masks for each in counts.values())
        black, lost = sum(each.black for each in counts.values()), sum(each.lost for each in counts.values())
        yield (
            f"{few_of(dict.fromkeys(counts))}: {black + lost} of {counted(masks, 'defective picture')} with a mask have"
            f" no anomalous pixel: {black} with a black mask, {lost} lost in scaling to {size} pixels"
        )


def _left_out(rows: Iterable[Row]) -> Iterator[str]:
    """Which pictures of which data set were left out for which reason, of all metrics or of those of pixels."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        facts = facts_of(row)
        for why, what in ((facts.why_left_out, ""), (facts.why_without_mask, "the pixel metrics of ")):
            for dataset, reasons in why.items():
                for name, reason in reasons.items():
                    found.setdefault((f"{what}{dataset}", reason), {})[name] = None
    for (where, reason), names in found.items():
        more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
        yield f"left out of {where} ({len(names)}): {', '.join([*list(names)[:NAMED], *more])}: {reason}"


def _curve(scores: Mapping[str, float], stacks: Sequence[Sequence[str]]) -> str:
    """The score curve of a clustering and the stacks that were chosen."""
    curve = ", ".join(f"{k}: {value:.3f}" for k, value in sorted(scores.items(), key=lambda item: int(item[0])))
    named = "; ".join(" + ".join(stack) for stack in stacks)
    return f"{len(stacks)} stack{'s' if len(stacks) > 1 else ''} ({named}); score by number of stacks {{{curve}}}"
