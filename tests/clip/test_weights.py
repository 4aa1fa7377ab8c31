"""Weights files that are read, and those that are refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stackclip.clip.weights import read_weights, weights_hash
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


def openai_form(tensors: dict[str, Tensor]) -> dict[str, object]:
    """The state dict of OpenAI's models: half precision, and plain numbers among the tensors."""
    sizes = {name: torch.tensor(7) for name in ("input_resolution", "context_length", "vocab_size")}
    return {**{name: tensor.half() for name, tensor in tensors.items()}, **sizes}


FORMS: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "openai": openai_form,
    "module.": lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()},
    "_orig_mod.": lambda tensors: {"state_dict": {f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}},
    "training": lambda tensors: {
        "epoch": 32,
        "name": "run",
        "state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()},
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-3}]},
    },
    "fp16": lambda tensors: {name: tensor.half() for name, tensor in tensors.items()},
    "bf16": lambda tensors: {name: tensor.bfloat16() for name, tensor in tensors.items()},
    "fp64": lambda tensors: {name: tensor.double() for name, tensor in tensors.items()},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["w.bin", "w.safetensors"])
def test_the_same_numbers_have_the_same_hash_in_every_container(tmp_path: Path, form: str, name: str) -> None:
    tensors = {"a": torch.arange(6).reshape(2, 3) / 4, "b.c": torch.ones(3), "scale": torch.tensor(0.5)}
    content: Any = FORMS[form](tensors)
    if name == "w.bin":
        torch.save(content, tmp_path / name)
    else:
        save_file(content.get("state_dict", content), tmp_path / name)
    assert weights_hash(read_weights(tmp_path / name)) == weights_hash(tensors)


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
