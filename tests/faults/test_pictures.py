"""Unusual, broken and mutated picture files: each a right picture, or refused in one line that names it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from stackclip.cache import Store, stores_in
from stackclip.data.images import picture_size, read_picture
from stackclip.errors import PictureError

from .lab import HERE, environment
from .pictures import CASES, SECONDS
from .tally import Tally

MUTATED = 2000  # of a full run
Cache = Callable[..., tuple[int, str, Store]]


def test_the_catalogue_is_large() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize("what", CASES)
def test_a_file_of_the_catalogue_has_its_outcome(tmp_path: Path, tally: Tally, what: str) -> None:
    case, path = CASES[what], tmp_path / CASES[what].name
    if case.unless is not None and case.unless():
        pytest.skip("this system, this user or this Pillow has no such files")
    case.make(path)
    start = time.monotonic()
    if isinstance(case.outcome, str):
        with pytest.raises(PictureError) as caught:
            read_picture(path)
        assert case.outcome in caught.value.reason
        assert "\n" not in caught.value.reason
        assert caught.value.path == path
    else:
        picture = np.asarray(read_picture(path)).astype(int)
        wanted = case.outcome if case.outcome.ndim == 3 else case.outcome[..., None]
        assert picture.shape == (*wanted.shape[:2], 3)
        assert np.abs(picture - wanted).max() <= case.within
        assert picture_size(path) == picture.shape[:2]
    assert time.monotonic() - start < SECONDS
    tally.counted("unusual and broken pictures", "a file of the catalogue", what)


def test_a_mutated_file_is_right_or_refused_and_never_hangs(tmp_path: Path, tally: Tally, full: bool) -> None:
    fault, count, first = "mutated pictures", MUTATED if full else 200, 0
    figures = tally.of(fault, "a file with changed, missing or additional bytes")
    outcomes: dict[str, int] = {}
    while first < count:
        run = [sys.executable, str(HERE / "pictures.py"), str(tmp_path), "0", str(first), str(count)]
        done = subprocess.run(run, capture_output=True, text=True, env=environment())
        for line in done.stdout.splitlines():
            number, outcome = json.loads(line)
            first = number + 1
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            tally.counted(fault, "", f"{number}: {outcome}", messages=outcome not in ("right", "refused"))
        if done.returncode:
            tally.counted(fault, "", f"{first}: {done.returncode}, {done.stderr[-1000:]}", signals=True)
            first += 1
    assert figures.points == count
    tally.require(fault)
    assert min(outcomes["right"], outcomes["refused"]) > count // 20


@pytest.fixture
def bad_pictures(tmp_path: Path) -> Path:
    """Eight pictures, the third and the sixth broken."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(8):
        pixels = np.random.default_rng(index).integers(0, 256, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    (folder / "2.png").write_bytes(b"no picture")
    (folder / "5.png").write_bytes((folder / "4.png").read_bytes()[:200])
    return folder


@pytest.fixture
def cache_features(stackclip: Callable[..., Result], bad_pictures: Path, tmp_path: Path) -> Cache:
    """Encodes the bad pictures; gives the exit code, what was said, and the store."""

    def cache(*words: str) -> tuple[int, str, Store]:
        given = ("--dataset", str(bad_pictures), "--methods", "precise", "--image-size", "56", *words)
        result = stackclip(tmp_path / "work", "cache-features", *given)
        (folder,) = stores_in(tmp_path / "work" / "cache" / "features")
        return result.exit_code, result.stderr, Store.open(folder)

    return cache


def test_one_bad_picture_of_many_is_named_and_the_others_are_done(cache_features: Cache, bad_pictures: Path) -> None:
    code, said, store = cache_features()
    assert code == 3
    failures = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert [line.split(": ")[1] for line in failures] == [str(bad_pictures / "2.png"), str(bad_pictures / "5.png")]
    assert len(store) == 6
    assert "Traceback" not in said


def test_strict_stops_at_the_first_bad_picture(cache_features: Cache, bad_pictures: Path) -> None:
    code, said, store = cache_features("--strict", "--num-workers", "1")
    assert code == 3
    assert str(bad_pictures / "2.png") in said
    assert str(bad_pictures / "5.png") not in said
    assert len(store) <= 2
