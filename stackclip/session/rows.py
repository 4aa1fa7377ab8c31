"""The rows of benches, as a sequence and as a flat table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any, overload

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.rows import row_to_json
from stackclip.errors import PictureError
from stackclip.ops.files import canonical_json
from stackclip.ops.words import counted
from stackclip.reports.table import METRICS
from stackclip.session.frames import frame_of
from stackclip.types import Row

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["BenchRows", "distinct"]


@dataclass(frozen=True, repr=False)
class BenchRows(Sequence[Row]):
    """The cells of benches in their order, those found finished among them.

    `computed` is how many were computed now, `unkept` how many rows and heads could not be kept on disk, and
    `unencoded` are the pictures that could not be encoded, with the reasons.
    """

    rows: tuple[Row, ...] = ()
    computed: int = 0
    unkept: int = 0
    unencoded: tuple[PictureError, ...] = ()

    def __repr__(self) -> str:
        methods = ", ".join(dict.fromkeys(row.method for row in self.rows))
        return f"<BenchRows: {counted(len(self), 'row')} of {methods or 'no method'}; {len(self.failed)} failed>"

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, other: BenchRows) -> BenchRows:
        return BenchRows(
            self.rows + other.rows,
            self.computed + other.computed,
            self.unkept + other.unkept,
            self.unencoded + other.unencoded,
        )

    @property
    def failed(self) -> tuple[Row, ...]:
        """The cells that could not be computed; their `error` says why."""
        return tuple(row for row in self.rows if row.error)

    @property
    def whole(self) -> bool:
        """Whether every cell was computed on all its pictures, and all was kept."""
        return not (self.unkept or self.unencoded or self.failed or any(map(_leaves_out, self.rows)))

    def frame(self) -> DataFrame:
        """A table with a line for each cell and a column for each metric (a fraction; NaN where it is undefined).

        Raises UsageError where pandas is not installed (the extra `frames`).
        """
        return frame_of(self.records(), self.columns)

    def records(self) -> list[dict[str, Any]]:
        """The lines of `frame` as plain values by column; undefined metrics are NaN."""
        return [
            {
                "method": row.method,
                "train_on": "+".join(row.train_on),
                "test_on": row.test_on,
                "category": row.category,
                "shots": row.shots,
                "seed": row.seed,
                **{name: row.metrics.get(name, nan) for name in METRICS},
                "seconds": row.seconds,
                "error": row.error,
            }
            for row in self.rows
        ]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `frame`."""
        return (*("method", "train_on", "test_on", "category", "shots", "seed"), *METRICS, "seconds", "error")


def distinct(rows: Iterable[Row]) -> list[Row]:
    """BenchRows without those that an earlier suite measured already."""
    return list({canonical_json(row_to_json(row)): row for row in rows}.values())


def _leaves_out(row: Row) -> bool:
    """Whether some of a row's pictures count for no metric, or not for those of pixels."""
    facts = facts_of(row)
    return bool(facts.tested_left_out or facts.tested_without_mask)
