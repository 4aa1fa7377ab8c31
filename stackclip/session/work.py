"""What was encoded, and what a bench would encode and compute, with the sentences that say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stackclip.benchmarks.pace import Expected
from stackclip.cache import Extracted, Planned
from stackclip.data import Dataset
from stackclip.errors import PictureError
from stackclip.ops.tiling import parts_in_words
from stackclip.ops.words import agreed, counted, duration, size

__all__ = ["Encoded", "Forecast", "together"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoding did, and what its store holds now: pictures, and bytes on disk.

    `datasets` are those whose pictures were asked for, as they were found, where that was asked by their names.
    """

    done: Extracted
    pictures: int
    bytes: int
    datasets: tuple[Dataset, ...] = ()

    @property
    def failed(self) -> tuple[PictureError, ...]:
        """The pictures that could not be used, with the reasons."""
        return self.done.failed

    @property
    def folder(self) -> Path:
        """The feature store."""
        return self.done.folder

    def __str__(self) -> str:
        done = self.done
        rate = f", {done.encoded / done.seconds:.3g} pictures/s" if done.encoded and done.seconds else ""
        return (
            f"encoded {counted(done.encoded, 'picture')} in {duration(done.seconds)}{rate}; "
            f"{done.already_there} {agreed('were', done.already_there)} there already"
            + (f"; {len(done.failed)} failed" if done.failed else "")
            + f"; the store holds {counted(self.pictures, 'picture')}, {size(self.bytes)}, in {done.folder}"
        )


def together(done: Sequence[Extracted]) -> Extracted:
    """What extractions into one store did, of which there is one at least."""
    return Extracted(
        sum(each.encoded for each in done),
        sum(each.already_there for each in done),
        tuple(failure for each in done for failure in each.failed),
        sum(each.bytes for each in done),
        sum(each.seconds for each in done),
        done[0].folder,
    )


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would be done: `planned` of `pictures` encoded into `folder`, and `missing` of `cells` computed.

    Without a bench there are no `cells`. `note` is what the tower has to have said of it. `expected` is how long the
    missing cells will take, as far as earlier rows say.
    """

    planned: Planned
    pictures: int
    folder: Path
    note: str = ""
    cells: int = 0
    missing: int = 0
    expected: Expected | None = None

    @property
    def encoding(self) -> str:
        """What would be encoded, in a sentence."""
        planned, there = self.planned, self.pictures - self.planned.pictures
        parts = parts_in_words(planned.parts)
        would = f"{parts} of {counted(planned.pictures, 'picture')}, {size(planned.bytes)} in {self.folder}"
        held = f"{counted(there, 'picture')} {agreed('are', there)} there already"
        return f"would encode {would if parts else 'nothing'} ({held})"

    @property
    def computing(self) -> str:
        """Which part of the cells would be computed, in a sentence; empty where there are none."""
        there = self.cells - self.missing
        held = f"{there} {agreed('are', there)} there already"
        return f"would compute {self.missing} of {counted(self.cells, 'cell')} ({held})" if self.cells else ""

    @property
    def time(self) -> str:
        """How long that will take, in a sentence; empty where nothing is computed, or nobody asked."""
        if self.expected is None or not self.missing:
            return ""
        if not (found := self.expected).rows:
            return "no earlier row of this tower says how long that takes"
        but = f"; of {', '.join(found.unknown)} no row says it" if found.unknown else ""
        took = f"about {duration(found.seconds)} of learning and predicting in one process"
        besides = f"{'encoding, ' * bool(self.planned.pictures)}reading, texts and metrics come on top"
        return f"would take {took}, as {counted(found.rows, 'earlier row')} took; {besides}{but}"
