"""What data sets promise."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import get_args

from stackclip.contracts.trial import (
    Promises,
    Subject,
    global_randomness_untouched,
    require,
)
from stackclip.data import open_dataset, read_mask, read_picture
from stackclip.data.masks import is_black
from stackclip.errors import DataError
from stackclip.types import ANOMALOUS, NORMAL, Sample, Split

__all__ = ["DATASETS", "PICTURES"]

_MOST = 64  # pictures that are read


def _has_a_tree(subject: Subject) -> None:
    reader = subject.make()
    require(isinstance(reader.tree, str) and bool(reader.tree.strip()), "it has no `tree`")
    require(callable(reader.read), "it has no `read(root, name)`")


def _empty_folder(subject: Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reader = subject.make()
        if hasattr(reader, "recognises"):
            require(not reader.recognises(Path(folder)), "it recognises an empty folder as its own")
        try:
            samples = reader.read(Path(folder), "nothing")
        except DataError:
            return
    require(not samples, f"of an empty folder it made {len(samples)} samples")


def _other_folder(subject: Subject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "notes").mkdir()
        for name in ("notes/picture.png", "table.csv", "labels.csv", "readme.txt"):
            (Path(folder) / name).write_bytes(b"\x89\x00\n")
        with suppress(DataError):
            subject.make().read(Path(folder), "other")


def _generates(subject: Subject) -> None:
    if not hasattr(subject.make(), "generate"):
        return
    with tempfile.TemporaryDirectory() as folder:
        reader = subject.make()
        with global_randomness_untouched():
            root = Path(reader.generate(Path(folder) / "one"))
        samples = reader.read(root, "one")
        require(bool(samples), "it generated no sample")
        require(subject.make().read(root, "one") == samples, "a second reading gave other samples")
        _require_samples(samples)
        for sample in samples:
            require(sample.label == NORMAL or sample.mask is not None, f"{sample.id} is anomalous without a mask")
        for label in (NORMAL, ANOMALOUS):
            shown = next((sample for sample in samples if sample.label == label), None)
            require(shown is not None, f"no sample has the label {label}")
            if shown is not None:
                read_picture(shown.image)
                painted = bool(read_mask(shown, 64).any())
                require(painted == (label == ANOMALOUS), f"the mask of {shown.id} does not go with its label")


def _require_samples(samples: Sequence[Sample]) -> None:
    identities = [sample.id for sample in samples]
    twice = next((each for each in identities if identities.count(each) > 1), "")
    require(not twice, f"two samples have one id, {twice}")
    for sample in samples:
        require(sample.label in (NORMAL, ANOMALOUS), f"{sample.id} has the label {sample.label!r}")
        known = sample.split in get_args(Split)
        require(known, f"{sample.id} is in the split {sample.split!r}, wanted {' or '.join(get_args(Split))}")


def _reads_pictures(subject: Subject) -> str:
    with tempfile.TemporaryDirectory() as generated:
        opened, again = (
            open_dataset(str(subject.spec), data_root=subject.data_root, generated=Path(generated)) for _ in range(2)
        )
        require(opened.samples == again.samples, "a second reading gave other samples")
        _require_samples(opened.samples)
        read = _some_of(opened.samples)
        for sample in read:
            read_picture(sample.image)
            if sample.label == ANOMALOUS and sample.mask is not None:
                read_mask(sample, 64)
                require(not is_black(sample), f"{sample.id} is anomalous, and nothing is in its mask {sample.mask}")
        return f"{opened.finding}; {len(read)} of them were read"


def _some_of(samples: Sequence[Sample]) -> list[Sample]:
    """At most `_MOST` samples, the first of each category, split and defect before the others."""
    kinds = {(sample.category, sample.split, sample.defect): sample for sample in reversed(samples)}
    step = -(-len(samples) // _MOST)
    return list(dict.fromkeys([*reversed(kinds.values()), *samples[::step]]))[:_MOST]


PICTURES: Promises = {"what lies below --data-root is read, with pictures and masks": _reads_pictures}
"""What a data set promises of its own pictures, where they are at hand."""

DATASETS: Promises = {
    "it shows the tree that it expects, and reads": _has_a_tree,
    "an empty folder is not recognised, and has no samples or is a DataError": _empty_folder,
    "a folder of anything else raises nothing but a DataError": _other_folder,
    "what it generates can be read: unique ids, pictures, masks of the defects": _generates,
}
