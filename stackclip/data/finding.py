"""What was found in a data set, in one line for a person."""

from __future__ import annotations

from collections.abc import Sequence

from stackclip.types import ANOMALOUS, UNLABELLED, Sample

__all__ = ["counts_of", "few_names"]


def counts_of(samples: tuple[Sample, ...]) -> str:
    """Categories, the pictures of each split by label, and masks, in words with commas between."""
    categories = tuple(dict.fromkeys(sample.category for sample in samples))
    noun = "category" if len(categories) == 1 else "categories"
    parts = [f"{len(categories)} {noun} ({few_names(categories)})"]
    for split in ("train", "validation", "test"):
        of_split = [sample for sample in samples if sample.split == split]
        unlabelled = sum(sample.defect == UNLABELLED for sample in of_split)
        defective = sum(sample.label == ANOMALOUS for sample in of_split)
        numbers = ((len(of_split) - unlabelled - defective, "good"), (defective, "defective"), (unlabelled, UNLABELLED))
        if said := " + ".join(f"{number} {what}" for number, what in numbers if number):
            parts.append(f"{split} {said}")
    return ", ".join([*parts, *_mask_counts(samples)])


def _mask_counts(samples: tuple[Sample, ...]) -> list[str]:
    defective = [sample for sample in samples if sample.label == ANOMALOUS]
    masks = [sample.mask for sample in defective if sample.mask is not None]
    lacking = sum(not mask.exists() for mask in masks)
    if not masks:
        return ["no masks"] if defective else []
    return [
        f"{len(masks) - lacking} masks",
        *([f"{lacking} masks missing"] if lacking else []),
        *([f"{len(defective) - len(masks)} not localised"] if len(defective) > len(masks) else []),
    ]


def few_names(names: Sequence[str], most: int = 30) -> str:
    """The first names, and whether there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
