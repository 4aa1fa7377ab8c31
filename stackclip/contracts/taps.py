"""What ways through the image tower promise."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch

from stackclip.clip import Tap
from stackclip.contracts.trial import (
    Promises,
    Subject,
    encoded,
    global_randomness_untouched,
    noisy_features,
    require,
    require_close,
    trial_tower,
)
from stackclip.registry import taps
from stackclip.types import GRID_POOL, Part

__all__ = ["TAPS"]

_INDICES = range(17)  # more than the trial tower has blocks, and than the sides of its grid
_NONE = 10**6  # an index that no tower has


def _parts(subject: Subject) -> tuple[Part, ...]:
    """All parts of the way that the trial tower has; of a numbered one, those of several numbers.

    None of a way that wants a ResNet's pool: the trial tower is a ViT.
    """
    if _wants_pool(subject):
        return ()
    tap, name = subject.make(), subject.component.name
    kinds = [f"{name}{number}" for number in (1, 2, 5, 7)] if tap.numbered else [name]
    asked = [Part(kind, index) for kind, index in product(kinds, _INDICES)]
    return tuple(part for part in asked if tap.shape(trial_tower().spec, part) is not None)


def _wants_pool(subject: Subject) -> bool:
    return GRID_POOL in subject.make().wants(Part(subject.component.name))


def _is_a_tap(subject: Subject) -> None:
    require(isinstance(subject.make(), Tap), f"it is a {type(subject.make()).__name__}, wanted a stackclip.clip.Tap")


def _leads_to_it(subject: Subject) -> None:
    tap, name = subject.make(), subject.component.name
    require(not (tap.numbered and name[-1].isdigit()), "it is numbered, and its name ends in a digit")
    way = taps.way(f"{name}1" if tap.numbered else name)
    found = way.component if way else "none"
    require(way is not None and way.component == subject.component, f"parts of that name are those of {found}")


def _says_its_source(subject: Subject) -> None:
    source = subject.make().source
    require(isinstance(source, str) and bool(source.strip()), "its `source` is empty: the paper, the code, or you")


def _refuses(subject: Subject) -> None:
    tap, name = subject.make(), subject.component.name
    require(
        bool(_parts(subject)) or _wants_pool(subject),
        "a tower of 8 blocks with 4 x 4 patches has none of its parts up to index 16",
    )
    shape = tap.shape(trial_tower().spec, Part(f"{name}2" if tap.numbered else name, _NONE))
    require(shape is None, f"for the index {_NONE} its shape is {shape!r}, wanted None")


def _gives_its_shapes(subject: Subject) -> None:
    pictures = noisy_features(2, [7])
    for part, tensor in encoded(pictures, set(_parts(subject))).items():
        wanted = (2, *trial_tower().spec.shape(part))
        require(tensor.shape == wanted, f"{part} has the shape {tuple(tensor.shape)}, wanted {wanted}")
        require(bool(tensor.isfinite().all()), f"{part} holds NaN or infinity")


def _given_again(subject: Subject) -> None:
    pictures, parts = noisy_features(3, [8]), _parts(subject)
    with global_randomness_untouched():
        together, again = encoded(pictures, set(parts)), encoded(pictures, set(parts))
    for part in parts:
        require_close(again[part], together[part], f"{part} asked for twice", 0.0)
        alone = encoded(pictures[1:2], {part})[part]
        require_close(alone, together[part][1:2], f"{part} alone and with others, in another batch", 0.0)


def _others(subject: Subject) -> Iterator[Part]:
    """Everything that can be spoilt: all tokens at every place of the tower, and what other ways share."""
    depth = trial_tower().spec.depth
    yield from (Part("hidden", layer) for layer in range(depth + 1))
    yield from (Part("vv-from6", depth), Part("patch-released", 1), Part("window", 2), Part("crop", 10))


def _spoils_nothing(subject: Subject) -> None:
    pictures, others = noisy_features(1, [9]), set(_others(subject))
    before, beside = encoded(pictures, others), encoded(pictures, others | set(_parts(subject)))
    for part in sorted(others):
        require(torch.equal(before[part], beside[part]), f"{part} is another when it is asked for too: it writes there")


TAPS: Promises = {
    "it is a tap, which says shapes and blocks and reads": _is_a_tap,
    "parts of its name are its own": _leads_to_it,
    "it says where it comes from": _says_its_source,
    "it has parts of a small tower, and none of an index that no tower has": _refuses,
    "its parts are finite and have the shapes that it declares": _gives_its_shapes,
    "a part is the same to the bit again, alone, with others and in any batch": _given_again,
    "asking for it changes no other part": _spoils_nothing,
}
