"""Stores as large ones are, but for their rows, which are tiny: real segments and manifests, made as a writer does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stackclip.cache import Store
from stackclip.cache.commit import commit_segment
from stackclip.cache.manifest import Record
from stackclip.cache.segment import array_hash
from stackclip.ops.files import content_hash
from stackclip.types import ANOMALOUS, CLS, GOOD, MASK, NORMAL, Sample, TowerSpec

SPEC = TowerSpec(name="Scale/16", image_size=16, grid=1, depth=4, width=4, joint=4, layers=(1, 2, 3, 4))
FINGERPRINT = {"model": SPEC.name}
PARTS = (CLS, *SPEC.taps)
PER_FOLDER = 10_000

ROW = np.zeros((1, 4), np.float16)
ROWS = {part: ROW[0] if part == CLS else ROW for part in PARTS}
ROW_HASHES = {part: array_hash(row) for part, row in ROWS.items()}
RUNS = np.array([[0, 4, 1]], np.uint32)


def make_store(parent: Path, pictures: int, *, per_segment: int) -> Path:
    """A store of so many pictures, every second one with a mask, as `samples_in` gives them; its folder."""
    store = Store.create(parent, FINGERPRINT, spec=SPEC, recorded={})
    for first in range(0, pictures, per_segment):
        records = list(_records(range(first, min(pictures, first + per_segment))))
        gathered = [(record, {MASK: RUNS} if record.role == "mask" else ROWS) for record in records]
        commit_segment(store.folder, gathered, fingerprint=store.digest, recorded={})
    return store.folder


def _records(pictures: range) -> Iterator[Record]:
    for index in pictures:
        key, time = f"scale/{index:09d}.png", 1_700_000_000_000_000_000 + index
        content, drawn = picture(index), mask(index)
        yield Record(key, "picture", content_hash(content), ((len(content), time),), ROW_HASHES)
        if index % 2:
            digest = content_hash(content_hash(drawn).encode())
            yield Record(key, "mask", digest, ((len(drawn), time),), {MASK: array_hash(RUNS)})


def picture(index: int) -> bytes:
    """The bytes of a picture's file; nobody decodes them."""
    return b"%09d" % index


def mask(index: int) -> bytes:
    """The bytes of a mask's file."""
    return b"mask %09d" % index


def samples_in(root: Path, count: int) -> list[Sample]:
    """So many samples, whose files are made where they are not there."""
    made = root / "made"
    there = int(made.read_text()) if made.exists() else 0
    samples = []
    for index in range(count):
        folder = root / f"{index // PER_FOLDER:05d}"
        image, own = folder / f"{index:09d}.png", folder / f"{index:09d}_mask.png" if index % 2 else None
        if index >= there:
            folder.mkdir(parents=True, exist_ok=True)
            image.write_bytes(picture(index))
            if own:
                own.write_bytes(mask(index))
        label = ANOMALOUS if own else NORMAL
        samples.append(Sample(image.name, "scale", "plate", "test", image, own, label, "cut" if own else GOOD))
    made.write_text(str(max(there, count)))
    return samples
