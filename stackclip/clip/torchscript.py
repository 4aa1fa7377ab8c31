"""TorchScript archives, OpenAI's own files among them: their tensors by name, and nothing of their code.

Such an archive is a zip: `NAME/data.pkl` holds the attributes of the module and of the modules in it, `NAME/data/N` the
numbers, `NAME/code/` the program. The pickle is not unpickled: it is read as a list of instructions, of which those are
followed that torch writes, and no class or function that it names is looked up.
"""

from __future__ import annotations

import pickletools
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stackclip.errors import WeightsError
from stackclip.ops.words import legible

__all__ = ["is_script", "read_script"]

_LARGEST_PICKLE = 4 << 20  # bytes; that of a ViT-L takes 0.1 MB
_MOST_NAMES, _LONGEST, _DEEPEST = 100_000, 1000, 50  # attributes, letters of a name, modules in modules
_READ = ("data.pkl", "data/", "constants/", "byteorder")
_CONSTANT = "attn_mask"  # the causal mask, which OpenAI's and open_clip's modules keep beside their weights
_MARK = object()
_TYPES = {
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Float": torch.float32,
    "Double": torch.float64,
    "Bool": torch.bool,
    "Byte": torch.uint8,
    "Char": torch.int8,
    "Short": torch.int16,
    "Int": torch.int32,
    "Long": torch.int64,
}
_STORAGES = {f"torch.{name}Storage": dtype for name, dtype in _TYPES.items()}
_TENSOR, _PARAMETER = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"
_PLAIN = ("__torch__.", "torch.jit._pickle.")  # classes and enumerations of the archive; lists of plain numbers
_KNOWN = frozenset({_TENSOR, _PARAMETER, "collections.OrderedDict", "torch.device", *_STORAGES})


@dataclass(frozen=True, slots=True)
class _Name:
    """A class or function that the pickle names."""

    text: str


@dataclass(frozen=True, slots=True)
class _Module:
    """What a class of the archive is read as: its attributes."""

    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Storage:
    """Numbers of one type in an entry of the archive."""

    dtype: torch.dtype
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor as the pickle describes it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_script(archive: zipfile.ZipFile) -> bool:
    """Whether a zip archive is TorchScript's: beside its tensors lie the constants of its code."""
    return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_script(archive: zipfile.ZipFile, path: Path, size: int) -> dict[str, Tensor]:
    """The tensors of a TorchScript archive of `size` bytes at `path`, under the names of their modules.

    The causal masks that modules of CLIP keep are left out, being no weights.

    Raises WeightsError for a pickle that holds other instructions than torch writes for modules and tensors, for
    tensors that the archive does not hold, and for an archive that names none; other errors for damaged bytes.
    """
    entries = _entries(archive, path, size)
    views = dict(_views(path, _Pickle(path).read(archive.read(entries["data.pkl"]))))
    if not views:
        raise WeightsError(f"{path}: a TorchScript archive that names no tensors, as frozen ones: save the state dict")
    order = archive.read(entries["byteorder"]).decode() if "byteorder" in entries else "little"
    if order not in ("little", "big"):
        raise WeightsError(f"{path}: bytes in the order {legible(order)!r}, wanted little or big: get the file again")
    numbers = {
        storage: _numbers(storage, archive.read(_entry(path, entries, storage)), swapped=order != sys.byteorder)
        for storage in dict.fromkeys(view.storage for view in views.values())
    }
    return {name: _tensor(path, name, view, numbers[view.storage]) for name, view in views.items()}


def _entries(archive: zipfile.ZipFile, path: Path, size: int) -> dict[str, zipfile.ZipInfo]:
    """The entries with attributes and numbers, by their names in the archive; the others, code too, are never opened.

    Raises WeightsError where these take more than the file, and for attributes that are not there or too many.
    """
    root = next(name for name in archive.namelist() if name.endswith("/constants.pkl")).removesuffix("constants.pkl")
    inside = {each.filename.removeprefix(root): each for each in archive.infolist() if each.filename.startswith(root)}
    entries = {name: each for name, each in inside.items() if name.startswith(_READ)}
    unpacked = sum(each.file_size for each in entries.values())
    if unpacked > size or any(each.compress_type != zipfile.ZIP_STORED for each in entries.values()):
        raise WeightsError(
            f"{path}: {unpacked:,} bytes are packed into {size:,}, and torch packs no tensors: get the file again"
        )
    if "data.pkl" not in entries or entries["data.pkl"].file_size > _LARGEST_PICKLE:
        raise WeightsError(
            f"{path}: a TorchScript archive without data.pkl, or with more than {_LARGEST_PICKLE:,} bytes of it: "
            "get the file again"
        )
    return entries


def _entry(path: Path, entries: dict[str, zipfile.ZipInfo], storage: _Storage) -> zipfile.ZipInfo:
    """Where the numbers of a storage lie; raises WeightsError unless they are as many as the pickle says."""
    entry = entries.get(f"data/{storage.key}") or entries.get(storage.key)
    wanted = storage.count * storage.dtype.itemsize
    if entry is None or entry.file_size != wanted:
        found = "is not there" if entry is None else f"has {entry.file_size:,} bytes"
        raise WeightsError(f"{path}: data/{legible(storage.key)} {found}, wanted {wanted:,}: get the file again")
    return entry


def _numbers(storage: _Storage, data: bytes, *, swapped: bool) -> Tensor:
    """The numbers of a storage (N,)."""
    if swapped:
        data = np.frombuffer(data, f"u{storage.dtype.itemsize}").byteswap().tobytes()
    if not data:
        return torch.empty(0, dtype=storage.dtype)
    return torch.frombuffer(bytearray(data), dtype=storage.dtype)


