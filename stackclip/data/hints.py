"""The words that would make a folder readable, or read otherwise, with the names that were found in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from stackclip.data.annotations import ANNOTATED
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
from stackclip.data.look import majority
from stackclip.registry import Spec
from stackclip.types import ANOMALOUS, Sample

__all__ = ["label_words", "mask_words", "picture_folders"]

_NAMED = 3
_WORD = re.compile(r"[-_. 0-9]+")
_BAD = frozenset(
    (
        *("ng", "nok", "nio", "bad", "ko", "defect", "defects", "defective", "faulty", "fail", "failed", "anomaly"),
        *("schlecht", "schlechte", "fehler", "fehlerhaft", "defekt", "defekte", "ausschuss", "mauvais", "défaut"),
        *("malo", "malos", "defecto", "defectos", "difetto", "difetti", "scarto", "wada", "wady"),
    )
)
_FINE = frozenset(("gut", "gute", "bon", "bons", "bonne", "bueno", "buenos", "buono", "buoni", "goed", "dobre"))


def picture_folders(root: Path) -> dict[Path, list[Path]]:
    """The folders from a root down that hold pictures themselves, with these."""
    held = {place: [place / name for name in names if is_picture(name)] for place, names, _ in files_below(root)}
    return {place: files for place, files in held.items() if files}


def label_words(root: Path, layout: str = "folder") -> str:
    """What could be typed for a folder whose pictures have no labels: `shots[good=fine,bad=dent,masks=drawn]`.

    `layout` is the reader with its options: one of annotations is told that pictures without any are good, and a table
    which column has the labels.

    What is called as good pictures may be comes first, else the name of the most pictures; folders of what looks like
    masks are taken for masks. Without folders it is said where pictures belong.
    """
    spec = Spec.parse(layout)
    if spec.name == "table":
        return _typed(root, [*_kept(spec, "label"), "label=COLUMN"])
    if spec.name in ANNOTATED.values():
        return _typed(root, [*_kept(spec, "unannotated"), "unannotated=good"])
    held = {place: files for place, files in picture_folders(root).items() if _may_count(place, root)}
    painted = [place for place, files in held.items() if _says_masks(place, root) or majority(files) == "mask"]
    counts: Counter[str] = Counter()
    for place in held:
        if place not in painted:
            counts[_label(place, root)] += len(held[place])
    stems = {composed(path.stem) for place, files in held.items() if place not in painted for path in files}
    masks = Counter(_top(place, root, counts) for place in painted)
    if not counts:
        return f"{root}/{GOOD_FOLDERS[0]}/ for good pictures and {root}/DEFECT/ for each defect"
    good = max(counts, key=lambda name: (*_goodness(name), counts[name]))
    others = [name for name in counts if name != good]
    words = [f"good={good}", *([f"bad={'+'.join(others[:_NAMED])}"] if others else [])]
    if masks and others:
        words.append(f"masks={'+'.join([*masks][:_NAMED])}")
        endings = Counter(_ending(path, stems) for place in painted for path in held[place])
        ending = endings.most_common(1)[0][0]
        words += [f"mask_suffix={ending}"] if ending else []
    return _typed(root, words) + (" ..." if len(others) > _NAMED else "")


def _may_count(place: Path, root: Path) -> bool:
    """Whether a folder is one below the root, and holds nothing that was drawn of pictures."""
    return place != root and not any(holds_drawings(part) for part in place.relative_to(root).parts)


def _says_masks(place: Path, root: Path) -> bool:
    return any(holds_masks(part) or without_ending(part) for part in place.relative_to(root).parts)


def _label(place: Path, root: Path) -> str:
    """What a folder of pictures is called, with what it lies in where its own name says nothing."""
    parts = place.relative_to(root).parts
    return "/".join(parts[-2:]) if says_nothing(parts[-1]) else parts[-1]


def _goodness(name: str) -> tuple[bool, int]:
    """Whether a name is that of good pictures, and how much in it speaks for that or against it."""
    words = set(_WORD.split(composed(name).casefold()))
    speaks = len(words & {*GOOD_FOLDERS, *_FINE}) - len(words & _BAD)
    return is_good(name), speaks + may_be_good(name)


def _top(place: Path, root: Path, labels: Collection[str]) -> str:
    """The folder of masks around one that is called as a label is, else its own name."""
    parts = place.relative_to(root).parts
    return parts[-2] if len(parts) > 1 and (parts[-1] in labels or holds_masks(parts[-2])) else parts[-1]


def _ending(path: Path, stems: Collection[str]) -> str:
    """What stands behind the longest stem of a picture in a file's name; nothing where no picture has a part of it."""
    stem = composed(path.stem)
    return stem[length:] if (length := _known(stem, stems)) else ""


def _known(stem: str, stems: Collection[str]) -> int:
    """How long the longest stem of a picture is with which a stem begins; 0 for none."""
    return max((length for length in range(1, len(stem) + 1) if stem[:length] in stems), default=0)


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
    kept = _kept(spec) if spec.name == "folder" else []
    words = [*([f"masks={folder}"] if folder else []), *([f"mask_suffix={ending}"] if ending else [])]
    return _typed(root, [*kept, *words])


def _is_masked(sample: Sample) -> bool:
    return sample.mask is not None and sample.mask.exists()


def _ways(path: Path, stems: Collection[str], above: Collection[Path]) -> Iterator[tuple[str, str]]:
    """The folder of masks and the ending by which a file would be a mask; no folder where it is beside pictures."""
    stem = composed(path.stem)
    length = _known(stem, stems)
    tops = [folder for folder in (path.parent, *path.parents) if folder not in above]
    if length and (tops or length < len(stem)):
        yield (tops[-1].name if tops else ""), stem[length:]


def _kept(spec: Spec, but: str = "") -> list[str]:
    """The options that were typed, without one."""
    return [f"{key}={value}" for key, value in spec.options if key != but]


def _typed(root: Path, options: Sequence[str]) -> str:
    return f"'{root}[{','.join(options)}]'"
