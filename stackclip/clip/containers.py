"""Files of weights: measured first, told apart by their first bytes, read without running them."""

from __future__ import annotations

import pickle
import pickletools
import stat
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from stackclip.clip.torchscript import is_script, read_script
from stackclip.errors import WeightsError
from stackclip.ops.files import kind_of_file
from stackclip.ops.words import legible

__all__ = ["LARGEST", "LARGEST_HEAD", "NOT_WEIGHTS", "check_file", "finite_floats", "read_tensors"]

LARGEST = 16 << 30
"""Bytes of a file whose architecture is not known: four times the parameters of a ViT-H, as float32."""

LARGEST_HEAD = 1 << 30
"""Bytes of a file with a head: released ones take 3 to 60 MB."""

NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Plain numbers among OpenAI's tensors."""

_FIRST_SAFE_TORCH = (2, 10)  # CVE-2025-32434 and CVE-2026-24747: `weights_only` of older ones runs code
_LARGEST_HEADER = 4 << 20  # bytes before the tensors of a safetensors file; those of ViT-bigG take 0.2 MB
_WRAPPERS = frozenset({"module", "_orig_mod"})  # what DistributedDataParallel and torch.compile put into names
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


def check_file(path: Path, *, largest: int, of: str = "such weights") -> int:
    """The bytes of a weights file. Raises WeightsError for one that is missing, no regular file or above `largest`."""
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise WeightsError(f"{path}: there is no such weights file") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({_reason(error)}), wanted a weights file") from error
    if not stat.S_ISREG(facts.st_mode):
        kind = kind_of_file(facts.st_mode) or "no regular file"
        raise WeightsError(f"{path}: {kind}, wanted a weights file")
    if facts.st_size > largest:
        raise WeightsError(f"{path}: {facts.st_size:,} bytes, {of} take at most {largest:,}: is it another file?")
    return facts.st_size


def read_tensors(path: Path, *, largest: int, of: str = "such weights", sections: bool = False) -> dict[str, Tensor]:
    """The tensors of a safetensors file, a torch checkpoint or a TorchScript archive as they are there, on the CPU.

    Which of them it is, its first bytes say. A checkpoint may keep them under `state_dict`; what wrappers of the
    model put into names (`module.`, `_orig_mod.`) is taken out. Nothing in it is run. With `sections` it may hold
    several state dicts and other things: a tensor's name is then `section.name`, the others are left out.

    Raises WeightsError for a file that is missing or of another kind, or that takes more than `largest` bytes, on the
    disk, unpacked or as float32; before it takes them.
    """
    size = check_file(path, largest=largest, of=of)
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({_reason(error)})") from error
    if _is_safetensors(path, head):
        found = _read_safetensors(path, size, head)
    else:
        found = _read_checkpoint(path, size, head, sections=sections)
    if (taken := sum(4 * tensor.numel() for tensor in found.values())) > largest:
        raise WeightsError(f"{path}: its tensors take {taken:,} bytes as float32, {of} take at most {largest:,}")
    return found


