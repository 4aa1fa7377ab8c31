"""What a store says of files, against reading each of them; and for how long it goes by one look."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from stackclip.cache import Store, extract, looks
from stackclip.cache.shapes import MASK_NEAREST
from stackclip.cache.sources import Role, read_again
from stackclip.errors import PictureError
from stackclip.types import ANOMALOUS, CLS, GOOD, MASK, NORMAL, Part, Sample

AGE = 1_000_000_000  # seconds since 1970; of all files, as in an archive
LEVELS = 4  # different pictures and masks: many have the same content


def picture(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    Image.new("L", (12, 12), level).save(path)
    os.utime(path, (AGE, AGE))
    return path


def world(root: Path, random: Random, size: int) -> list[Sample]:
    """Samples with a mask that is a file, a folder of files or none, some of them missing."""
    samples = []
    for index in range(size):
        image, kind = picture(root / str(index % 3) / f"{index}.png", random.randrange(LEVELS)), random.randrange(4)
        mask = None if kind == 0 else root / "masks" / (f"{index}" if kind == 3 else f"{index}.png")
        if kind in (1, 2):
            picture(root / "masks" / f"{index}.png", 200 + random.randrange(LEVELS))
        elif kind == 3:
            for each in range(1 + random.randrange(2)):
                picture(root / "masks" / str(index) / f"{each}.png", 200 + random.randrange(LEVELS))
        label = random.choice((NORMAL, ANOMALOUS)) if mask else NORMAL
        samples.append(Sample(image.name, "w", "c", "test", image, mask, label, "cut" if label else GOOD))
    return samples


def disturbed(samples: list[Sample], random: Random) -> None:
    """Some files become others, and some go."""
    for path in random.sample([path for each in samples for path in (each.image, each.mask) if path], k=3):
        how = random.randrange(3)
        if path.is_dir():
            shutil.rmtree(path) if how == 0 else picture(path / "9.png", 200 + random.randrange(LEVELS))
        elif how == 0:
            path.unlink(missing_ok=True)
        else:
            picture(path, random.randrange(LEVELS) + 200 * (how == 2))


def content(home: Path | None, role: Role) -> str | None:
    try:
        return read_again(home, role).digest if home else None
    except PictureError:
        return None


def held(store: Store, sample: Sample) -> frozenset[Part]:
    """What a store has of a sample, by reading its files."""
    found = store._index.held(content(sample.image, "picture"))
    if sample.label == NORMAL or sample.mask is None:
        return found | {MASK, MASK_NEAREST}
    return found | store._index.held(content(sample.mask, "mask"))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an hour pass between writing the pictures and reading them, so that readings are believed."""
    from stackclip.cache import sources
    from stackclip.ops import states

    ticks = count(int(4e18))
    for module in (states, sources):
        monkeypatch.setattr(module, "time_ns", lambda: next(ticks))


def test_what_is_held_is_what_reading_every_file_tells(
    new_store: Callable[[], Store], tower: object, tmp_path: Path, later: None
) -> None:
    for seed in range(25):
        random = Random(seed)
        samples = world(tmp_path / str(seed), random, 8)
        extract(new_store(), tower, samples[:6], {CLS, MASK})
        store = new_store()
        for _ in range(3):
            asked = random.choices(samples, k=9)
            expected = [held(store, sample) for sample in asked]
            digests = [content(sample.image, "picture") for sample in asked]
            for reader in (store, new_store()):
                assert reader.holdings(asked) == expected
                assert reader.digests(asked) == digests
                assert reader.digests(asked, MASK) == [content(sample.mask, "mask") for sample in asked]
                with reader.one_look():
                    for _ in range(2):
                        assert reader.holdings(asked) == expected
                        assert reader.digests(asked) == digests
            disturbed(samples, random)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are looked at from now on."""
    found: list[str] = []
    real = os.stat
    monkeypatch.setattr(looks.os, "stat", lambda path, **how: found.append(str(path)) or real(path, **how))
    return found


def test_one_look_is_enough_until_something_is_encoded_or_one_looks_again(filled, new_store, samples, looked) -> None:
    store, paths = new_store(), {str(sample.image) for sample in samples}
    with store.one_look():
        for ask in (store.look_again, store.refresh, lambda: extract(store, None, samples, {CLS})):
            ask()
            before = store.holdings(samples)
            looked.clear()
            with store.one_look():
                assert store.holdings(samples) == before
                assert store.lacking(samples, {CLS, MASK}) == ()
                store.digests(samples)
            assert not paths & set(looked)
            store.look_again()
            store.holdings(samples)
            assert paths <= set(looked)
    looked.clear()
    store.holdings(samples)
    assert paths <= set(looked)


def test_rows_come_from_the_file_as_it_is_though_it_was_looked_at(filled, new_store, samples) -> None:
    store = new_store()
    first, second = samples[0], samples[2]
    right = store.read([second], CLS)
    with store.one_look():
        assert store.lacking(samples, {CLS}) == ()
        shutil.copy(second.image, first.image.with_suffix(".new")).replace(first.image)
        assert store.source(first).digest == store.source(second).digest
        np.testing.assert_array_equal(store.read([first], CLS), right)
        store.look_again()
        assert len(set(store.digests([first, second]))) == 1


def test_what_is_encoded_is_looked_at_anew(filled, new_store, samples, tower) -> None:
    store = new_store()
    with store.one_look():
        assert store.lacking(samples, {CLS}) == ()
        Image.new("RGB", (24, 20), (1, 2, 3)).save(samples[0].image)
        assert store.lacking(samples, {CLS}) == ()
        assert extract(store, tower, samples, {CLS}).encoded == 1
        assert store.lacking(samples, {CLS}) == ()
        assert store.digests(samples[:1]) == [read_again(samples[0].image, "picture").digest]
    missing = replace(samples[0], image=samples[0].image.with_name("gone.png"))
    with store.one_look():
        assert store.digests([missing]) == [None]
        shutil.copy(samples[0].image, missing.image)
        assert store.digests([missing]) == store.digests(samples[:1])


def test_each_thread_has_looks_of_its_own(filled, new_store, samples, looked) -> None:
    store, paths = new_store(), {str(sample.image) for sample in samples}
    with ThreadPoolExecutor(1) as other:
        mine, others = store.one_look(), store.one_look()
        with mine:
            store.holdings(samples)
            other.submit(others.__enter__).result()
            looked.clear()
            other.submit(store.holdings, samples).result()
            assert paths <= set(looked)
        looked.clear()
        store.holdings(samples)
        assert paths <= set(looked)
        other.submit(others.__exit__, None, None, None).result()
        looked.clear()
        store.holdings(samples)
        assert paths <= set(looked)
