"""Says what became of every file below a data set's folder, and what is odd about what was found there."""

from __future__ import annotations

import filecmp
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from stackclip.data.annotations import ANNOTATED, ANNOTATIONS, annotation_format
from stackclip.data.archives import packed
from stackclip.data.finding import few_names
from stackclip.data.images import open_picture
from stackclip.data.labels import composed, holds_masks, is_good, says_mask, without_ending
from stackclip.data.listing import files_below, is_picture
from stackclip.data.manifests import picture_column
from stackclip.data.paint import anomalous_pixels, is_lossy
from stackclip.errors import PictureError
from stackclip.ops.spread import evenly
from stackclip.ops.words import counted
from stackclip.types import GOOD, NORMAL, UNLABELLED, Sample

__all__ = ["Account", "account_for"]

_NAMED = 3
_KINDS = 6
_MASKS_LOOKED_AT = 64
_FILES_LOOKED_AT = 3  # of each extension
_FULL = 0.99
_COMPARED = 64
_FOLDERS = 64
_FOREIGN = frozenset((*(".heic", ".heif", ".avif", ".jxl"), *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2")))

Spare: TypeAlias = Callable[[Path, Path], bool]
"""Whether a file below a root, given with it, is one that the layout has although no sample names it."""


class Account(NamedTuple):
    """`left_out` ends the finding: what was not read, by kind; `warnings` stand under it, a line each."""

    left_out: tuple[str, ...]
    warnings: tuple[str, ...]


class _Rest(NamedTuple):
    """What is below a root and no sample's: pictures, masks (by name), others, links, stackclip's folders, nothing."""

    pictures: list[Path]
    masks: list[Path]
    others: list[Path]
    links: list[Path]
    outputs: list[Path]
    empty: list[Path]


def account_for(
    root: Path, samples: Sequence[Sample], spare: Spare | None = None, read: frozenset[Path] = frozenset()
) -> Account:
    """Account for all files below `root` but hidden ones; `spare` tells those that the layout has and no sample.

    Those that were `read` too, whatever they are, are used.

    Masks are opened, a bounded number of them; pictures are not, but where one may be tested and trained on.
    """
    rest = _rest(root, samples, spare, read)
    unpaired, of_good, of_unknown = _parted(rest.masks, samples)
    left_out = (
        *_named("other picture", "left out", rest.pictures, root),
        *_named("mask", "without a picture", unpaired, root),
        *_named("mask", "of good pictures left out", of_good, root),
        *_named("mask", "of unlabelled pictures left out", of_unknown, root),
        *_other_files(rest),
        *_named("folder", "that stackclip filled left out", rest.outputs, root),
    )
    warnings = (
        *([said] if (said := packed(rest.others)) else []),
        *_annotations(rest.others),
        *_foreign_pictures(rest.others, root),
        *(_unread_tables(rest.others, root) if any(sample.defect == UNLABELLED for sample in samples) else ()),
        *_masks_of_good(of_good),
        *_odd_masks(samples),
        *_in_both_splits(samples),
        *([f"empty folders: {_places(rest.empty, root)}"] if rest.empty else []),
        *_lacking(samples),
    )
    return Account(left_out, warnings)


def _rest(root: Path, samples: Sequence[Sample], spare: Spare | None, read: frozenset[Path]) -> _Rest:
    of_samples = (path for sample in samples for path in (sample.image, sample.mask) if path is not None)
    used = {os.fspath(path) for path in (*read, *of_samples)}
    in_order = sorted(used)
    rest = _Rest([], [], [], [], [], [])
    for folder, names, closed in files_below(root):
        here = os.fspath(folder)
        if here in used:  # a folder of pictures whose union is a mask
            rest.others.extend(folder / name for name in names if not is_picture(name))
            continue
        inner = folder.relative_to(root).parts
        in_masks = any(holds_masks(part) or without_ending(part) for part in inner)
        for name in names:
            if os.path.join(here, name) in used:  # noqa: PTH118 - 200 000 of them, as text
                continue
            path = folder / name
            if spare is not None and spare(path, root):
                continue
            if not is_picture(name):
                (rest.links if path.is_symlink() else rest.others).append(path)
            else:
                (rest.masks if in_masks or says_mask(path.stem) else rest.pictures).append(path)
        for name in closed:
            if not _is_used(os.path.join(here, name, ""), in_order):  # noqa: PTH118 - text
                path = folder / name
                (rest.links if path.is_symlink() else rest.outputs).append(path)
        if not names and not closed and inner and not any(folder.iterdir()):
            rest.empty.append(folder)
    return rest


def _is_used(place: str, used: Sequence[str]) -> bool:
    """Whether a reader followed a link that leads to another part of the same root; `used` is sorted."""
    first = bisect_left(used, place)
    return first < len(used) and used[first].startswith(place)


def _parted(masks: Sequence[Path], samples: Sequence[Sample]) -> tuple[list[Path], list[Path], list[Path]]:
    """The masks of no picture, those of good ones (with no defect above them), and those of unlabelled ones."""
    unlabelled = {composed(sample.image.stem) for sample in samples if sample.defect == UNLABELLED}
    good = {composed(sample.image.stem) for sample in samples if sample.defect == GOOD}
    above = {
        place
        for folder in {sample.image.parent for sample in samples if sample.defect == GOOD}
        for place in folder.parents
    }
    parted: tuple[list[Path], list[Path], list[Path]] = ([], [], [])
    for path in masks:
        stems = {composed(path.stem), without_ending(path.stem)}
        in_good = any(is_good(part) for part in path.parts[-4:-1])
        in_good |= holds_masks(path.parent.name) and path.parent.parent in above
        parted[2 if stems & unlabelled else 1 if stems & good and in_good else 0].append(path)
    return parted


def _named(noun: str, what: str, paths: Sequence[Path], root: Path) -> Iterator[str]:
    if paths:
        yield f"{counted(len(paths), noun)} {what} ({_places(paths, root)})"


def _places(paths: Sequence[Path], root: Path) -> str:
    """A few of the files, one of each folder first."""
    first = {path.parent: path for path in reversed(paths)}
    chosen = list(dict.fromkeys((*reversed(first.values()), *paths)))[:_NAMED]
    return ", ".join(path.relative_to(root).as_posix() for path in chosen) + (", ..." if len(paths) > _NAMED else "")


def _other_files(rest: _Rest) -> Iterator[str]:
    """`12 other files left out: 8 .xml, 3 .gif, 1 link`."""
    kinds = Counter(path.suffix.lower() or "without an extension" for path in rest.others)
    parts = [f"{number} {kind}" for kind, number in kinds.most_common(_KINDS)]
    if len(kinds) > _KINDS:
        parts.append(f"{sum(kinds.values()) - sum(number for _, number in kinds.most_common(_KINDS))} more")
    if rest.links:
        parts.append(counted(len(rest.links), "link"))
    if parts:
        yield f"{counted(len(rest.others) + len(rest.links), 'other file')} left out: {', '.join(parts)}"


def _annotations(others: Sequence[Path]) -> Iterator[str]:
    """The formats of annotations that lie there, as a few files of each extension in each folder tell."""
    found: dict[str, list[Path]] = {}
    by_kind: dict[tuple[str, Path], list[Path]] = {}
    for path in others:
        if path.suffix.lower() in ANNOTATIONS:
            by_kind.setdefault((path.suffix.lower(), path.parent), []).append(path)
    for paths in by_kind.values():
        for path in paths[:_FILES_LOOKED_AT] if len(by_kind) <= _FOLDERS else paths[:1]:
            if name := annotation_format(path):
                found.setdefault(name, []).append(path)
    for name, paths in found.items():
        how = f"; {ANNOTATED[name]} reads them, by that name with --data-root" if name in ANNOTATED else ""
        yield f"annotations in the format of {name} are not read here ({paths[0].name}, ...){how}"


def _foreign_pictures(others: Sequence[Path], root: Path) -> Iterator[str]:
    """Pictures of phones and cameras in forms that are not read."""
    if found := [path for path in others if path.suffix.lower() in _FOREIGN]:
        what = f"{counted(len(found), 'picture')} of a form that is not read"
        yield f"{what} ({_places(found, root)}): save as JPEG or PNG"


def _unread_tables(others: Sequence[Path], root: Path) -> Iterator[str]:
    """Tables in the root that name pictures in a column with a name of its own, and how they are read."""
    for path in others:
        if path.suffix.lower() in (".csv", ".tsv") and path.parent == root and (column := picture_column(path)):
            yield f"{path.name} names pictures: '{path}[image={column},label=COLUMN]' reads it"


def _masks_of_good(masks: Sequence[Path]) -> Iterator[str]:
    chosen = evenly(masks, _MASKS_LOOKED_AT)
    painted = [path for path, share in _shares(chosen) if share > 0]
    if painted:
        yield f"masks of good pictures that are not empty: {_of(painted, chosen)}; is the picture good?"


def _odd_masks(samples: Sequence[Sample]) -> Iterator[str]:
    """What is odd about the masks of defects, of which up to 64 are opened."""
    chosen = evenly([each.mask for each in samples if each.mask is not None and each.mask.is_file()], _MASKS_LOOKED_AT)
    shares = list(_shares(chosen))
    lossy = [path for path in chosen if _lossy(path)]
    for paths, what in (
        ([path for path, share in shares if share == 0], "empty masks of defective pictures"),
        (
            [path for path, share in shares if share >= _FULL],
            "masks of 99 % of their picture or more, inverted perhaps",
        ),
        (lossy, "masks in lossy files, read at half of their maximum"),
    ):
        if paths:
            yield f"{what}: {_of(paths, chosen)}"


def _shares(paths: Iterable[Path]) -> Iterator[tuple[Path, float]]:
    """How much of each mask is anomalous; what cannot be read is named where it is used."""
    for path in paths:
        with suppress(PictureError):
            yield path, float(anomalous_pixels(path).mean())


def _lossy(path: Path) -> bool:
    try:
        with open_picture(path) as picture:
            return is_lossy(picture)
    except PictureError:
        return False


def _of(paths: Sequence[Path], chosen: Sequence[Path]) -> str:
    return f"{len(paths)} of {len(chosen)} looked at ({', '.join(path.name for path in paths[:_NAMED])})"


def _in_both_splits(samples: Sequence[Sample]) -> Iterator[str]:
    """Test pictures that are train pictures too: one name, one size and one content."""
    train = {(sample.category, sample.image.name): sample.image for sample in samples if sample.split == "train"}
    pairs = [
        (sample.image, twin)
        for sample in samples
        if sample.split == "test" and (twin := train.get((sample.category, sample.image.name)))
    ]
    alike = [test for test, twin in pairs[:_COMPARED] if _is_same(test, twin)]
    if alike:
        yield f"test pictures that are in train too: {_of(alike, [test for test, _ in pairs[:_COMPARED]])}"


def _is_same(left: Path, right: Path) -> bool:
    with suppress(OSError):
        return left.stat().st_size > 0 and filecmp.cmp(left, right, shallow=False)
    return False


def _lacking(samples: Sequence[Sample]) -> Iterator[str]:
    """The categories that have defects to test and no good picture, and those whose train split has none."""
    for split in ("train", "test"):
        held = [sample for sample in samples if sample.split == split]
        good = {sample.category for sample in held if sample.label == NORMAL}
        without = [category for category in dict.fromkeys(sample.category for sample in held) if category not in good]
        if without and good:
            yield f"no good picture to {split} in {few_names(without, _NAMED)}"
