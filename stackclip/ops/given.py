"""What components give back, checked before it is computed with: BrokenPlugin says what came and what was wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stackclip.errors import BrokenPlugin
from stackclip.sizes import Side, size_of
from stackclip.types import Part, Prediction

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "check_detector",
    "epochs_of",
    "explained",
    "final_scores",
    "least_shots_of",
    "prediction_of",
    "stacks_of",
    "stages_of",
    "subject_of",
    "vector_of",
    "why_no_name",
]

_SHOWN = 60


def why_no_name(name: object) -> str:
    """Why something cannot stand in a prompt as what a category is called; empty where it can."""
    if not isinstance(name, str):
        return "which is no text"
    if not name.strip():
        return "which is empty"
    if set(name) & set("{}\n\r\0"):
        return "which has braces or line breaks"
    return "" if name.isascii() or _encodes(name) else "which is no Unicode text"


def subject_of(category: str, name: object) -> str:
    """What a strategy calls a category under a stack."""
    if why := why_no_name(name):
        raise BrokenPlugin(f"its subject() calls {category!r} {_short(name)}, {why}")
    return str(name)


def stacks_of(groups: object, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The stacks of a strategy: every name in exactly one, and none empty."""
    wanted = f"wanted each of {', '.join(names)} once, and none empty"
    if isinstance(groups, str) or not hasattr(groups, "__iter__"):
        raise BrokenPlugin(f"its stacks() gave {_short(groups)}; wanted tuples of names")
    stacks = []
    for group in groups:
        if isinstance(group, str) or not hasattr(group, "__iter__"):
            raise BrokenPlugin(f"its stacks() gave {_short(group)} as a stack; wanted a tuple of names")
        stack = tuple(group)
        if other := next((each for each in stack if not isinstance(each, str)), None):
            raise BrokenPlugin(f"its stacks() gave {_short(other)} as a name; {wanted}")
        stacks.append(stack)
    complete = sorted(name for stack in stacks for name in stack) == sorted(names)
    if names and not (complete and all(stacks)):
        said = "; ".join(", ".join(stack) or "nothing" for stack in stacks)
        raise BrokenPlugin(f"its stacks hold {said}; {wanted}")
    return tuple(stacks)


def explained(facts: object) -> dict[str, Any]:
    """What a strategy explains of its stacks, by name."""
    if not isinstance(facts, Mapping) or not all(isinstance(name, str) for name in facts):
        raise BrokenPlugin(f"its explain() gave {_short(facts)}; wanted facts by name")
    return dict(facts)


def epochs_of(epochs: object) -> int:
    """How many passes over the training pictures a detector or a strategy wants."""
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 0:
        raise BrokenPlugin(f"its epochs are {_short(epochs)}; wanted a whole number from 0")
    return epochs


def stages_of(stages: object) -> int:
    """How many passes over the training pictures the stages of a detector are together."""
    if not isinstance(stages, tuple | list):
        raise BrokenPlugin(f"its stages are {_short(stages)}; wanted a tuple of stages")
    for stage in stages:
        if not all(hasattr(stage, name) for name in ("name", "epochs", "batch", "parts", "views")):
            raise BrokenPlugin(f"its stages hold {_short(stage)}; wanted Stage(name, epochs, batch)")
        if isinstance(stage.batch, bool) or not isinstance(stage.batch, int) or stage.batch < 1:
            raise BrokenPlugin(f"its stage {stage.name} has batches of {_short(stage.batch)}; wanted a number from 1")
        if not _are_parts(stage.parts):
            raise BrokenPlugin(f"its stage {stage.name} reads {_short(stage.parts)}; wanted a set of parts, or None")
    return sum(epochs_of(stage.epochs) for stage in stages)


def _are_parts(parts: object) -> bool:
    """Whether these are parts of a stage; None are those of the method."""
    return parts is None or (isinstance(parts, set | frozenset) and all(isinstance(each, Part) for each in parts))


def check_detector(detector: Any) -> None:
    """Raise BrokenPlugin for what is no detector, or one of the first contract, which would stay untaught."""
    lacking = [name for name in ("stages", "facts", "takes_shots", "step", "on") if not hasattr(detector, name)]
    if lacking:
        found = f"its begin() gave {_short(detector)}, which lacks {', '.join(lacking)}"
        raise BrokenPlugin(f"{found}; wanted a subclass of stackclip.methods.Detector")
    if getattr(detector, "epochs", 0) and detector.stages == ():
        raise BrokenPlugin(
            "its detector has epochs and no stages; wanted stages, a tuple of Stage(name, epochs, batch)"
        )
    if hasattr(detector, "remember") and not detector.takes_shots:
        raise BrokenPlugin("its detector has remember() and no on(); wanted on(category, shots, normals)")


