"""Names that collide, act, or stand for something else: each picture is taken for what it is, and found again."""

from __future__ import annotations

import csv
import json
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from .tally import Tally

Run = Callable[..., Result]
TRAINING = "synthetic[categories=1,per_category=2,train_good=2,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--device", "cpu", "--epochs", "1")
BENCH = ("bench", "--methods", "clip", "--train-on", TRAINING, "--json", *TOWER)

SETS = [
    "parts",
    "tile",
    "mvtec",
    "visa",
    "synthetic",
    "größe",
    "gro\u0308ße",
    "a,b",
    "a=b",
    "a [b]",
    "-x",
    "COM1",
    "%s",
]
SETS += ["bottle", "custom", "x.csv", "..a", "'", "日本", "{0}", "$HOME", "~", "*", "screw"]
CATEGORIES = [
    "tile",
    "hazelnut",
    "bottle",
    "pcb1",
    "a,b",
    "good",
    "test",
    "train",
    "É",
    "E\u0301",
    "mean",
    "all",
    "-",
    "*",
]
PICTURES = [
    "a",
    "A",
    "a ",
    "a.b",
    "a_b",
    "a-b",
    "a+b",
    "a,b",
    "é",
    "e\u0301",
    "ﬁ",
    "fi",
    "K",
    "\u212a",
    "ß",
    "ss",
    "worst",
    "x" * 200,
]
ACTS = ["\x1b[2J", "\x1b]0;t\x07", "\x9b31m", "\nERROR forged", "\r", "\u202egnp", "\u2066", "\x7f", "\u2028", "\t"]
ACTS += ["[red]", "*|", "<b>", "`", "=1+1", "@x", "\ufeff", "\u200b"]
RAW = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def make_set(root: Path, category: str, seed: int, defect: str = "bad", picture: str = "") -> Path:
    """Two good and two bad pictures in a layout of categories."""
    draws = np.random.default_rng(seed)
    for number in range(4):
        path = root / category / "test" / ("good" if number < 2 else defect) / f"{number}{picture}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (40, 40, 3), np.uint8)).save(path)
    return root


def cells(result: Result) -> dict[tuple[str, str], Any]:
    """The metrics of the rows of now, by the place and the category that were tested."""
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return {(row["facts"]["tested"]["place"], row["category"]): row["metrics"] for row in rows}


def count(tally: Tally, fault: str, where: str, points: Iterator[dict[str, bool | int]]) -> None:
    """Count points as they come; a command that ends with a traceback is one too."""
    figure = "what a command made of such a name"
    try:
        for wrong in points:
            tally.counted(fault, figure, f"{where}: {wrong}", **wrong)
    except AssertionError as error:
        tally.counted(fault, figure, f"{where}: {error!r}", messages=True)


