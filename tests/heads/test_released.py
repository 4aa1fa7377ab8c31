"""Weights that others released: taken as they are, or refused in one line that says what they look like."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from blake3 import blake3
from safetensors.torch import save_file
from torch import Tensor

from stackclip.clip import LARGEST_HEAD
from stackclip.clip import weights as reader
from stackclip.errors import BadOption, WeightsError
from stackclip.heads import Projections
from stackclip.heads.released import ANY, Release, load_released, read_released
from stackclip.methods import PHASES, Task, resolve
from stackclip.methods.adaclip import AdaClip, AdaLayers
from stackclip.methods.anomalyclip import ObjectPrompts
from stackclip.types import Part, TowerSpec

VIT_L = TowerSpec("ViT-L-14-336", 518, 37, 24, 1024, 768, (6, 12, 18, 24))
VIT_B = TowerSpec("ViT-B-16-plus-240", 240, 15, 12, 896, 640, (3, 6, 9, 12))
SECTIONS: dict[Release, str] = {
    "april-gan": "trainable_linearlayer",
    "sdp-plus": "linear_layers",
    "anomalyclip": "prompt_learner",
    "adaclip": "clip_model",
    "promptad": "check_point",
}


class WideText:
    """The text tower of ViT-L-14, as far as prompts ask for it."""

    context_length, text_depth = 77, 12

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        return torch.tensor([[8, 1, 2, 9, 0], [8, 3, 1, 2, 9]])

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        return torch.zeros(*tokens.shape, 768)


def given(generator_seed: int, **shapes: tuple[int, ...]) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(generator_seed)
    return {name: torch.randn(shape, generator=draws) for name, shape in shapes.items()}


def linear(joint: int, width: int) -> dict[str, Tensor]:
    weights = {f"fc.{n}.weight": (joint, width) for n in range(4)}
    return given(0, **weights, **{f"fc.{n}.bias": (joint,) for n in range(4)})


def prompts() -> dict[str, Tensor]:
    """A `prompt_learner` with what nothing reads."""
    learned = {f"compound_prompts_text.{n}": (4, 768) for n in range(8)}
    unread = {"token_prefix_pos": (1, 1, 1, 768), "token_suffix_neg": (1, 1, 64, 768)}
    projections = {"compound_prompt_projections.0.weight": (896, 768), "compound_prompt_projections.0.bias": (896,)}
    made = given(1, ctx_pos=(1, 1, 12, 768), ctx_neg=(1, 1, 12, 768), **learned, **unread, **projections)
    return {**made, "tokenized_prompts_pos": torch.ones(1, 77, dtype=torch.int64)}


def ada_clip() -> dict[str, Tensor]:
    """What AdaCLIP learned at ViT-L-14, in a twelfth of its widths."""
    static = {f"{side}_prompter.static_prompts.{n}": (5, width) for side, width in ADA_WIDTHS for n in range(4)}
    layers = {f"patch_token_layer.head.{n}": (64, 85) for n in range(4)} | {"cls_token_layer.head.0": (64, 64)}
    layers |= {f"dynamic_{side}_prompt_generator.head.{n}": (width, 64) for side, width in ADA_WIDTHS for n in range(5)}
    weights = {f"{name}.weight": shape for name, shape in layers.items()}
    return given(2, **static, **weights, **{f"{name}.bias": shape[:1] for name, shape in layers.items()})


ADA_WIDTHS = (("visual", 85), ("text", 64))
NARROW = TowerSpec("narrow", 518, 37, 24, 85, 64, (6, 12, 18, 24))
FILES: dict[Release, dict[str, Tensor]] = {
    "april-gan": linear(768, 1024),
    "sdp-plus": linear(640, 896),
    "anomalyclip": prompts(),
    "adaclip": ada_clip(),
    "promptad": given(2, text_features=(2, 640), feature_gallery1=(450, 896), feature_gallery2=(450, 896)),
}


PROMPTAD = {"anchors": "text_features", "early": "feature_gallery1", "late": "feature_gallery2"}


def module_of(owner: Release) -> Any:
    if owner == "anomalyclip":
        text: Any = WideText()
        return ObjectPrompts(text, context=12, deep=4, depth=9, half=False, seed=0)
    if owner == "adaclip":
        return AdaLayers(AdaClip(), NARROW, text_width=64, text_depth=12, seed=0)
    if owner == "promptad":
        return torch.nn.ParameterDict(
            {name: torch.zeros(FILES[owner][theirs].shape) for name, theirs in PROMPTAD.items()}
        )
    return Projections(VIT_L if owner == "april-gan" else VIT_B, 1, seed=0)


def our_names(owner: Release) -> dict[str, list[str]]:
    """Theirs for each of ours, written out; what is made of several of theirs has them one below the other."""
    kinds = ("weight", "bias")
    if owner == "anomalyclip":
        deep = {f"deep.{n}": [f"compound_prompts_text.{n}"] for n in range(8)}
        return {"context.0": ["ctx_pos"], "context.1": ["ctx_neg"], **deep}
    if owner == "adaclip":
        found = {f"vision.static.{n}": [f"visual_prompter.static_prompts.{n}"] for n in range(4)}
        found |= {f"text.static.{n}": [f"text_prompter.static_prompts.{n + 1}"] for n in range(3)}
        for kind in kinds:
            found |= {f"patches.{n}.{kind}": [f"patch_token_layer.head.{n}.{kind}"] for n in range(4)}
            found[f"cls.{kind}"] = [f"cls_token_layer.head.0.{kind}"]
            for ours, theirs in (("vision", "visual"), ("text", "text")):
                heads = [f"dynamic_{theirs}_prompt_generator.head.{n}.{kind}" for n in range(5)]
                found[f"{ours}.dynamic.{kind}"] = heads
        return found
    if owner == "promptad":
        return {ours: [theirs] for ours, theirs in PROMPTAD.items()}
    return {f"fc.0.{n}.{kind}": [f"fc.{n}.{kind}"] for n in range(4) for kind in kinds}


def theirs(owner: Release, name: str) -> Tensor:
    """What a file has for one of our names."""
    return torch.cat([FILES[owner][each] for each in our_names(owner)[name]])


def save(path: Path, tensors: Mapping[str, Tensor], *, section: str = "") -> Path:
    """A file as its suffix says; `section` is the checkpoint's key."""
    if path.suffix == ".safetensors":
        save_file({f"{section}.{name}" if section else name: tensor for name, tensor in tensors.items()}, path)
    else:
        torch.save({"epoch": 3, section: dict(tensors)} if section else dict(tensors), path)
    return path


