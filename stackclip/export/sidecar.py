"""How a graph is made, and what the JSON beside it says: all that a user of it must know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from stackclip.errors import UsageError
from stackclip.export.batching import INPUT, Layout
from stackclip.export.deployed import Deployed
from stackclip.export.parity import Parity
from stackclip.export.tracing import OPSET
from stackclip.ops.files import file_hash
from stackclip.version import VERSION

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["PLAIN_GRAPH", "GraphOptions", "sidecar_facts"]

_FORMAT = 1

_INPUTS = {
    None: "RGB pictures that are prepared as `preprocessing` says, channels first",
    "nhwc": "RGB pictures of any one size, 8 bits, channels last",
    "nchw": "RGB pictures of any one size, 8 bits, channels first",
}
_OUTPUTS = {
    "scores": "how anomalous each picture is; higher is more, no range is promised",
    "maps": "how anomalous each pixel of the prepared picture is",
    "peaks": "the largest value of each map",
}
_COMPONENT = "a score that `scores` is made of"
_NOT_FINAL = (
    "the scores are those of pictures alone: a bench, and inspect, scale them over all tested pictures and add the "
    "peaks of the maps, scaled alike, which a graph cannot do"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphOptions:
    """How a graph is made: `preparation` puts resizing and normalising into it, of pictures laid out so.

    `threshold` is kept beside the graph for who compares scores with it; nothing in the graph depends on it.
    """

    preparation: Layout | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for a layout that there is not, and for a threshold that is no number."""
        if self.preparation not in (None, *get_args(Layout)):
            raise UsageError(f"preparation={self.preparation!r}; wanted {' or '.join(get_args(Layout))}, or None")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise UsageError(f"a threshold of {self.threshold}; wanted a finite number")


PLAIN_GRAPH = GraphOptions()


def sidecar_facts(
    deployed: Deployed, model: ModelProto, files: Sequence[Path], options: GraphOptions, parity: Parity
) -> dict[str, Any]:
    """What the JSON says of a graph in some files."""
    tower, final = deployed.tower, deployed.is_settled()
    inside = {"inside": options.preparation is not None, "colours": "RGB", "values": "(level / 255 - mean) / std"}
    return {
        "format": _FORMAT,
        "stackclip": VERSION,
        "files": {each.name: {"bytes": each.stat().st_size, "blake3": file_hash(each)} for each in files},
        "opset": OPSET,
        "inputs": {INPUT: _described(model.graph.input[0], _INPUTS[options.preparation])},
        "outputs": {each.name: _described(each, _OUTPUTS.get(each.name, _COMPONENT)) for each in model.graph.output},
        "preprocessing": {**inside, **tower.transform.facts},
        "tower": {**tower.fingerprint, "note": tower.spec.note},
        "method": deployed.method,
        "object": deployed.words,
        "scores_are_final": final,
        **({} if final else {"scores_note": _NOT_FINAL}),
        "threshold": options.threshold,
        "parity": parity.facts,
        **deployed.facts,
    }


def _described(value: Any, words: str) -> dict[str, Any]:
    """The shape and kind of an input or output; an axis of any length has a name."""
    from onnx import helper

    tensor = value.type.tensor_type
    shape = [each.dim_param or each.dim_value for each in tensor.shape.dim]
    return {"shape": shape, "dtype": helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, "what": words}
