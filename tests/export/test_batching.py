"""The loop over pictures and the preparation inside a graph, against Pillow, on a graph that gives what it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from stackclip.clip.transform import ImageTransform

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'stackclip[onnx]'")
onnx = pytest.importorskip("onnx", reason="needs the extra: pip install 'stackclip[onnx]'")

from stackclip.export.batching import over_batch  # noqa: E402 - after the skip


def session(transform: ImageTransform, layout: Any) -> Any:
    """A graph whose one output are the prepared pixels, run by onnxruntime."""
    from onnx import TensorProto, helper

    shape = [3, transform.size, transform.size]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("pixels", "given_of_one")]
    graph = helper.make_graph([helper.make_node("Identity", ["pixels"], ["given_of_one"])], "one", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    whole = over_batch(model, transform, layout)
    onnx.checker.check_model(whole, full_check=True)
    return onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("count", [1, 3, 8])
def test_every_picture_of_a_batch_passes_alone(count: int) -> None:
    pictures = np.random.default_rng(count).standard_normal((count, 3, 16, 16), np.float32)
    [given] = session(ImageTransform(16), None).run(None, {"pictures": pictures})
    np.testing.assert_array_equal(given, pictures)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(48, 48), (75, 130), (20, 31), (48, 100)])
def test_pictures_are_resized_and_normalised_as_pillow_does(size: Any, interpolation: Any, layout: Any) -> None:
    transform = ImageTransform(48, interpolation=interpolation)
    levels = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    given = levels if layout == "nhwc" else levels.transpose(0, 3, 1, 2)
    [found] = session(transform, layout).run(None, {"pictures": given})
    wanted = np.stack([transform(Image.fromarray(each)) for each in levels])
    steps = np.abs(found - wanted) * np.array(transform.std)[:, None, None] * 255
    assert steps.max() < (1e-3 if size == (48, 48) else 1.001)  # in levels of 8 bits
    assert (steps > 0.5).mean() < 0.05