def finite_floats(tensors: Mapping[str, Tensor], *, source: Path) -> dict[str, Tensor]:
    """The tensors as float32. Raises WeightsError for other numbers than floats of 16 to 64 bits, NaN and infinity."""
    for name, tensor in tensors.items():
        if tensor.dtype not in _FLOATS or tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
            raise WeightsError(
                f"{source}: {legible(name)} is {_kind(tensor)}, wanted dense float32, float16, bfloat16 or float64: "
                "convert it and save the file again"
            )
    floats = {name: tensor.to(torch.float32) for name, tensor in tensors.items()}
    for name, tensor in floats.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"{source}: {legible(name)} holds NaN or infinity, wanted finite weights: get the file again"
            )
    return floats


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Whether a file begins with the length of a header and `{`; where it is nothing we know, what its name says."""
    if head[:4] == b"PK\x03\x04":
        return False
    return head[4:] == b"\0\0\0\0{" or path.suffix.lower() == ".safetensors"


def _read_safetensors(path: Path, size: int, head: bytes) -> dict[str, Tensor]:
    header = int.from_bytes(head[:8], "little")
    if header > min(size - 8, _LARGEST_HEADER):
        raise WeightsError(
            f"{path}: not a safetensors file (a header of {header:,} bytes in a file of {size:,}; at most "
            f"{_LARGEST_HEADER:,} are read): get the file again"
        )
    try:
        return _unwrapped(path, load_file(path).items())
    except WeightsError:
        raise
    except Exception as error:  # damaged bytes, and types of numbers that this torch does not know
        raise WeightsError(f"{path}: not a safetensors file ({_reason(error)}): get the file again") from error


def _read_checkpoint(path: Path, size: int, head: bytes, *, sections: bool) -> dict[str, Tensor]:
    try:
        found = (_read_archive if head[:4] == b"PK\x03\x04" else _read_stream)(path, size)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: holds more than tensors, or is no torch file at all; wanted safetensors or a plain state dict"
        ) from error
    except Exception as error:  # damaged bytes lead torch's reader to errors of every kind
        raise WeightsError(f"{path}: not a torch file, or a damaged one: get the file again") from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not found:
        raise WeightsError(f"{path}: holds a {type(found).__name__}, wanted a state dict: names and their tensors")
    return _unwrapped(path, _in_sections(found) if sections else _in_one(path, found))


def _read_archive(path: Path, size: int) -> Any:
    """What a zip archive holds. Raises WeightsError for one that unpacks to more than its own size."""
    with zipfile.ZipFile(path) as archive:
        if is_script(archive):
            return read_script(archive, path, size)
        entries = archive.infolist()
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise WeightsError(
                f"{path}: {unpacked:,} bytes are packed into {size:,}, and torch packs nothing: get the file again"
            )
        for entry in entries:
            if entry.filename.endswith("data.pkl"):
                with archive.open(entry) as stream:
                    _check_pickle(path, stream)
    return _loaded(path)


def _read_stream(path: Path, _size: int) -> Any:
    """What a file holds as torch wrote it before 1.6: five pickles, then the numbers."""
    with path.open("rb") as stream:
        for _ in range(5):
            _check_pickle(path, stream)
    return _loaded(path)


def _loaded(path: Path) -> Any:
    if tuple(int(number) for number in torch.__version__.split(".")[:2]) < _FIRST_SAFE_TORCH:
        raise WeightsError(
            f"{path}: torch {torch.__version__} cannot read a checkpoint safely (CVE-2026-24747): "
            f"update torch to 2.10 or give safetensors"
        )
    # Warnings are of bytes that may be no checkpoint at all; of a path, torch would look at the suffix.
    with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
        return torch.load(file, map_location="cpu", weights_only=True)


def _in_one(path: Path, found: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in found.items():
        if isinstance(tensor, Tensor):
            yield str(name), tensor
        elif _plain(str(name)) not in NOT_WEIGHTS:
            kind = type(tensor).__name__
            raise WeightsError(f"{path}: {legible(name)} is a {kind}, wanted a state dict: names and tensors")


def _in_sections(found: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a checkpoint and of the state dicts in it, these as `section.name`."""
    for name, value in found.items():
        inside = value.items() if isinstance(value, Mapping) else [("", value)]
        for key, tensor in inside:
            if isinstance(tensor, Tensor):
                yield f"{name}.{key}" if key != "" else str(name), tensor


def _unwrapped(path: Path, named: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Weights under their names without wrappers; raises WeightsError where two would have the same."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in named:
        plain = _plain(name)
        if plain in tensors:
            raise WeightsError(f"{path}: holds {legible(plain)} twice, once as {legible(name)}: save one of the models")
        if plain not in NOT_WEIGHTS:
            tensors[plain] = tensor
    return tensors


def _plain(name: str) -> str:
    return ".".join(word for word in name.split(".") if word not in _WRAPPERS) or name


def _check_pickle(path: Path, stream: IO[bytes]) -> None:
    """Raise WeightsError for a pickle that asks for memory by a number: `weights_only` lets bytearrays be made."""
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "GLOBAL" and str(argument).endswith(" bytearray"):
            raise WeightsError(f"{path}: holds more than tensors (bytes); wanted safetensors or a plain state dict")


def _kind(tensor: Tensor) -> str:
    form = "nested " if tensor.is_nested else "" if tensor.layout == torch.strided else f"{tensor.layout} "
    return f"{'empty ' if tensor.is_meta else ''}{form}{tensor.dtype}".replace("torch.", "")


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return legible(text.strip().partition("\n")[0]) or type(error).__name__
