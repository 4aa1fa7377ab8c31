"""Pictures that arrive in a folder, scored by a detector as they come."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stackclip.benchmarks.entrant import entrants_of, errands_of
from stackclip.data import Dataset
from stackclip.data.listing import pictures_below
from stackclip.data.own import own_pictures
from stackclip.data.picked import PICKED, Picked, unlabelled_samples
from stackclip.errors import DataError
from stackclip.inspection.arrivals import Arrivals, Seen
from stackclip.inspection.predictions import Wishes, predict
from stackclip.ops.drafts import draft_folder
from stackclip.ops.files import file_hash
from stackclip.ops.outputs import folder_name
from stackclip.session.making import Making
from stackclip.session.pictures import PictureScore, scores_of
from stackclip.session.wanted import Wanted

__all__ = ["Watching"]

logger = logging.getLogger("stackclip")

AT_ONCE = 64  # pictures of a batch; what waits behind them comes next


@dataclass(frozen=True)
class Watching(Making):
    """A plan whose one method is a detector, at a workbench, and the folder where pictures arrive."""

    folder: Path
    wanted: Wanted
    every: float
    patience = 3600.0  # one who repairs the store is soon done
    _refused: dict[str, Seen] = field(default_factory=dict)
    _unlisted: list[str] = field(default_factory=list)

    def run(self, output: Path) -> Iterator[tuple[PictureScore, ...]]:
        """What is said of each batch of pictures, once that is on the disk; it never ends by itself.

        A picture is taken when it is as large and as old as at the look before. One that cannot be read is named once,
        and again when it has changed. Raises DataError, StoreError and OSError.
        """
        [spec] = self.plan.methods
        place = output / folder_name(spec)
        arrivals = Arrivals(place)
        with arrivals.held():
            done = arrivals.seen()
            arrivals.sign(self._maker(), new=not done)
            self.workbench.say_note()
            if done:
                logger.info("%s: %d pictures were scored before", place, len(done))
            yield from self._look(arrivals, done, output)

    def _look(self, arrivals: Arrivals, done: dict[str, Seen], output: Path) -> Iterator[tuple[PictureScore, ...]]:
        """Look again and again; `done` are the pictures that have a line."""
        before = dict[str, Seen]()
        while True:
            now = self._there(output)
            for name in self._refused.keys() - now:  # what comes back is looked at anew
                del self._refused[name]
            fresh = [name for name, seen in now.items() if done.get(name) != seen and self._refused.get(name) != seen]
            settled = {name: now[name] for name in fresh if before.get(name) == now[name]}
            for batch in _batches(settled):
                scores = self._score(batch, arrivals)
                lined = {score.picture.relative_to(self.folder).as_posix() for score in scores}
                done |= {name: seen for name, seen in batch.items() if name in lined}
                self._refused.update({name: seen for name, seen in batch.items() if name not in lined})
                if scores:
                    yield scores
            before = now
            if len(settled) < len(fresh) or not fresh:
                time.sleep(self.every)

    def _maker(self) -> dict[str, Any]:
        """What makes the lines: a table has those of one detector at one rate."""
        bundle, detector = self.wanted.bundle, self.wanted.detector
        assert bundle is not None
        assert detector is not None
        return {
            "method": bundle.method,
            "object": bundle.object,
            "detector": file_hash(detector),
            "false_alarm_rate": bundle.calibration.rate,
            "tower": dict(bundle.fingerprint),
        }

    def _there(self, output: Path) -> dict[str, Seen]:
        """The pictures below the folder as they are now; those that vanish meanwhile are not there."""
        found: dict[str, Seen] = {}
        for path in self._listed():
            try:
                state = path.stat()
            except OSError:
                logger.debug("%s vanished", path)
                continue
            if not path.is_relative_to(output):
                found[path.relative_to(self.folder).as_posix()] = (state.st_size, state.st_mtime_ns)
        return found

    def _listed(self) -> Iterator[Path]:
        """The pictures below the folder; a folder that vanishes meanwhile ends a look, but not the next one too."""
        try:
            yield from pictures_below(self.folder)
            self._unlisted.clear()
        except DataError as error:
            if str(error) in self._unlisted:
                raise
            self._unlisted[:] = [str(error)]

    def _score(self, batch: dict[str, Seen], arrivals: Arrivals) -> tuple[PictureScore, ...]:
        """Score some pictures, draw them, and add their lines."""
        plan = replace(self.plan, test_on=(self._set_of(batch),))
        making = replace(self, plan=plan)
        entrants = entrants_of(plan, self.workbench.tower.spec)
        failed = making.encode(errands_of(plan, entrants))
        lost = {error.path for error in failed}
        left = {name: seen for name, seen in batch.items() if self.folder / name not in lost}
        if not left:
            return ()
        plan = replace(plan, test_on=(self._set_of(left),))
        with draft_folder(arrivals.place) as draft:
            with replace(self, plan=plan).bench(entrants) as bench:
                wishes = Wishes(bundle=self.wanted.bundle, maps=self.wanted.maps)
                [written] = predict([bench], draft, seed=plan.seeds[0], wishes=wishes)
            if written.error:
                logger.error("%s", written)
                return ()
            drawn = arrivals.add(written, left)
        said = zip(written.samples, scores_of(written, drawn=False), strict=True)
        return tuple(replace(score, heat_map=drawn.get(sample.id)) for sample, score in said)

    @property
    def _object(self) -> str:
        assert self.wanted.bundle is not None
        return self.wanted.bundle.object

    def _set_of(self, batch: dict[str, Seen]) -> Dataset:
        [own] = self.plan.test_on
        files = tuple(self.folder / name for name in sorted(batch))
        samples = unlabelled_samples(Picked(self.folder, files), own.name)
        return own_pictures(Dataset(own.name, self.folder, PICKED, samples, ""), self._object)


def _batches(settled: dict[str, Seen]) -> Iterator[dict[str, Seen]]:
    names = list(settled)
    for start in range(0, len(names), AT_ONCE):
        yield {name: settled[name] for name in names[start : start + AT_ONCE]}
