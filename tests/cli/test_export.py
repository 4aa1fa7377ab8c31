"""The verb `export-onnx`, as a person meets it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from stackclip.clip import random_tower

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'stackclip[onnx]'")

Run = Callable[..., Result]
TRAINING = "synthetic[categories=2,per_category=4,train_good=1,size=56]"
WORDS = ("--object", "metal plate", "--train-on", TRAINING, "--backbone", "random-vit-8", "--image-size", "56")


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        levels = np.random.default_rng(number).integers(0, 255, (60, 50, 3), dtype=np.uint8)
        Image.fromarray(levels).save(folder / f"{number}.png")
    return folder


def test_a_method_that_does_not_train_is_exported_without_encoding_anything(stackclip: Run, tmp_path: Path) -> None:
    graph, checked = tmp_path / "out" / "plate.onnx", pictures(tmp_path / "checked", 3)
    words = ("export-onnx", *WORDS, "--method", "clip", "-o", str(graph), "--check", str(checked), "--threshold", "0.5")
    ran = stackclip(tmp_path / "w", *words, "--with-preprocessing")
    assert ran.exit_code == 0, ran.output
    assert "encoded" not in ran.stderr
    assert ran.stdout.count("random-vit-8") + ran.stderr.count("numbers say nothing about CLIP") == 1
    assert "plate.onnx.json: 3 pictures through onnxruntime and through torch differ by at most scores" in ran.stdout
    said = json.loads((graph.parent / "plate.onnx.json").read_text())
    assert (said["threshold"], said["parity"]["pictures"], said["learned"]["train_on"]) == (0.5, 3, [])
    levels = np.stack([np.asarray(Image.open(each)) for each in sorted(checked.iterdir())])
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    assert session.run(["scores"], {"pictures": levels})[0].shape == (3,)
    assert sorted(each.name for each in graph.parent.iterdir()) == ["plate.onnx", "plate.onnx.json"]


def test_its_scores_are_those_that_predict_gives(stackclip: Run, tmp_path: Path) -> None:
    good, tested, graph = pictures(tmp_path / "good", 3), pictures(tmp_path / "tested", 2), tmp_path / "plate.onnx"
    method = ("patchcore-clip[shots=2]", "--good", str(good))
    ran = stackclip(
        tmp_path / "w", "export-onnx", *WORDS, "--check", str(tested), "-o", str(graph), "--method", *method
    )
    assert ran.exit_code == 0, ran.output
    predicted = ("predict", str(tested), *WORDS, "-o", str(tmp_path / "found"), "--methods", *method)
    assert stackclip(tmp_path / "w", *predicted).exit_code == 0
    [table] = (tmp_path / "found").glob("*/scores.csv")
    with table.open() as lines:
        wanted = {row["picture"]: float(row["score"]) for row in csv.DictReader(lines)}
    assert len(wanted) == 2
    tower = random_tower(image_size=56)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    for name, score in wanted.items():
        prepared = tower.prepare(Image.open(tested / Path(name).name))[None]
        [[found]] = session.run(["scores"], {"pictures": prepared})
        assert found == pytest.approx(score, rel=5e-3)  # of features in float16


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("--method", "adaclip", "-o", "plate.onnx"), 1, "adaclip is not exported: it clusters the patches"),
        (("--method", "musc", "-o", "plate.onnx"), 1, "musc is not exported: it scores the tested pictures"),
        (("--method", "sdp", "-o", "plate.pt"), 2, "plate.pt: wanted a file that ends in .onnx"),
        (("--method", "sdpp", "-o", "plate.onnx"), 2, "no method is named 'sdpp'"),
        (("--method", "patchcore-clip[shots=2]", "-o", "plate.onnx"), 2, "with --good"),
        (("--method", "sdp", "-o", "plate.onnx", "--threshold", "nan"), 2, "wanted a finite number"),
        (("--method", "sdp", "-o", "plate.onnx", "--precision", "bf16"), 2, "--device cpu --precision fp32"),
        (("--method", "sdp", "-o", "plate.onnx", "--object", " "), 2, "wanted what the pictures show"),
    ],
)
def test_what_cannot_be_exported_is_told_in_a_line(
    stackclip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = stackclip(tmp_path / "w", "export-onnx", *WORDS, *words)
    assert (ran.exit_code, line in ran.stderr) == (code, True), ran.output
    assert ran.stderr.count("Error") == 1
    assert not list(tmp_path.glob("plate*"))


def test_a_picture_that_cannot_be_read_is_named(stackclip: Run, tmp_path: Path) -> None:
    broken = pictures(tmp_path / "checked", 1)
    (broken / "1.png").write_bytes(b"no picture")
    words = ("--method", "sdp", "--check", str(broken), "-o", str(tmp_path / "plate.onnx"))
    ran = stackclip(tmp_path / "w", "export-onnx", *WORDS, *words)
    assert ran.exit_code == 3, ran.output
    assert "1.png" in ran.stderr
