"""Files that are the same, byte by byte, whatever they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from stackclip.ops.files import file_hash
from stackclip.types import Sample

__all__ = ["also_among", "first_of_each"]


def first_of_each(samples: Sequence[Sample]) -> list[Sample]:
    """The samples without those whose picture is that of one before; what cannot be read is like no other."""
    sizes = [_size(sample) for sample in samples]
    often = Counter(sizes)
    seen, kept = set[str](), list[Sample]()
    for sample, size in zip(samples, sizes, strict=True):
        content = _content(sample) if size is not None and often[size] > 1 else ""
        if content and content in seen:
            continue
        seen.add(content)
        kept.append(sample)
    return kept


def also_among(samples: Sequence[Sample], others: Sequence[Sample]) -> list[Sample]:
    """The samples whose picture is that of one of the others; what cannot be read is like no other."""
    sizes = {_size(sample) for sample in samples} - {None}
    known = {_content(other) for other in others if _size(other) in sizes} - {""}
    of_others = {_size(other) for other in others}
    return [sample for sample in samples if known and _size(sample) in of_others and _content(sample) in known]


def _size(sample: Sample) -> int | None:
    try:
        return sample.image.stat().st_size
    except OSError:
        return None


def _content(sample: Sample) -> str:
    try:
        return file_hash(sample.image)
    except OSError:
        return ""
