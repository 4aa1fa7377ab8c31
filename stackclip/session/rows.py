"""The rows of benches, as a sequence and as a flat table."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from markupsafe import Markup

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.sets import distinct, reported
from stackclip.benchmarks.sidecars import CellPictures, Sidecars
from stackclip.errors import PictureError
from stackclip.ops.words import agreed, counted, legible
from stackclip.reports.document import Document
from stackclip.reports.fragments import document_html
from stackclip.reports.frames import frame_of
from stackclip.reports.table import METRICS
from stackclip.types import ANOMALOUS, Row

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["BenchRows", "distinct"]

logger = logging.getLogger("stackclip")


@dataclass(frozen=True, repr=False)
class BenchRows(Sequence[Row]):
    """The cells of benches in their order, those found finished among them.

    `computed` is how many were computed now, `unkept` how many rows and heads could not be kept on disk, and
    `unencoded` are the pictures that could not be encoded, with the reasons. `sidecars` have what was said of single
    pictures. `untold` counts the rows that a tracker could not be told.
    """

    rows: tuple[Row, ...] = ()
    computed: int = 0
    unkept: int = 0
    unencoded: tuple[PictureError, ...] = ()
    sidecars: Sidecars | None = None
    untold: int = 0

    def __repr__(self) -> str:
        methods = ", ".join(dict.fromkeys(row.method for row in self.rows))
        return f"<BenchRows: {counted(len(self), 'row')} of {methods or 'no method'}; {len(self.failed)} failed>"

    def _repr_html_(self) -> str:
        """Tables of the rows with what has to be said of them, for notebooks."""
        said = Markup("<p>{}</p>").format(legible(repr(self)))
        return said + Markup(document_html(Document(self.rows, find=self.find, known=self.known)))

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
            next((Sidecars(each.sidecars.rows) for each in (self, other) if each.sidecars), None),
            self.untold + other.untold,
        )

    @property
    def failed(self) -> tuple[Row, ...]:
        """The cells that could not be computed; their `error` says why."""
        return tuple(row for row in self.rows if row.error)

    @property
    def whole(self) -> bool:
        """Whether every cell was computed on all its pictures, and all was kept and told."""
        return not (self.unkept or self.untold or self.unencoded or self.failed or any(map(_leaves_out, self.rows)))

    @property
    def known(self) -> Sequence[Row]:
        """All rows that are kept, by which the choices of points are told; none where nothing was selected."""
        chosen = any(facts_of(row).selected for row in self.rows)
        return reported(self.sidecars.rows.entries(aloud=False)) if chosen and self.sidecars else ()

    def find(self, row: Row) -> CellPictures | None:
        """What was kept of the pictures of a row, if anything was."""
        return self.sidecars.of(row) if self.sidecars else None

    def frame(self, *, pictures: bool = False) -> DataFrame:
        """A table with a line for each cell and a column for each metric (a fraction; NaN where it is undefined).

        With `pictures` it has a line for each tested picture of each cell, with its score and the maximum of its map.
        Raises UsageError where pandas is not installed (the extra `frames`).
        """
        columns = (*_KEYS, *_OF_PICTURES) if pictures else self.columns
        return frame_of(self.records(pictures=pictures), columns)

    def records(self, *, pictures: bool = False) -> list[dict[str, Any]]:
        """The lines of `frame` as plain values by column; what is undefined is NaN.

        Rows that have no scores of single pictures, of an older stackclip, have no lines of pictures; that is logged.
        """
        if pictures:
            return self._of_pictures()
        return [
            {
                **_keys(row),
                **{name: row.metrics.get(name, nan) for name in METRICS},
                "seconds": row.seconds,
                "error": row.error,
            }
            for row in self.rows
        ]

    def _of_pictures(self) -> list[dict[str, Any]]:
        found, lacking = list[dict[str, Any]](), 0
        for row in self.rows:
            kept = self.find(row)
            lacking += kept is None and not row.error
            found += [_keys(row) | said for said in _said(kept)] if kept is not None else []
        if lacking:
            have = f"{counted(lacking, 'row')} {agreed('have', lacking)}"
            logger.warning("%s no scores of single pictures; overwrite='always' computes them again", have)
        return found

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `frame`."""
        return (*_KEYS, *METRICS, "seconds", "error")


_KEYS = ("method", "train_on", "test_on", "category", "shots", "seed")
_OF_PICTURES = ("picture", "label", "defect", "score", "map_maximum")


def _keys(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _KEYS} | {"train_on": "+".join(row.train_on)}


def _said(kept: CellPictures) -> Iterator[dict[str, Any]]:
    """What was said of each picture: NaN for what the method does not give."""
    nothing = np.full(len(kept), nan)
    scores = nothing if kept.scores is None else kept.scores
    peaks = nothing if kept.high is None else kept.high
    labels = ["anomalous" if label == ANOMALOUS else "normal" for label in kept.labels]
    for values in zip(kept.ids, labels, kept.defects, scores.tolist(), peaks.tolist(), strict=True):
        yield dict(zip(_OF_PICTURES, values, strict=True))


def _leaves_out(row: Row) -> bool:
    """Whether some of a row's pictures count for no metric, or not for those of pixels."""
    facts = facts_of(row)
    return bool(facts.tested_left_out or facts.tested_without_mask)
