"""A frozen CLIP: one forward gives every part of a picture that is asked for; phrases become raw text features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from stackclip.clip.device import DTYPES, plain_attention
from stackclip.clip.image import ImageTower
from stackclip.clip.positions import DEFAULT_POSITIONS, Positions
from stackclip.clip.sight import Route
from stackclip.clip.transform import ImageTransform
from stackclip.clip.transformer import TextTransformer
from stackclip.errors import NotApplicable, UsageError
from stackclip.ops.once import Once
from stackclip.types import Part, TowerSpec

__all__ = ["TOWER_SEMANTICS", "BuiltTower", "Tower", "TowerFacts"]

TOWER_SEMANTICS = 2  # of the features; raised when the same tower would give other numbers under the same names


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerFacts:
    """All that is said of a tower and can be said without building it: what its features depend on, and more.

    `architecture` and `weights` are hashes, `recorded` holds the versions of libraries, the device and the like.
    """

    spec: TowerSpec
    transform: ImageTransform
    architecture: str
    weights: str
    activation: Literal["gelu", "quick-gelu"]
    position_embedding: Positions = DEFAULT_POSITIONS
    precision: Literal["fp32", "bf16", "fp16"]
    context_length: int
    recorded: Mapping[str, Any]

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What features of pictures depend on, as a store has it."""
        return {
            "model": self.spec.name,
            **self._named,
            **self.transform.facts,
            "position_embedding": self.position_embedding,
            "attention": "plain",
            "dtype": self.precision,
        }

    @property
    def text_fingerprint(self) -> dict[str, Any]:
        """What features of phrases depend on."""
        return {**self._named, "context_length": self.context_length}

    @property
    def _named(self) -> dict[str, Any]:
        named = {"architecture": self.architecture, "weights": self.weights, "activation": self.activation}
        return {**named, "semantics": TOWER_SEMANTICS}


_PICTURES_AT_ONCE = 4  # of short sequences, on a CPU
_SHORT = 400  # patches


class BuiltTower(NamedTuple):
    """open_clip's own model, frozen and in evaluation mode, and its text tower if it has one."""

    model: nn.Module
    text: TextTransformer | None


class Tower:
    """A model of open_clip with its transform, its tokens and everything that its features depend on, in words.

    What `facts` say needs no model; that is built when it is first used. Get one with `load_tower`, or with
    `assemble_tower` from a configuration and weights.
    """

    def __init__(self, facts: TowerFacts, built: Once[BuiltTower], *, device: torch.device) -> None:
        self.facts = facts
        self.device = device
        self.spec = facts.spec
        self.transform = facts.transform
        self.precision = facts.precision
        self.context_length = facts.context_length
        self.recorded = dict(facts.recorded)
        self.fingerprint = facts.fingerprint
        self.text_fingerprint = facts.text_fingerprint
        self._built = built
        self._visual = Once(partial(_lowered, built, facts.precision))

    @property
    def model(self) -> nn.Module:
        """open_clip's own, frozen and in evaluation mode."""
        return self._built().model

    @property
    def text(self) -> TextTransformer | None:
        """The text tower, for what learns prompts in it; None where there is none."""
        return self._built().text

    @property
    def image(self) -> ImageTower:
        """The live image tower, for what is trained inside it: its blocks from a cached point on."""
        return ImageTower(self.model.visual)

    @property
    def is_built(self) -> bool:
        """Whether the model is there."""
        return self._built.is_made

    def build(self) -> None:
        """Build the model now, unless it is there, so that what is wrong with it is raised before any work."""
        self._built()

    @property
    def picture_range(self) -> str:
        """What is black and what is white in pictures of more than 8 bits: `auto`, `file` or `MIN:MAX`."""
        return self.transform.picture_range

    def with_range(self, picture_range: str) -> Tower:
        """The same tower for pictures read by another range, which is in its fingerprint where it is MIN:MAX.

        Raises UsageError for what is no range.
        """
        transform = replace(self.transform, picture_range=picture_range)
        return Tower(replace(self.facts, transform=transform), self._built, device=self.device)

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """An RGB picture as the tower reads it, (3, H, W); any number of threads may call it at once."""
        return self.transform(image)

    def encode(self, pictures: Tensor, parts: Iterable[Part]) -> dict[Part, Tensor]:
        """Give the parts of prepared pictures (B, 3, H, W), float32 on the tower's device, in one forward.

        What each part is, the shelf `taps` says. Blocks behind the last one needed are not run.

        Raises NotApplicable for a part that this tower does not have, UsageError for pictures of another size and for a
        part of a view: pictures are seen otherwise before they are prepared.
        """
        size = self.spec.frame.size
        if pictures.ndim != 4 or pictures.shape[1:] != (3, *size) or not len(pictures):
            raise UsageError(
                f"pictures of shape {tuple(pictures.shape)} came, {self.spec.name} takes "
                f"(B, 3, {size.height}, {size.width})"
            )
        route = Route(self.spec, parts)
        features = [self._run(route, some) for some in self._together(pictures)]
        count = len(pictures)
        return {part: torch.cat([each[part] for each in features])[:count].to(torch.float32) for part in route.shapes}

    def _run(self, route: Route, pictures: Tensor) -> dict[Part, Tensor]:
        dtype, seen = DTYPES[self.precision], pictures.to(self.device, torch.float32, non_blocking=True)
        lower = torch.autocast(self.device.type, dtype=dtype, enabled=dtype != torch.float32)
        with torch.no_grad(), plain_attention(), lower:
            return route.run(self._visual(), seen)

    def _together(self, pictures: Tensor) -> Sequence[Tensor]:
        """The pictures (B, 3, H, W) as they go through the tower.

        On a CPU always as many at a time, the last filled up, so that no picture's features depend on the others, not
        even in the last bit. Long sequences leave its cache: one by one.
        """
        if self.device.type != "cpu":
            return (pictures,)
        count = _PICTURES_AT_ONCE if self.spec.patches <= _SHORT else 1
        if lacking := -len(pictures) % count:
            pictures = torch.cat([pictures, pictures[:1].expand(lacking, -1, -1, -1)])
        return torch.split(pictures, count)

    def encode_text(self, phrases: Sequence[str]) -> Tensor:
        """Raw text features (N, D) of phrases, float32 on the tower's device, whatever the precision for pictures.

        Raises UsageError for a phrase that is longer than the text tower's context: its end is never cut; NotApplicable
        for a tower without text.
        """
        return self.reader.encode(phrases)

    def count_tokens(self, phrase: str) -> int:
        """The tokens of a phrase, start and end of text among them."""
        return self.reader.count_tokens(phrase)

    @property
    def reader(self) -> TextTransformer:
        """The text tower. Raises NotApplicable for a tower without text."""
        if self.text is None:
            raise NotApplicable(f"it compares pictures with phrases, and {self.spec.name} has no text tower")
        return self.text


def _lowered(built: Once[BuiltTower], precision: str) -> Any:
    """The image tower whose products are taken in a precision: a copy with such weights, or itself in float32.

    Autocast would turn every weight into that precision at each call. Everything else stays float32.
    """
    visual: Any = built().model.visual
    if precision == "fp32":
        return visual
    lowered = deepcopy(visual)
    for module in lowered.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.MultiheadAttention):
            module.to(DTYPES[precision])
    return lowered