def _tensor(path: Path, name: str, view: _View, numbers: Tensor) -> Tensor:
    """A tensor over the numbers of its storage; raises WeightsError for one that leaves them."""
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    if all(view.shape) and last >= len(numbers):
        raise WeightsError(f"{path}: {legible(name)} reaches number {last:,} of {len(numbers):,}: get the file again")
    return numbers.as_strided(view.shape, view.strides, view.offset)


def _views(path: Path, module: Any) -> Iterator[tuple[str, _View]]:
    """The tensors of a module and of those in it, by dotted names."""
    left, named = [("", 0, module)], 0
    while left:
        name, depth, value = left.pop()
        inside = value.attributes if isinstance(value, _Module) else {}
        named += len(inside)
        if depth > _DEEPEST or named > _MOST_NAMES or len(name) > _LONGEST:
            raise WeightsError(f"{path}: a TorchScript archive with more modules in modules than a tower has")
        if isinstance(value, _View) and name.rpartition(".")[2] != _CONSTANT:
            yield name, value
        left += [(f"{name}.{key}" if name else key, depth + 1, each) for key, each in reversed(inside.items())]


class _Pickle:
    """The stack and the memory of a pickle that is read as data."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[Any] = []
        self._memory: dict[int, Any] = {}

    def read(self, data: bytes) -> Any:
        """What the instructions leave behind; raises WeightsError for one that torch does not write."""
        for opcode, argument, _ in pickletools.genops(data):
            step = _STEPS.get(opcode.name)
            if step is None:
                raise self._refusal(f"the instruction {opcode.name}")
            step(self, argument)
        return self._stack.pop()

    def _refusal(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self._path}: data.pkl of this TorchScript archive holds {what}, wanted modules and dense tensors alone: "
            "save the state dict of the model where you trust the file"
        )

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        return self._stack.pop()

    def name(self, text: str) -> None:
        name = text.replace(" ", ".")
        if name not in _KNOWN and not name.startswith(_PLAIN):
            raise self._refusal(legible(name))
        self.push(_Name(name))

    def put(self, place: int) -> None:
        self._memory[place] = self._stack[-1]

    def get(self, place: int) -> None:
        self.push(self._memory[place])

    def since_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
        values = self._stack[place + 1 :]
        del self._stack[place:]
        return values

    def join(self, count: int) -> None:
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def append(self, values: list[Any]) -> None:
        self._stack[-1].extend(values)

    def fill(self, values: list[Any]) -> None:
        """Put keys and values into a dictionary; keys that are no text are not those of attributes and are left out."""
        pairs = zip(values[::2], values[1::2], strict=True)
        self._stack[-1].update((key, value) for key, value in pairs if isinstance(key, str))

    def make(self) -> None:
        """A class and no arguments into a module."""
        self._stack[-2:] = [_Module()]

    def build(self) -> None:
        """Give a module its attributes; a state of another kind, which its code would read, is left out."""
        state = self.pop()
        if isinstance(state, dict):
            self._stack[-1].attributes.update(state)

    def storage(self) -> None:
        _, kind, key, _, count = self.pop()  # the fourth is the device it was on
        self.push(_Storage(_STORAGES[kind.text], str(key), int(count)))

    def call(self) -> None:
        """A function and its arguments into what it stands for; None for what holds no tensor."""
        arguments, name = self.pop(), self.pop().text
        if name == _TENSOR:
            self.push(_view(*arguments[:4]))
        else:
            self.push({} if name == "collections.OrderedDict" else arguments[0] if name == _PARAMETER else None)


def _view(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> _View:
    """A tensor; raises ValueError where it is described by other things than a storage and whole numbers."""
    if not isinstance(storage, _Storage) or min(offset, *shape, *strides, 0) < 0:
        raise ValueError("a tensor that is none")
    return _View(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


_Step = Callable[[_Pickle, Any], None]
_PUSHED = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE")
_STEPS: dict[str, _Step] = {
    **dict.fromkeys(("PROTO", "STOP"), lambda reading, argument: None),
    **dict.fromkeys(_PUSHED, _Pickle.push),
    "NONE": lambda reading, _: reading.push(None),
    "NEWTRUE": lambda reading, _: reading.push(True),
    "NEWFALSE": lambda reading, _: reading.push(False),
    "MARK": lambda reading, _: reading.push(_MARK),
    "EMPTY_TUPLE": lambda reading, _: reading.push(()),
    "EMPTY_LIST": lambda reading, _: reading.push([]),
    "EMPTY_DICT": lambda reading, _: reading.push({}),
    "GLOBAL": _Pickle.name,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Pickle.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Pickle.get),
    "TUPLE": lambda reading, _: reading.push(tuple(reading.since_mark())),
    "TUPLE1": lambda reading, _: reading.join(1),
    "TUPLE2": lambda reading, _: reading.join(2),
    "TUPLE3": lambda reading, _: reading.join(3),
    "APPEND": lambda reading, _: reading.append([reading.pop()]),
    "APPENDS": lambda reading, _: reading.append(reading.since_mark()),
    "SETITEM": lambda reading, _: reading.fill([reading.pop(), reading.pop()][::-1]),
    "SETITEMS": lambda reading, _: reading.fill(reading.since_mark()),
    "NEWOBJ": lambda reading, _: reading.make(),
    "BUILD": lambda reading, _: reading.build(),
    "BINPERSID": lambda reading, _: reading.storage(),
    "REDUCE": lambda reading, _: reading.call(),
}
