"""MuSc: the unlabelled tested pictures of a category score each other (Li et al., ICLR 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.errors import BadOption, NotApplicable
from stackclip.methods.memory import Surveyed, survey_of
from stackclip.methods.method import Detector, Method, Phase, Task
from stackclip.ops.maps import local_means, min_max, pixels, unit
from stackclip.ops.mutual import lowest_means, mutual_distances, neighbour_means
from stackclip.ops.words import size
from stackclip.registry import Removable, methods
from stackclip.sizes import Size
from stackclip.types import CLS, Features, Part, Prediction, TowerSpec

__all__ = ["MuSc", "MuScDetector", "normed_patches", "rescored"]

_Batch = Mapping[Part, Tensor]
_NEIGHBOURS = (1, 2, 3)  # as released for MVTec-AD and BTAD; for VisA, chosen by its test set, 1, 8 and 9
_POSITIONS = "bicubic"  # the released code resizes position embeddings without antialiasing


@methods.register("musc")
@dataclass(frozen=True, kw_only=True)
class MuSc(Method):
    """MuSc: patches that few other tested pictures have are anomalous; no text, no training, no normal pictures.

    It is transductive: it sees all tested pictures of a category, without labels, before it scores the first, and a
    picture's score depends on the others. At least two are wanted. Patches after each quarter of the blocks are
    standardised over the picture and averaged over the `sides` x `sides` around them. Score of a patch = the mean of
    its smallest distances to each of the other pictures, of which those within the `interval` of the lowest count; the
    mean over layers and sides makes the map. Image score = the map's maximum, min-maxed over the category and averaged
    over its `k` nearest pictures by class tokens, itself among them: `k=1+2+3` unless there are fewer pictures, as
    released for MVTec-AD (for VisA `1+8+9`); `k=0` leaves it as it is. Of four pictures or fewer, where the released
    code gives no number, the most similar one counts.

    `match=same-place` compares a patch with those of its own place alone: for parts that lie alike in all pictures,
    in a fraction of the time. `room` GB are taken at most for tokens, and as many for distances.
    """

    sides: Annotated[tuple[int, ...], Removable("neighbourhoods of several sizes (LNAMD)", off="1")] = (1, 3, 5)
    interval: Annotated[tuple[float, ...], Removable("interval average (MSM)", off="0+1")] = (0.0, 0.3)
    k: Annotated[tuple[int, ...] | None, Removable("re-scoring by like pictures (RsCIN)", off="0")] = None
    match: Literal["any", "same-place"] = "any"
    room: float = 4.0

    def __post_init__(self) -> None:
        """Raise BadOption for numbers that cannot be."""
        if not self.sides or any(side < 1 or side % 2 == 0 for side in self.sides):
            raise BadOption(f"sides={_typed(self.sides)}; wanted odd numbers of patches, such as 1+3+5")
        if len(self.interval) != 2 or not 0 <= self.interval[0] < self.interval[1] <= 1:
            raise BadOption(f"interval={_typed(self.interval)}; wanted two shares, such as 0.0+0.3")
        if self.k is not None and self.k != (0,) and (not self.k or min(self.k) < 1):
            raise BadOption(f"k={_typed(self.k)}; wanted numbers of pictures, such as 1+2+3, or 0")
        if not 0 < self.room < math.inf:
            raise BadOption(f"room={self.room}; wanted a number of GB above 0")

    @property
    def why_no_tiles(self) -> str:
        """Tiles of other places have other things at a place."""
        return "compares what lies alike in all pictures" if self.match == "same-place" else ""

    def needs(self, tower: TowerSpec, phase: Phase) -> frozenset[Part]:
        """All that it reads it reads when it surveys the tested pictures: the taps and the class token."""
        return frozenset({*tower.taps, CLS} if phase == "survey" else ())

    def begin(self, task: Task) -> MuScDetector:
        """Nothing is known before the tested pictures are there."""
        return MuScDetector(self, task)


class MuScDetector(Detector):
    """MuSc on one task; what it found of a category is there until it surveys the next."""

    def __init__(self, method: MuSc, task: Task) -> None:
        super().__init__()
        self.method, self.taps = method, task.tower.taps
        self.frame, self.width = task.tower.frame, task.tower.width
        self._found = Surveyed(())
        self.facts = {
            "epochs": 0,
            "paths": [str(part) for part in (*self.taps, CLS)],
            "image_score": "the map's maximum"
            if method.k == (0,)
            else "the map's maximum, averaged over like pictures",
            "released_positions": _POSITIONS,
            "transductive": "scores and maps",
        }

    @torch.inference_mode()
    def survey(self, tested: Callable[[], Iterator[Features]]) -> None:
        """Score all tested pictures of a category by each other. Raises NotApplicable for too few or too many."""
        samples, cls = survey_of(tested, CLS)
        self._check(len(samples))
        patches = self.levels(tested, len(samples)).mean(0)  # (N, P)
        peaks = torch.stack([pixels(each, self.frame).amax() for each in patches])
        scores = rescored(peaks, unit(cls), self._neighbours(len(samples)))
        self._found = Surveyed(samples, patches, scores)

    def levels(self, tested: Callable[[], Iterator[Features]], count: int) -> Tensor:
        """The scores of the patches of all `count` pictures by each layer and then each side: (K R, N, P)."""
        method, found = self.method, []
        tokens, room = self._tokens(tested, count)
        for tap in self.taps:
            for side in method.sides:

                def pictures(tap: Part = tap, side: int = side) -> Iterator[Tensor]:
                    return (each for batch in tokens() for each in normed_patches(batch[tap], side, self.frame.grid))

                distances = mutual_distances(pictures, count, room=room, same_place=method.match == "same-place")
                found.append(lowest_means(distances, *method.interval))
        return torch.stack(found)

    def _tokens(
        self, tested: Callable[[], Iterator[Features]], count: int
    ) -> tuple[Callable[[], Iterator[_Batch]], int]:
        """The tokens of all taps, batch by batch, as often as they are asked for, and the bytes that are left for more.

        They are read once if they fit into half of the room; else each time.
        """
        room = int(self.method.room * 2**30)
        size = 4 * count * self.frame.grid.area * self.width * len(self.taps)
        if 2 * size > room:
            return lambda: ({tap: features[tap] for tap in self.taps} for features in tested()), room
        held = [{tap: features[tap].clone() for tap in self.taps} for features in tested()]
        return lambda: iter(held), room - size

    def _check(self, count: int) -> None:
        """Raise NotApplicable for more pictures than there is room for, or fewer than `k`."""
        method = self.method
        if method.k is not None and max(method.k) > count:
            raise NotApplicable(f"k={_typed(method.k)} of {count} pictures; wanted at most as many as are tested")
        needed = 4 * count**2 * self.frame.grid.area
        if needed > method.room * 2**30:
            raise NotApplicable(
                f"the distances between {count} pictures take {size(needed)}, more than room={method.room:g} GB: "
                "add room, or test fewer at a time"
            )

    def _neighbours(self, count: int) -> tuple[int, ...]:
        return tuple(k for k in _NEIGHBOURS if k <= count) if self.method.k is None else self.method.k

    @torch.inference_mode()
    def predict(self, features: Features) -> Prediction:
        """Maps and scores of pictures that were surveyed. Raises NotApplicable for others."""
        patches, scores = self._found.of(features.samples)  # (B, P), (B,)
        return Prediction(scores, pixels(patches, self.frame))


def normed_patches(tokens: Tensor, side: int, grid: Size) -> Tensor:
    """Unit patches (B, P, C), standardised over each picture, as means of the `side` x `side` around them.

    MuSc's LNAMD: its layer norm, without weights, runs over all P C numbers of a picture.
    """
    return unit(local_means(F.layer_norm(tokens, tokens.shape[1:]), side, grid))


def rescored(peaks: Tensor, tokens: Tensor, neighbours: Sequence[int]) -> Tensor:
    """Image scores (N,) from map maxima and unit class tokens (N, D), for some numbers of neighbours; (0,) for none.

    MuSc's RsCIN: the min-maxed maxima as means over the nearest pictures, and over those numbers.
    """
    if tuple(neighbours) == (0,):
        return peaks
    scaled = min_max(peaks)
    return torch.stack([neighbour_means(scaled, tokens, each) for each in neighbours]).mean(0)


def _typed(numbers: Sequence[float]) -> str:
    return "+".join(map(str, numbers))
