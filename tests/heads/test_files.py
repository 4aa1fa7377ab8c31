"""Heads on disk: back as they were, or refused in one line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from random import Random

import pytest
import safetensors.torch
import torch

from stackclip.errors import FingerprintMismatch, WeightsError
from stackclip.heads import TrainedHead, load_head, save_head
from stackclip.heads.files import HEAD_FORMAT

FINGERPRINT = "a" * 64
FACTS = {"fingerprint": FINGERPRINT, "tower": "ViT-L-14-336", "losses": [{"loss": 0.5}], "größe": "ä"}


def head() -> TrainedHead:
    draws = torch.Generator().manual_seed(0)
    tensors = {f"head.fc.0.{layer}.weight": torch.randn(5, 3, generator=draws) for layer in range(4)}
    return TrainedHead(tensors, FACTS)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "heads" / "head.safetensors"
    save_head(path, head())
    return path


def test_a_head_comes_back_as_it_was_saved(saved: Path):
    found = load_head(saved, fingerprint=FINGERPRINT)
    assert found.facts == FACTS
    assert set(found.tensors) == set(head().tensors)
    for name, tensor in head().tensors.items():
        assert torch.equal(found.tensors[name], tensor)
        assert found.tensors[name].dtype == tensor.dtype


def test_tensors_with_gradients_and_in_another_order_in_memory_are_saved_by_value(tmp_path: Path):
    weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
    save_head(tmp_path / "head", TrainedHead({"w": weight}, FACTS))
    assert torch.equal(load_head(tmp_path / "head", fingerprint=FINGERPRINT).tensors["w"], weight.detach())


def test_a_head_of_another_tower_is_refused_in_one_line_that_names_both(saved: Path):
    with pytest.raises(FingerprintMismatch) as raised:
        load_head(saved, fingerprint="b" * 64)
    message = str(raised.value)
    assert message.startswith(f"{saved}: this head was trained on ViT-L-14-336, features {'a' * 12}; ")
    assert f"the store holds features {'b' * 12}." in message
    assert "\n" not in message


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_head_with_nan_or_infinity_is_refused_with_the_tensor_named(tmp_path: Path, number: float):
    weight = torch.ones(3, 3)
    weight[1, 2] = number
    save_head(tmp_path / "head", TrainedHead({"good": torch.ones(2), "fc.weight": weight}, FACTS))
    with pytest.raises(WeightsError, match=r"fc\.weight holds NaN or infinity; delete it and train again"):
        load_head(tmp_path / "head", fingerprint=FINGERPRINT)


def test_a_truncated_head_is_refused_wherever_it_was_cut(saved: Path):
    data = saved.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1):
        saved.write_bytes(data[:length])
        with pytest.raises(WeightsError, match="no readable head") as raised:
            load_head(saved, fingerprint=FINGERPRINT)
        assert str(saved) in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_header_with_a_flipped_bit_is_refused(saved: Path):
    data = saved.read_bytes()
    size = int.from_bytes(data[:8], "little")
    for position in range(0, 8 + size, 7):
        damaged = bytearray(data)
        damaged[position] ^= 0x80  # never a letter of JSON
        saved.write_bytes(bytes(damaged))
        with pytest.raises((WeightsError, FingerprintMismatch)):
            load_head(saved, fingerprint=FINGERPRINT)


def test_a_flipped_bit_in_a_weight_is_refused(saved: Path):
    data = saved.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for position in range(start, len(data), 23):
        damaged = bytearray(data)
        damaged[position] ^= 0x01
        saved.write_bytes(bytes(damaged))
        with pytest.raises(WeightsError) as raised:
            load_head(saved, fingerprint=FINGERPRINT)
        assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path):
    for path, words in (
        (tmp_path / "nowhere", r"cannot be read \(No such file"),
        (tmp_path, r"no readable head \(is no regular file"),
    ):
        with pytest.raises(WeightsError, match=words):
            load_head(path, fingerprint=FINGERPRINT)


def test_nobody_is_told_to_delete_a_head_that_the_system_withholds(saved: Path, monkeypatch: pytest.MonkeyPatch):
    def withheld(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("stackclip.ops.seals.os.open", withheld)
    with pytest.raises(WeightsError, match=r"cannot be read \(Too many open files\)$"):
        load_head(saved, fingerprint=FINGERPRINT)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "stackclip-head/9", "facts": "{}"}])
def test_a_foreign_safetensors_file_is_refused_with_what_was_found_and_wanted(tmp_path: Path, metadata):
    path = tmp_path / "foreign"
    path.write_bytes(safetensors.torch.save({"w": torch.ones(2)}, metadata))
    found = (metadata or {}).get("format", "no format")
    with pytest.raises(WeightsError, match=f"found {found}, wanted {HEAD_FORMAT}"):
        load_head(path, fingerprint=FINGERPRINT)


@pytest.mark.parametrize("facts", [None, "", "{", "[]", "3", "null"])
def test_a_head_whose_facts_cannot_be_read_is_refused(tmp_path: Path, facts: str | None):
    path = tmp_path / "head"
    metadata = {"format": HEAD_FORMAT} if facts is None else {"format": HEAD_FORMAT, "facts": facts}
    path.write_bytes(safetensors.torch.save({"w": torch.ones(2)}, metadata))
    with pytest.raises(WeightsError, match=str(path)):
        load_head(path, fingerprint=FINGERPRINT)


def test_facts_stand_in_the_file_for_any_reader(saved: Path):
    with safetensors.safe_open(saved, framework="pt") as file:
        assert json.loads(file.metadata()["facts"]) == FACTS


def test_a_head_under_another_name_is_refused_with_the_name_it_was_saved_under(saved: Path):
    moved = saved.rename(saved.with_name("other.safetensors"))
    with pytest.raises(WeightsError, match="it was saved as head; delete it and train again"):
        load_head(moved, fingerprint=FINGERPRINT)


def test_no_changed_byte_is_read_as_true(saved: Path):
    data, draw = saved.read_bytes(), Random(0)
    for place in (*range(8 + int.from_bytes(data[:8], "little")), *draw.choices(range(len(data)), k=100)):
        changed = bytearray(data)
        changed[place] ^= 1 << draw.randrange(8)
        saved.write_bytes(changed)
        with pytest.raises((WeightsError, FingerprintMismatch)) as raised:
            load_head(saved, fingerprint=FINGERPRINT)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64, torch.int32, torch.uint8, torch.bool])
def test_numbers_of_a_kind_that_no_head_has_are_refused_before_anything_is_worked_out(tmp_path: Path, dtype):
    save_head(tmp_path / "head", TrainedHead({"w": torch.zeros(4).to(dtype)}, FACTS))
    with pytest.raises(WeightsError, match=r"w holds torch\.\w+, which no head does"):
        load_head(tmp_path / "head", fingerprint=FINGERPRINT)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_an_endless_file_and_a_sparse_one_are_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    for name in ("pipe", "endless", "sparse"):
        with pytest.raises(WeightsError, match="no regular file of at most"):
            load_head(tmp_path / name, fingerprint=FINGERPRINT)
