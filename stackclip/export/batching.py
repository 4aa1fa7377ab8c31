"""The model of one picture as one of any number of them, with the preparation of pictures in it if asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from stackclip.clip.transform import ImageTransform
from stackclip.export.tracing import OF_ONE, OPSET, PIXELS
from stackclip.sizes import size_of

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

__all__ = ["INPUT", "Layout", "over_batch"]

Layout = Literal["nhwc", "nchw"]
INPUT = "pictures"  # the input of the whole
_FILTERS = {"bicubic": "cubic", "bilinear": "linear"}
_CUBIC = -0.5  # Pillow's coefficient


def over_batch(model: ModelProto, transform: ImageTransform, layout: Layout | None) -> ModelProto:
    """A model that runs that of one picture on each of `pictures` and stacks what it gives.

    `pictures` are prepared ones, (B, 3) and the tower's size, float32; with a `layout` RGB ones of any size as they are
    read, uint8, (B, H, W, 3) or (B, 3, H, W), which are resized and normalised inside. Weights stand once, outside the
    loop.
    """
    from onnx import TensorProto, helper

    inner, results = model.graph, [_stacked(each) for each in model.graph.output]
    size, kind = size_of(transform.size), TensorProto.FLOAT if layout is None else TensorProto.UINT8
    shapes: dict[Layout | None, list[Any]] = {
        None: [3, *size],
        "nhwc": ["height", "width", 3],
        "nchw": [3, "height", "width"],
    }
    shape = shapes[layout]
    body = helper.make_graph(
        [*([] if layout is None else _preparation(transform, layout)), *inner.node],
        "one_picture",
        [helper.make_tensor_value_info(PIXELS if layout is None else "picture", kind, shape)],
        list(inner.output),
        value_info=list(inner.value_info),
    )
    scan = helper.make_node(
        "Scan", [INPUT], [each.name for each in results], name="each_picture", body=body, num_scan_inputs=1
    )
    outer = helper.make_graph(
        [scan],
        "stackclip",
        [helper.make_tensor_value_info(INPUT, kind, ["batch", *shape])],
        results,
        initializer=[*inner.initializer, *([] if layout is None else _constants(transform))],
    )
    opsets = [helper.make_opsetid("", OPSET), *(each for each in model.opset_import if each.domain)]
    return helper.make_model(outer, opset_imports=opsets, functions=list(model.functions), ir_version=model.ir_version)


def _stacked(output: ValueInfoProto) -> ValueInfoProto:
    """The same output with the axis of pictures in front, under a name of its own."""
    from onnx import helper

    tensor = output.type.tensor_type
    sides = [each.dim_value for each in tensor.shape.dim]
    return helper.make_tensor_value_info(output.name.removesuffix(OF_ONE), tensor.elem_type, ["batch", *sides])


def _preparation(transform: ImageTransform, layout: Layout) -> list[Any]:
    """From `picture` to `pixels` as `ImageTransform` does: squashed in 8 bits, then normalised.

    Of 8 bits Resize makes 8 bits, which it rounds between its passes as Pillow does.
    """
    from onnx import TensorProto, helper

    channels_first = {"perm": [2, 0, 1] if layout == "nhwc" else [0, 1, 2]}
    resize = {"mode": _FILTERS[transform.interpolation], "antialias": 1, "cubic_coeff_a": _CUBIC, "exclude_outside": 1}
    return [
        helper.make_node("Transpose", ["picture"], ["prepare_planes"], **channels_first),
        helper.make_node("Unsqueeze", ["prepare_planes", "prepare_first"], ["prepare_batch"]),
        helper.make_node("Resize", ["prepare_batch", "", "", "prepare_sizes"], ["prepare_square"], **resize),
        helper.make_node("Squeeze", ["prepare_square", "prepare_first"], ["prepare_levels"]),
        helper.make_node("Cast", ["prepare_levels"], ["prepare_real"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["prepare_real", "prepare_white"], ["prepare_share"]),
        helper.make_node("Sub", ["prepare_share", "prepare_mean"], ["prepare_centred"]),
        helper.make_node("Div", ["prepare_centred", "prepare_std"], [PIXELS]),
    ]


def _constants(transform: ImageTransform) -> list[Any]:
    """What the nodes of the preparation read."""
    from onnx import numpy_helper

    mean, std = (np.asarray(each, np.float32)[:, None, None] for each in (transform.mean, transform.std))
    arrays = {
        "prepare_first": np.array([0]),
        "prepare_sizes": np.array([1, 3, *size_of(transform.size)]),
        "prepare_white": np.float32(255),
        "prepare_mean": mean,
        "prepare_std": std,
    }
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
