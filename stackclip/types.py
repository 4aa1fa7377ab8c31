"""The nouns: what a picture is, what a tower gives, what a method says, what a bench records.

Axis letters: B pictures, P patches, C width, D joint width, K stacks, H W pixels. Sizes are (height, width).
Importing this module brings neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stackclip.errors import BrokenPlugin, MissingParts, NotApplicable
from stackclip.registry import EDITION, taps
from stackclip.sizes import Framed, Side
from stackclip.viewnames import read_view

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ANOMALOUS",
    "CLASS_TOKEN",
    "CLS",
    "GOOD",
    "GRID_POOL",
    "LARGEST_SEED",
    "MASK",
    "NORMAL",
    "OPEN_BLOCKS",
    "PICTURE",
    "SINGLE_PATCHES",
    "UNLABELLED",
    "Features",
    "Part",
    "Prediction",
    "Row",
    "Sample",
    "Split",
    "TowerSpec",
    "exact",
    "in_view",
    "is_live",
    "patch",
    "spec_of",
]

NORMAL, ANOMALOUS = 0, 1
GOOD = "good"  # the `defect` of a normal sample
UNLABELLED = "unlabelled"  # the `defect` of a picture of which nothing is known; its label is NORMAL for want of one
LARGEST_SEED = 2**32 - 1  # scikit-learn takes no larger one

CLASS_TOKEN = "a class token that is the image feature"
OPEN_BLOCKS = "open_clip's own attention blocks"
GRID_POOL = "an attention pool over the grid, as the ResNets of CLIP have it"
SINGLE_PATCHES = "a reading of single patches as the image feature is read"
"""What a way through the tower may want, and a tower lack, as it is said."""

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture and what is known of it.

    `id` is the picture's path below the data set's root, with forward slashes; it names the sample for good, wherever
    the root lies. `mask` is a file, a folder of files whose union counts, or None: a normal sample needs none, and
    for an anomalous one None means that its defect is not localised (pixel metrics are then undefined). `published` is
    the published data set that the picture is of, empty for any other. `defects` is the file that says from which area
    on a defect counts as found (`stackclip.data.defects`), None where all has to. Views of one object have one `group`.
    """

    id: str
    dataset: str
    category: str
    split: Split
    image: Path
    mask: Path | None
    label: int
    defect: str
    published: str = ""
    defects: Path | None = None
    group: str = ""

    @property
    def key(self) -> str:
        """The sample's name across data sets: `dataset/id`."""
        return f"{self.dataset}/{self.id}"


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One array that a tower can give for a picture: `cls`, `patch/6`, `mask`. Layers are 1-based.

    `kind` is a way through the tower, by its name on the shelf `taps`, which knows its shape and its source; but for
    `mask`, the labelled regions of the mask at the tower's picture size. `view` is how the picture was seen, empty for
    the picture as it is: `patch/6@rot45` of one turned by 45 degrees, `cls@tile2x3-4` of a tile, `mask@move-1` where
    the picture was moved (`read_view`).
    """

    kind: str
    index: int = 0
    view: str = ""

    def __str__(self) -> str:
        name = f"{self.kind}/{self.index}" if self.index or taps.counts_from_0(self.kind) else self.kind
        return f"{name}@{self.view}" if self.view else name

    @classmethod
    def parse(cls, text: str) -> Part:
        """The inverse of `str(part)`."""
        name, _, view = text.partition("@")
        kind, _, index = name.partition("/")
        return cls(kind, int(index) if index else 0, view)

    def exact(self) -> Part:
        """The part as a store keeps it: a way from outside has a digest of its code in its name, `mine~1a2b3c4d/6`."""
        way = None if EDITION in self.kind else taps.way(self.kind)
        return replace(self, kind=f"{self.kind}{EDITION}{way.edition}") if way and way.edition else self


CLS = Part("cls")
MASK = Part("mask")
PICTURE = Part("picture")
"""The picture as the tower reads it, (3, H, W): no store holds it, a live source reads it when it is asked for."""


def patch(layer: int) -> Part:
    """The patch tokens after block `layer` (1-based)."""
    return Part("patch", layer)


def exact(parts: Iterable[Part]) -> frozenset[Part]:
    """Parts as a store keeps them."""
    return frozenset(part if part == MASK else part.exact() for part in parts)


def is_live(part: Part) -> bool:
    """Whether no store holds a part: the picture itself, and what is seen in a view that is made for once."""
    return part.kind == PICTURE.kind or part.view.startswith("live-")


def in_view(parts: Iterable[Part], view: str) -> frozenset[Part]:
    """Parts of pictures that are seen in a view; as they are where it is empty."""
    return frozenset(replace(part, view=view) if view else part for part in parts)


@dataclass(frozen=True, slots=True)
class TowerSpec(Framed):
    """What a method may know of a tower without running it.

    `layers` are the tapped stages (1-based): quarters of the depth unless named. `image_size` and `grid` are the sides
    of a square picture and of its patches, else `Size`s; `frame` has both as sizes. `note` is printed with every output
    that the tower makes (empty for real weights). `lacks` is what ways through other towers want and this one has not:
    `CLASS_TOKEN`, `OPEN_BLOCKS`, `SINGLE_PATCHES`; `GRID_POOL` only a tower has whose feature is no class token.
    """

    name: str
    image_size: Side
    grid: Side
    depth: int
    width: int
    joint: int
    layers: tuple[int, ...]
    note: str = ""
    lacks: tuple[str, ...] = ()

    @property
    def taps(self) -> tuple[Part, ...]:
        """The patch parts of the stages, in order of depth."""
        return tuple(patch(layer) for layer in self.layers)

    def shape(self, part: Part) -> tuple[int, ...]:
        """The shape of a part of one picture, as the shelf `taps` says it; masks, which no tower gives, have none.

        Raises NotApplicable for a part that this tower does not have, BrokenPlugin where a way cannot tell.
        """
        if part.kind == PICTURE.kind and not part.index and (not part.view or read_view(part.view)):
            return (3, *self.frame.size)
        way = taps.way(part.kind)
        if way is not None and (not part.view or read_view(part.view)):
            with way.guard(f"cannot tell the shape of {part}"):
                if need := self._missing(way.tap, part):
                    raise NotApplicable(f"{self.name} has no part {part}: that wants {need}")
                if (shape := way.tap.shape(self, part)) is not None:
                    return _checked(shape, f"{way.component} gives {part}")
        raise NotApplicable(
            f"{self.name} has no part {part}: it gives cls, patch/1 to patch/{self.depth}, and with other indices "
            f"{', '.join(self._others())}"
        )

    def _others(self) -> list[str]:
        """The ways that nothing is in the way of, but the two that every tower has."""
        kinds = [name for name in taps.names() if name not in ("cls", "patch")]
        ways = {kind: taps.way(kind) or taps.way(f"{kind}1") for kind in kinds}
        return [kind for kind, way in ways.items() if way is None or not self._missing(way.tap, Part(kind))]

    def _missing(self, tap: Any, part: Part) -> str:
        """What a way wants and this tower lacks; empty where nothing is in its way."""
        wants = tap.wants(part) if hasattr(tap, "wants") else ()
        lacks = self.lacks if CLASS_TOKEN in self.lacks else (*self.lacks, GRID_POOL)
        return next((need for need in wants if need in lacks), "")


def spec_of(facts: Mapping[str, Any]) -> TowerSpec:
    """The spec that JSON holds. Raises KeyError or TypeError for what is none."""
    return TowerSpec(**{**facts, "layers": tuple(facts["layers"]), "lacks": tuple(facts.get("lacks", ()))})


def _checked(shape: Any, who: str) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(isinstance(side, int) and side > 0 for side in shape):
        raise BrokenPlugin(f"{who} the shape {shape!r}, wanted whole numbers from 1")
    return shape


@dataclass(frozen=True, slots=True)
class Features:
    """The parts of one batch of samples; `features[patch(6)]` is (B, P, C), `features[MASK]` is (B, H, W) in {0, 1}."""

    samples: tuple[Sample, ...]
    parts: Mapping[Part, Tensor]
    made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # see `ops.once`

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, part: Part) -> Tensor:
        try:
            return self.parts[part if part in self.parts else part.exact()]
        except KeyError:
            held = ", ".join(str(part) for part in sorted(self.parts)) or "nothing"
            raise MissingParts(f"the batch lacks {part} (it holds {held}); name it in the method's needs") from None

    def rows(self, start: int, stop: int) -> Features:
        """The pictures from `start` up to `stop`, in the same memory; all of them are the batch itself."""
        if start <= 0 and stop >= len(self):
            return self
        return Features(self.samples[start:stop], {part: tensor[start:stop] for part, tensor in self.parts.items()})

    def only(self, parts: Iterable[Part]) -> Features:
        """The same pictures without the parts that others read of them."""
        wanted = frozenset(parts)
        fewer = Features(self.samples, {part: tensor for part, tensor in self.parts.items() if part in wanted})
        object.__setattr__(fewer, "made", self.made)
        return fewer

    def in_view(self, view: str) -> Features:
        """The same pictures as they were seen in a view, under plain names; as they are where it is empty."""
        if not view:
            return self
        seen = {replace(part, view=""): each for part, each in self.parts.items() if part.view == view}
        return Features(self.samples, seen)

    @property
    def categories(self) -> tuple[str, ...]:
        """The category of each picture, in order."""
        return tuple(sample.category for sample in self.samples)

    @property
    def labels(self) -> tuple[int, ...]:
        """NORMAL or ANOMALOUS for each picture, in order."""
        return tuple(sample.label for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a method says of a batch: scores (B,) and maps (B, H, W). Higher is more anomalous; no range is promised.

    Either may be None, with the reason in `why_no_scores` or `why_no_maps`. `components` are scores (B,) by name that
    the method makes its score of (`logical`, `structural`); every batch names the same ones.
    """

    scores: Tensor | None
    maps: Tensor | None
    why_no_scores: str = ""
    why_no_maps: str = ""
    components: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of a bench: a method trained on one data set with one seed, tested on one category of another.

    `metrics` are fractions; an undefined one is absent and `undefined` says why. A cell that could not be computed has
    `error` and no metrics. `facts` hold what a reader needs to trust the number (weights, transform, class names,
    fingerprints, epochs, losses, library versions) as JSON does; `stackclip.benchmarks.facts` gives them types.
    """

    method: str
    train_on: tuple[str, ...]
    test_on: str
    category: str
    shots: int | Literal["all"]
    seed: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)  # pages of them
