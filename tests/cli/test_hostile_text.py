"""Names that would act on a terminal, forge a line or run in a spreadsheet: in no answer, message or file do they."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Run = Callable[..., Result]
ACTS = "\x1b[2J\x1b]0;t\x07\x9b31m\nERROR forged\r\u202egnp\u2066\x7f\u2028[red]*|<b>`größe 日本"
TRAINING = "synthetic[categories=2,per_category=2,train_good=2,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--epochs", "1")
PLUGIN = f"""
from stackclip.registry import prompts

@prompts.register("loud")
class Loud:
    __doc__ = {ACTS!r}
    def stacks(self, categories, encode): return (categories,)
    def subject(self, category, group, *, seen):
        if "ERROR" in category: raise ValueError({ACTS!r})
        return "part"
"""
RAW = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def picture(path: Path, value: int, box: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((56, 56), value, np.uint8)
    if box:
        pixels[10:20, 10:20] = 255
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    (root / "registry").mkdir()
    (root / "registry" / "loud.py").write_text(PLUGIN, "utf-8")
    return root


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in MVTec's layout whose every name acts; one of its pictures cannot be read."""
    root = tmp_path_factory.mktemp("pictures") / ACTS.replace("[red]", "").replace("[2J", "").replace("]0;", "")
    category = root / f"nut{ACTS.replace('/', '')}".replace("/", "")
    name = f"{ACTS}.png".replace("/", "").replace("<b>", "<b")
    for place in ("train/good", "test/good"):
        for index in range(2):
            picture(category / place / f"{index}{name}", 100 + index)
    picture(category / "test" / f"bent{ACTS}" / f"0{name}", 100, box=True)
    picture(category / "ground_truth" / f"bent{ACTS}" / f"0{name[:-4]}_mask.png", 0, box=True)
    (category / "test" / "good" / f"9{name}").write_bytes(b"no picture")
    return root


def check_harmless(text: str) -> None:
    assert not RAW.search(text), RAW.findall(text)
    assert not [line for line in text.splitlines() if line.startswith(("ERROR", "- ERROR", "% ERROR", "| ERROR"))]
    assert "größe 日本" in text


def test_a_bench_and_its_report_escape_names_at_every_exit(stackclip: Run, workspace: Path, pictures: Path) -> None:
    folder = workspace / "out"
    files = [folder / f"table{suffix}" for suffix in (".csv", ".html", ".jsonl", ".md", ".tex", ".txt")]
    outputs = [word for path in files for word in ("-o", str(path))]
    words = ("--methods", "fuzzy,loud", "--train-on", TRAINING, "--test-on", str(pictures), "--per-category", *TOWER)
    log = ("--log-file", str(folder / "log"))
    done = stackclip(workspace, *log, "bench", *words, *outputs)
    assert done.exit_code == 3
    check_harmless(done.stdout)
    check_harmless(done.stderr)
    kept = (folder / "log").read_text("utf-8")
    check_harmless(kept)
    assert all(re.match(r"\d{4}-\d\d-\d\d |    ", line) for line in kept.splitlines())
    for path in files:
        text = path.read_text("utf-8")
        if path.suffix == ".jsonl":
            assert text.isascii()
            assert [json.loads(line)["category"] for line in text.splitlines()]
        else:
            check_harmless(text)
    reported = stackclip(workspace, "report", "--per-category")
    assert reported.exit_code == 0
    check_harmless(reported.stdout)


def test_predictions_escape_names_of_folders_pictures_and_objects(
    stackclip: Run, workspace: Path, pictures: Path, tmp_path: Path
) -> None:
    good = next(pictures.glob("*/test/good"))
    words = ("predict", str(good), "--object", f"x{ACTS}", "--methods", "clip", "--train-on", TRAINING)
    done = stackclip(workspace, *words, "-o", str(tmp_path / f"out{ACTS}".replace("/", "")), *TOWER)
    assert done.exit_code == 3
    check_harmless(done.output)
    assert "no picture" not in done.stdout


def test_plugins_and_wrong_words_are_shown_harmless(stackclip: Run, workspace: Path, pictures: Path) -> None:
    for words, code in (
        (("list", "prompts"), 0),
        (("show", "loud", "--backbone", "random-vit-8"), 0),
        (("show", ACTS), 2),
        (("check", ACTS), 2),
        ((f"--{ACTS}",), 2),
        (("bench", "--category", ACTS, "--test-on", str(pictures)), 2),
        (("cache-features", "--dataset", str(pictures / ACTS)), 1),
        (("--config", str(pictures / ACTS), "list"), 2),
        (("report", "--methods", ACTS.replace("[red]", "").replace("[2J", "").replace("]0;", "")), 2),
    ):
        done = stackclip(workspace, *words)
        assert done.exit_code == code, (words, done.output)
        assert not RAW.search(done.output.replace("\t", " ")), words
        if words[:2] != ("show", "loud"):  # a docstring has lines
            assert not [line for line in done.output.splitlines() if line.startswith("ERROR")]
