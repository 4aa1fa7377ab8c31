"""The masks that maps are held against, at the side of the maps."""

from __future__ import annotations

from stackclip.benchmarks.plan import Plan
from stackclip.cache import Store
from stackclip.data import read_mask
from stackclip.ops.regions import Runs, label_regions
from stackclip.types import Sample

__all__ = ["runs_of"]


def runs_of(plan: Plan, store: Store, sample: Sample) -> Runs:
    """The labelled runs (R, 3) of a picture's mask.

    A store has those at the tower's picture size; for tiles, whose maps are larger, the mask is read from its file and
    scaled by the same rule. Raises StoreError and PictureError.
    """
    if plan.tiling is None:
        return store.runs(sample)
    return label_regions(read_mask(sample, plan.map_side(store.spec)))
