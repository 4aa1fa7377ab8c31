"""Weights that other projects released: read without running them, checked, and brought under our names.

| method | project | key of its checkpoint | tensors |
|---|---|---|---|
| `april-gan` | APRIL-GAN | `trainable_linearlayer` | `fc.N.weight` (D, C), `fc.N.bias` (D,), N from 0 to 3 |
| `sdp-plus` | CLIP-AD | `linear_layers` | the same |
| `anomalyclip` | AnomalyCLIP | `prompt_learner` | `ctx_pos`, `ctx_neg` (1, 1, E, W), `compound_prompts_text.N` (T, W) |
| `aa-clip text` | AA-CLIP | `text_adapter` | `N.fc.0.weight`, N from 0 to 2 (W, W), 3 (D, W) |
| `aa-clip image` | AA-CLIP | `image_adapter` | `layer_adapters.N.fc.0.weight` (C, C), `seg_proj.N.fc.weight` (D, C) |
| `adaclip` | AdaCLIP | `clip_model` | `S_prompter.static_prompts.N` (T, W), S `visual` or `text`, and linear layers |
| `promptad` | PromptAD | none | `text_features` (2, D), `feature_gallery1`, `feature_gallery2` (M, C), M patches |

AdaCLIP's linear layers are `patch_token_layer.head.N`, `cls_token_layer.head.0` and, one for each of T tokens that are
one layer here, `dynamic_S_prompt_generator.head.N`. Its `text_prompter.static_prompts.0` is read by nobody.

Weights belong to the tower they were trained on, and its activation shows in none of them. APRIL-GAN and AA-CLIP at 518
pixels, and AdaCLIP, ran OpenAI's QuickGELU weights under plain GELU: give `--activation gelu`. AnomalyCLIP ran them
under QuickGELU, CLIP-AD its ViT-B-16-plus-240 under GELU: both are `--activation native`. CLIP-AD's layers learned from
the taps of `sdp-plus[taps=released]`, and what PromptAD's remember are those of `promptad[taps=released]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stackclip.errors import WeightsError
from stackclip.ops.files import file_hash

__all__ = ["ANY", "Release", "check_there", "load_released", "read_released"]

Release = Literal["april-gan", "sdp-plus", "anomalyclip", "adaclip", "promptad", "aa-clip text", "aa-clip image"]

ANY = -1
"""The length of an axis that a file may choose."""


@dataclass(frozen=True, slots=True)
class _Format:
    """What a project's file holds: its names for ours, by patterns of these, and beginnings of names that nobody reads.

    `numbered` is a pattern of names of layers that together are one of ours; its second group is their number.
    """

    project: str
    section: str
    names: Mapping[str, str | Callable[[re.Match[str]], str]]
    unread: tuple[str, ...] = ()
    numbered: str = ""

    @property
    def title(self) -> str:
        return f"{self.project}'s {self.section}"

    def theirs(self, name: str) -> str:
        """Their name for one of ours; ours where they have none."""
        found = (
            match.expand(theirs) if isinstance(theirs, str) else theirs(match)
            for ours, theirs in self.names.items()
            if (match := re.fullmatch(ours, name))
        )
        return next(found, name)

    def joined(self, read: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors, numbered ones as one under the name without the number; those that do not fit stay alone."""
        groups: dict[str, dict[int, str]] = {}
        for name in read:
            if self.numbered and (match := re.fullmatch(self.numbered, name)):
                groups.setdefault(f"{match[1]}{match[3]}", {})[int(match[2])] = name
        found = dict(read)
        for whole, names in groups.items():
            parts = [read[name] for _, name in sorted(names.items())]
            alike = len({(part.shape, part.dtype) for part in parts}) == 1 and parts[0].ndim > 0
            if alike and sorted(names) == list(range(len(names))):
                found = {name: tensor for name, tensor in found.items() if name not in names.values()}
                found[whole] = torch.cat(parts)
        return found


