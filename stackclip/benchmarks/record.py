"""What a bench records of a cell: the row, with what its reader needs to trust it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from stackclip.benchmarks.curves import stability
from stackclip.benchmarks.entrant import Entrant
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.identity import Identities
from stackclip.benchmarks.intervals import draw_facts
from stackclip.benchmarks.overlap import contents, overlap_facts
from stackclip.benchmarks.plan import Cell, Plan
from stackclip.benchmarks.shapes import check_facts
from stackclip.benchmarks.testing import Tested
from stackclip.benchmarks.truth import runs_of
from stackclip.benchmarks.usability import UNUSABLE, Usable
from stackclip.cache import Store
from stackclip.clip import Tower
from stackclip.data.masks import is_black
from stackclip.errors import BrokenPlugin, StackclipError
from stackclip.ops.files import canonical_json, content_hash
from stackclip.sizes import said_size
from stackclip.training.failures import Failures
from stackclip.training.trainee import Trainee
from stackclip.types import ANOMALOUS, Row, Sample
from stackclip.version import VERSION

__all__ = ["Recorder"]


@dataclass(frozen=True)
class Recorder:
    """Makes the rows of one seed; `tested` are the digests of what is tested by data set and category."""

    plan: Plan
    seed: int
    tower: Tower
    store: Store
    identities: Identities
    entrants: Mapping[str, Entrant]
    training: Mapping[str, Usable]
    tested: Mapping[str, Mapping[str, str]]
    failures: Failures
    _emptied: dict[Cell, dict[str, Any]] = field(default_factory=dict)
    _known: dict[Usable, frozenset[str]] = field(default_factory=dict)

    def row(self, trainee: Trainee, cell: Cell, tested: Tested, earlier: Row | None) -> Row:
        """The row of a cell; of an `earlier` one the curve and draws are kept, which hold whatever is asked for now."""
        evaluation, measured = tested.evaluation, tested.measured
        own = self.failures.attempt(evaluation, _facts_of, trainee) or {}
        draws = self.failures.attempt(evaluation, self._draws, cell, evaluation) if self.plan.ci else None
        went_well = measured if measured and not evaluation.error else None
        return Row(
            method=trainee.spec,
            train_on=tuple(dataset.name for dataset in self.plan.train_on),
            test_on=cell.dataset.name,
            category=cell.category,
            shots=self.entrants[trainee.spec].shots.count,
            seed=self.seed,
            metrics=dict(went_well.values) if went_well else {},
            undefined=dict(went_well.undefined) if went_well else {},
            seconds=round(evaluation.seconds, 3),
            error=evaluation.error,
            facts={
                **own,
                **self._of_others(own, evaluation),
                **self._of_features,
                **self._of_method(trainee),
                **self._of_cell(trainee.spec, cell, tested.shots),
                **({"calibrated": _as_json(tested.calibrated)} if tested.calibrated else {}),
                **_unasked(earlier),
                **self._curve(trainee, cell),
                **(draws or {}),
                **(evaluation.breakdown.facts if went_well else {}),
                "pixel_metrics": measured.how if measured else {},
            },
        )

    @cached_property
    def _of_features(self) -> dict[str, Any]:
        """Where the numbers come from, which is the same for all rows."""
        tower, map_side = self.tower, said_size(self.plan.map_side(self.tower.spec))
        return {
            "tower": tower.spec.name,
            "note": tower.spec.note,
            "layers": list(tower.spec.layers),
            "features": self.store.digest,
            "feature_dtype": self.store.feature_dtype,
            "protocol": self.identities.protocol,
            "image_size": said_size(tower.spec.image_size),
            "asked_epochs": self.plan.epochs,
            "asked_class_names": self.plan.class_names,
            "fingerprint": dict(tower.fingerprint),
            "text": content_hash(canonical_json(tower.text_fingerprint)),
            "recorded": dict(tower.recorded),
            "stackclip": VERSION,
            "mask_rule": "bilinear > 0.5",
            "aupro": "exact: 8-connected regions, FPR limit 0.3; cflow200 beside it",
            "batch_size": self.plan.batch_size,
            **({"tiles": self.plan.tiles, "map_side": map_side} if self.plan.tiles else {}),
            **({"train_list": self.plan.listed} if self.plan.listed else {}),
            **({} if self.plan.train_shots is None else {"train_shots": self.plan.train_shots}),
            **({} if self.plan.stop_after is None else {"stop_after": self.plan.stop_after}),
            **({"fold": self.plan.fold} if self.plan.fold else {}),
            **({} if self.identities.live_precision == "fp32" else {"live_precision": self.identities.live_precision}),
            "trained_layouts": [dataset.layout for dataset in self.plan.train_on],
            "trained_families": [dataset.family for dataset in self.plan.train_on],
            "trained": self.identities.trained,
        }

    def _of_method(self, trainee: Trainee) -> dict[str, Any]:
        """How a method came to what it knows."""
        training = self.training[trainee.spec]
        return {
            "options": self.identities.options(trainee.spec),
            "trained_pictures": len(training.samples),
            "trained_left_out": [sample.id for sample, _ in training.left_out],
            "losses": trainee.losses,
            "steps": trainee.terms,
            "train_seconds": round(trainee.seconds, 3),
        }

    def _of_cell(self, spec: str, cell: Cell, shots: Sequence[Sample]) -> dict[str, Any]:
        """What was tested, and what could not be."""
        left_out = (*self.training[spec].left_out, *cell.left_out)
        return {
            "tested_layout": cell.dataset.layout,
            "tested_family": cell.dataset.family,
            "tested": {"place": cell.place, "content": self.tested[cell.dataset.name][cell.category]},
            "tested_pictures": len(cell.samples),
            **self._empty_masks(cell),
            "tested_left_out": [sample.id for sample, _ in cell.left_out],
            "why_left_out": _by_dataset(left_out),
            "overlap": overlap_facts(self.store, cell.samples, self._trained_contents(spec), shots),
            "tested_without_mask": [sample.id for sample in cell.without_mask],
            "why_without_mask": _by_dataset((sample, UNUSABLE) for sample in cell.without_mask),
            "shots_drawn": [sample.id for sample in shots],
        }

    @staticmethod
    def _of_others(own: Mapping[str, Any], evaluation: Evaluation) -> dict[str, str]:
        """What depends on all tested pictures of the category: as the method says, else what its settling shows."""
        settled = evaluation.are_scores_dependent and not own.get("transductive")
        return {"transductive": "scores"} if settled else {}

    def _empty_masks(self, cell: Cell) -> dict[str, Any]:
        """How many masks of a cell's defects are black, and how many more lost their last pixel to scaling, if any."""
        if cell not in self._emptied:
            unusable = {sample.id for sample in cell.without_mask}
            masked = [s for s in cell.samples if s.label == ANOMALOUS and s.mask and s.id not in unusable]
            try:
                empty = [sample for sample in masked if not len(runs_of(self.plan, self.store, sample))]
                black = sum(is_black(sample) for sample in empty)
            except StackclipError:  # whoever needs the mask names it
                empty, black = [], 0
            counts = {"masks": len(masked), "black": black, "lost": len(empty) - black}
            self._emptied[cell] = {"empty_masks": counts} if empty else {}
        return self._emptied[cell]

    def _trained_contents(self, spec: str) -> frozenset[str]:
        """What is in the training pictures of a method, whatever they are called."""
        usable = self.training[spec]
        if usable not in self._known:
            self._known[usable] = contents(usable.samples, self.store)
        return self._known[usable]

    def _curve(self, trainee: Trainee, cell: Cell) -> dict[str, Any]:
        """How the method came to its figures, and how steady they were at the end; nothing unless that was asked."""
        if not self.plan.eval_every:
            return {}
        curve = trainee.curves.get(self.identities.row(trainee.spec, cell), [])
        return {"eval_every": self.plan.eval_every, "curve": curve, "stability": stability(curve)}

    def _draws(self, cell: Cell, evaluation: Evaluation) -> dict[str, Any]:
        """The metrics of a cell in draws of its pictures."""
        return draw_facts(evaluation.evidence(cell.samples), self.identities.pictures(cell))


def _facts_of(trainee: Trainee) -> dict[str, Any]:
    """What the method says of itself, as JSON can hold it. Raises BrokenPlugin for what no table can work with."""
    facts = _as_json(trainee.working.facts)
    try:
        check_facts(facts)
    except ValueError as error:
        raise BrokenPlugin(f"what it says of itself cannot be kept: {error}") from error
    return facts


def _as_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(canonical_json(dict(facts)))
    return found


def _unasked(earlier: Row | None) -> dict[str, Any]:
    facts: Mapping[str, Any] = earlier.facts if earlier else {}
    return {
        name: facts[name]
        for name in ("eval_every", "curve", "stability", "draws", "intervals", "by_defect")
        if name in facts
    }


def _by_dataset(left_out: Iterable[tuple[Sample, str]]) -> dict[str, dict[str, str]]:
    """Data set -> id -> why that picture is left out."""
    reasons: dict[str, dict[str, str]] = {}
    for sample, why in left_out:
        reasons.setdefault(sample.dataset, {})[sample.id] = why
    return reasons
