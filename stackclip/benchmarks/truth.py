"""The masks that maps are held against, at the side of the maps, and how strictly."""

from __future__ import annotations

from stackclip.benchmarks.plan import Plan
from stackclip.cache import Store
from stackclip.data import Dataset, read_mask
from stackclip.metrics import AUPRO_LIMITS
from stackclip.ops.regions import Runs, label_regions
from stackclip.registry import Spec, datasets
from stackclip.types import Sample

__all__ = ["fpr_limits", "runs_of"]


def fpr_limits(dataset: Dataset) -> tuple[float, ...]:
    """The false-positive rates up to which rows of a data set have AUPRO beside that up to 0.3.

    Its reader says so, as that of MVTec AD 2 does, whose own evaluation goes up to 0.05.
    """
    name = Spec.parse(dataset.layout).name
    of_reader = getattr(datasets.find(name).factory, "fpr_limits", ()) if name in datasets else ()
    return tuple(limit for limit in AUPRO_LIMITS if limit in of_reader)


def runs_of(plan: Plan, store: Store, sample: Sample) -> Runs:
    """The labelled runs (R, 3) of a picture's mask.

    A store has those at the tower's picture size; for tiles, whose maps are larger, the mask is read from its file and
    scaled by the same rule. Raises StoreError and PictureError.
    """
    if plan.tiling is None:
        return store.runs(sample)
    return label_regions(read_mask(sample, plan.map_side(store.spec)))
