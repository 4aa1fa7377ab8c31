"""Batches of features are what the store holds, as float32 on the device."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from blake3 import blake3

from stackclip.cache import Store, extract
from stackclip.clip.augmentation import Augmentation
from stackclip.clip.views import seen
from stackclip.data import read_picture
from stackclip.errors import MissingParts
from stackclip.training.sources import FeatureReader, LiveSource
from stackclip.types import CLS, MASK, PICTURE, Part, is_live, patch


def test_parts_come_as_float32_and_masks_as_bytes(small) -> None:
    reader = FeatureReader(small.store, torch.device("cpu"))
    samples = small.tested.select(split="test").samples
    tap = small.tower.spec.taps[1]
    batches = list(reader.batches(samples, {CLS, tap, MASK}, size=3))
    assert [len(batch) for batch in batches] == [3, 3, 2]
    assert tuple(sample for batch in batches for sample in batch.samples) == samples
    first = batches[0]
    assert (first[CLS].dtype, first[tap].dtype, first[MASK].dtype) == (torch.float32, torch.float32, torch.uint8)
    assert first[tap].shape == (3, 49, 128)
    assert first[MASK].shape == (3, 56, 56)
    assert np.array_equal(first[tap].numpy(), small.store.read(samples[:3], tap).astype(np.float32))
    assert first[MASK].amax((1, 2)).tolist() == [sample.label for sample in samples[:3]]


def test_a_class_mean_is_the_mean_of_unit_class_tokens(small) -> None:
    samples = small.training.select(split="test").samples[:4]
    tokens = small.store.read(samples, CLS).astype(np.float64)
    wanted = (tokens / np.linalg.norm(tokens, axis=1, keepdims=True)).mean(0)
    mean = FeatureReader(small.store, torch.device("cpu")).class_mean(samples)
    assert np.allclose(mean.numpy(), wanted, atol=1e-6)


def test_a_live_source_gives_what_the_tower_says_and_pictures_as_it_reads_them(small) -> None:
    samples = small.tested.select("test").samples[:3]
    parts = (CLS, patch(4), PICTURE, Part("picture", view="rot90"), Part("cls", view="rot90"))
    source = LiveSource(small.tower)
    found = source.encode(source.prepare(samples, {"", "rot90"}), parts)
    pictures = torch.from_numpy(np.stack([small.tower.prepare(read_picture(sample.image)) for sample in samples]))
    encoded = small.tower.encode(pictures, (CLS, patch(4)))
    assert torch.equal(found[PICTURE], pictures)
    assert all(torch.equal(found[part], encoded[part]) for part in (CLS, patch(4)))
    turned = found[Part("picture", view="rot90")]
    seen_turned = [small.tower.prepare(seen(read_picture(sample.image), "rot90")) for sample in samples]
    assert torch.equal(turned, torch.from_numpy(np.stack(seen_turned)))
    assert torch.equal(found[Part("cls", view="rot90")], small.tower.encode(turned, (CLS,))[CLS])


@pytest.mark.parametrize("view", ["move-1", "jitter-2", "live-jitter-2"])
def test_changed_pictures_and_their_masks_come_alike_from_store_and_tower(small, tmp_path, view) -> None:
    """Square by square: the change that is drawn for the bytes of each picture is applied to picture and mask."""
    samples = small.tested.select("test").samples
    cls, mask, picture = (Part(kind, view=view) for kind in ("cls", "mask", "picture"))
    tower = small.tower
    store = Store.create(tmp_path / "features", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    extract(store, tower, samples, {CLS, MASK} if is_live(cls) else {cls, MASK})
    found = FeatureReader(store, torch.device("cpu"), live=LiveSource(tower)).read(samples, {cls, mask, picture})
    plain = FeatureReader(small.store, torch.device("cpu")).read(samples, {MASK})[MASK].numpy()
    for row, sample in enumerate(samples):
        digest = blake3(sample.image.read_bytes()).hexdigest()
        change = Augmentation.draw(view.removeprefix("live-"), digest, 56, colours="jitter" in view)
        square = change.moved(tower.prepare(change.coloured(read_picture(sample.image))))
        np.testing.assert_array_equal(found[picture][row], square)
        np.testing.assert_array_equal(found[mask][row], change.moved(plain[row]))
        wanted = tower.encode(torch.from_numpy(square)[None], {CLS})[CLS][0]
        np.testing.assert_allclose(found[cls][row], wanted, atol=0 if is_live(cls) else 2e-3)
    assert not torch.equal(found[mask], torch.from_numpy(plain))


def test_what_is_read_live_stands_beside_what_is_stored(small) -> None:
    samples = small.tested.select("test").samples[:3]
    reader = FeatureReader(small.store, torch.device("cpu"), live=LiveSource(small.tower))
    features = reader.read(samples, {CLS, PICTURE, MASK})
    assert torch.equal(features[CLS], FeatureReader(small.store, torch.device("cpu")).read(samples, {CLS})[CLS])
    assert features[PICTURE].shape == (3, *small.tower.spec.shape(PICTURE)) == (3, 3, 56, 56)
    with pytest.raises(MissingParts, match="picture: there is no live tower here"):
        FeatureReader(small.store, torch.device("cpu")).read(samples, {PICTURE})


def test_a_live_tower_runs_in_the_callers_thread_and_leaves_the_process_as_it_was(small, monkeypatch) -> None:
    threads, encode = set(), type(small.tower).encode

    def noted(self: object, *given: object) -> object:
        threads.add(threading.current_thread())
        return encode(self, *given)

    monkeypatch.setattr(type(small.tower), "encode", noted)
    before = torch.backends.mha.get_fastpath_enabled()
    samples = small.training.select("test").samples
    reader = FeatureReader(small.store, torch.device("cpu"), live=LiveSource(small.tower), all_live=True)
    assert sum(len(batch) for batch in reader.batches(samples, {CLS}, size=2)) == len(samples)
    assert threads == {threading.current_thread()}
    assert torch.backends.mha.get_fastpath_enabled() == before