@pytest.fixture(scope="module")
def workspace(stackclip: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the training pictures are encoded and the head is trained."""
    root = tmp_path_factory.mktemp("workspace")
    data = make_set(root / "first", "cap", 0)
    assert stackclip(root, *BENCH, "--test-on", str(data)).exit_code == 0
    return root


def test_two_places_of_one_name_are_never_pooled_and_a_place_is_never_a_name(
    stackclip: Run, workspace: Path, tmp_path: Path, tally: Tally, full: bool
) -> None:
    fault, draw = "names of data sets", Random(0)

    def pair(number: int, name: str) -> Iterator[dict[str, bool | int]]:
        measured = {}
        category = draw.choice(CATEGORIES)
        for side in ("east", "west"):
            root = make_set(tmp_path / str(number) / side / name, category, draw.randrange(2**32))
            done = stackclip(workspace, *BENCH, "--test-on", f"p{number}={root}" if "," in name else str(root))
            expected = {(str(root), category)}
            yield {"messages": done.exit_code != 0, "silent": done.exit_code == 0 and cells(done).keys() != expected}
            measured |= cells(done)
        reported = stackclip(workspace, "report", "--json")
        yield {"silent": not measured.items() <= cells(reported).items(), "messages": reported.exit_code != 0}

    for number, name in enumerate(SETS if full else SETS[::12]):
        count(tally, fault, f"sets {name!r}", pair(number, name))
    tally.require(fault)


def test_copies_of_trained_pictures_are_refused_under_every_other_name(
    stackclip: Run, workspace: Path, tmp_path: Path, tally: Tally, full: bool
) -> None:
    fault, trained = "trained pictures under other names", make_set(tmp_path / "trained", "hazelnut", 1)

    def copied(name: str) -> Iterator[dict[str, bool | int]]:
        root = make_set(tmp_path / f"own {name}" / "set", name, 2)
        shutil.copy(trained / "hazelnut" / "test" / "bad" / "3.png", root / name / "test" / "bad" / "3.png")
        words = ("bench", "--methods", "clip", "--train-on", str(trained), *TOWER)
        done = stackclip(workspace, *words, "--test-on", str(root))
        yield {
            "silent": done.exit_code == 0,
            "messages": done.exit_code != 1 or "byte for byte" not in done.stderr or done.stderr.count("Error") > 1,
        }

    for name in CATEGORIES if full else CATEGORIES[::6]:
        count(tally, fault, f"copied as {name!r}", copied(name))
    tally.require(fault)


def test_heat_maps_of_pictures_whose_names_collide_are_all_there(
    stackclip: Run, workspace: Path, tmp_path: Path, tally: Tally, full: bool
) -> None:
    fault = "names of pictures"

    def drawn(names: list[str]) -> Iterator[dict[str, bool | int]]:
        folder, output = tmp_path / "-".join(str(ord(name[0])) for name in names) / "pics", tmp_path / "out"
        shutil.rmtree(output, ignore_errors=True)
        folder.mkdir(parents=True)
        draws = np.random.default_rng(0)
        pictures = [f"{name}{suffix}" for name in names for suffix in (".png", ".PNG", ".bmp")]
        for picture in pictures:
            Image.fromarray(draws.integers(0, 256, (56, 56, 3), np.uint8)).save(folder / picture)
        words = ("predict", str(folder), "--object", "x", "--methods", "sdp", "--train-on", TRAINING, "-o", str(output))
        done = stackclip(workspace, *words, *TOWER)
        yield {"messages": done.exit_code != 0}
        scored = list(csv.DictReader((output / "sdp" / "scores.csv").read_text("utf-8").splitlines()))
        maps = [path.name for path in (output / "sdp").glob("*.png")]
        folded = {unicodedata.normalize("NFKC", name).casefold() for name in maps}
        yield {"lost": len(pictures) - len(scored), "silent": len(pictures) - len(folded)}

    for at in range(0, len(PICTURES), 4 if full else 8):
        count(tally, fault, f"pictures from {PICTURES[at]!r} on", drawn(PICTURES[at : at + 4]))
    tally.require(fault)


def test_names_that_act_are_harmless_at_every_exit(
    stackclip: Run, workspace: Path, tmp_path: Path, tally: Tally, full: bool
) -> None:
    fault, draw = "names that act", Random(1)

    def name() -> str:
        parts = draw.sample(ACTS, 4)
        return draw.choice(["größe", "日本", "a"]) + "".join(parts)

    def acted(number: int) -> Iterator[dict[str, bool | int]]:
        root = make_set(tmp_path / str(number) / f"{name()}x", name(), number, defect=name(), picture=name())
        files = [tmp_path / f"{number}.{form}" for form in ("csv", "md", "tex", "jsonl")]
        outputs = [word for path in files for word in ("-o", str(path))]
        log, words = tmp_path / f"{number}.log", ("--per-category", "--test-on", f"p={root}")
        plain = [word for word in BENCH if word != "--json"]
        done = stackclip(workspace, "--log-file", str(log), *plain, *words, *outputs)
        yield {"messages": done.exit_code != 0}
        shown = stackclip(workspace, "report", "--per-category")
        picture = next(root.glob("*/test/good"))
        output = ("-o", str(tmp_path / f"out {number}"))
        words = ("predict", str(picture), "--object", name(), "--methods", "clip", "--train-on", TRAINING, *output)
        predicted = stackclip(workspace, *words, *TOWER)
        wrong = stackclip(workspace, "bench", "--methods", name(), "--test-on", name())
        yield {"messages": predicted.exit_code != 0 or wrong.exit_code not in (1, 2)}
        exits = [done.output, shown.output, predicted.output, wrong.output, log.read_text("utf-8")]
        exits += [path.read_text("utf-8") for path in [*files, *(tmp_path / f"out {number}").rglob("*.csv")]]
        for text in exits:
            forged = any(line.startswith("ERROR forged") for line in text.splitlines())
            yield {"messages": forged or bool(RAW.search(text.replace("\r\n", "\n")))}

    for number in range(15 if full else 1):
        count(tally, fault, f"acts {number}", acted(number))
    tally.require(fault)
