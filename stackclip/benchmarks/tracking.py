"""Rows as trackers are told of them: each once, and whatever goes wrong there costs no row.

What was told lies in a folder, an empty file for each notice below the name of its destination: a bench that goes on,
or finds its rows finished, tells what was not told yet.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from stackclip.benchmarks.facts import facts_of
from stackclip.errors import StackclipError
from stackclip.ops.files import canonical_json, content_hash
from stackclip.ops.words import legible, one_line
from stackclip.registry import guarded, trackers
from stackclip.trackers import Notice, Tracker, Value, plain_name
from stackclip.types import Row

__all__ = ["Tracking", "notices_of", "tracked"]

logger = logging.getLogger(__name__)
_DIGITS = 24  # of the hashes that name runs, destinations and notices


def notices_of(row: Row) -> Iterator[Notice]:
    """What there is to tell of a row: how its method was trained, and its figures and curve."""
    facts, run, title = facts_of(row), _run(row), _title(row)
    losses = [Value(f"train/{plain_name(n)}", x, i) for i, each in enumerate(facts.losses, 1) for n, x in each.items()]
    if losses:
        yield Notice(run, title, _said(row), tuple(losses))
    place = f"{plain_name(row.test_on)}/{plain_name(row.category)}"
    values = [Value(f"{place}/{plain_name(name)}", number) for name, number in row.metrics.items()]
    values += [
        Value(f"{place}/curve/{plain_name(name)}", number, point.step)
        for point in facts.curve
        for name, number in point.metrics.items()
    ]
    yield Notice(run, title, _said(row), tuple(values))


def _run(row: Row) -> str:
    """Equal for rows of what was trained once, wherever it was tested."""
    facts = facts_of(row)
    asked = {"features": facts.features, "protocol": facts.protocol, "trained": facts.trained.content}
    told = {"method": row.method, "train_on": list(row.train_on), "shots": row.shots, "seed": row.seed, **asked}
    return content_hash(canonical_json(told))[:_DIGITS]


def _title(row: Row) -> str:
    words = f" words {facts_of(row).words}" if facts_of(row).words else ""
    return legible(f"{row.method} trained on {'+'.join(row.train_on) or 'nothing'} seed {row.seed}{words}")


def _said(row: Row) -> dict[str, str]:
    """What runs are compared by, as text."""
    facts = facts_of(row)
    said = {
        "method": row.method,
        "options": json.dumps(facts.kept.get("options", {}), sort_keys=True),
        "trained on": "+".join(row.train_on),
        "shots": row.shots,
        "seed": row.seed,
        "epochs": facts.epochs,
        "tower": facts.tower,
        "image size": facts.image_size or "",
        "features": facts.features,
        "protocol": facts.protocol,
        "stackclip": facts.stackclip,
        "note": facts.note,
    }
    return {name: legible(value) for name, value in said.items() if value not in ("", "{}")}


@dataclass
class _Told:
    """What a tracker was told by one bench: marks of its notices, and the rows by their numbers."""

    marks: set[Path] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)


def _at_once(tracker: Tracker) -> bool:
    """Whether what was logged is kept for good before the tracker is closed."""
    return bool(getattr(tracker, "at_once", True))


def _make(mark: Path) -> None:
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()


@dataclass
class Tracking:
    """Trackers by their specs, and the folder in which it stands what they were told.

    One that fails is told nothing more. What it was told and does not keep for good counts as not told.
    """

    trackers: Mapping[str, Tracker]
    folder: Path
    _failed: set[str] = field(default_factory=set)
    _rows: int = 0
    _untold: set[int] = field(default_factory=set)
    _told: dict[str, _Told] = field(default_factory=lambda: defaultdict(_Told))

    @property
    def untold(self) -> int:
        """How many rows one of them was not told."""
        return len(self._untold)

    def tell(self, row: Row) -> None:
        """Tell every tracker what it was not told yet of a row; of one that failed there is nothing to tell."""
        if not row.error:
            self._rows += 1
            for spec, tracker in self.trackers.items():
                if not self._tried(spec, partial(self._log, spec, row)):
                    self._untold.add(self._rows)
                    if not _at_once(tracker):
                        self._forget(spec)

    def close(self) -> None:
        """Close the trackers; one that fails there is to be told again all that it was told."""
        for spec in [spec for spec in self.trackers if spec not in self._failed]:
            if not self._tried(spec, partial(self._close, spec)):
                self._forget(spec)

    def _close(self, spec: str) -> None:
        self.trackers[spec].close()
        if not _at_once(self.trackers[spec]):
            for mark in self._told[spec].marks:
                _make(mark)

    def _forget(self, spec: str) -> None:
        """Count what a tracker was told as not told."""
        told = self._told.pop(spec, _Told())
        self._untold |= told.rows
        for mark in told.marks:
            try:
                mark.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("%s", legible(f"{one_line(error)}; delete {mark.parent} to tell {spec} all again"))
                return

    def _log(self, spec: str, row: Row) -> None:
        tracker, told = self.trackers[spec], self._told[spec]
        place = self.folder / content_hash(tracker.destination.encode("utf-8", "surrogatepass"))[:_DIGITS]
        for notice in notices_of(row):
            values = sorted([value.name, value.step, value.number] for value in notice.values)
            mark = place / content_hash(canonical_json({"run": notice.run, "values": values}))[:_DIGITS]
            if mark not in told.marks and not mark.exists():
                tracker.log(notice)
                if _at_once(tracker):
                    _make(mark)
                told.marks.add(mark)
                told.rows.add(self._rows)

    def _tried(self, spec: str, do: Callable[[], None]) -> bool:
        """Whether a tracker did what it had to; where it fails, that is said and it is left alone from then on."""
        if spec in self._failed:
            return False
        try:
            with guarded():
                do()
        except StackclipError as error:
            self._failed.add(spec)
            what = "nothing more is logged to it, and the bench goes on; run the same command again to log the rest"
            logger.warning("%s", legible(f"tracker {spec}: {one_line(error)}; {what}"))
            return False
        return True


@contextmanager
def tracked(names: Iterable[str], folder: Path) -> Iterator[Tracking]:
    """Trackers that are made, and closed with the block. Raises what making a component does."""
    tracking = Tracking({name: trackers.create(name) for name in dict.fromkeys(names)}, folder)
    try:
        yield tracking
    finally:
        tracking.close()