_LINEAR = {r"fc\.0\.(\d+)\.(weight|bias)": r"fc.\1.\2"}
_APRIL_GAN = _Format("APRIL-GAN", "trainable_linearlayer", _LINEAR)
_CLIP_AD = _Format("CLIP-AD", "linear_layers", _LINEAR)
_ANOMALYCLIP = _Format(
    "AnomalyCLIP",
    "prompt_learner",
    {r"context\.0": "ctx_pos", r"context\.1": "ctx_neg", r"deep\.(\d+)": r"compound_prompts_text.\1"},
    unread=("token_prefix_", "token_suffix_", "tokenized_prompts_", "compound_prompt_projections."),
)
_AA_CLIP_TEXT = _Format(
    "AA-CLIP",
    "text_adapter",
    {
        r"adapters\.(\d+)\.fc\.weight": lambda match: f"{int(match[1]) - 1}.fc.0.weight",
        r"projection\.weight": "3.fc.0.weight",
    },
)
_AA_CLIP_IMAGE = _Format(
    "AA-CLIP",
    "image_adapter",
    {
        r"adapters\.(\d+)\.fc\.weight": lambda match: f"layer_adapters.{int(match[1]) - 1}.fc.0.weight",
        r"segmentation\.(\d+)\.weight": r"seg_proj.\1.fc.weight",
        r"detection\.weight": "det_proj.fc.weight",
    },
)
_ADACLIP = _Format(
    "AdaCLIP",
    "clip_model",
    {
        r"vision\.static\.(\d+)": r"visual_prompter.static_prompts.\1",
        r"text\.static\.(\d+)": lambda match: f"text_prompter.static_prompts.{int(match[1]) + 1}",
        r"vision\.dynamic\.(\w+)": r"dynamic_visual_prompt_generator.\1",
        r"text\.dynamic\.(\w+)": r"dynamic_text_prompt_generator.\1",
        r"patches\.(\d+\.\w+)": r"patch_token_layer.head.\1",
        r"cls\.(\w+)": r"cls_token_layer.head.0.\1",
    },
    unread=("text_prompter.static_prompts.0",),
    numbered=r"(dynamic_\w+_prompt_generator)\.head\.(\d{1,3})(\.\w+)",
)
_PROMPTAD = _Format(
    "PromptAD", "check_point", {"anchors": "text_features", "early": "feature_gallery1", "late": "feature_gallery2"}
)
_FORMATS: dict[Release, _Format] = {
    "april-gan": _APRIL_GAN,
    "sdp-plus": _CLIP_AD,
    "anomalyclip": _ANOMALYCLIP,
    "adaclip": _ADACLIP,
    "aa-clip text": _AA_CLIP_TEXT,
    "aa-clip image": _AA_CLIP_IMAGE,
    "promptad": _PROMPTAD,
}
_LOOKS = {  # what a file is by what one of its names holds; the first that is found
    "trainable_linearlayer.": _APRIL_GAN.title,
    "linear_layers.": _CLIP_AD.title,
    "ctx_pos": _ANOMALYCLIP.title,
    "compound_prompts_text.": _ANOMALYCLIP.title,
    "static_prompts.": _ADACLIP.title,
    "_token_layer.head.": _ADACLIP.title,
    "text_adapter.": _AA_CLIP_TEXT.title,
    "layer_adapters.": _AA_CLIP_IMAGE.title,
    "feature_gallery": _PROMPTAD.title,
    "visual.": "a whole CLIP, which is for --weights",
    "head.fc.": "a head that stackclip saved and finds by itself",
    "prompts.context.": "prompts that stackclip saved and finds by itself",
    "fc.0.weight": "linear layers of APRIL-GAN or CLIP-AD",
}
_TOWERS: Mapping[tuple[int, ...], str] = {
    (768, 1024): "APRIL-GAN's ViT-L-14-336",  # layers (D, C)
    (640, 896): "CLIP-AD's ViT-B-16-plus-240",
}
_SHOWN = 3


