"""What ways through the image tower see at each block, and the one pass that gives all parts that are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from stackclip.clip.attention import attend, attend_by_value, projected
from stackclip.clip.makes import Make, make_of
from stackclip.clip.tap import Tap
from stackclip.clip.walk import Step
from stackclip.errors import BrokenPlugin, UsageError
from stackclip.registry import Way, taps
from stackclip.types import Part, TowerSpec

__all__ = ["Route", "Sight"]


class Sight:
    """One block of the image tower as a picture passes it, and what several ways want of it, each made once.

    `before` and `after` are the tokens around it, (B, 1 + P, C), class token first. At block 0 they are those around
    ln_pre, and the others are not there. `make` reads them; of a tower without open blocks `patches` alone are there.
    """

    def __init__(self, make: Make, pictures: Tensor, step: Step) -> None:
        self.make, self.pictures, self._step = make, pictures, step
        self.layer, self.before = step.layer, step.before

    @property
    def after(self) -> Tensor:
        """The tokens behind the block, which runs when they are first asked for."""
        return self._step.after

    @property
    def patches(self) -> Tensor:
        """The patch tokens (B, P, C) behind the block."""
        return self.make.patches(self._step)

    @property
    def feature(self) -> Tensor:
        """The image feature (B, D), at the last block."""
        return self.make.feature(self._step)

    @property
    def pool_by_value(self) -> Tensor:
        """What the attention that pools gives of each patch (B, P, D) by values alone, at the last block."""
        return self.make.pool_by_value(self._step)

    @property
    def visual(self) -> Any:
        """open_clip's image tower."""
        return self.make.opened()

    @property
    def block(self) -> Any:
        """open_clip's block."""
        return self.visual.transformer.resblocks[self.layer - 1]

    @cached_property
    def attended(self) -> Tensor:
        """What the block's attention adds to the tokens before it."""
        queries, keys, values = projected(self.block, self.block.ln_1(self.before), "qkv")
        return attend(self.block, queries, keys, values)

    @cached_property
    def by_value(self) -> Tensor:
        """What it would add if its values were queries and keys as well: proj(softmax(V V^T / sqrt(d)) V)."""
        return attend_by_value(self.block, self.before)

    def project(self, tokens: Tensor) -> Tensor:
        """Tokens (..., C), each read as the image feature is: through ln_post and the projection in CLIP, (..., D)."""
        return self.make.alone(tokens)


@dataclass(frozen=True)
class _Lane:
    """The parts of one name that begin at the same block and share what is carried; `parts` by where they are read."""

    way: Way
    parts: dict[int, list[Part]]
    start: int

    @property
    def end(self) -> int:
        """The last of its blocks."""
        return max(self.parts)

    @property
    def carries(self) -> bool:
        """Whether anything is carried, between its blocks."""
        return type(self.way.tap).carry is not Tap.carry

    def carry(self, sight: Sight, carried: Any) -> Any:
        with self.way.guard(f"fails at block {sight.layer}"):
            return self.way.tap.carry(sight, carried)

    def read(self, sight: Sight, part: Part, carried: Any, shape: tuple[int, ...]) -> Tensor:
        with self.way.guard(f"cannot give {part}"):
            given: Tensor = self.way.tap.read(sight, part, carried)
            wanted = (len(sight.pictures), *shape)
            if not isinstance(given, Tensor) or given.shape != wanted:
                what = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
                raise BrokenPlugin(f"{self.way.component} gives {what} for {part}, wanted a tensor of shape {wanted}")
        return given


class Route:
    """Where the parts that are asked for begin and end on the one way through the blocks."""

    def __init__(self, spec: TowerSpec, parts: Iterable[Part]) -> None:
        """Plan one pass for these parts.

        Raises NotApplicable for a part that the tower does not have, BrokenPlugin for a way that cannot tell where it
        goes, UsageError for a part of a view.
        """
        self.shapes = {part: spec.shape(part) for part in parts}
        lanes: dict[tuple[str, int], _Lane] = {}
        for part in self.shapes:
            way = taps.way(part.kind)
            if way is None or part.view:
                raise UsageError(f"{part} cannot be read from prepared pictures: ask for it without its view")
            blocks = _blocks(way, spec, part)
            lane = lanes.setdefault((part.kind, blocks.start), _Lane(way, {}, blocks.start))
            lane.parts.setdefault(blocks[-1], []).append(part)
        self._last = max((lane.end for lane in lanes.values()), default=-1)
        self._at: dict[int, list[tuple[int, _Lane]]] = {}  # which lanes look at a block
        for number, lane in enumerate(lanes.values()):
            for layer in range(lane.start, lane.end + 1) if lane.carries else lane.parts:
                self._at.setdefault(layer, []).append((number, lane))

    def run(self, visual: Any, pictures: Tensor) -> dict[Part, Tensor]:
        """The parts of prepared pictures (B, 3, H, W); blocks behind the last one needed are not run.

        Raises NotApplicable for an image tower of another make.
        """
        found: dict[Part, Tensor] = {}
        carried: dict[int, Any] = {}
        make = make_of(visual)
        for step in make.steps(pictures, self._at) if self.shapes else ():
            if looking := self._at.get(step.layer):
                sight = Sight(make, pictures, step)
                for number, lane in looking:
                    if lane.carries:
                        carried[number] = lane.carry(sight, carried.pop(number, None))
                    for part in lane.parts.get(step.layer, ()):
                        found[part] = lane.read(sight, part, carried.get(number), self.shapes[part])
                    if step.layer == lane.end:
                        carried.pop(number, None)
            if step.layer == self._last:
                break
        return {part: found[part] for part in self.shapes}


def _blocks(way: Way, spec: TowerSpec, part: Part) -> range:
    if not isinstance(way.tap, Tap):
        raise BrokenPlugin(f"{way.component} cannot give {part}: wanted a stackclip.clip.Tap")
    with way.guard(f"cannot tell the blocks of {part}"):
        blocks = way.tap.blocks(spec, part)
        if not isinstance(blocks, range) or blocks.step != 1 or not 0 <= blocks.start < blocks.stop <= spec.depth + 1:
            raise BrokenPlugin(
                f"{way.component} names {blocks!r} as the blocks of {part}, wanted some of 0 to {spec.depth}"
            )
        return blocks
