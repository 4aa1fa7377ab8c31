"""TorchScript archives give the weights that torch would, and whatever else stands in one is refused and not run."""

from __future__ import annotations

import enum
import io
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stackclip.clip import assemble_tower
from stackclip.clip.architecture import build_model
from stackclip.clip.containers import read_tensors
from stackclip.clip.doubles import random_weights
from stackclip.clip.weights import align_weights, read_weights
from stackclip.errors import WeightsError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Lite Interpreter:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Lite Interpreter:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 4, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
    "quick_gelu": True,
}
MIB = 1 << 20


class Colour(enum.Enum):
    RED = 1


class Odd(nn.Module):
    """A module with attributes of many kinds: only its parameters and buffers are weights."""

    def __init__(self) -> None:
        super().__init__()
        wide = torch.arange(24.0).reshape(4, 6)
        self.whole = nn.Parameter(wide)
        self.turned = nn.Parameter(wide.T)
        self.register_buffer("row", wide[2, 1:5])
        self.register_buffer("spread", torch.tensor([0.5]).expand(3))
        self.register_buffer("none", None)
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("fp16", torch.tensor(0.25, dtype=torch.float16))
        self.register_buffer("bf16", torch.ones(2, dtype=torch.bfloat16))
        self.register_buffer("fp64", torch.ones(2, dtype=torch.float64))
        self.one = nn.Linear(2, 2)
        self.tied = self.one
        self.inner = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Identity())
        self.lists = torch.jit.Attribute([1, 2, 300], list[int])
        self.table = torch.jit.Attribute({"a": 1}, dict[str, int])
        self.by_number = torch.jit.Attribute({1: 0.5, 2: -1.5}, dict[int, float])
        self.pairs = torch.jit.Attribute([("x", 2.0)], list[tuple[str, float]])
        self.number, self.fraction, self.text, self.flag, self.colour = 1 << 40, 0.5, "text", True, Colour.RED
        self.device = torch.device("cpu")

    def forward(self, x: Tensor) -> Tensor:
        extra = len(self.lists) + len(self.table) + len(self.pairs) + int(self.by_number[1]) + self.number
        red = 1 if self.colour == Colour.RED else 0
        odd = extra * self.fraction + red if self.flag and self.text == "text" else 0.0
        moved = (self.whole + self.turned.T + self.row.sum() + self.spread.sum() + self.empty.sum()).to(self.device)
        numbers = self.fp16 + self.bf16.sum() + self.fp64.sum()
        return self.tied(self.one(x)).sum() + moved.sum() + odd + numbers + self.inner(x[None, None]).sum()


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def as_saved(model: nn.Module, how: str, path: Path) -> Path:
    """A TorchScript archive of a scripted module, by one of the ways to write it."""
    script = torch.jit.script(model.eval())
    if how == "stream":
        stream = io.BytesIO()
        torch.jit.save(script, stream)
        path.write_bytes(stream.getvalue())
    elif how == "lite":
        script._save_for_lite_interpreter(str(path))
    else:
        torch.jit.save(script, path, _extra_files={"note.txt": "of its maker"} if how == "extra" else None)
    return path


@pytest.mark.parametrize("how", ["file", "stream", "extra", "lite"])
def test_the_tensors_are_those_of_the_state_dict_however_it_was_written(tmp_path: Path, how: str) -> None:
    model, path = Odd(), tmp_path / "odd.pt"
    as_saved(model, how, path)
    found = read_tensors(path, largest=MIB)
    assert equal(found, model.state_dict())
    assert {name: each.dtype for name, each in found.items()} == {k: v.dtype for k, v in model.state_dict().items()}
    assert equal(found, read_tensors(path, largest=MIB, sections=True))


@pytest.fixture(scope="module")
def made_weights() -> dict[str, Tensor]:
    """Weights that float16 holds exactly."""
    return {name: each.half().float() for name, each in random_weights(CONFIG, seed=3).items()}