def refusal(path: Path, owner: Release, module: Any = None) -> str:
    """What is said of a file, which is one line and leaves the module as it was."""
    module = module_of(owner) if module is None else module
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(WeightsError) as raised:
        load_released(module, path, owner=owner)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    said = str(raised.value)
    assert "\n" not in said
    assert said.startswith(f"{path}: ")
    return said


@pytest.mark.parametrize("owner", FILES)
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("with_section", [True, False])
def test_files_of_the_released_shapes_give_their_weights(
    tmp_path: Path, owner: Release, suffix: str, with_section: bool
) -> None:
    path = save(tmp_path / f"released{suffix}", FILES[owner], section=SECTIONS[owner] if with_section else "")
    module = module_of(owner)
    said = load_released(module, path, owner=owner)
    assert set(module.state_dict()) == set(our_names(owner))
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, theirs(owner, name).reshape(tensor.shape))
    assert said["file"] == path.name
    assert said["blake3"] == blake3(path.read_bytes()).hexdigest()
    assert SECTIONS[owner] in said["of"]


def test_weights_saved_in_half_precision_or_from_several_gpus_are_taken(tmp_path: Path) -> None:
    halved = {f"module.{name}": tensor.half() for name, tensor in FILES["sdp-plus"].items()}
    for section in ("linear_layers", ""):
        module = module_of("sdp-plus")
        load_released(module, save(tmp_path / f"halved{section}.pth", halved, section=section), owner="sdp-plus")
        assert torch.equal(module.fc[0][2].weight, FILES["sdp-plus"]["fc.2.weight"].half().float())


