"""Graphs of all methods against the live ones, and the page that says which there are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from blake3 import blake3
from PIL import Image

from stackclip.clip import random_tower
from stackclip.contracts.methods import _learned as learn
from stackclip.contracts.methods import begun, inspector, needs_in_all
from stackclip.contracts.trial import CATEGORIES, UNSEEN, features_of, picture_of, task_of, trial_tower
from stackclip.errors import NotApplicable, StackclipError, UsageError
from stackclip.methods import Detector, Inspector, resolve
from stackclip.ops.given import least_shots_of
from stackclip.registry import methods
from stackclip.types import CLS, MASK, Features, Prediction

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'stackclip[onnx]'")
pytest.importorskip("onnxscript", reason="needs the extra: pip install 'stackclip[onnx]'")

from stackclip.export import Deployed, GraphOptions, export_onnx, exporting, parity  # noqa: E402 - after the skip

PAGE = Path(__file__).resolve().parents[2] / "docs" / "onnx.md"
TABLE = dict(re.findall(r"^\| `([\w-]+)` \| (yes|no) \|", PAGE.read_text("utf-8"), re.MULTILINE))
VARIANTS = (
    "stacked",
    "sdp[image_score=inductive]",
    "winclip[shots=2]",
    "april-gan[shots=2]",
    "anomaly-dino[mask=none]",
    "clip-lad[scores=structural]",
    "mrad[mode=clip]",
    "patchcore-clip[join=concat,neighbours=3]",
)
WORDS = UNSEEN[0]


def drawn(count: int, *, seed: int = 0, side: int | None = None) -> list[Image.Image]:
    """Noise pictures of several sizes, or all of one."""
    draws = np.random.default_rng(seed)
    sizes = [(side, side) if side else tuple(draws.integers(24, 90, 2)) for _ in range(count)]
    return [Image.fromarray(draws.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


def learned(name: str) -> Inspector:
    """A method for one category, having learned a little: what `on` gives."""
    method = resolve(name)
    shots = getattr(method, "shots", None) or 2 * bool(least_shots_of(method.begin(task_of(epochs=0))))
    detector = begun(method, shots=shots)
    batch = features_of(needs_in_all(method), CATEGORIES)
    learn(detector, batch, steps=2)
    shown = (picture_of(batch, 0), picture_of(batch, 2)) if shots else ()
    return inspector(detector, WORDS, *shown, spare=batch)


def deployed(name: str, made: Inspector | None = None) -> Deployed:
    tower = trial_tower()
    parts = resolve(name).needs(tower.spec, "test") - {MASK}
    return Deployed(tower=tower, inspector=made or learned(name), parts=parts, method=name, words=WORDS)


def outputs(path: Path, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """What onnxruntime says of a batch, by name."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pictures": pictures}), strict=True))


def test_the_page_names_every_method() -> None:
    assert sorted(TABLE) == sorted(methods.names())


@pytest.mark.parametrize("name", [*sorted(TABLE), *VARIANTS])
def test_a_graph_says_what_the_live_detector_says_or_why_there_is_none(name: str, tmp_path: Path) -> None:
    one = deployed(name)
    if TABLE.get(name) == "no":
        with pytest.raises(NotApplicable, match=re.escape(f"{name} is not exported: it ") + r"|mask=tested"):
            export_onnx(one, tmp_path / "graph.onnx", drawn(1))
        assert not list(tmp_path.iterdir())
        return
    export_onnx(one, tmp_path / "graph.onnx", drawn(2))
    tower, sample = one.tower, features_of(frozenset({CLS}), (WORDS,)).samples[0]
    for count in (1, 3, 8):
        batch = np.stack([tower.prepare(each) for each in drawn(count, seed=count)])
        parts = tower.encode(torch.from_numpy(batch), sorted(one.parts))
        said = [
            one.inspector.predict(Features((sample,), {part: each[row : row + 1] for part, each in parts.items()}))
            for row in range(count)
        ]
        found = outputs(tmp_path / "graph.onnx", batch)
        for key in ("scores", "maps"):
            live = [getattr(each, key) for each in said]
            assert (key in found) == (live[0] is not None)
            if key in found:
                wanted = torch.cat(live).float().numpy()
                np.testing.assert_allclose(found[key], wanted, atol=1e-4 * max(1, np.abs(wanted).max()), rtol=0)
        if "maps" in found:
            np.testing.assert_array_equal(found["peaks"], found["maps"].max((1, 2)))


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_pictures_of_any_size_are_prepared_inside(layout: Any, tmp_path: Path) -> None:
    one, options = deployed("clip"), GraphOptions(preparation=layout)
    exported = export_onnx(one, tmp_path / "graph.onnx", drawn(12), options)
    for size in ((60, 80), (32, 32), (20, 45)):
        levels = np.random.default_rng(3).integers(0, 256, (2, *size, 3), dtype=np.uint8)
        prepared = np.stack([one.tower.prepare(Image.fromarray(each)) for each in levels])
        wanted = one.predict(torch.from_numpy(prepared)).scores
        assert wanted is not None
        found = outputs(exported.path, levels if layout == "nhwc" else levels.transpose(0, 3, 1, 2))
        np.testing.assert_allclose(found["scores"], wanted.numpy(), atol=1e-4 if size == (32, 32) else 2e-2)
    assert exported.facts["preprocessing"]["inside"]
    assert 0 < exported.parity.prepared["scores"] < 0.1
    assert any("resizes by itself" in note for note in exported.notes)


