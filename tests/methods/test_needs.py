"""What methods need of a picture is encoded once, in one pass, whichever of them asks first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from stackclip.cache import Store, extract
from stackclip.clip import Tower, random_tower
from stackclip.data import open_dataset
from stackclip.methods import PHASES, resolve
from stackclip.types import CLS, Part, Sample, patch

PICTURES = "synthetic[categories=1,per_category=2,train_good=1,size=32]"


class Watched:
    """A random tower that keeps which parts were asked of it, and stops before a picture if told to."""

    def __init__(self, tower: Tower) -> None:
        self.spec, self.prepare, self._encode = tower.spec, tower.prepare, tower.encode
        self.asked: list[frozenset[Part]] = []
        self.stop_at: int | None = None

    def encode(self, pictures: Tensor, parts: Iterable[Part]) -> dict[Part, Tensor]:
        if len(self.asked) == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(frozenset(parts))
        return self._encode(pictures, self.asked[-1])


@pytest.fixture
def tower() -> Watched:
    return Watched(random_tower(image_size=32))


@pytest.fixture
def samples(tmp_path: Path) -> tuple[Sample, ...]:
    return open_dataset(PICTURES, generated=tmp_path).samples


def store_in(folder: Path) -> Store:
    tower = random_tower(image_size=32)
    return Store.create(folder, tower.fingerprint, spec=tower.spec, recorded=tower.recorded)


def needs(*methods: str) -> frozenset[Part]:
    spec = random_tower(image_size=32).spec
    return frozenset().union(*(resolve(method).needs(spec, phase) for method in methods for phase in PHASES))


FAMILY = ("sdp", "sdp-plus", "clip-surgery", "winclip", "april-gan", "stackclip")


def test_a_second_method_that_needs_the_same_parts_encodes_nothing(tower, samples, tmp_path: Path) -> None:
    store = store_in(tmp_path / "store")
    assert extract(store, tower, samples, needs("sdp-plus", "winclip[shots=1]")).encoded == len(samples)
    tower.asked.clear()
    for others in ("sdp", "sdp[stages=3+4,select=kde]", "sdp-plus[layers=5]", "winclip[fusion=sum]", "april-gan"):
        assert extract(store, tower, samples, needs(others)).encoded == 0
    assert tower.asked == []


def test_all_of_the_family_take_one_pass(tower, samples, tmp_path: Path) -> None:
    extract(store_in(tmp_path / "store"), tower, samples, needs(*FAMILY), batch_size=1)
    assert tower.asked == [needs(*FAMILY)] * len(samples)


def test_another_method_of_the_family_adds_only_what_is_its_own(tower, samples, tmp_path: Path) -> None:
    store = store_in(tmp_path / "store")
    extract(store, tower, samples, needs("april-gan"))
    assert {CLS, patch(8)} <= needs("april-gan")
    for method, own in {
        "clip-surgery": {Part("vv-last6", 8)},
        "winclip": {Part("window", 2), Part("window", 3)},
        "sdp-plus": {Part(kind, layer) for kind in ("cls", "vv-stage") for layer in (2, 4, 6, 8)} - {Part("cls", 8)},
    }.items():
        tower.asked.clear()
        extract(store, tower, samples, needs(method))
        assert set(tower.asked) == {frozenset(own)}


def test_a_stopped_encoding_of_all_paths_goes_on_to_the_same_features(tower, samples, tmp_path: Path) -> None:
    whole, resumed = store_in(tmp_path / "whole"), store_in(tmp_path / "resumed")
    extract(whole, random_tower(image_size=32), samples, needs(*FAMILY))
    tower.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        extract(resumed, tower, samples, needs(*FAMILY), batch_size=1)
    tower.stop_at = None
    again = Store.open(resumed.folder)
    assert extract(again, tower, samples, needs(*FAMILY)).already_there == 2
    for part in needs(*FAMILY):
        np.testing.assert_array_equal(whole.batch(samples, [part])[part], again.batch(samples, [part])[part])
