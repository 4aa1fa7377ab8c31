"""The path of one picture through tower and method, as a model of ONNX."""

from __future__ import annotations

import io
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from stackclip.clip.device import plain_attention
from stackclip.clip.sight import Route
from stackclip.errors import NotApplicable, UsageError
from stackclip.export.deployed import Deployed, picture_of_object
from stackclip.types import PICTURE, Features, Prediction

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["OF_ONE", "OPSET", "PIXELS", "named", "require_onnx", "traced"]

OPSET = 18  # the first whose Resize has antialiasing
PIXELS = "pixels"
OF_ONE = "_of_one"  # what the names of one picture's outputs end in
_NEEDED = ("onnx", "onnxruntime", "onnxscript")


def require_onnx() -> None:
    """Raise UsageError where one of the packages is not installed."""
    from importlib.util import find_spec

    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise UsageError(f"{', '.join(missing)} not installed: pip install 'stackclip[onnx]'")


def named(prediction: Prediction) -> dict[str, Tensor]:
    """What a graph gives of pictures by name, float32: scores (B,), maps (B, H, W), peaks (B,) and components (B,)."""
    found: dict[str, Tensor] = {}
    if prediction.scores is not None:
        found["scores"] = prediction.scores
    if prediction.maps is not None:
        found["maps"] = prediction.maps
        found["peaks"] = prediction.maps.amax((1, 2))
    found |= {f"component_{name}": each for name, each in prediction.components.items()}
    return {name: each.float() for name, each in found.items()}


class OnePicture(nn.Module):
    """Prepared pixels (3, H, W) to what a detector says of that one picture, without the axis of pictures."""

    def __init__(self, deployed: Deployed) -> None:
        super().__init__()
        self.visual = deployed.tower.model.visual
        self.parts = deployed.parts
        self.sample = picture_of_object(deployed.words)
        self.route = Route(deployed.tower.spec, sorted(deployed.parts - {PICTURE}))
        self._whole = (deployed.inspector,)  # its tensors are constants of the graph, not parameters of this module

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The values of `named`, each of one picture."""
        picture = pixels[None]
        found = self.route.run(self.visual, picture)
        if PICTURE in self.parts:
            found[PICTURE] = picture
        said = named(self._whole[0].predict(Features((self.sample,), found)))
        return tuple(each[0] for each in said.values())


def traced(deployed: Deployed) -> ModelProto:
    """The model of one picture: `pixels` (3, H, W) float32 to the values of `named`, whose names end in `OF_ONE`.

    Raises NotApplicable for a method that is no arithmetic with tensors, with the line where it is not.
    """
    pixels = torch.zeros(3, *deployed.tower.spec.frame.size)
    module = OnePicture(deployed).eval()
    with torch.no_grad(), plain_attention():
        names = list(named(deployed.predict(pixels[None])))  # what is made once is made now: constants of the graph
        if not names:
            raise NotApplicable(f"{deployed.method} is not exported: it gives neither scores nor maps")
        with _quiet(), _in_one_line(deployed.method):
            program = torch.export.export(module, (pixels,), strict=False)
            return _model(program, names)


def _model(program: Any, names: list[str]) -> ModelProto:
    made = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        input_names=[PIXELS],
        output_names=[f"{name}{OF_ONE}" for name in names],
        verbose=False,
    )
    if made is None:
        raise RuntimeError("torch.onnx gave no program")
    return made.model_proto


@contextmanager
def _in_one_line(method: str) -> Iterator[None]:
    """Any error of the tracer, which may take pages, as a line that says where in the method it was raised."""
    try:
        yield
    except Exception as error:
        frames = [each for each in traceback.extract_tb(error.__traceback__) if _is_ours(each.filename)]
        where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}, {frames[-1].line}" if frames else ""
        what = str(error).strip().partition("\n")[0] or type(error).__name__
        raise NotApplicable(f"{method} is not exported: no graph can be made of it{where} ({what})") from error


def _is_ours(file: str) -> bool:
    """Whether a file is neither torch's, ONNX's, nor this one."""
    parts = Path(file).parts
    return not ({"torch", *_NEEDED, "contextlib.py"} & {*parts}) and file != __file__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters print and warn of: what matters of it is in the error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
