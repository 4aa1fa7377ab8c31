"""A detector as an ONNX graph in onnxruntime, against the live one in torch: from prepared pixels to scores and maps.

Run: pytest benchmarks/perf/test_onnx.py --benchmark-only -s
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stackclip.clip import Tower, assemble_tower, flush_denormals, load_tower
from stackclip.clip.doubles import random_weights
from stackclip.clip.text import TextEncoder
from stackclip.export import Deployed, export_onnx
from stackclip.methods import Task, resolve
from stackclip.training.text import TaskEncode
from stackclip.types import MASK

onnxruntime = pytest.importorskip("onnxruntime")
CONFIG = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "head_width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 4},
}
WORDS = "metal plate"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch on one thread; onnxruntime is told the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    flush_denormals()
    yield
    torch.set_num_threads(threads)


def deployed_of(tower: Tower, method: str) -> Deployed:
    """A method that learned nothing, which takes as long as one that did."""
    made = resolve(method)
    task = Task(
        tower=tower.spec,
        encode=TaskEncode(TextEncoder(tower), lambda _: torch.zeros(tower.spec.joint)),
        categories=("bottle", "cable"),
        train_on=("random",),
        seed=0,
        device=tower.device,
        epochs=0,
        text=tower.text,
        image=tower.image,
        pictures=2,
    )
    inspector = made.begin(task).on(WORDS, iter(()), iter(()))
    parts = made.needs(tower.spec, "test") - {MASK}
    return Deployed(tower=tower, inspector=inspector, parts=parts, method=method, words=WORDS)


TINY, BASE = "stackclip-tiny", "ViT-B/16"


@pytest.mark.parametrize(
    ("method", "backbone"),
    [("sdp", TINY), ("april-gan", TINY), ("winclip", TINY), ("sdp", BASE), ("april-gan", BASE)],
)
def test_a_graph_against_the_live_detector(
    method: str, backbone: str, one_thread: None, tmp_path: Path, race: Any, figure: Any
) -> None:
    if backbone == TINY:
        tower = load_tower(backbone, device="cpu")
    else:
        tower = assemble_tower(CONFIG, random_weights(CONFIG, seed=0), name="ViT-B-16-random", device="cpu")
    deployed, draws = deployed_of(tower, method), np.random.default_rng(0)
    levels = draws.integers(0, 256, (3, 300, 400, 3), dtype=np.uint8)
    pictures = [Image.fromarray(each) for each in levels]
    exported = export_onnx(deployed, tmp_path / "graph.onnx", pictures)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(exported.path), options, providers=["CPUExecutionProvider"])
    batch = np.stack([tower.prepare(each) for each in pictures])
    tensor = torch.from_numpy(batch)

    def live() -> Any:
        with torch.inference_mode():
            return deployed.predict(tensor)

    outcome = race(lambda: session.run(None, {"pictures": batch}), live, rounds=9)
    note = f"{len(batch)} pictures, {1000 * outcome.ours / len(batch):.3g} ms each, 1 thread"
    what = f"{method}, {backbone} at {tower.spec.image_size}"
    figure(f"as an ONNX graph, {what}: as fast as the live detector", outcome.ratio, unit="x", note=note)
    worst = max(exported.parity.live.values())
    figure(f"as an ONNX graph, {what}: largest difference", worst, goal="<= 1e-4", unit="", note="scores and maps")
