"""What a trained head and a finished row depend on: equal identities mean that nothing has to be computed again."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stackclip.benchmarks.plan import Cell, Plan
from stackclip.benchmarks.rows import cell_id
from stackclip.cache import Store
from stackclip.clip import Tower
from stackclip.errors import NotApplicable, PictureError, UsageError
from stackclip.methods import component_of
from stackclip.ops.files import canonical_json, content_hash, file_hash
from stackclip.registry import Spec, heads, learners, scorers, selectors
from stackclip.types import MASK, Sample

__all__ = ["SEMANTICS", "Identities"]

SEMANTICS = 1  # raised when a change of ours changes figures, so that old rows are not taken for new ones


@dataclass(frozen=True)
class Identities:
    """The identities of one seed's heads and rows."""

    plan: Plan
    tower: Tower
    store: Store
    seed: int
    training: tuple[Sample, ...]

    def head(self, spec: str) -> str:
        """The name of what a method learns."""
        return cell_id(self.of_training(spec))

    def row(self, spec: str, cell: Cell) -> str:
        """The name of a method's row for a cell."""
        shown: tuple[Sample, ...] = ()
        with suppress(NotApplicable):
            shown = self.plan.shots_of(cell.dataset, cell.category, self.seed)
        tested = {
            "test_on": cell.dataset.name,
            "layout": cell.dataset.layout,
            "category": cell.category,
            "tested": self._content(cell.samples),
            "shown": self._content(shown),
        }
        return cell_id({**self.of_training(spec), **tested})

    def options(self, spec: str) -> dict[str, str]:
        """Every option of a method as it would be typed, given or by default."""
        parsed = Spec.parse(spec)
        defaults = {option.label: option.default_text for option in component_of(parsed.name).options}
        return {**defaults, **dict(parsed.options)}

    def of_training(self, spec: str) -> dict[str, Any]:
        """Everything that what a method learns depends on."""
        parsed = Spec.parse(spec)
        names = self.plan.class_names or dict(parsed.options).get("class_names", "")
        return {
            **self._shared,
            "method": spec,
            "options": self.options(spec),
            "code": _code(parsed),
            "class_names": names,
            "class_names_file": file_hash(Path(names).expanduser()) if _is_file(names) else "",
        }

    @cached_property
    def protocol(self) -> str:
        """The same for rows that may stand in one table: everything that is asked of all methods alike."""
        unasked = ("semantics", "pictures", "seed", "shots")
        asked = {name: value for name, value in self._shared.items() if name not in unasked}
        return content_hash(canonical_json({**asked, "class_names": self.plan.class_names}))[:12]

    @cached_property
    def _shared(self) -> dict[str, Any]:
        """What all methods of the bench have in common."""
        return {
            "semantics": SEMANTICS,
            "train_on": [[d.name, d.family, d.layout, list(d.categories)] for d in self.plan.train_on],
            "pictures": self._content(self.training),
            "seed": self.seed,
            "shots": self.plan.shots,
            "epochs": self.plan.epochs,
            "batch_size": self.plan.batch_size,
            "features": self.store.digest,
            "text": dict(self.tower.text_fingerprint),
        }

    def _content(self, samples: Iterable[Sample]) -> str:
        """The hash of pictures, masks and labels, in order."""
        facts = [[sample.id, sample.label, *self._digests(sample)] for sample in samples]
        return content_hash(canonical_json({"samples": facts}))

    def _digests(self, sample: Sample) -> list[str | None]:
        try:
            mask = self.store.source(sample, MASK).digest if sample.mask else None
            return [self.store.source(sample).digest, mask]
        except PictureError:
            return []


def _is_file(names: str) -> bool:
    return names.lower().endswith(".json") and Path(names).expanduser().is_file()


def _code(spec: Spec) -> list[str]:
    """The hashes of the files in which a method and the components named in its options are written."""
    files = [component_of(spec.name).file]
    for _, value in spec.options:
        with suppress(UsageError):
            name = Spec.parse(value).name
            files += [shelf.find(name).file for shelf in (heads, learners, scorers, selectors) if name in shelf]
    return sorted({file_hash(file) for file in files if file})