@pytest.mark.parametrize(("owner", "other"), [(a, b) for a in FILES for b in FILES if a != b])
def test_the_file_of_another_method_is_refused_with_what_it_looks_like(
    tmp_path: Path, owner: Release, other: Release
) -> None:
    said = refusal(save(tmp_path / "x.pth", FILES[other], section=SECTIONS[other]), owner)
    assert f"looks like {other.replace('sdp-plus', 'clip-ad')}" in said.lower()
    assert SECTIONS[owner] in said


def test_what_else_a_file_may_be_is_said(tmp_path: Path) -> None:
    many = {
        "AA-CLIP's image_adapter": {"layer_adapters.0.fc.0.weight": torch.zeros(3, 3)},
        "AA-CLIP's text_adapter": {"text_adapter.0.fc.0.weight": torch.zeros(3, 3)},
        "a whole CLIP": {"visual.conv1.weight": torch.zeros(3, 3)},
        "a head that stackclip saved": {"head.fc.0.0.weight": torch.zeros(3, 3)},
        "nothing we know": {"some.weight": torch.zeros(3, 3)},
    }
    for looks, tensors in many.items():
        assert looks in refusal(save(tmp_path / "x.safetensors", tensors), "april-gan")
    torch.save({"epoch": 3}, tmp_path / "x.pth")
    assert "no tensor" in refusal(tmp_path / "x.pth", "april-gan")


def test_the_file_of_another_tower_is_refused_with_both_shapes(tmp_path: Path) -> None:
    path = save(tmp_path / "x.safetensors", FILES["sdp-plus"])  # without a key, it could be either
    said = refusal(path, "april-gan")
    assert "fc.0.weight (640, 896) of CLIP-AD's ViT-B-16-plus-240 for (768, 1024)" in said
    assert "backbone" in said
    assert "fc.0.weight (768, 1024) of APRIL-GAN's ViT-L-14-336 for (640, 896)" in refusal(
        save(tmp_path / "y.safetensors", FILES["april-gan"]), "sdp-plus"
    )


def test_an_axis_may_have_any_length_and_the_others_may_not(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pt", {name: tensor.half() for name, tensor in FILES["promptad"].items()})
    shapes = {"anchors": (2, 640), "early": (ANY, 896), "late": (ANY, 896)}
    tensors, _ = read_released(shapes, path, owner="promptad")
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()} == {
        name: (FILES["promptad"][theirs].shape, torch.float32) for name, theirs in PROMPTAD.items()
    }
    with pytest.raises(WeightsError, match=r"feature_gallery2 \(450, 896\) for \(-1, 768\)"):
        read_released({**shapes, "late": (ANY, 768)}, path, owner="promptad")


def test_a_file_with_more_or_fewer_layers_is_refused(tmp_path: Path) -> None:
    fewer = {name: tensor for name, tensor in FILES["april-gan"].items() if "3" not in name}
    assert "no fc.3." in refusal(save(tmp_path / "fewer.pth", fewer), "april-gan")
    more = {**FILES["april-gan"], "fc.4.weight": torch.zeros(768, 1024)}
    assert "fc.4.weight, which has no place here" in refusal(save(tmp_path / "more.pth", more), "april-gan")


def test_prompts_for_another_number_of_tokens_are_refused(tmp_path: Path) -> None:
    text: Any = WideText()
    short = ObjectPrompts(text, context=8, deep=4, depth=9, half=False, seed=0)
    said = refusal(save(tmp_path / "x.pth", FILES["anomalyclip"]), "anomalyclip", short)
    assert "ctx_pos (1, 1, 12, 768) for (8, 768)" in said


