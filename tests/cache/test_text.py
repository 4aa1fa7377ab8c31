"""Text features are remembered by phrase and weights, and a damaged memory only costs time."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from safetensors.numpy import load_file

from stackclip.cache import TextCache
from stackclip.errors import StoreError

FEATURES = np.arange(12, dtype=np.float32).reshape(3, 4) / 7
PHRASES = ["a photo of a screw", "a damaged screw é", ""]


def test_what_is_remembered_is_found_by_another_process(tmp_path) -> None:
    TextCache(tmp_path, {"weights": "a"}).remember(PHRASES, FEATURES)
    found = TextCache(tmp_path, {"weights": "a"}).lookup([*PHRASES, "new", PHRASES[0]])
    assert list(found) == PHRASES
    for phrase, features in zip(PHRASES, FEATURES, strict=True):
        np.testing.assert_array_equal(found[phrase], features)
        assert found[phrase].dtype == np.float32


def test_other_weights_remember_other_things(tmp_path) -> None:
    TextCache(tmp_path, {"weights": "a"}).remember(PHRASES, FEATURES)
    assert TextCache(tmp_path, {"weights": "b"}).lookup(PHRASES) == {}


def test_a_memory_sees_what_others_learn(tmp_path) -> None:
    first, second = TextCache(tmp_path, {}), TextCache(tmp_path, {})
    assert second.lookup(PHRASES) == {}
    first.remember(PHRASES[:1], FEATURES[:1])
    first.remember(PHRASES, FEATURES)
    assert len(second.lookup(PHRASES)) == 3
    assert len(list(first.folder.iterdir())) == 2  # the second file holds only the new phrases
    first.remember(PHRASES, FEATURES)
    assert len(list(first.folder.iterdir())) == 2


def test_the_file_is_plain_safetensors(tmp_path) -> None:
    memory = TextCache(tmp_path, {})
    memory.remember(PHRASES, FEATURES)
    (path,) = memory.folder.iterdir()
    np.testing.assert_array_equal(load_file(path)["features"], FEATURES)


def test_any_damage_is_left_out_with_a_warning(tmp_path, caplog) -> None:
    memory = TextCache(tmp_path, {})
    memory.remember(PHRASES, FEATURES)
    (path,) = memory.folder.iterdir()
    data = path.read_bytes()
    damages = [b"", data[:-1], data + b"\0", bytes(len(data))]
    damages += [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), 5)]
    for damaged in damages:
        path.write_bytes(damaged)
        with caplog.at_level(logging.WARNING):
            assert TextCache(tmp_path, {}).lookup(PHRASES) == {}
    assert len(caplog.records) == len(damages)


def test_a_memory_that_cannot_write_still_remembers_for_itself(tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("")
    memory = TextCache(tmp_path / "file", {})
    memory.remember(PHRASES, FEATURES)
    assert len(memory.lookup(PHRASES)) == 3
    assert "cannot keep text features" in caplog.text


def test_what_does_not_fit_or_is_not_finite_is_refused(tmp_path) -> None:
    memory = TextCache(tmp_path, {})
    with pytest.raises(StoreError, match=r"\(3, 4\), wanted \(N, D\) for N = 2"):
        memory.remember(PHRASES[:2], FEATURES)
    with pytest.raises(StoreError, match="not finite"):
        memory.remember(PHRASES, FEATURES * np.nan)
