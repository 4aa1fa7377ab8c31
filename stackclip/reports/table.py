"""Rows as tables: one line a method, best bold and second underlined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from stackclip.benchmarks.intervals import Comparison, compare, compared, pooled_interval
from stackclip.benchmarks.overlap import overlap_notes
from stackclip.benchmarks.sets import Titles, standing
from stackclip.metrics import IMAGE_METRICS, PIXEL_METRICS
from stackclip.ops.words import counted, few_of, legible
from stackclip.papers.positions import position_notes
from stackclip.papers.published import Lookup, Reference
from stackclip.papers.schedules import schedule_notes
from stackclip.types import Row

if TYPE_CHECKING:
    from rich.table import Table as RichTable

__all__ = [
    "METRICS",
    "Figure",
    "Summary",
    "TableLine",
    "differences_of",
    "first_methods",
    "notes",
    "printed_table",
    "ranked",
    "rich_tables",
    "summarise",
]

METRICS = (*IMAGE_METRICS, *PIXEL_METRICS)
NAMED = 12  # pictures left out that a note names; rows name all


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a table: the mean over what it sums up, the spread over seeds, and of how many it is.

    `value` is None where nothing is defined; `why` then says the reason. `interval` is where it would lie for other
    pictures, 19 times of 20.
    """

    value: float | None
    spread: float | None = None
    counted: int = 0
    of: int = 0
    why: str = ""
    signed: bool = False
    interval: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        """The number times 100: `93.1 ±0.4 [91.2, 94.8] (11 of 12)`, as far as there is a spread over several seeds, an
        interval, and something that lacks.
        """
        if self.value is None:
            return "n/a"
        if self.signed:
            return f"{100 * self.value:+.1f}"
        spread = "" if self.spread is None else f" ±{100 * self.spread:.1f}"
        partial = "" if self.counted == self.of else f" ({self.counted} of {self.of})"
        between = "" if self.interval is None else " [{:.1f}, {:.1f}]".format(*(100 * end for end in self.interval))
        return f"{100 * self.value:.1f}{spread}{between}{partial}"