def test_tokens_of_another_number_or_tower_are_refused_with_both_shapes(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pth", FILES["adaclip"], section="clip_model")
    fewer = AdaLayers(AdaClip(length=4), NARROW, text_width=64, text_depth=12, seed=0)
    said = refusal(path, "adaclip", fewer)
    assert "visual_prompter.static_prompts.0 (5, 85) for (4, 85)" in said
    deeper = AdaLayers(AdaClip(depth=6), NARROW, text_width=64, text_depth=12, seed=0)
    assert "no text_prompter.static_prompts.4" in refusal(path, "adaclip", deeper)
    wider = AdaLayers(AdaClip(), replace(NARROW, width=96), text_width=64, text_depth=12, seed=0)
    assert "visual_prompter.static_prompts.0 (5, 85) for (5, 96)" in refusal(path, "adaclip", wider)


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"4.weight": None, "4.bias": None}, "dynamic_text_prompt_generator.weight (256, 64) for (320, 64)"),
        ({"2.weight": None}, "no dynamic_text_prompt_generator.weight; "),
        ({"2.weight": torch.zeros(63, 64)}, "no dynamic_text_prompt_generator.weight; "),
        ({"2.bias": torch.zeros(())}, "no dynamic_text_prompt_generator.bias; "),
        ({"5.weight": torch.zeros(64, 64)}, "dynamic_text_prompt_generator.weight (384, 64) for (320, 64)"),
        ({"2.more.weight": torch.zeros(1)}, "dynamic_text_prompt_generator.head.2.more.weight, which has no place"),
        ({"1000.weight": torch.zeros(1)}, "dynamic_text_prompt_generator.head.1000.weight, which has no place"),
    ],
)
def test_layers_of_tokens_that_do_not_fit_together_are_named(
    tmp_path: Path, odd: dict[str, Tensor | None], said: str
) -> None:
    changed = {f"dynamic_text_prompt_generator.head.{name}": tensor for name, tensor in odd.items()}
    tensors = {name: tensor for name, tensor in {**FILES["adaclip"], **changed}.items() if tensor is not None}
    assert said in refusal(save(tmp_path / "x.pth", tensors), "adaclip")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, suffix: str, bad: float) -> None:
    spoilt = {name: tensor.clone() for name, tensor in FILES["april-gan"].items()}
    spoilt["fc.2.bias"][7] = bad
    assert "fc.2.bias holds NaN or infinity" in refusal(save(tmp_path / f"x{suffix}", spoilt), "april-gan")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64, torch.int8, torch.bool])
def test_a_head_of_other_numbers_than_floats_is_refused_before_they_are_used(
    tmp_path: Path, suffix: str, dtype: torch.dtype
) -> None:
    odd = {**FILES["april-gan"], "fc.2.bias": FILES["april-gan"]["fc.2.bias"].to(dtype)}
    kind = str(dtype).removeprefix("torch.")
    assert f"fc.2.bias is {kind}, wanted" in refusal(save(tmp_path / f"x{suffix}", odd), "april-gan")


@pytest.mark.parametrize("name", FILES)
def test_what_can_be_no_head_is_refused_by_its_size_or_kind_before_anything_begins(tmp_path: Path, name: str) -> None:
    with (tmp_path / "large.pth").open("wb") as file:
        file.truncate(LARGEST_HEAD + 1)
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "zero.pth").symlink_to("/dev/zero")
    for file_name, reason in {
        "large.pth": "1,073,741,825 bytes, released heads take at most 1,073,741,824",
        "pipe.pth": "a named pipe, wanted a weights file",
        "zero.pth": "a device, wanted a weights file",
    }.items():
        with pytest.raises(WeightsError, match=rf"{file_name}: {reason}"):
            resolve(f"{name}[weights={tmp_path / file_name}]")
        assert reason in refusal(tmp_path / file_name, cast(Release, name))


