"""The words that would make a folder readable, or read otherwise, with the names that were found in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from stackclip.data.labels import (
    GOOD_FOLDERS,
    composed,
    holds_drawings,
    holds_masks,
    is_good,
    may_be_good,
    says_nothing,
    without_ending,
)
from stackclip.data.listing import files_below, is_picture
from stackclip.registry import Spec
from stackclip.types import ANOMALOUS, Sample

__all__ = ["label_words", "mask_words", "picture_folders"]

_NAMED = 3


def picture_folders(root: Path) -> dict[Path, list[Path]]:
    """The folders from a root down that hold pictures themselves, with these."""
    held = {place: [place / name for name in names if is_picture(name)] for place, names, _ in files_below(root)}
    return {place: files for place, files in held.items() if files}


def label_words(root: Path) -> str:
    """What could be typed for a folder whose pictures have no labels: `shots[good=fine,bad=dent+scratch]`.

    What is called as good pictures may be comes first, else the name of the most pictures. Without folders it is said
    where pictures belong.
    """
    counts: Counter[str] = Counter()
    for place, files in picture_folders(root).items():
        inner = place.relative_to(root).parts
        aside = any(holds_masks(part) or without_ending(part) or holds_drawings(part) for part in inner)
        if inner and not aside:
            counts["/".join(inner[-2:]) if says_nothing(inner[-1]) else inner[-1]] += len(files)
    if not counts:
        return f"{root}/{GOOD_FOLDERS[0]}/ for good pictures and {root}/DEFECT/ for each defect"
    good = max(counts, key=lambda name: (is_good(name), may_be_good(name), counts[name]))
    others = [name for name in counts if name != good]
    bad = [f"bad={'+'.join(others[:_NAMED])}"] if others else []
    return _typed(root, [f"good={good}", *bad]) + (" ..." if len(others) > _NAMED else "")


def mask_words(root: Path, layout: str, samples: Sequence[Sample]) -> str:
    """What could be typed so that pictures that no rule read become masks of defects whose stem they have.

    `layout` is the reader with its options. Empty where none has such a stem.
    """
    used = {path for sample in samples for path in (sample.image, sample.mask) if path is not None}
    stems = {composed(sample.image.stem) for sample in samples if sample.label == ANOMALOUS and not _is_masked(sample)}
    above = {folder for sample in samples for folder in sample.image.parents}
    left = [path for files in picture_folders(root).values() for path in files if path not in used]
    ways = Counter(way for path in left for way in _ways(path, stems, above))
    if not ways:
        return ""
    (folder, ending), _ = ways.most_common(1)[0]
    spec = Spec.parse(layout)
    kept = [f"{key}={value}" for key, value in spec.options if spec.name == "folder"]
    words = [*([f"masks={folder}"] if folder else []), *([f"mask_suffix={ending}"] if ending else [])]
    return _typed(root, [*kept, *words])


def _is_masked(sample: Sample) -> bool:
    return sample.mask is not None and sample.mask.exists()


def _ways(path: Path, stems: Collection[str], above: Collection[Path]) -> Iterator[tuple[str, str]]:
    """The folder of masks and the ending by which a file would be a mask; no folder where it is beside pictures."""
    stem = composed(path.stem)
    length = max((length for length in range(1, len(stem) + 1) if stem[:length] in stems), default=0)
    tops = [folder for folder in (path.parent, *path.parents) if folder not in above]
    if length and (tops or length < len(stem)):
        yield (tops[-1].name if tops else ""), stem[length:]


def _typed(root: Path, options: Sequence[str]) -> str:
    return f"'{root}[{','.join(options)}]'"
