"""What a bench keeps on disk for later runs, what it finds there, and what it has to say where that cannot be."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from stackclip.benchmarks.facts import facts_of, found_at
from stackclip.benchmarks.rows import Entry, RowFolder, TestedAt, WrittenAt
from stackclip.benchmarks.sets import latest_key, seen_at, trained_as
from stackclip.benchmarks.shapes import check_learned
from stackclip.benchmarks.sidecars import CellPictures, Sidecars
from stackclip.errors import FingerprintMismatch, WeightsError
from stackclip.heads import TrainedHead, load_head, save_head
from stackclip.methods import Detector
from stackclip.ops.files import WRITE_PROTECTED
from stackclip.ops.words import counted, legible, one_line
from stackclip.training.checkpoints import check_fit
from stackclip.types import Row

__all__ = ["Keeper"]

logger = logging.getLogger(__name__)
Kind = Literal["row", "head", "checkpoint", "sidecar"]
_SPARED = ("checkpoint", "sidecar")  # without which no figure is lost


@dataclass
class Keeper:
    """The rows and heads of a workspace, as one bench uses them.

    `unkept` counts what could not be kept; a cache that may only be read keeps nothing, and nothing of that counts.
    """

    rows: RowFolder
    heads: Path
    unkept: Counter[Kind] = field(default_factory=Counter)
    _named: set[tuple[Kind, str]] = field(default_factory=set)

    def keep_row(self, cell: str, row: Row, seen: TestedAt, pictures: CellPictures | None = None) -> None:
        """Keep a row, with what its bench tested where; where that cannot be, say so once for each reason.

        What was said of single pictures is there before it, so that no finished row is without.
        """
        failed = None
        try:
            if pictures is not None:
                self.sidecars.write(cell, pictures)
        except OSError as error:
            failed = error
        if self._keep("row", lambda: self.rows.write(cell, row, seen)) and failed is not None:
            self._say("sidecar", failed)

    def find_row(self, cell: str, place: str, categories: Mapping[str, str], *, adopt: bool) -> Row | None:
        """The finished row of a cell whose data set lies at `place` and has these digests, as a row of that place.

        A row that a bench finds holds now: with `adopt`, where others that were written later say otherwise, it is
        written again as the latest.
        """
        entry = self.rows.entry(cell)
        if entry is None:
            return None
        row, seen = found_at(entry.row, place), seen_at(entry.seen, place, categories)
        if adopt and (seen is not entry.seen or self._history.outdated(replace(entry, seen=seen))):
            self.keep_row(cell, row, seen)
        return row

    def keep_head(self, name: str, head: TrainedHead) -> None:
        """Keep a head in place of its checkpoint; where that cannot be, say so once for each reason."""

        def write() -> None:
            save_head(self._head(name), head)
            with suppress(OSError):  # one that stays is never looked at again
                self._checkpoint(name).unlink(missing_ok=True)

        self._keep("head", write)

    def keep_checkpoint(self, name: str, make: Callable[[], TrainedHead]) -> None:
        """Keep a training that is not through; where that cannot be, an interrupted one begins again, which is said."""
        try:
            self._keep("checkpoint", lambda: save_head(self._checkpoint(name), make()))
        except Exception as error:
            if ("checkpoint", name) not in self._named:
                logger.warning("%s", f"a training that is stopped begins again: {legible(one_line(error))}")
            self._named.add(("checkpoint", name))

    def find_checkpoint(self, name: str, *, fingerprint: str) -> TrainedHead | None:
        """The training of this name that was stopped; one that is not as it was written counts as not there."""
        try:
            return load_head(self._checkpoint(name), fingerprint=fingerprint, any_numbers=True)
        except (WeightsError, FingerprintMismatch) as error:
            if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                _train_again(error)
            return None

    def take_up(self, name: str, resume: Callable[[], None]) -> bool:
        """Go on with a training that was stopped; False, with a line, where its checkpoint does not fit."""
        try:
            resume()
        except Exception as error:
            _train_again(f"{self._checkpoint(name)}: it does not fit its method ({error})")
            return False
        return True

    def find_head(self, name: str, *, fingerprint: str) -> TrainedHead | None:
        """The head of this name; one that is not as it was written is named, and counts as not there."""
        try:
            head = load_head(self._head(name), fingerprint=fingerprint)
            check_learned(head.facts)
        except (WeightsError, FingerprintMismatch) as error:
            if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                _train_again(error)
            return None
        except ValueError as error:
            _train_again(f"{self._head(name)}: {error}")
            return None
        return head

    def teach(self, detector: Detector, name: str, head: TrainedHead) -> bool:
        """Give a detector what it learned before; False, with a line, where that does not fit it.

        The detector may then be half taught.
        """
        try:
            check_fit(detector.state_dict(), head.tensors)
            detector.load_state_dict(head.tensors)
        except Exception as error:
            _train_again(f"{self._head(name)}: it does not fit its method ({error})")
            return False
        return True

    def say_unkept(self) -> None:
        """Say how much was not kept, if anything was."""
        if self.unkept:
            kinds = " and ".join(counted(number, kind) for kind, number in self.unkept.items())
            logger.warning("%s", f"{kinds} could not be kept; mend that and run the same command again")

    @cached_property
    def sidecars(self) -> Sidecars:
        """What is kept of single pictures."""
        return Sidecars(self.rows)

    @cached_property
    def _history(self) -> _History:
        return _History.of(self.rows.entries(aloud=False))

    def _head(self, name: str) -> Path:
        return self.heads / f"{name}.safetensors"

    def _checkpoint(self, name: str) -> Path:
        return self.heads / f"{name}.checkpoint.safetensors"

    def _keep(self, kind: Kind, write: Callable[[], None]) -> bool:
        """Whether something was written; where it was not, that is said."""
        try:
            write()
        except OSError as error:
            self._say(kind, error)
            return False
        return True

    def _say(self, kind: Kind, error: OSError) -> None:
        reason, cache = error.strerror or str(error), self.rows.folder.parent
        if error.errno in WRITE_PROTECTED and not os.access(cache, os.W_OK):
            words = f"{cache} cannot be written to ({reason}): rows, heads and text features are not kept"
            kind = "row"  # said once for both
        else:
            if kind not in _SPARED:
                self.unkept[kind] += 1
            words = f"{error.filename or cache}: this {kind} is not kept ({reason}); the bench goes on"
        if (kind, reason) not in self._named:
            logger.warning("%s", legible(words))
        self._named.add((kind, reason))


def _train_again(error: object) -> None:
    logger.warning("%s", f"{legible(one_line(error))}; it is trained again")


@dataclass(frozen=True)
class _History:
    """When each thing that rows on disk say was last written, before a bench wrote anything."""

    latest: Mapping[tuple[object, ...], Mapping[object, WrittenAt]]

    @classmethod
    def of(cls, entries: list[Entry]) -> _History:
        """The history of entries, oldest first."""
        latest: dict[tuple[object, ...], dict[object, WrittenAt]] = {}
        for entry in entries:
            for about, what in _sayings(entry):
                latest.setdefault(about, {})[what] = entry.written
        return cls(latest)

    def outdated(self, entry: Entry) -> bool:
        """Whether an entry that was written later says otherwise of something that this one's row depends on."""
        for about, what in _sayings(entry):
            if about[0] != "tested" or about[3] == entry.row.category:
                others = self.latest.get(about, {}).items()
                if any(moment > entry.written for other, moment in others if other != what):
                    return True
        return False


def _sayings(entry: Entry) -> Iterator[tuple[tuple[Any, ...], object]]:
    """What an entry says of things that others speak of too."""
    row = entry.row
    yield ("row", *latest_key(row)), entry.cell
    yield ("trained", *trained_as(row)), facts_of(row).trained.content
    for place, categories in entry.seen.items():
        for category, digest in categories.items():
            yield ("tested", row.test_on, place, category), digest