def check_there(path: Path | None) -> None:
    """Raise WeightsError for a weights file that is not there or can be no head; None is no weights."""
    if path is not None:
        from stackclip.clip import LARGEST_HEAD, check_file  # here, since it brings open_clip

        check_file(path, largest=LARGEST_HEAD, of="released heads")


def load_released(module: nn.Module, path: Path, *, owner: Release) -> dict[str, Any]:
    """Give a module the weights of a released file, and return what a row should say of them.

    `module` holds the parameters of the owner and no others, by our names: `fc.0.N.weight` and `.bias`, `context.0`,
    `adapters.1.fc.weight` ... What `read_released` raises is raised.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    tensors, facts = read_released(shapes, path, owner=owner)
    module.load_state_dict(tensors)
    return facts


def read_released(
    shapes: Mapping[str, tuple[int, ...]], path: Path, *, owner: Release
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a released file, float32, under our names and in our `shapes`, and what a row should say of them.

    An axis of `shapes` may have ANY length. The file is a torch checkpoint or safetensors, with or without the key of
    the table above. Raises WeightsError for a file that cannot be read safely, is of another project or tower, or holds
    other numbers than finite floats.
    """
    from stackclip.clip import LARGEST_HEAD, finite_floats, read_tensors  # here, since it brings open_clip

    form = _FORMATS[owner]
    found = read_tensors(path, largest=LARGEST_HEAD, of="released heads", sections=True)
    named = {_plain(name, form.section): tensor for name, tensor in found.items()}
    read = form.joined({name: tensor for name, tensor in named.items() if not name.startswith(form.unread)})
    places = {form.theirs(name): (name, shape) for name, shape in shapes.items()}
    looks = next((title for mark, title in _LOOKS.items() if any(mark in name for name in found)), "nothing we know")
    foreign = looks != form.title and looks != _LOOKS["fc.0.weight"]
    if foreign or not read.keys() & places.keys():
        raise WeightsError(
            f"{path}: {owner} begins with {form.title} ({_described(places)}); "
            f"this looks like {looks} ({_described({name: (name, tensor.shape) for name, tensor in found.items()})})"
        )
    if odd := _odd(read, places):
        more = f"; {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
        raise WeightsError(
            f"{path}: {form.title} for another tower or other options: found {'; '.join(odd[:_SHOWN])}{more}: "
            "give the backbone, layers and options that it was trained with"
        )
    read = finite_floats(read, source=path)
    tensors = {ours: read[name].reshape(shape) for name, (ours, shape) in places.items()}
    return tensors, {"file": path.name, "blake3": file_hash(path), "of": form.title}


def _odd(read: Mapping[str, Tensor], places: Mapping[str, tuple[str, tuple[int, ...]]]) -> list[str]:
    """What does not fit, in words; leading axes of length 1 count for nothing."""
    return [
        *(
            f"{name} {tuple(read[name].shape)}{_tower_of(read[name])} for {tuple(shape)}"
            for name, (_, shape) in places.items()
            if name in read and not _fits(_core(read[name].shape), _core(shape))
        ),
        *(f"no {name}" for name in places if name not in read),
        *(f"{name}, which has no place here" for name in read if name not in places),
    ]


def _fits(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(found) == len(wanted) and all(b in (a, ANY) for a, b in zip(found, wanted, strict=True))


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    return next((tuple(shape[axis:]) for axis, length in enumerate(shape) if length != 1), ())


def _tower_of(layer: Tensor) -> str:
    tower = _TOWERS.get(tuple(layer.shape))
    return f" of {tower}" if tower else ""


def _described(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> str:
    """The first tensor by name and shape."""
    return next((f"{name} {tuple(shape)}, ..." for name, (_, shape) in tensors.items()), "no tensor")


def _plain(name: str, section: str) -> str:
    """A name without the key of its checkpoint."""
    return name.removeprefix("state_dict.").removeprefix(f"{section}.")