@dataclass(frozen=True, slots=True)
class TableLine:
    """One line of a table: a method on a category, or on the mean over categories.

    `beside` is one that was not measured: what a paper prints of the method above, or the difference to that.
    """

    method: str
    category: str
    cells: tuple[Figure, ...]
    error: str = ""
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """One table: everything trained on one place and tested on another with the same shots, and asked alike.

    `protocol` says in words what was asked in place of the methods' own, and where other tables of the same places were
    asked otherwise, all that was asked. `compared` are the differences from the first method on the same pictures, a
    line a method.
    """

    train_on: str
    test_on: str
    shots: int
    seeds: tuple[int, ...]
    categories: tuple[str, ...]
    metrics: tuple[str, ...]
    lines: tuple[TableLine, ...]
    protocol: str = ""
    compared: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What was trained on what, in words."""
        count = len(self.categories)
        parts = [
            f"{f'trained on {self.train_on}' if self.train_on else 'not trained'}, tested on {self.test_on}",
            f"mean over {count} categor{'y' if count == 1 else 'ies'}",
            counted(len(self.seeds), "seed"),
        ]
        parts += [counted(self.shots, "shot")] if self.shots else []
        return ", ".join([*parts, *([self.protocol] if self.protocol else [])])

    def ranks(self, column: int, category: str) -> dict[str, int]:
        """Method -> 1 for the best and 2 for the second best value of a column among the lines of a category."""
        lines = [line for line in self.lines if line.category == category and line.cells and not line.beside]
        most = max((line.cells[column].counted for line in lines), default=0)  # a mean of fewer is no match for these
        lines = [line for line in lines if line.cells[column].counted == most]
        shown = {
            line.method: round(100 * value, 1) for line in lines if (value := line.cells[column].value) is not None
        }
        order = sorted(set(shown.values()), reverse=True)
        return {method: order.index(value) + 1 for method, value in shown.items() if len(shown) > 1}


MEAN = "mean"


def summarise(
    rows: Iterable[Row],
    *,
    per_category: bool = False,
    metrics: Sequence[str] = (),
    published: Lookup | None = None,
    ci: bool = False,
) -> list[Summary]:
    """The tables of rows: one for each pair of training and test sets; lines in the order the methods come.

    Sets are told apart by their pictures (`stackclip.benchmarks.sets`). Rows of different towers, epochs, class names
    or batch sizes that were asked for never stand in one table.
    A mean is taken over categories within a seed, then over the seeds; undefined values are left out of it and counted.
    `metrics` are the only ones shown, if given. Below a method stands what `published` has of it, and the difference.
    With `ci` the intervals of rows that have draws are shown, and the differences from the first method.
    """
    tables, every = [], tuple(rows)
    titles = Titles(every)
    for alike in _places(every):
        for group, protocol in zip(alike, _protocols([group[0] for group in alike]), strict=True):
            table = _summary(group, per_category, protocol, metrics, ci)
            table = replace(table, train_on=titles.trained(group[0]), test_on=titles.tested(group[0]))
            tables.append(_with_published(table, published, group) if published else table)
    return tables


def _places(rows: Iterable[Row]) -> list[list[list[Row]]]:
    """The rows of each pair of training and test sets, and of these the rows of each table."""
    groups: dict[tuple[object, ...], dict[str, list[Row]]] = {}
    for row in rows:
        alike = groups.setdefault((row.train_on, row.test_on, row.shots, standing(row)), {})
        alike.setdefault(str(row.facts.get("protocol", "")), []).append(row)
    return [list(alike.values()) for alike in groups.values()]


def _with_published(summary: Summary, published: Lookup, rows: Sequence[Row]) -> Summary:
    """The table with what is printed of each of its lines below it, and the difference."""
    measured = {row.method: row for row in rows}
    lines = []
    for line in summary.lines:
        lines.append(line)
        category = "" if line.category == MEAN else line.category
        for reference in published.find(measured[line.method], category=category):
            lines += _beside(line, reference, summary.metrics)
    return replace(summary, lines=tuple(lines))


def _beside(line: TableLine, reference: Reference, metrics: Sequence[str]) -> Iterator[TableLine]:
    """What is printed of a line, and the difference of the two numbers as they are shown."""
    printed = [Figure(reference.values.get(name), counted=1, of=1) for name in metrics]
    if any(cell.value is not None for cell in printed):
        yield TableLine(reference.label, line.category, tuple(printed), beside=True)
        difference = [_difference(own.value, other.value) for own, other in zip(line.cells, printed, strict=True)]
        yield TableLine("difference", line.category, tuple(difference), beside=True)


def _difference(measured: float | None, printed: float | None) -> Figure:
    if measured is None or printed is None:
        return Figure(None)
    points = round(round(100 * measured, 1) - round(100 * printed, 1), 1)
    return Figure((points or 0.0) / 100, counted=1, of=1, signed=True)


def _protocols(rows: Sequence[Row]) -> list[str]:
    """What was asked of the methods of each table of the same places, in words; `rows` are the first of each.

    What is not the methods' own is always said; all of it where there are several tables to tell apart, and where the
    words are the same (they name no categories), the protocol's hash, which rows carry.
    """
    if len(rows) == 1:
        return [", ".join(_changed(row)) for row in rows]
    layouts = ["+".join(row.facts.get("trained_layouts", ())) for row in rows]
    words = [
        ", ".join(
            [
                f"{row.facts.get('tower', 'unknown tower')} at {row.facts.get('image_size', '?')} pixels",
                f"features {str(row.facts.get('features', '?'))[:8]}",
                f"batches of {row.facts.get('batch_size', '?')}",
                *([f"training set {layout}"] if len(set(layouts)) > 1 else []),
                *_changed(row),
            ]
        )
        for row, layout in zip(rows, layouts, strict=True)
    ]
    alike = {said for said in words if words.count(said) > 1}
    return [
        f"{said}, protocol {row.facts.get('protocol', '?')}" if said in alike else said
        for row, said in zip(rows, words, strict=True)
    ]


def _changed(row: Row) -> Iterator[str]:
    """What was asked of all methods alike that they or the features would have otherwise."""
    epochs, names = row.facts.get("asked_epochs"), row.facts.get("asked_class_names")
    if row.facts.get("feature_dtype") == "int8":
        yield "features kept as int8"
    if epochs is not None:
        yield counted(epochs, "epoch")
    if names is not None:
        yield f"{names} class names"


def _summary(rows: Sequence[Row], per_category: bool, protocol: str, shown: Sequence[str], ci: bool) -> Summary:
    categories = tuple(dict.fromkeys(row.category for row in rows))
    seeds = tuple(dict.fromkeys(row.seed for row in rows))
    measured = {name for row in rows for name in (*row.metrics, *row.undefined)}
    metrics = tuple(name for name in shown or METRICS if name in measured or not measured)
    lines = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        for category in (*(categories if per_category else ()), MEAN):
            chosen = [row for row in own if category in (MEAN, row.category)]
            errors = tuple(dict.fromkeys(row.error for row in chosen if row.error))
            of = len(seeds) * (len(categories) if category == MEAN else 1)
            cells = tuple(_cell(chosen, name, seeds, of, ci) for name in metrics)
            lines.append(TableLine(method, category, cells, "; ".join(errors)))
    order = {category: index for index, category in enumerate((*categories, MEAN))}
    lines.sort(key=lambda line: order[line.category])
    first = rows[0]
    trained = "+".join(first.train_on)
    differences = tuple(compared(rows, metrics)) if ci else ()
    return Summary(trained, first.test_on, first.shots, seeds, categories, metrics, tuple(lines), protocol, differences)


def _cell(rows: Sequence[Row], metric: str, seeds: Sequence[int], of: int, ci: bool) -> Figure:
    by_seed = [[row.metrics[metric] for row in rows if row.seed == seed and metric in row.metrics] for seed in seeds]
    means = [fmean(values) for values in by_seed if values]
    if not means:
        reasons = dict.fromkeys(row.undefined.get(metric) or row.error for row in rows)
        return Figure(None, why="; ".join(reason for reason in reasons if reason))
    values = sum(map(len, by_seed))
    found = pooled_interval(rows, metric) if ci else None
    interval = (found.low, found.high) if found else None
    return Figure(fmean(means), pstdev(means) if len(means) > 1 else None, values, of, interval=interval)


def notes(rows: Sequence[Row], published: Lookup | None = None, metrics: Sequence[str] = ()) -> list[str]:
    """What has to be said under a table: towers that say nothing about CLIP, stacks and scores, reasons, failures.

    `metrics` are the only ones in the table, if given. What is the same of several methods is said once.
    """
    said = dict.fromkeys(str(row.facts["note"]) for row in rows if row.facts.get("note"))
    said |= dict.fromkeys(published.remarks(rows) if published else ())
    curves: dict[tuple[int, str], dict[str, None]] = {}
    for row in rows:
        if row.facts.get("scores"):
            curve = _curve(row.facts["scores"], row.facts["stacks"])
            curves.setdefault((row.seed, curve), {})[row.method] = None
    for (seed, curve), who in curves.items():
        said[f"{few_of(who)}, seed {seed}: {curve}"] = None
    reasons: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        for metric, reason in row.undefined.items():
            if metrics and metric not in metrics:
                continue
            about = "pixel metrics" if metric.startswith("pixel") else "image metrics"
            reasons.setdefault((row.method, f"{about} n/a: {reason}"), {})[f"{row.test_on} {row.category}"] = None
        if row.error:
            reasons.setdefault((row.method, f"failed: {row.error}"), {})[f"{row.test_on} {row.category}"] = None
    places = {f"{row.test_on} {row.category}" for row in rows}
    alike: dict[tuple[str, str], dict[str, None]] = {}
    for (method, reason), where in reasons.items():
        place = "everywhere" if len(where) == len(places) else ", ".join(where)
        alike.setdefault((place, reason), {})[method] = None
    for (place, reason), who in alike.items():
        said[f"{few_of(who)}, {place}: {reason}"] = None
    about_figures = (schedule_notes(rows), position_notes(rows), _binned(rows))
    about_pictures = (overlap_notes(rows), _empty_masks(rows), _left_out(rows))
    return [*said, *(note for notes in (*about_figures, *about_pictures) for note in notes)]


def _binned(rows: Iterable[Row]) -> Iterator[str]:
    """How far pixel metrics that were binned may be off, and which could not be."""
    forms = [row.facts.get("pixel_metrics", {}) for row in rows]
    bounds = [max(each["bounds"].values()) for each in forms if each.get("form") == "streamed" and each.get("bounds")]
    refused = [each for each in forms if each.get("refused_streamed_bound")]
    if bounds:
        cells = counted(len(bounds), "cell")
        yield f"pixel metrics of {cells} are binned (streamed): the exact ones differ by at most {max(bounds):.0e}"
    if refused:
        cells = counted(len(refused), "cell")
        yield f"pixel metrics of {cells} are exact, as bins could not bound their error well enough"


def _empty_masks(rows: Iterable[Row]) -> Iterator[str]:
    """How many defective pictures have no anomalous pixel: their masks are black, or it was lost in scaling."""
    cells = {(row.test_on, row.category): row.facts for row in rows if row.facts.get("empty_masks")}
    by_size: dict[Any, dict[str, Mapping[str, int]]] = {}
    for place, facts in cells.items():
        by_size.setdefault(facts.get("image_size"), {})[" ".join(place)] = facts["empty_masks"]
    for size, counts in by_size.items():
        masks, black, lost = (sum(each[name] for each in counts.values()) for name in ("masks", "black", "lost"))
        yield (
            f"{few_of(dict.fromkeys(counts))}: {black + lost} of {counted(masks, 'defective picture')} with a mask have"
            f" no anomalous pixel: {black} with a black mask, {lost} lost in scaling to {size} pixels"
        )


def _left_out(rows: Iterable[Row]) -> Iterator[str]:
    """Which pictures of which data set were left out for which reason, of all metrics or of those of pixels."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        for fact, what in (("why_left_out", ""), ("why_without_mask", "the pixel metrics of ")):
            for dataset, reasons in row.facts.get(fact, {}).items():
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


