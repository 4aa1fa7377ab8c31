"""Data sets as they are typed, opened, with what was found in them said."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from stackclip.data import Dataset, open_dataset
from stackclip.errors import UsageError
from stackclip.ops.typed import chosen
from stackclip.registry import did_you_mean

__all__ = ["open_datasets"]

logger = logging.getLogger("stackclip")


def open_datasets(
    texts: Sequence[str], *, generated: Path, data_root: Path | None, categories: Sequence[str] = ()
) -> dict[str, Dataset]:
    """Data sets by the texts that name them, and a line about what was found in each.

    `generated` is where generated pictures lie. `categories` are taken from those that have them, the others are left
    out. Raises UsageError for a category that none has, and what `open_dataset` raises.
    """
    every = {text: open_dataset(text, data_root=data_root, generated=generated) for text in dict.fromkeys(texts)}
    known = dict.fromkeys(category for dataset in every.values() for category in dataset.categories)
    categories = chosen(categories, known)
    for category in categories:
        if category not in known:
            near = did_you_mean(category, known)
            raise UsageError(
                f"none of {', '.join(texts)} has a category {category!r}{near}; there are {', '.join(known)}"
            )
    opened = {}
    for text, dataset in every.items():
        own = [category for category in categories if category in dataset.categories]
        if own or not categories:
            _say_found(dataset)
            opened[text] = dataset.select(categories=own) if categories else dataset
    return opened


def _say_found(dataset: Dataset) -> None:
    logger.info("%s", dataset.finding)
    if dataset.remark:
        logger.info("%s", dataset.remark)
    for warning in dataset.warnings:
        logger.warning("%s", warning)
