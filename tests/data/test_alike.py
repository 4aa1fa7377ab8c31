"""Pictures that are the same file under several names, and those that only look so."""

from __future__ import annotations

from pathlib import Path

from stackclip.data.alike import also_among, first_of_each
from stackclip.types import NORMAL, Sample


def sample(path: Path, data: bytes | None) -> Sample:
    if data is not None:
        path.write_bytes(data)
    return Sample(path.name, "own", "plate", "train", path, None, NORMAL, "good")


def test_what_is_the_same_byte_by_byte_counts_once_and_is_found_elsewhere(tmp_path: Path) -> None:
    held = {"a": b"one", "b": b"two", "c": b"one", "d": b"three", "gone": None, "lost": None}
    samples = [sample(tmp_path / name, data) for name, data in held.items()]
    assert [each.id for each in first_of_each(samples)] == ["a", "b", "d", "gone", "lost"]
    others = [sample(tmp_path / name, data) for name, data in {"x": b"two", "y": b"six", "z": b"three"}.items()]
    assert [each.id for each in also_among(samples, others)] == ["b", "d"]
    assert also_among([], others) == also_among(samples, []) == []
    assert also_among(samples[-2:], samples[-2:]) == []