@pytest.fixture(scope="module")
def archive(made_weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as OpenAI's are: a traced model in half precision, with its sizes among the tensors and masks inside."""
    model = build_model(CONFIG, image_size=None, quick_gelu=True)
    model.load_state_dict(made_weights, assign=True)
    model.register_buffer("attn_mask", torch.full((77, 77), -torch.inf).triu_(1), persistent=False)
    for block in model.transformer.resblocks:  # type: ignore[union-attr]
        block.register_buffer("attn_mask", torch.full((77, 77), -torch.inf).triu_(1))
    for name, number in (("input_resolution", 32), ("context_length", 77), ("vocab_size", 49408)):
        vars(model).pop(name, None)
        model.register_buffer(name, torch.tensor(number))
    path = tmp_path_factory.mktemp("archive") / "ViT-tiny.pt"
    with torch.no_grad():
        words = torch.zeros(1, 77, dtype=torch.long)
        traced = torch.jit.trace(model, (torch.zeros(1, 3, 32, 32), words), check_trace=False)
    traced.half().save(str(path))
    return path


def test_a_file_in_the_form_of_openai_is_the_same_tower_as_its_state_dict(
    archive: Path, made_weights: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(made_weights, tmp_path / "w.bin")
    save_file({name: each.half() for name, each in made_weights.items()}, tmp_path / "w.safetensors")
    assert equal(read_weights(archive), made_weights)
    towers = [
        assemble_tower(CONFIG, read_weights(path), name="tiny", device="cpu")
        for path in (archive, tmp_path / "w.bin", tmp_path / "w.safetensors")
    ]
    assert len({tower.fingerprint["weights"] for tower in towers}) == 1
    assert equal(towers[0].model.state_dict(), towers[1].model.state_dict())


def test_buffers_that_a_model_computes_itself_are_no_foreign_weights(made_weights: dict[str, Tensor]) -> None:
    model = build_model(CONFIG, image_size=None, quick_gelu=True)
    assert "attn_mask" in dict(model.named_buffers())
    named = align_weights(model, {**made_weights, "attn_mask": torch.zeros(77, 77)}, architecture="tiny", source="w.pt")
    assert named.keys() == made_weights.keys()
    with pytest.raises(WeightsError, match="other_mask, which it has not"):
        align_weights(model, {**made_weights, "other_mask": torch.zeros(1)}, architecture="tiny", source="w.pt")


def edited(path: Path, to: Path, changes: Mapping[str, bytes | None], *, packed: bool = False) -> Path:
    """A copy of an archive in which entries hold other bytes, or are left out."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w") as new:
        root = old.namelist()[0].partition("/")[0]
        for entry in old.infolist():
            inside = entry.filename.removeprefix(f"{root}/")
            content = changes.get(inside, old.read(entry))
            if content is not None:
                new.writestr(entry.filename, content, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    return to


def refusal(path: Path, *, largest: int = 64 * MIB) -> str:
    with pytest.raises(WeightsError) as refused:
        read_weights(path, largest=largest)
    said = str(refused.value)
    assert "\n" not in said
    assert said.startswith(f"{path}: ")
    return said


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    return as_saved(nn.Linear(2, 2), "file", tmp_path / "linear.pt")


def test_the_code_in_an_archive_is_not_even_opened(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as held:
        names = [name.partition("/")[2] for name in held.namelist()]
    beside = [name for name in names if not name.startswith(("data", "byteorder"))]
    assert any(name.startswith("code/") for name in beside)
    changed = edited(archive, tmp_path / "w.pt", dict.fromkeys(beside, b"raise SystemExit"))
    assert equal(read_weights(changed), read_weights(archive))


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00"
    b"\x00cpu%btQ%b(%bt(%bt\x89ccollections\nOrderedDict\n)RtR"
)
HEAD, MODULE = b"\x80\x02", b"c__torch__\nNet\n)\x81"


def tensor(
    count: int = 4, offset: int = 0, shape: tuple[int, ...] = (2, 2), strides: tuple[int, ...] = (2, 1)
) -> bytes:
    """The instructions for a tensor over storage 0."""
    numbers = [b"".join(number(each) for each in group) for group in ((count,), (offset,), shape, strides)]
    return TENSOR % tuple(numbers)


def number(value: int) -> bytes:
    return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)


def net(attributes: bytes) -> bytes:
    return HEAD + MODULE + b"}(" + attributes + b"ub."


def key(name: str) -> bytes:
    return b"X" + len(name).to_bytes(4, "little") + name.encode()


def shared_modules(depth: int) -> bytes:
    """A module with two attributes that are one module with two attributes, and so on: 2 ** depth names."""
    inner = MODULE + b"}(" + key("w") + tensor() + b"ub"
    for level in range(depth):
        place = bytes([level])
        inner = MODULE + b"}(" + key("a") + inner + b"q" + place + key("b") + b"h" + place + b"ub"
    return HEAD + inner + b"."


def test_the_instructions_of_these_tests_are_read_where_they_are_in_order(linear: Path, tmp_path: Path) -> None:
    numbers = torch.arange(4.0)
    pickle = net(key("w") + tensor() + key("t") + tensor(offset=1, shape=(3,), strides=(1,)))
    changed = edited(linear, tmp_path / "w.pt", {"data.pkl": pickle, "data/0": numbers.numpy().tobytes()})
    assert equal(read_weights(changed), {"w": numbers.reshape(2, 2), "t": numbers[1:]})
    short = edited(linear, tmp_path / "x.pt", {"data.pkl": shared_modules(3), "data/0": numbers.numpy().tobytes()})
    assert len(read_weights(short)) == 8


HOSTILE: dict[str, tuple[bytes, str]] = {
    "a function": (HEAD + b"cposix\nsystem\n(X\x02\x00\x00\x00lstR.", "holds posix.system, wanted modules"),
    "a function of torch": (HEAD + b"ctorch.hub\nload\n)R.", "holds torch.hub.load"),
    "a builtin": (HEAD + b"cbuiltins\nbytearray\n" + number(2**44) + b"\x85R.", "holds builtins.bytearray"),
    "a name on the stack": (HEAD + key("os") + key("system") + b"\x93.", "holds the instruction STACK_GLOBAL"),
    "an extension": (HEAD + b"\x82\x01.", "holds the instruction EXT1"),
    "an instance": (HEAD + b"(ios\nsystem\n.", "holds the instruction INST"),
    "bytes": (HEAD + b"B\x01\x00\x00\x00x.", "holds the instruction BINBYTES"),
    "a name with ends of lines": (HEAD + b"cposix\r\x1b[31m\nsystem\n.", r"holds posix\r\x1b[31m.system"),
    "a class that is called": (net(key("w") + b"ctorch\nFloatStorage\n)R"), "names no tensors"),
    "a quantised tensor": (
        net(key("w") + b"ctorch._utils\n_rebuild_qtensor\n)R"),
        "torch._utils._rebuild_qtensor",
    ),
    "complex numbers": (net(key("w") + b"ctorch\nComplexFloatStorage\n"), "holds torch.ComplexFloatStorage"),
    "no tensors": (net(key("n") + b"K\x01"), "names no tensors"),
    "a text alone": (HEAD + key("weights") + b".", "names no tensors"),
    "a storage that is larger": (net(key("w") + tensor(count=2**40)), "data/0 has 16 bytes, wanted 4,398,046,511,104"),
    "a storage below nothing": (net(key("w") + tensor(count=-4)), "data/0 has 16 bytes, wanted -16"),
    "a view behind the end": (net(key("w") + tensor(offset=1)), "w reaches number 4 of 4"),
    "a view before the start": (net(key("w") + tensor(offset=-1)), "damaged one"),
    "backwards": (net(key("w") + tensor(offset=3, shape=(4,), strides=(-1,))), "damaged one"),
    "an absurd shape": (net(key("w") + tensor(shape=(2**62, 2**62), strides=(0, 0))), "damaged one"),
    "a shape without strides": (net(key("w") + tensor(strides=(1,))), "damaged one"),
    "one number for many": (net(key("w") + tensor(shape=(10**12,), strides=(0,))), "take 4,000,000,000,000 bytes"),
    "a memory that was never filled": (HEAD + b"h\x07.", "damaged one"),
    "no mark": (HEAD + b"K\x01t.", "damaged one"),
    "an empty stack": (HEAD + b"R.", "damaged one"),
    "nothing": (b"", "damaged one"),
    "no end": (net(key("w") + tensor())[:-1], "damaged one"),
    "other bytes": (b"\xff" * 40, "damaged one"),
    "a text longer than the file": (HEAD + b"X\xff\xff\xff\x7fabc.", "damaged one"),
    "modules without end": (HEAD + MODULE + b"q\x00}(" + key("a") + b"h\x00ub.", "more modules in modules"),
    "2 ** 40 names": (shared_modules(40), "more modules in modules"),
    "long names": (net(key("n" * 5000) + tensor()), "more modules in modules"),
    "deep lists": (HEAD + b"](" * 100_000 + b"e" * 100_000 + b".", "names no tensors"),
    "deep keys": (HEAD + b"}" + b")" + b"\x85" * 100_000 + b"K\x01s.", "names no tensors"),
    "too much": (net(key("w") + tensor() + b"K\x010" * 1_500_000), "with more than 4,194,304 bytes of it"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_pickle_is_refused_in_one_line_and_never_run(linear: Path, tmp_path: Path, case: str) -> None:
    pickle, said = HOSTILE[case]
    changed = edited(linear, tmp_path / "w.pt", {"data.pkl": pickle, "data/0": bytes(16)})
    started = time.process_time()
    assert said in refusal(changed)
    assert time.process_time() - started < 20.0  # it ends


def test_an_archive_that_was_cut_or_changed_is_refused_in_one_line(linear: Path, tmp_path: Path) -> None:
    content = linear.read_bytes()
    for length in range(4, len(content) - 1, 97):
        (tmp_path / "cut.pt").write_bytes(content[:length])
        assert "damaged" in refusal(tmp_path / "cut.pt")
    with zipfile.ZipFile(linear) as archive:
        place = content.index(archive.read("linear/data/0"))
    (tmp_path / "changed.pt").write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert "damaged" in refusal(tmp_path / "changed.pt")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data.pkl": None}, "without data.pkl"),
        ({"data/0": None}, "data/0 is not there, wanted 16"),
        ({"data/0": bytes(15)}, "data/0 has 15 bytes, wanted 16"),
        ({"data/0": bytes(8 * MIB)}, "data/0 has 8,388,608 bytes, wanted 16"),
        ({"byteorder": b"middle"}, "bytes in the order 'middle', wanted little or big"),
    ],
)
def test_numbers_that_are_not_there_are_named(
    linear: Path, tmp_path: Path, changes: Mapping[str, bytes | None], said: str
) -> None:
    assert said in refusal(edited(linear, tmp_path / "w.pt", changes))


def test_a_zip_bomb_of_numbers_is_refused_before_it_is_unpacked(linear: Path, tmp_path: Path) -> None:
    bomb = edited(linear, tmp_path / "bomb.pt", {"data/0": bytes(32 * MIB)}, packed=True)
    assert bomb.stat().st_size < MIB
    assert "torch packs no tensors" in refusal(bomb)


def test_numbers_of_a_machine_with_the_other_order_of_bytes_are_turned(linear: Path, tmp_path: Path) -> None:
    order = "big" if sys.byteorder == "little" else "little"
    kept = read_weights(linear)
    turned = {
        f"data/{place}": np.ascontiguousarray(kept[name].numpy()).byteswap().tobytes()
        for place, name in enumerate(("weight", "bias"))
    }
    changed = edited(linear, tmp_path / "w.pt", {**turned, "byteorder": order.encode()})
    assert equal(read_weights(changed), kept)
    assert equal(read_weights(edited(linear, tmp_path / "old.pt", {"byteorder": None})), kept)


def test_a_frozen_archive_whose_weights_are_constants_of_its_code_is_told(tmp_path: Path) -> None:
    frozen = torch.jit.freeze(torch.jit.script(nn.Linear(2, 2).eval()))
    torch.jit.save(frozen, tmp_path / "frozen.pt")
    assert "names no tensors, as frozen ones" in refusal(tmp_path / "frozen.pt")


def test_an_archive_is_read_by_a_torch_that_is_too_old_for_checkpoints(
    linear: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    assert read_weights(linear).keys() == {"weight", "bias"}
