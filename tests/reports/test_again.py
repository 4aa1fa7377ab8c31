"""The command that a report names finds the very rows it is of."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from stackclip.benchmarks.rows import RowFolder
from stackclip.reports.again import command_of
from stackclip.types import Row

Run = Callable[..., Result]
TRAINING = "synthetic[categories=2,per_category=2,train_good=3,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=2,train_good=3,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")


@pytest.mark.parametrize(
    "words",
    [
        ("--methods", "fuzzy,clip", "--seeds", "0,3", "--epochs", "1"),
        ("--methods", "april-gan[shots=1]", "--epochs", "1", "--batch-size", "3", "--class-names", "raw"),
        ("--methods", "fuzzy", "--epochs", "1", "--train-shots", "2", "--tiles", "2x2", "--layers", "3,5"),
        ("--methods", "clip", "--feature-dtype", "int8", "--position-embedding", "bilinear"),
    ],
    ids=["seeds", "shots", "tiles", "int8"],
)
def test_it_computes_nothing_where_the_rows_are_there(stackclip: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = stackclip(tmp_path, "bench", *words, "--train-on", TRAINING, "--test-on", TESTED, *TOWER)
    assert done.exit_code == 0, done.output
    again = shlex.split(command_of(list(RowFolder(tmp_path / "cache" / "rows"))))
    assert again[:2] == ["stackclip", "bench"]
    repeated = stackclip(tmp_path, *again[1:])
    assert repeated.exit_code == 0, repeated.output
    assert "nothing was left to compute" in repeated.stderr


def test_a_folder_is_typed_by_name_and_place_and_again_computes_anew(stackclip: Run, tmp_path: Path) -> None:
    made = stackclip(tmp_path, "bench", "--methods", "clip", "--train-on", TRAINING, "--test-on", TESTED, *TOWER)
    assert made.exit_code == 0, made.output
    [place] = (tmp_path / "cache" / "data").glob("*part-combinations*/*")
    copied = tmp_path / "my, plates"
    place.rename(copied)
    words = ("bench", "--methods", "clip", "--train-on", TRAINING, "--test-on", f"own={copied}".replace(",", "\\,"))
    done = stackclip(tmp_path / "w", *words, *TOWER)
    assert done.exit_code == 0, done.output
    rows = list(RowFolder(tmp_path / "w" / "cache" / "rows"))
    again = shlex.split(command_of(rows, again=True))
    assert again[-2:] == ["--overwrite", "always"]
    repeated = stackclip(tmp_path / "w", *again[1:])
    assert repeated.exit_code == 0, repeated.output
    assert "computed 2 cells" in repeated.stderr
    assert len(list(RowFolder(tmp_path / "w" / "cache" / "rows"))) == len(rows)


def test_nothing_in_it_acts_or_ends_a_word() -> None:
    row = Row("m", ("t",), "x", "a; rm -rf $HOME\n\x1b[2J", 0, 0, facts={"tested": {"place": "/a'b", "content": "c"}})
    said = command_of([row])
    assert "\x1b" not in said
    assert "\n" not in said
    words = shlex.split(said)
    assert "x=/a'b" in words
    assert [word for word in words if word.startswith("a; rm -rf $HOME")]
