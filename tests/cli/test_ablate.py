"""A method with two parts of known worth, taken apart end to end, again, and with wrong words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from stackclip.errors import UsageError
from stackclip.session import Session, TowerRecipe

Run = Callable[..., Result]
TRAINING = "synthetic[categories=2,per_category=4,train_good=2,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=2,size=56]"
HERE = ("--train-on", TRAINING, "--test-on", TESTED, "--backbone", "random-vit-8", "--image-size", "56")
# Sight tells defects apart, upright or upside down; without sight all pictures look alike.
ORACLE = '''
from dataclasses import dataclass
from typing import Annotated

import torch

from stackclip.methods import Detector, Method
from stackclip.registry import Removable, methods
from stackclip.types import CLS, Prediction


@methods.register("oracle")
@dataclass(frozen=True, kw_only=True)
class Oracle(Method):
    """Knows the labels."""

    sight: Annotated[bool, Removable("sight", off="false")] = True
    upright: Annotated[bool, Removable("standing upright", off="false")] = True

    def needs(self, tower, phase):
        return frozenset({CLS} if phase == "test" else ())

    def begin(self, task):
        return Seer(self)


class Seer(Detector):
    def __init__(self, method):
        super().__init__()
        self.sign = (1.0 if method.upright else -1.0) * method.sight

    def predict(self, features):
        return Prediction(self.sign * torch.tensor(features.labels, dtype=torch.float32), None)
'''
WORTHS = {  # image AUROC, by hand: seeing upright 1, upside down 0, blind 1/2
    ("sight", "taken away"): 0.5,
    ("sight", "added"): -0.5,
    ("standing upright", "taken away"): 1.0,
    ("standing upright", "added"): 0.0,
    ("all parts", "taken away"): 0.5,
}


@pytest.fixture
def at_work(tmp_path: Path) -> Path:
    """A workspace with a method that has two parts."""
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "oracle.py").write_text(ORACLE, "utf-8")
    return tmp_path


def test_parts_of_known_worth_are_found_to_be_worth_that(stackclip: Run, at_work: Path) -> None:
    words = ("ablate", "oracle", "--seeds", "0,1", *HERE)
    planned = stackclip(at_work, *words, "--dry-run")
    assert planned.stdout.splitlines()[:4] == [
        "oracle",
        "oracle[sight=false]",
        "oracle[upright=false]",
        "oracle[sight=false,upright=false]",
    ]
    assert "would compute 16 of 16 cells" in planned.stdout
    files = [at_work / f"parts{suffix}" for suffix in (".md", ".csv", ".tex", ".html", ".jsonl")]
    asked = stackclip(at_work, *words, *(word for file in files for word in ("-o", str(file))))
    assert asked.exit_code == 0, asked.output
    assert "worth +50.0 [50.0, 50.0]" in asked.stdout
    assert all(file.stat().st_size for file in files)
    told = stackclip(at_work, *words, "--json")
    assert "nothing was left to compute: all 16 cells were there already" in told.stderr
    records = [json.loads(line) for line in told.stdout.splitlines()]
    assert {(each["part"], each["way"]): each["worth"] for each in records} == pytest.approx(WORTHS)
    assert {each["in_words"] for each in records if not each["worth"]} == {"no digit changes"}
    assert "costs 50.0" in [each["in_words"][:10] for each in records if each["worth"] == pytest.approx(-0.5)]
    assert all(len(each["by_category"]) == 2 for each in records)
    assert "would compute 0 of 16 cells" in stackclip(at_work, *words, "--dry-run").stdout


def test_show_and_session_say_the_same(stackclip: Run, at_work: Path, registry_as_it_was: None) -> None:
    shown = stackclip(at_work, "show", "oracle", "--backbone", "random-vit-8").stdout
    assert "  sight: sight=false\n  standing upright: upright=false\n" in shown
    session = Session(at_work, TowerRecipe("random-vit-8", image_size=56))
    how: dict[str, Any] = {"train_on": TRAINING, "test_on": TESTED}
    report = session.ablate("oracle", **how)
    assert {(each.contrast.name, each.contrast.way) for each in report.worths} == {*WORTHS}
    assert report.rows.computed == 8  # type: ignore[attr-defined]
    assert session.ablate("oracle", **how).rows.computed == 0  # type: ignore[attr-defined]


def test_from_python_wrong_words_are_said_before_any_work(at_work: Path, registry_as_it_was: None) -> None:
    session = Session(at_work, TowerRecipe("random-vit-8", image_size=56))
    with pytest.raises(UsageError, match=r"method=\['oracle'\]; wanted one name"):
        session.ablate(["oracle"])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="did you mean 'image_AUROC'"):
        session.ablate("oracle", columns=("image_AUROK",))
    with pytest.raises(UsageError, match="'sedes' means nothing here"):
        session.ablate("oracle", sedes=(0,))  # type: ignore[call-arg]
    assert not (at_work / "cache").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fuzzy",), "fuzzy has no part that says how it is taken away"),
        (("stacked[clusters=1|2]",), "wanted one method"),
        (("orcale",), "did you mean 'oracle'"),
        (("oracle", "-o", "parts.xlsx"), "no ablation is written as .xlsx"),
        (("oracle", "--plot", "parts.gif"), "no plot is written as .gif"),
        (("oracle", "--columns", "image_AUROK"), "did you mean 'image_AUROC'"),
        (("oracle[sight=perhaps]",), "is not of type bool"),
    ],
)
def test_wrong_words_are_one_line(stackclip: Run, at_work: Path, words: tuple[str, ...], said: str) -> None:
    result = stackclip(at_work, "ablate", *words, *HERE)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_cells_that_fail_are_told_and_the_others_stand(stackclip: Run, at_work: Path) -> None:
    broken = ORACLE.replace("return Seer(self)", "return Seer(self) if self.sight else 1 / 0")
    (at_work / "registry" / "oracle.py").write_text(broken, "utf-8")
    result = stackclip(at_work, "ablate", "oracle", *HERE)
    assert result.exit_code == 3
    assert "worth +100.0" in result.stdout
    assert "n/a: oracle[sight=false]: " in result.stdout


def test_a_shard_is_a_part_of_the_work_and_has_no_table(stackclip: Run, at_work: Path) -> None:
    part = stackclip(at_work, "ablate", "oracle", *HERE, "--shard", "1/2")
    assert part.stdout == ""
    assert "without --shard" in part.stderr
    stackclip(at_work, "ablate", "oracle", *HERE, "--shard", "2/2")
    assert "all 8 cells were there already" in stackclip(at_work, "ablate", "oracle", *HERE).stderr