def test_the_json_says_what_a_user_must_know(tmp_path: Path) -> None:
    exported = export_onnx(deployed("sdp"), tmp_path / "plate.onnx", drawn(12), GraphOptions(threshold=0.25))
    said = json.loads((tmp_path / "plate.onnx.json").read_text("utf-8"))
    assert said == exported.facts
    data = exported.path.read_bytes()
    assert said["files"] == {"plate.onnx": {"bytes": len(data), "blake3": blake3(data).hexdigest()}}
    assert (said["method"], said["object"], said["threshold"]) == ("sdp", WORDS, 0.25)
    assert said["tower"]["weights"] == trial_tower().fingerprint["weights"]
    assert said["inputs"]["pictures"]["shape"] == ["batch", 3, 32, 32]
    assert said["outputs"]["maps"]["shape"] == ["batch", 32, 32]
    assert said["preprocessing"]["mean"] == pytest.approx([0.48145466, 0.4578275, 0.40821073])
    assert not said["preprocessing"]["inside"]
    assert said["parity"]["batches"] == [1, 3, 8]
    assert max(said["parity"]["live"].values()) < 1e-4 < said["parity"]["stored"]["scores"] < 1e-2
    assert not said["scores_are_final"]
    assert "scaled alike" in exported.notes[0]


def test_a_score_of_a_picture_alone_is_final_and_no_threshold_is_null(tmp_path: Path) -> None:
    exported = export_onnx(deployed("clip"), tmp_path / "plate.onnx", drawn(1))
    assert (exported.facts["scores_are_final"], exported.facts["threshold"], exported.notes) == (True, None, ())


def test_weights_that_are_too_large_for_one_file_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, pictures = deployed("clip"), drawn(3)
    whole = export_onnx(one, tmp_path / "whole.onnx", pictures)
    monkeypatch.setattr(exporting, "LARGEST", 0)
    apart = export_onnx(one, tmp_path / "apart.onnx", pictures)
    assert {*apart.facts["files"]} == {"apart.onnx", "apart.onnx.data"}
    assert apart.path.stat().st_size < whole.path.stat().st_size / 2
    batch = np.stack([one.tower.prepare(each) for each in pictures])
    np.testing.assert_array_equal(outputs(apart.path, batch)["scores"], outputs(whole.path, batch)["scores"])


def test_a_graph_that_is_too_far_off_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "_run", _off(parity._run))
    with pytest.raises(
        StackclipError, match=r"plate\.onnx: not written: 2 pictures .* differ by at most scores 2\.0e-04"
    ):
        export_onnx(deployed("clip"), tmp_path / "plate.onnx", drawn(2))
    assert not list(tmp_path.iterdir())


def _off(run: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: {name: each + np.float32(2e-4) for name, each in run(*given).items()}


class Looking(Detector):
    """A method of someone else's whose score hangs on a picture's value."""

    def predict(self, features: Features) -> Prediction:
        values = features[CLS].sum(1)
        if float(values[0]) > 0:
            return Prediction(values, None, why_no_maps="none")
        return Prediction(-values, None, why_no_maps="none")


class Silent(Detector):
    """A method that says nothing."""

    def predict(self, features: Features) -> Prediction:
        return Prediction(None, None, "no scores", "no maps")


def test_a_method_that_looks_at_values_is_told_the_line(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match=r"test_exporting\.py:\d+, if float\(values\[0\]\) > 0:") as caught:
        export_onnx(deployed("clip", Looking()), tmp_path / "graph.onnx", drawn(1))
    assert "\n" not in str(caught.value)
    with pytest.raises(NotApplicable, match="it gives neither scores nor maps"):
        export_onnx(deployed("clip", Silent()), tmp_path / "graph.onnx", drawn(1))
    assert not list(tmp_path.iterdir())


def test_wrong_words_are_told_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = deployed("clip")
    (tmp_path / "folder.onnx").mkdir()
    for place in ("graph", "graph.pt", "folder.onnx"):
        with pytest.raises(UsageError, match=r"wanted a file that ends in \.onnx"):
            export_onnx(one, tmp_path / place, drawn(1))
    with pytest.raises(UsageError, match="none were given"):
        export_onnx(one, tmp_path / "graph.onnx", [])
    with pytest.raises(UsageError, match="finite"):
        GraphOptions(threshold=float("nan"))
    with pytest.raises(UsageError, match="wanted nhwc or nchw"):
        GraphOptions(preparation="hwc")  # type: ignore[arg-type]  # the point
    half = Deployed(
        tower=random_tower(image_size=32, precision="bf16"),
        inspector=one.inspector,
        parts=one.parts,
        method="clip",
        words=WORDS,
    )
    with pytest.raises(UsageError, match="found cpu in bf16"):
        export_onnx(half, tmp_path / "graph.onnx", drawn(1))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'stackclip\[onnx\]'"):
        export_onnx(one, tmp_path / "graph.onnx", drawn(1))


def test_exporting_leaves_the_live_detector_as_it_was(tmp_path: Path) -> None:
    one, pictures = deployed("aa-clip"), torch.from_numpy(np.stack([trial_tower().prepare(each) for each in drawn(3)]))
    before = one.predict(pictures)
    export_onnx(one, tmp_path / "graph.onnx", drawn(3))
    after = one.predict(pictures)
    assert before.maps is not None
    assert torch.equal(before.maps, after.maps)  # type: ignore[arg-type]  # there as before
    assert isinstance(one.inspector.lowest, float)  # type: ignore[attr-defined]  # aa-clip's own, which `settle` reads
