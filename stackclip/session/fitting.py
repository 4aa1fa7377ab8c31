"""From good pictures to a detector in a file: it is shown some of them, and the others set its threshold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackclip.benchmarks.entrant import Errand, entrants_of, stored
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.errors import StackclipError
from stackclip.inspection.bundle import save_bundle
from stackclip.inspection.calibrating import Calibrator, Policy
from stackclip.inspection.crews import Learning
from stackclip.inspection.predictions import cell_of_all
from stackclip.ops.words import counted, size
from stackclip.session.making import Making, content_of
from stackclip.version import VERSION

__all__ = ["Fitted", "Fitting"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A detector that was saved in the file `path`: its method, and the threshold that its good pictures set.

    `threshold` is None where a score has a meaning only beside those of good pictures. `rate` is the share of good
    pictures that may be called anomalous, by `good` of them that the method was not shown.
    """

    path: Path
    method: str
    threshold: float | None
    rate: float
    good: int
    bytes: int

    def __str__(self) -> str:
        limit = "" if self.threshold is None else f" of {self.threshold:.6g}"
        return (
            f"{self.path}: {self.method}, {size(self.bytes)}, with a threshold{limit} for a false-alarm rate of "
            f"{self.rate:.3g} by {counted(self.good, 'good picture')}; stackclip inspect FOLDER --detector {self.path}"
        )


@dataclass(frozen=True)
class Fitting(Making):
    """A plan of one method whose one category has good pictures alone, at a workbench."""

    policy: Policy
    train_on: tuple[str, ...]

    def run(self, path: Path) -> Fitted:
        """Make the method ready and save it. Raises StackclipError where that cannot be, or a picture fails."""
        [entrant] = entrants = entrants_of(self.plan, self.workbench.tower.spec)
        if entrant.why_not:
            raise entrant.why_not
        good = Errand(self.plan.all_normals(), stored(entrant.parts))
        trained, _ = self.by_training(entrants)
        failed = self.encode([good]) + self.encode_training(trained)
        if failed:
            raise StackclipError(
                f"{counted(len(failed), 'picture')} failed, named above: nothing is fitted without them"
            )
        with self.bench(entrants) as bench:
            run = bench.of_seed(self.plan.seeds[0])
            crew = Learning(run, Calibrator(run, cell_of_all(run), self.policy), judging=True)
            evaluation = Evaluation(
                side=self.plan.map_side(bench.tower.spec), pixels=None, error=crew.errors[entrant.spec]
            )
            ready = crew.inspectors(cell_of_all(run), {entrant.spec: evaluation})
            if evaluation.error:
                raise StackclipError(f"{entrant.spec}: {evaluation.error}")
            calibration = dict(crew.calibrations(ready))[entrant.spec]
            if isinstance(calibration, StackclipError):
                raise StackclipError(f"{entrant.spec}: no threshold can be set: {calibration}")
            bundle = crew.bundle(entrant.spec, ready[entrant.spec], calibration, self._about())
        save_bundle(path, bundle)
        self.say_notes()
        judged = calibration.judge(ready[entrant.spec], calibration.scores, calibration.peaks)
        return Fitted(path, entrant.spec, judged.threshold, calibration.rate, calibration.count, path.stat().st_size)

    def _about(self) -> Mapping[str, Any]:
        good = self.plan.all_normals()
        recipe = {each.name: getattr(self.workbench.recipe, each.name) for each in fields(self.workbench.recipe)}
        weights = recipe.pop("weights")
        del recipe["device"]
        record = {
            "stackclip": VERSION,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "good": {"pictures": len(good), "content": content_of(good)},
            "trained_on": list(self.train_on),
            "seed": self.plan.seeds[0],
            "feature_dtype": self.workbench.workspace.feature_dtype,
            "weights_file": None if weights is None else weights.name,
        }
        return {"recipe": recipe, "record": record}
