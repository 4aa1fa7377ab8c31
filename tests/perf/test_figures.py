"""What the benchmarks find out stands in the table of their README, whether it is welcome or not."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FACTS = {"unit": "x", "note": "", "machine": "one core", "reached": None, "goal": ""}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the folder with the harness and one benchmark, without figures."""
    (tmp_path / "perf").mkdir()
    shutil.copy(BENCHMARKS / "perf" / "conftest.py", tmp_path / "perf")
    (tmp_path / "README.md").write_text(
        "# about\n\n<!-- figures: written by `make bench` -->\nold\n<!-- end of figures -->\n\nmore\n"
    )
    (tmp_path / "perf" / "test_speed.py").write_text(
        "def test_fast(race, figure): figure('fast', race(int, {'a': int, 'b': int}).ratio, goal='>= 1000')\n"
        "def test_size(figure): figure('size', 1234.5, goal='<= 2e3', unit='B', note='one | two')\n"
        "def test_wrong(figure): figure('wrong', 1); assert False\n"
        "def test_of_another_kind(): assert False\n"
    )
    return tmp_path


@pytest.fixture
def harness(copy: Path) -> ModuleType:
    """The copy's harness, as a module."""
    spec = importlib.util.spec_from_file_location("harness", copy / "perf" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["harness"] = module
    spec.loader.exec_module(module)
    return module


def facts(test: str, value: float = 1, **other: Any) -> dict[str, Any]:
    return {"value": value, **FACTS, "test": test, **other}


def test_a_run_writes_the_figures_of_what_passed_and_says_what_was_not_reached(copy: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-only", copy / "perf"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ended = subprocess.run(command, cwd=copy, env=alone, capture_output=True, text=True)
    assert "1 failed, 2 passed, 1 skipped" in ended.stdout
    figures = json.loads((copy / "results" / "perf.json").read_text("utf-8"))
    assert {name: found["reached"] for name, found in figures.items()} == {"fast": False, "size": True}
    page = (copy / "README.md").read_text("utf-8")
    assert "| size; one \\| two | 1 234 B | <= 2e3 | yes | [test_speed.py](perf/test_speed.py) |\n" in page
    assert " | >= 1000 | no | " in page
    assert page.startswith("# about\n\n<!-- figures")
    assert page.endswith("|\n\n<!-- end of figures -->\n\nmore\n")
    assert "old" not in page


def test_figures_of_tests_that_did_not_run_are_kept_while_there_are_such_tests(copy: Path, harness: ModuleType) -> None:
    harness.write({"a": facts("test_speed.py::test_size[1]"), "b": facts("test_speed.py::test_size[2]")})
    harness.write({"renamed": facts("test_speed.py::test_size[1]", 2)})
    gone = {"c": facts("test_speed.py::test_gone"), "d": facts("test_gone.py::test_size")}
    harness.write({"e": facts("test_speed.py::test_fast"), **gone})
    harness.write({"e": facts("test_speed.py::test_fast", 3)})
    figures = json.loads((copy / "results" / "perf.json").read_text("utf-8"))
    assert {name: found["value"] for name, found in figures.items()} == {"b": 1, "renamed": 2, "e": 3}


def test_a_page_without_a_place_for_the_figures_is_named(copy: Path, harness: ModuleType) -> None:
    (copy / "README.md").write_text("# about\n")
    with pytest.raises(ValueError, match=r"README\.md has no place for the figures"):
        harness.write({"a": facts("test_speed.py::test_size")})


@pytest.mark.parametrize(
    ("value", "goal", "reached"),
    [(4, ">= 4", True), (3.9, ">= 4", False), (0.51, "<= .51", True), (1e-4, "< 1e-4", False), (1, "> -1", True)],
)
def test_goals_are_compared_as_they_are_written(harness: ModuleType, value: float, goal: str, reached: bool) -> None:
    assert harness.reaches(value, goal) is reached


def test_a_goal_that_nothing_can_be_compared_with_is_refused(harness: ModuleType) -> None:
    with pytest.raises(ValueError, match="'about 4' is no goal"):
        harness.reaches(4, "about 4")


def test_runners_take_turns_and_the_first_round_does_not_count(harness: ModuleType) -> None:
    calls: list[str] = []
    race = harness.run_race(
        lambda: calls.append("o"), {"p": lambda: calls.append("p")}, rounds=2, before=lambda: calls.append("-")
    )
    assert "".join(calls) == "-p-o" + "-o-p" + "-p-o"
    assert race.ratio == race.against("p") == race.peers["p"] / race.ours


def test_what_changed_between_two_runs_is_told(harness: ModuleType, copy: Path) -> None:
    for fast, still in ((2.0, 5.0), (3.0, 5.1)):
        found = {"fast": facts("test_speed.py::test_fast", fast), "still": facts("test_speed.py::test_size", still)}
        harness.write(found)
    spec = importlib.util.spec_from_file_location("compare", BENCHMARKS / "compare.py")
    assert spec is not None
    assert spec.loader is not None
    compare = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compare)
    figures = json.loads((copy / "results" / "perf.json").read_text("utf-8"))
    [line] = compare.changes(figures, 5)
    assert line.split() == ["+50", "%", "2", "->", "3", "x", "fast"]
    assert len([*compare.changes(figures, 1)]) == 2
    figures["fast"]["before"]["machine"] = "another"
    assert "before on another" in next(compare.changes(figures, 5))


def test_a_figure_has_a_short_name_of_its_test(harness: ModuleType) -> None:
    assert harness._short("test_reading_test_read[float16-a b]") == "reading_read_float16_a_b"