def rich_tables(summaries: Iterable[Summary]) -> list[RichTable]:
    """Tables for a terminal: best bold, second underlined."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    tables = []
    for summary in summaries:
        table = Table(header_style="dim", box=box.SIMPLE_HEAD)
        table.collapse_padding, table.pad_edge = True, False
        table.add_column("method", no_wrap=True)
        many = len({line.category for line in summary.lines}) > 1
        if many:
            table.add_column("category", no_wrap=True)
        for name in summary.metrics:
            # An interval has a line of its own, and where the terminal is narrow a cell wraps before its spread;
            # nothing is cut off.
            table.add_column(
                name.replace("_", "\n").replace("cflow200", "cflow\n200"), justify="right", overflow="fold"
            )
        previous = summary.lines[0].category if summary.lines else ""
        for line in summary.lines:
            if line.category != previous:
                table.add_section()
                previous = line.category
            cells = [Text(text.replace(" [", "\n["), _STYLES.get(rank, "")) for text, rank in ranked(summary, line)]
            name, style = (f"  {line.method}", "dim") if line.beside else (line.method, "")
            table.add_row(Text(legible(name)), *([Text(legible(line.category))] if many else []), *cells, style=style)
        tables.append(table)
    return tables


def printed_table(references: Sequence[Reference], metrics: Sequence[str] = ()) -> RichTable:
    """What papers print, for a terminal: a line for each method and place, whether it was measured or not."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    held = {name for reference in references for name in reference.values}
    shown = [name for name in metrics or METRICS if name in held and not name.endswith("cflow200")]
    table = Table(header_style="dim", box=box.SIMPLE_HEAD)
    table.collapse_padding, table.pad_edge = True, False
    several = len({reference.lines[0].tower for reference in references}) > 1
    for head in ("printed in", "method", *(["tower"] if several else []), "trained on", "tested on"):
        table.add_column(head, overflow="fold")
    for name in shown:
        table.add_column(name.replace("_", "\n"), justify="right")
    for reference in references:
        line, values = reference.lines[0], reference.values
        words = [line.method, *([f"({line.setting})"] if line.setting else [])]
        shots = f", {counted(int(line.shots), 'shot')}" if line.shots != "0" else ""
        where = [line.label, " ".join(words), *([line.tower] if several else []), "+".join(line.train_on) or "-"]
        where.append(" ".join([line.dataset, *([line.category] if line.category else [])]) + shots)
        cells = [f"{100 * values[name]:.1f}" if name in values else "" for name in shown]
        table.add_row(*(Text(legible(text)) for text in (*where, *cells)))
    return table


_STYLES = {1: "bold", 2: "underline"}


def ranked(summary: Summary, line: TableLine) -> list[tuple[str, int]]:
    """The text of each cell of a line with its rank in its column (0 for none)."""
    return [
        (
            "" if line.beside and cell.value is None else "failed" if line.error and cell.value is None else cell.text,
            0 if line.beside else summary.ranks(column, line.category).get(line.method, 0),
        )
        for column, cell in enumerate(line.cells)
    ]


def first_methods(rows: Sequence[Row]) -> dict[int, Row]:
    """For each row, by its identity, that of the first method of its table for the same category and seed."""
    first = {}
    for group in (group for alike in _places(rows) for group in alike):
        of_first = {(row.category, row.seed): row for row in group if row.method == group[0].method}
        for row in group:
            if row.method != group[0].method and (row.category, row.seed) in of_first:
                first[id(row)] = of_first[row.category, row.seed]
    return first


def differences_of(row: Row, first: Row | None) -> dict[str, Comparison]:
    """The differences of a row from that of the first method, by metric."""
    if first is None:
        return {}
    found = {name: compare((row, first), row.method, first.method, name) for name in METRICS}
    return {name: comparison for name, comparison in found.items() if comparison}