def test_wrappers_around_a_head_or_its_section_leave_its_names(tmp_path: Path) -> None:
    layers = FILES["sdp-plus"]
    for prefix in ("module._orig_mod.", "_orig_mod.module.", "module.linear_layers.", "linear_layers._orig_mod."):
        for name in ("x.pth", "X.SAFETENSORS"):
            module, path = module_of("sdp-plus"), tmp_path / name
            named = {prefix + key: tensor for key, tensor in layers.items()}
            save_file(named, path) if name.endswith("SAFETENSORS") else torch.save(named, path)
            load_released(module, path, owner="sdp-plus")
            assert torch.equal(module.fc[0][2].weight, layers["fc.2.weight"])


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


def test_a_file_that_holds_code_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"trainable_linearlayer": FILES["april-gan"], "extra": Harmful()}, tmp_path / "bad.pth")
    assert "holds more than tensors" in refusal(tmp_path / "bad.pth", "april-gan")
    assert capsys.readouterr().out == ""


def test_an_older_torch_reads_safetensors_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader.torch, "__version__", "2.9.1")
    assert "CVE-2026-24747" in refusal(save(tmp_path / "x.pth", FILES["april-gan"]), "april-gan")
    load_released(module_of("april-gan"), save(tmp_path / "x.safetensors", FILES["april-gan"]), owner="april-gan")


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"\x80\x02garbage", b"\xff" * 64])
def test_damaged_files_are_refused(tmp_path: Path, damage: bytes) -> None:
    for suffix in (".pth", ".safetensors"):
        (tmp_path / f"x{suffix}").write_bytes(damage)
        refusal(tmp_path / f"x{suffix}", "april-gan")


def begin(spec: str, tower: TowerSpec) -> Any:
    encode: Any = None
    device = torch.device("cpu")
    return resolve(spec).begin(
        Task(tower=tower, encode=encode, categories=(), train_on=("visa",), seed=0, device=device, epochs=4)
    )


@pytest.mark.parametrize(("owner", "tower"), [("april-gan", VIT_L), ("sdp-plus", VIT_B)])
def test_methods_begin_with_the_weights_and_train_nothing(tmp_path: Path, owner: Release, tower: TowerSpec) -> None:
    path = save(tmp_path / "epoch_15.pth", FILES[owner], section=SECTIONS[owner])
    detector = begin(f"{owner}[weights={path}]", tower)
    assert detector.stages == ()
    for name in our_names(owner):
        assert torch.equal(detector.state_dict()[f"head.{name}"], theirs(owner, name))
    assert detector.facts["weights"] == {
        "file": "epoch_15.pth",
        "blake3": blake3(path.read_bytes()).hexdigest(),
        "of": f"{'APRIL-GAN' if owner == 'april-gan' else 'CLIP-AD'}'s {SECTIONS[owner]}",
    }
    assert begin(owner, tower).facts["weights"] is None
    assert [stage.epochs for stage in begin(owner, tower).stages] == [4]


def test_released_heads_read_the_taps_that_they_were_trained_on(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pth", FILES["sdp-plus"])
    method = resolve(f"sdp-plus[taps=released,weights={path}]")
    assert Part("patch-released", 3) in method.needs(VIT_B, "train")


@pytest.mark.parametrize(("owner", "other"), [("april-gan", VIT_B), ("sdp-plus", VIT_L)])
def test_weights_of_another_tower_are_refused_before_anything_is_encoded(
    tmp_path: Path, owner: Release, other: TowerSpec
) -> None:
    method = resolve(f"{owner}[weights={save(tmp_path / 'x.pth', FILES[owner])}]")
    own = VIT_L if owner == "april-gan" else VIT_B
    method.check(own)
    assert [method.needs(own, phase) for phase in PHASES] == [resolve(owner).needs(own, phase) for phase in PHASES]
    with pytest.raises(WeightsError, match=r"x\.pth: .* for another tower or other options: found fc\.0\.weight"):
        method.check(other)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_there_is_refused_before_anything_begins(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.pth: there is no such weights file"):
        resolve(f"{name}[weights={tmp_path / 'nowhere.pth'}]")


def test_a_method_without_a_head_takes_no_weights(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pth", FILES["april-gan"])
    with pytest.raises(BadOption, match="head=none"):
        resolve(f"april-gan[head=none,weights={path}]")
