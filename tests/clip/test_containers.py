"""Files of weights: what is read whatever its name, and what is refused before it takes memory."""

from __future__ import annotations

import json
import os
import socket
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stackclip.clip.architecture import find_architecture, largest_file
from stackclip.clip.containers import LARGEST_HEAD, check_file, finite_floats, read_tensors
from stackclip.clip.weights import align_weights, read_weights
from stackclip.errors import WeightsError

FEW = {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3), "b.c": torch.ones(3)}
MIB = 1 << 20


def save(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """A file as the letters of its suffix say, in either case."""
    save_file(dict(tensors), path) if path.suffix.lower() == ".safetensors" else torch.save(dict(tensors), path)
    return path


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def refusal(path: Path, *, largest: int = MIB) -> str:
    """What is said of a file, in one line that begins with it."""
    with pytest.raises(WeightsError) as refused:
        read_weights(path, largest=largest)
    said = str(refused.value)
    assert "\n" not in said
    assert said.startswith(f"{path}: ")
    return said


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("name", ["w.pt", "w.PTH", "w.bin", "w", "w.safetensors", "W.SAFETENSORS", "w.SafeTensors"])
def test_wrappers_of_a_model_leave_its_names_in_any_order_and_container(tmp_path: Path, name: str, prefix: str) -> None:
    path = save(tmp_path / name, {prefix + key: tensor for key, tensor in FEW.items()})
    assert same(read_weights(path), FEW)


def test_wrappers_of_a_part_of_a_model_are_taken_out_too(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pt", {"a": FEW["a"], "b._orig_mod.c": FEW["b.c"]})
    assert same(read_weights(path), FEW)
    torch.save({"state_dict": {f"_orig_mod.{key}": tensor for key, tensor in FEW.items()}}, path)
    assert same(read_weights(path), FEW)


def test_two_tensors_of_one_name_are_refused_and_none_is_dropped(tmp_path: Path) -> None:
    for name in ("w.pt", "w.safetensors"):
        path = save(tmp_path / name, {"a": FEW["a"], "module.a": FEW["a"] + 1})
        assert "holds a twice, once as module.a" in refusal(path)


def test_another_prefix_is_named_and_nobody_is_sent_for_another_architecture(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    named = {f"net.clip.{key}": tensor for key, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"w\.pt: its names begin with 'net\.clip\.', those of ViT-L-14 do not"):
        align_weights(model, named, architecture="ViT-L-14", source="w.pt")


@pytest.mark.parametrize("name", ["w.pt", "w.bin", "w", "w.ckpt"])
def test_the_first_bytes_say_what_a_file_is_not_its_name(tmp_path: Path, name: str) -> None:
    save_file(FEW, tmp_path / name)
    assert same(read_weights(tmp_path / name), FEW)
    torch.save(FEW, tmp_path / "w.safetensors")
    assert same(read_weights(tmp_path / "w.safetensors"), FEW)
    torch.save(FEW, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert same(read_weights(tmp_path / "old.pt"), FEW)


def test_the_sections_of_a_checkpoint_are_read_under_their_names_and_nothing_else_is(tmp_path: Path) -> None:
    path, wrapped = tmp_path / "run.pth", {f"module.{key}": tensor for key, tensor in FEW.items()}
    torch.save({"head": wrapped, "epoch": 3, "note": "x", "e": FEW["a"]}, path)
    expected = {**{f"head.{key}": tensor for key, tensor in FEW.items()}, "e": FEW["a"]}
    assert same(read_tensors(path, largest=MIB, sections=True), expected)
    assert "head is a dict" in refusal(path)


def test_plain_numbers_among_the_tensors_are_no_weights_in_any_container(tmp_path: Path) -> None:
    beside = {**FEW, "vocab_size": torch.tensor(9), "module.context_length": torch.tensor(77)}
    for name in ("w.pt", "w.safetensors"):
        assert same(read_weights(save(tmp_path / name, beside)), FEW)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_a_file_above_the_bound_is_refused_with_both_sizes_and_not_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        try:
            file.truncate(200 * 10**9)
        except OSError:
            pytest.skip("this file system keeps no sparse file of 200 GB")
    assert "200,000,000,000 bytes, such weights take at most 1,048,576" in refusal(path)
    with pytest.raises(WeightsError, match="released heads take at most 1,073,741,824"):
        check_file(path, largest=LARGEST_HEAD, of="released heads")


def test_the_bound_of_a_tower_is_four_times_its_parameters_as_float32() -> None:
    assert largest_file(find_architecture("ViT-B-32")) == 4 * 4 * 151_277_313 + 64 * MIB  # OpenAI's count


def test_a_file_at_the_bound_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    size = save(tmp_path / "w.pt", FEW).stat().st_size
    assert same(read_weights(tmp_path / "w.pt", largest=size), FEW)
    assert f"{size:,} bytes, such weights take at most {size - 1:,}" in refusal(tmp_path / "w.pt", largest=size - 1)


def test_what_is_no_regular_file_is_refused_by_its_kind_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "zero.pt").symlink_to("/dev/zero")
    (tmp_path / "nowhere.pt").symlink_to(tmp_path / "absent")
    (tmp_path / "loop.pt").symlink_to("loop.pt")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # the name of a socket may not be long
        listener.bind("socket.pt")
    assert "a named pipe, wanted a weights file" in refusal(tmp_path / "pipe.pt")
    assert "a device, wanted a weights file" in refusal(tmp_path / "zero.pt")
    assert "a socket, wanted a weights file" in refusal(tmp_path / "socket.pt")
    assert "a folder, wanted a weights file" in refusal(tmp_path)
    assert "there is no such weights file" in refusal(tmp_path / "nowhere.pt")
    assert "there is no such weights file" in refusal(save(tmp_path / "w.pt", FEW) / "inside.pt")
    assert "cannot be read" in refusal(tmp_path / "loop.pt")


def test_a_zip_bomb_is_refused_with_what_it_unpacks_to(tmp_path: Path) -> None:
    plain, bomb = tmp_path / "plain.pt", tmp_path / "bomb.pt"
    torch.save({"a": torch.zeros(4 * MIB)}, plain)
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in archive.namelist():
            packed.writestr(entry, archive.read(entry))
    assert bomb.stat().st_size < MIB
    assert "torch packs nothing" in refusal(bomb)


def test_one_number_that_stands_for_many_is_refused_before_they_are_made(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pt", {"a": torch.zeros(1, dtype=torch.float16).expand(10**12)})
    assert path.stat().st_size < MIB
    assert "its tensors take 4,000,000,000,000 bytes as float32" in refusal(path)


@pytest.mark.parametrize("packed", [True, False])
def test_a_pickle_that_asks_for_memory_by_a_number_is_refused(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "w.pt"
    asks = b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R."  # bytearray(2 ** 44)
    if packed:
        torch.save(FEW, tmp_path / "plain.pt")
        with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(path, "w") as archive:
            for entry in plain.namelist():
                archive.writestr(entry, asks if entry.endswith("data.pkl") else plain.read(entry))
    else:
        torch.save(FEW, path, _use_new_zipfile_serialization=False)
        path.write_bytes(path.read_bytes()[: path.read_bytes().index(b".") + 1] + asks)  # behind the magic number
    assert "holds more than tensors" in refusal(path)


@pytest.mark.parametrize(
    ("length", "content"),
    [
        (2**40, b"{}"),
        (2**63, b"{}"),
        (64, b"{}"),
        (5 * MIB, b"{" + b" " * (5 * MIB - 2) + b"}"),
        (2, b"{}x"),
        (2, b"[]"),
        (0, b""),
    ],
)
def test_a_header_that_promises_more_than_the_file_or_is_absurd_is_refused(
    tmp_path: Path, length: int, content: bytes
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + content)
    assert "not a safetensors file" in refusal(path, largest=64 * MIB)


@pytest.mark.parametrize(
    "facts",
    [
        {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]},
        {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": "many", "data_offsets": [0, 4]},
        {},
    ],
)
def test_a_tensor_that_the_file_does_not_hold_is_refused(tmp_path: Path, facts: dict[str, object]) -> None:
    header = json.dumps({"a": facts}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert "not a safetensors file" in refusal(path)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize(
    "dtype",
    ["float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "complex64", "int8", "uint8", "int32", "int64", "bool"],
)
def test_numbers_that_are_no_floats_of_16_to_64_bits_are_refused_before_they_are_used(
    tmp_path: Path, name: str, dtype: str
) -> None:
    path = save(tmp_path / name, {**FEW, "odd": torch.zeros(2, 2).to(getattr(torch, dtype))})
    assert f"odd is {dtype}, wanted dense float32" in refusal(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_16_to_64_bits_keep_their_values(tmp_path: Path, dtype: torch.dtype) -> None:
    for name in ("w.pt", "w.safetensors"):
        path = save(tmp_path / name, {key: tensor.to(dtype) for key, tensor in FEW.items()})
        assert same(read_weights(path), FEW)


def test_tensors_of_other_forms_are_refused_by_their_form(tmp_path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):  # some are on their way out of torch
        odd = {
            "quint8": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
            "sparse_coo float32": torch.eye(2).to_sparse(),
            "sparse_csr float32": torch.eye(2).to_sparse_csr(),
            "empty float32": torch.empty(10**6, device="meta"),
            "nested strided float32": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        }
        for kind, tensor in odd.items():
            with pytest.raises(WeightsError, match=f"w.pt: odd is {kind.replace('strided ', '')}, wanted dense"):
                finite_floats({"odd": tensor}, source=Path("w.pt"))
    assert "odd is sparse_coo float32" in refusal(save(tmp_path / "w.pt", {"odd": torch.eye(2).to_sparse()}))


def test_a_name_from_a_file_is_shown_on_one_line(tmp_path: Path) -> None:
    path = save(tmp_path / "w.pt", {"a\n\x1b[31mb": torch.zeros(2, dtype=torch.int8)})
    assert r"a\n\x1b[31mb is int8" in refusal(path)