def least_shots_of(detector: object) -> int:
    """How many shots a detector cannot do without; none for one that does not say."""
    return int(getattr(detector, "least_shots", 0))


def vector_of(vector: object, features: Tensor) -> Tensor:
    """What a selector made of features (N, D): one vector (D,) of their kind, of length 1."""
    import torch

    wanted = f"wanted one vector of {features.shape[-1]} numbers, {features.dtype}, of length 1"
    if not isinstance(vector, torch.Tensor):
        raise BrokenPlugin(f"its selector gave {_short(vector)}; {wanted}")
    if vector.shape != features.shape[-1:] or vector.dtype != features.dtype:
        raise BrokenPlugin(f"its selector gave {vector.dtype} {tuple(vector.shape)}; {wanted}")
    length = float(vector.detach().float().norm())
    if not abs(length - 1) < 1e-2:
        raise BrokenPlugin(f"its selector gave a vector of length {length:.4g}; {wanted}")
    return vector


def prediction_of(prediction: object, count: int, side: Side | None) -> Prediction:
    """What predict() gave of a batch: real scores (count,) and maps (count, H, W), or in words why not.

    `side` is that of square maps, else their size; None where it is not known.
    """
    if not isinstance(prediction, Prediction):
        raise BrokenPlugin(f"its predict() gave {_short(prediction)}; wanted a Prediction")
    for reason in (prediction.why_no_scores, prediction.why_no_maps):
        if not isinstance(reason, str):
            raise BrokenPlugin(f"its predict() gave {_short(reason)} as a reason; wanted text")
    _check_components(prediction.components, count)
    _check_real("its predict() gave scores", prediction.scores)
    _check_real("its predict() gave maps", prediction.maps)
    scores, maps = prediction.scores, prediction.maps
    if scores is not None and tuple(scores.shape) != (count,):
        raise BrokenPlugin(f"scores of shape {tuple(scores.shape)} came for {count} pictures, wanted ({count},)")
    if maps is not None and (maps.ndim != 3 or len(maps) != count or (side and tuple(maps.shape[1:]) != size_of(side))):
        wanted = ", ".join(map(str, size_of(side))) if side else "H, W"  # the runs of a mask say nothing of its size
        raise BrokenPlugin(f"maps of shape {tuple(maps.shape)} came for {count} pictures, wanted ({count}, {wanted})")
    return prediction


def _check_components(components: object, count: int) -> None:
    """Raise BrokenPlugin for what is not one real and finite score (count,) a picture by the name of a component."""
    if not isinstance(components, Mapping) or not all(isinstance(name, str) and name for name in components):
        raise BrokenPlugin(f"its predict() gave {_short(components)} as components; wanted scores by name")
    for name, component in components.items():
        scores = _check_real(f"its predict() gave the component {name}", component)
        if scores is None or tuple(scores.shape) != (count,):
            found = "None" if scores is None else f"the shape {tuple(scores.shape)}"
            raise BrokenPlugin(f"its component {name} has {found} for {count} pictures; wanted ({count},)")
        if not scores.isfinite().all():
            raise BrokenPlugin(f"its component {name} has NaN or infinity")


def final_scores(settled: object, before: Tensor) -> Tensor:
    """What settle() made of a category's scores (N,): as many, real and finite, and no whole numbers made of others."""
    scores = _check_real("its settle() gave", settled)
    if scores is None:
        raise BrokenPlugin(f"its settle() gave None; wanted {len(before)} scores")
    if scores.shape != before.shape:
        raise BrokenPlugin(f"its settle() gave scores of shape {tuple(scores.shape)}; wanted ({len(before)},)")
    if before.is_floating_point() and not scores.is_floating_point():
        raise BrokenPlugin(f"its settle() gave {scores.dtype} of {before.dtype}; wanted real numbers")
    if not scores.isfinite().all():
        raise BrokenPlugin("its settle() gave NaN or infinity")
    return scores.detach().cpu()


def _check_real(what: str, tensor: object) -> Tensor | None:
    import torch

    if tensor is None:
        return None
    if not isinstance(tensor, torch.Tensor):
        raise BrokenPlugin(f"{what} {_short(tensor)}; wanted a tensor of real numbers")
    if tensor.is_complex() or tensor.dtype is torch.bool or tensor.layout is not torch.strided:
        kind = str(tensor.dtype if tensor.layout is torch.strided else tensor.layout).removeprefix("torch.")
        raise BrokenPlugin(f"{what} as {kind}; wanted real numbers")
    return tensor


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: object) -> str:
    """A value in a few words, whatever it is made of."""
    if value is None or isinstance(value, (str, bytes, int, float)):
        return f"{value!r:.{_SHOWN}}"
    return f"a {type(value).__name__}"
