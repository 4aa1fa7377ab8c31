"""Weights files that are read, and those that are refused in one line."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stackclip.clip.weights import cached_weights, fetch_weights, read_weights, weights_hash
from stackclip.errors import WeightsError

FEW = {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "b": torch.tensor(0.5), "c.d": torch.ones(3).half()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name].float()) for name in one)


def test_safetensors_and_torch_files_give_the_same_weights(tmp_path: Path) -> None:
    save_file(FEW, tmp_path / "few.safetensors")
    torch.save(FEW, tmp_path / "few.pt")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in FEW.items()}}, tmp_path / "run.pth"
    )
    torch.save(
        {**FEW, "input_resolution": 224, "context_length": 77, "vocab_size": torch.tensor(9)}, tmp_path / "oa.bin"
    )
    read = [read_weights(tmp_path / name) for name in ("few.safetensors", "few.pt", "run.pth", "oa.bin")]
    assert all(equal(each, FEW) for each in read)
    assert {weights_hash(each) for each in read} == {weights_hash(FEW)}


def test_the_hash_sees_values_names_and_shapes() -> None:
    different = [
        FEW,
        {**FEW, "b": torch.tensor(0.25)},
        {**FEW, "b": torch.tensor([0.5])},
        {"a": FEW["a"], "b": FEW["b"], "c": FEW["c.d"]},
        {**FEW, "a": FEW["a"].reshape(3, 2)},
    ]
    assert len({weights_hash(each) for each in different}) == len(different)
    assert weights_hash(dict(reversed(FEW.items()))) == weights_hash(FEW)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


def test_a_file_that_holds_code_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": FEW, "extra": Harmful()}, tmp_path / "bad.pt")
    with pytest.raises(WeightsError, match=r"bad\.pt: holds more than tensors"):
        read_weights(tmp_path / "bad.pt")
    assert capsys.readouterr().out == ""


def test_a_torchscript_archive_is_refused_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ViT-B-16.pt", "w") as archive:
        archive.writestr("model/constants.pkl", b"")
        archive.writestr("model/code/__torch__.py", b"")
    with pytest.raises(WeightsError, match=r"ViT-B-16\.pt: a TorchScript archive.*--pretrained openai"):
        read_weights(tmp_path / "ViT-B-16.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize(
    "content", [b"", b"no weights at all", b"\x80\x04" + b"\x00" * 40, b"PK\x03\x04" + b"\x00" * 40]
)
def test_a_damaged_file_is_one_line_with_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name) as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [{}, [FEW["a"]], {"a": "text"}, nn.Linear(2, 2).state_dict()["weight"]])
def test_a_torch_file_that_is_no_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(WeightsError, match=r"odd\.pt: .* state dict"):
        read_weights(tmp_path / "odd.pt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such weights file"):
        read_weights(tmp_path / "absent.safetensors")
    with pytest.raises(WeightsError, match="a folder, wanted a weights file"):
        read_weights(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    save_file({**FEW, "b": torch.tensor(value)}, tmp_path / "nan.safetensors")
    with pytest.raises(WeightsError, match="b holds NaN or infinity"):
        read_weights(tmp_path / "nan.safetensors")


def test_an_old_torch_does_not_read_pickled_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(FEW, tmp_path / "few.pt")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(WeightsError, match=r"torch 2\.9\.1\+cpu cannot read a checkpoint safely"):
        read_weights(tmp_path / "few.pt")


def test_weights_in_the_cache_are_used_without_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def look(repository: str, name: str) -> str | None:
        asked.append((repository, name))
        return str(tmp_path / name) if name.endswith(".bin") else None

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", look)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda facts: pytest.fail("the network was asked"))
    assert fetch_weights("ViT-L-14-336", "openai") == tmp_path / "open_clip_pytorch_model.bin"
    assert asked == [
        ("timm/vit_large_patch14_clip_336.openai", "open_clip_model.safetensors"),
        ("timm/vit_large_patch14_clip_336.openai", "open_clip_pytorch_model.bin"),
    ]


@pytest.mark.parametrize("offline", ["", "1"])
def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch, offline: str) -> None:
    def fail(facts: dict[str, Any]) -> str:
        raise FileNotFoundError("several\nlines of the hub")

    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(open_clip, "download_pretrained", fail)
    assert cached_weights("ViT-B-16", "openai") is None
    with pytest.raises(WeightsError, match=r"openai of ViT-B-16 .* HF_HOME .* --weights FILE") as caught:
        fetch_weights("ViT-B-16", "openai")
    assert "\n" not in str(caught.value)
    assert ("HF_HUB_OFFLINE" in str(caught.value)) == bool(offline)
