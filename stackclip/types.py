"""The nouns: what a picture is, what a tower gives, what a method says, what a bench records.

Axis letters: B pictures, P patches, C width, D joint width, K stacks, H W pixels. Sizes are (height, width).
Importing this module brings neither numpy nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stackclip.errors import MissingParts, NotApplicable

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ANOMALOUS",
    "CLS",
    "GOOD",
    "LARGEST_SEED",
    "MASK",
    "NORMAL",
    "Features",
    "Part",
    "Prediction",
    "Row",
    "Sample",
    "TowerSpec",
    "patch",
]

NORMAL, ANOMALOUS = 0, 1
GOOD = "good"  # the `defect` of a normal sample
LARGEST_SEED = 2**32 - 1  # scikit-learn takes no larger one


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture and what is known of it.

    `id` is the picture's path below the data set's root, with forward slashes; it names the sample for good, wherever
    the root lies. `mask` is a file, a folder of files whose union counts, or None: a normal sample needs none, and
    for an anomalous one None means that its defect is not localised (pixel metrics are then undefined). `published` is
    the published data set that the picture is of, empty for any other.
    """

    id: str
    dataset: str
    category: str
    split: Literal["train", "test"]
    image: Path
    mask: Path | None
    label: int
    defect: str
    published: str = ""

    @property
    def key(self) -> str:
        """The sample's name across data sets: `dataset/id`."""
        return f"{self.dataset}/{self.id}"


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One array that a tower can give for a picture: `cls`, `patch/6`, `mask`. Layers are 1-based.

    Shapes: `cls` (D,), raw joint feature ln_post + proj; `patch/N` (P, C), the residual stream after block N without
    its class token; `mask`, the labelled regions of the mask at the tower's picture size. The others are ways through
    the same tower that some methods take (`stackclip.clip.paths` defines them): `cls/N` and `cls-bare` (D,),
    `vv-stage/N`, `vv-last6/N`, `vv-from6/N` and `joint/N` (P, D), `patch-released/N` (P, C), `cls-released/N` (D,),
    `window/K` (windows, D), `crop/10` (10, D).
    """

    kind: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.kind}/{self.index}" if self.index else self.kind

    @classmethod
    def parse(cls, text: str) -> Part:
        """The inverse of `str(part)`."""
        kind, _, index = text.partition("/")
        return cls(kind, int(index) if index else 0)


CLS = Part("cls")
MASK = Part("mask")


def patch(layer: int) -> Part:
    """The patch tokens after block `layer` (1-based)."""
    return Part("patch", layer)


@dataclass(frozen=True, slots=True)
class TowerSpec:
    """What a method may know of a tower without running it.

    `layers` are the tapped stages (1-based): quarters of the depth unless named. `image_size` is the side of the
    square picture, `grid` the side of the square of patches. `note` is printed with every output that the tower makes
    (empty for real weights).
    """

    name: str
    image_size: int
    grid: int
    depth: int
    width: int
    joint: int
    layers: tuple[int, ...]
    note: str = ""

    @property
    def taps(self) -> tuple[Part, ...]:
        """The patch parts of the stages, in order of depth."""
        return tuple(patch(layer) for layer in self.layers)

    def shape(self, part: Part) -> tuple[int, ...]:
        """The shape of a part of one picture; masks, which no tower gives, have none.

        Raises NotApplicable for a part that this tower does not have.
        """
        layer, depth = part.index, self.depth
        quarter = depth // 4
        patches, windows = self.grid**2, (self.grid - layer + 1) ** 2
        offered = {
            "cls": ((self.joint,), 0 <= layer <= depth),
            "patch": ((patches, self.width), 1 <= layer <= depth),
            "vv-stage": ((patches, self.joint), depth % 4 == 0 and layer in range(quarter, depth + 1, quarter)),
            "vv-last6": ((patches, self.joint), 1 <= depth - 5 <= layer <= depth),
            "vv-from6": ((patches, self.joint), 6 <= layer <= depth),
            "joint": ((patches, self.joint), 1 <= layer <= depth),
            "cls-bare": ((self.joint,), layer == 0),
            "cls-released": ((self.joint,), 1 <= layer < depth),
            "patch-released": ((patches, self.width), 1 <= layer < depth),
            "window": ((windows, self.joint), 2 <= layer <= self.grid),
            "crop": ((10, self.joint), layer == 10),
        }
        shape, has = offered.get(part.kind, ((), False))
        if not has:
            raise NotApplicable(
                f"{self.name} has no part {part}: it gives cls, patch/1 to patch/{depth}, and with other indices "
                f"{', '.join(kind for kind in offered if kind not in ('cls', 'patch'))}"
            )
        return shape


@dataclass(frozen=True, slots=True)
class Features:
    """The parts of one batch of samples; `features[patch(6)]` is (B, P, C), `features[MASK]` is (B, H, W) in {0, 1}."""

    samples: tuple[Sample, ...]
    parts: Mapping[Part, Tensor]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, part: Part) -> Tensor:
        try:
            return self.parts[part]
        except KeyError:
            held = ", ".join(str(part) for part in sorted(self.parts)) or "nothing"
            raise MissingParts(f"the batch lacks {part} (it holds {held}); name it in the method's needs") from None

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

    Either may be None, with the reason in `why_no_scores` or `why_no_maps`.
    """

    scores: Tensor | None
    maps: Tensor | None
    why_no_scores: str = ""
    why_no_maps: str = ""


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
    shots: int
    seed: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
