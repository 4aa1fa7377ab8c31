"""What rows must have in common to stand in one table, whatever was trained on and tested."""

from __future__ import annotations

from stackclip.benchmarks.facts import facts_of
from stackclip.types import Row

__all__ = ["asked_of"]


def asked_of(row: Row) -> tuple[object, ...]:
    """The tower, the training and the names that were asked for: equal for rows that are compared alike."""
    facts = facts_of(row)
    tower = (facts.tower, facts.image_size, facts.features, facts.feature_dtype, facts.tiles, facts.map_side)
    training = (facts.asked_epochs, facts.batch_size, facts.live_precision, facts.train_list, facts.train_shots)
    return (*tower, *training, facts.asked_class_names, facts.note)
