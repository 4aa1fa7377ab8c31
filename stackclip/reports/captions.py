"""What a reader of a printed table has to know to compare its numbers with others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.intervals import has_draws
from stackclip.ops.words import counted
from stackclip.reports.marks import TRANSDUCTIVE
from stackclip.reports.protocols import towers_of
from stackclip.reports.table import Summary
from stackclip.reports.tested import CHANCE
from stackclip.studies.significance import Inference
from stackclip.types import Row

__all__ = ["block_title", "caption", "notes_on_intervals"]


def block_title(table: Summary) -> str:
    """How many normal pictures methods are shown, as papers say it."""
    return counted(table.shots, "shot") if table.shots else "zero-shot"


def caption(title: str, tables: Sequence[Summary], rows: Sequence[Row]) -> tuple[str, ...]:
    """The protocol of tables that stand together, sentence by sentence, without full stops."""
    facts = facts_of(rows[0])
    blocks = dict.fromkeys(map(block_title, tables))
    said = [f"{title}, in %", *towers_of(rows[:1])]
    said += [f"{each[0].upper()}{each[1:]}" for each in (blocks if len(blocks) == 1 else ())]
    said += [*_places(tables), *([tables[0].protocol] if tables[0].protocol else [])]
    said += [*_seeds(tables), *_marking(rows, tables[0].inference or Inference())]
    if any(cell.interval for table in tables for line in table.lines if not line.beside for cell in line.cells):
        over = (tables[0].inference or Inference()).other
        said.append(f"In brackets: where a number would lie for {over}, 19 times of 20")
    if any(cell.interval for table in tables for line in table.lines if line.beside for cell in line.cells):
        said.append("Below methods: mean, standard deviation, least and greatest over wordings that mean the same")
    if any(line.marked for table in tables for line in table.lines):
        said.append(f"{TRANSDUCTIVE}: depends on all tested pictures of a category together")
    return (*said, *([facts.note] if facts.note else []))


def notes_on_intervals(tables: Sequence[Summary]) -> Iterator[str]:
    """Why figures have no interval over pictures that others of the tables have."""
    lines = [line for table in tables if table.inference and table.inference.over == "pictures" for line in table.lines]
    cells = [cell for line in lines if not line.beside for cell in line.cells]
    if any(cell.interval for cell in cells) and any(cell.value in (0, 1) and not cell.interval for cell in cells):
        yield "100.0 or 0.0 in every draw has no interval: it cannot tell how far from there others would lie"


def _places(tables: Sequence[Summary]) -> Iterator[str]:
    """What was tested after which training, and over how many categories."""
    found = dict[str, dict[str, int]]()
    for table in tables:
        found.setdefault(table.train_on, {})[table.test_on] = len(table.categories)
    for trained, tested in found.items():
        sets = (f"{name} ({count} {'category' if count == 1 else 'categories'})" for name, count in tested.items())
        yield f"{f'Trained on {trained}' if trained else 'Not trained'}, tested on {', '.join(sets)}"


def _seeds(tables: Sequence[Summary]) -> Iterator[str]:
    """What means are over; of which data sets, and where those differ in themselves of which parts, if not of all."""
    found = dict[tuple[int, ...], list[Summary]]()
    for table in tables:
        found.setdefault(tuple(sorted(table.seeds)), []).append(table)
    for seeds, alike in found.items():
        names = {table.test_on for each in found.values() if each is not alike for table in each}
        places = dict.fromkeys(_part_of(table) if table.test_on in names else table.test_on for table in alike)
        where = f" on {', '.join(places)}" if len(found) > 1 else ""
        if len(seeds) > 1:
            yield f"Mean and standard deviation over seeds {', '.join(map(str, seeds))}{where}"
        elif where:
            yield f"Seed {seeds[0]} alone{where}"


def _part_of(table: Summary) -> str:
    trained = f", trained on {table.train_on}" if table.train_on else ""
    return f"{table.test_on} ({block_title(table)}{trained})"


def _marking(rows: Sequence[Row], inference: Inference) -> Iterator[str]:
    """What marks mean; that there are none, and how to have some."""
    over_pictures = inference.over == "pictures"
    several = len({row.category for row in rows}) > 1
    if any(map(has_draws, rows)) if over_pictures else several:
        how = "bootstraps over pictures" if over_pictures else "t tests over categories, of means alone"
        corrected = "corrected by Holm for their number" if inference.correction == "holm" else "not corrected"
        yield (
            "Bold: better than every other of as many cells in its block; underlined: than every other of these but "
            "that one; "
            f"by paired {how} (each p < {CHANCE:g}, {corrected})"
        )
    elif len({row.method for row in rows}) > 1:
        yield "No figure is marked, as none was tested against others (bench --ci)"
