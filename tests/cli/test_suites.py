"""Suites on the command line: what they print, what they lack, and that a stopped one goes on where it was."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from stackclip.benchmarks.rows import RowFolder
from stackclip.data import open_dataset

TRAINING = "synthetic[categories=2,per_category=4,train_good=2,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=2,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")
HERE = ("--train-on", TRAINING, "--test-on", TESTED, *TOWER)
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def encoded(stackclip: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that holds the features of the two small data sets."""
    root = tmp_path_factory.mktemp("workspace")
    result = stackclip(root, "cache-features", "--dataset", TRAINING, "--dataset", TESTED, *TOWER)
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def workspace(encoded: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(encoded, tmp_path / "own"))


def rows_of(result: Result) -> dict[tuple[str, str], tuple[object, object]]:
    """Metrics and losses by method and category."""
    rows = map(json.loads, result.stdout.splitlines())
    return {(row["method"], row["category"]): (row["metrics"], row["facts"]["losses"]) for row in rows}


def test_a_suite_runs_on_other_data_and_shows_what_the_paper_prints(
    stackclip: Run, workspace: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.md"
    words = ("bench", "--suite", "fuzzyclip-table4", *HERE, "--epochs", "1", "-o", str(table))
    result = stackclip(workspace, *words)
    assert result.exit_code == 0, result.output
    assert "fuzzyclip-table4: Precise, fuzzy and stacked prompts under the same head" in result.stdout
    assert "random-vit-8 is a random tower" in result.stdout
    assert "printed in the paper, not measured here" in result.stdout  # synthetic is no data set of the paper
    assert "86.6" in result.stdout
    assert all(f"| {method} |" in table.read_text() for method in ("precise", "fuzzy", "stacked[clusters=1]"))
    again = stackclip(workspace, *words)
    assert "nothing was left to compute" in again.stderr


def test_a_stopped_suite_goes_on_to_the_rows_of_an_uninterrupted_one(
    stackclip: Run, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("bench", "--suite", "fuzzyclip-table4,fuzzyclip-table1", *HERE, "--epochs", "1", "--json")
    whole = stackclip(Path(shutil.copytree(workspace, tmp_path / "whole")), *words)
    assert whole.exit_code == 0, whole.output
    write = RowFolder.write
    written = 0

    def write_some(self: RowFolder, *row: object) -> None:
        nonlocal written
        if written == 3:
            raise KeyboardInterrupt
        written += 1
        write(self, *row)  # type: ignore[arg-type]  # as it was called

    with monkeypatch.context() as patched:
        patched.setattr(RowFolder, "write", write_some)
        assert stackclip(workspace, *words).exit_code == 130
    assert len(list(RowFolder(workspace / "cache" / "rows"))) == 3
    resumed = stackclip(workspace, *words)
    assert resumed.exit_code == 0, resumed.output
    assert rows_of(resumed) == rows_of(whole)
    assert len(rows_of(whole)) == 2 * (3 + 3)


def test_a_suite_says_in_one_line_each_what_it_lacks_and_runs_the_rest(stackclip: Run, workspace: Path) -> None:
    result = stackclip(workspace, "bench", "--suite", "clip-ad-table7", "--test-on", f"{TESTED},nowhere", *TOWER)
    assert result.exit_code == 0, result.output
    said = [line for line in result.stderr.splitlines() if line.startswith("lacking for clip-ad-table7: ")]
    assert any("nowhere" in line for line in said)
    assert "not trained, tested on synthetic" in result.stdout


def test_a_suite_that_can_run_nothing_is_an_error(stackclip: Run, workspace: Path, tmp_path: Path) -> None:
    result = stackclip(workspace, "bench", "--suite", "fuzzyclip", "--data-root", str(tmp_path), *TOWER)
    assert result.exit_code == 1
    assert "Error: nothing of fuzzyclip can run with what is at hand" in result.stderr
    [line] = [line for line in result.stderr.splitlines() if "visa: not found" in line]
    assert line.startswith("lacking for fuzzyclip-table1, fuzzyclip-table2, fuzzyclip-table3, fuzzyclip-table4")


def test_a_data_set_in_two_parts_trains_under_names_of_their_own(
    stackclip: Run, workspace: Path, tmp_path: Path
) -> None:
    first = sorted(open_dataset(TRAINING, generated=workspace / "cache" / "data").categories)[0]
    suite = tmp_path / "parts.toml"
    suite.write_text(
        f'epochs = 1\n[[runs]]\nmethods = ["fuzzy"]\ntrain_on = ["{TRAINING}"]\ntest_on = ["{TESTED}"]\n'
        f'train_categories = ["{first}"]\n[[runs]]\nmethods = ["fuzzy"]\ntrain_on = ["{TRAINING}"]\n'
        f'test_on = ["{TESTED}"]\ntrain_without = ["{first}"]\n'
    )
    result = stackclip(workspace, "bench", "--suite", str(suite), *TOWER, "--json")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    trained = {"+".join(row["train_on"]).partition(" ")[2]: row["facts"]["trained_pictures"] for row in rows}
    assert set(trained) == {f"(only {first})", f"(without {first})"}
    assert set(trained.values()) == {4}


def test_merged_training_sets_are_named_with_a_plus(stackclip: Run, workspace: Path) -> None:
    other = TRAINING.replace("synthetic[", "synthetic[part=shapes,")
    trained = f"{TRAINING},{other}"
    words = ("--methods", "fuzzy", "--train-on", trained, "--test-on", TESTED, *TOWER, "--epochs", "1")
    result = stackclip(workspace, "bench", *words)
    assert result.exit_code == 0, result.output
    assert "trained on synthetic-training+synthetic-shapes, tested on synthetic-combinations" in result.stdout


def test_the_tower_of_the_paper_and_a_backbone_are_two_towers(stackclip: Run, workspace: Path) -> None:
    result = stackclip(workspace, "bench", "--suite", "fuzzyclip-table1", "--paper-tower", *HERE)
    assert result.exit_code == 2
    assert "--paper-tower and --backbone name two towers" in result.stderr


def test_the_tower_of_the_paper_is_that_of_a_suite(stackclip: Run, workspace: Path) -> None:
    result = stackclip(workspace, "bench", "--paper-tower", "--train-on", TRAINING, "--test-on", TESTED)
    assert result.exit_code == 2
    assert "--paper-tower is the tower of a --suite" in result.stderr


def test_without_its_weights_the_tower_of_the_paper_is_lacking(stackclip: Run, workspace: Path, tmp_path: Path) -> None:
    weights = tmp_path / "none.safetensors"
    words = ("--test-on", TESTED, "--paper-tower", "--weights", str(weights))
    result = stackclip(workspace, "bench", "--suite", "fuzzyclip-table1", *words)
    assert result.exit_code == 1
    assert "lacking for fuzzyclip-table1:" in result.stderr
    assert "none.safetensors" in result.stderr


def test_a_suite_that_may_not_encode_names_the_command_that_does(
    stackclip: Run, workspace: Path, tmp_path: Path
) -> None:
    suite = tmp_path / "own.toml"
    suite.write_text(
        f'[[runs]]\nmethods = ["sdp", "winclip"]\ntrain_on = ["{TRAINING}"]\ntest_on = ["{TESTED}"]\nepochs = 1\n'
        'tower = { backbone = "random-vit-8", image_size = 64 }\n'
    )
    for tower in (("--paper-tower",), TOWER):
        words = ("bench", "--suite", str(suite), *tower, "--cached-only")
        refused = stackclip(workspace, *words)
        assert refused.exit_code == 1
        command = shlex.split(refused.stderr.partition("Run: stackclip ")[2])
        assert "sdp,winclip" in command
        encoded = stackclip(None, *command)
        assert encoded.exit_code == 0, encoded.output
        assert stackclip(workspace, *words).exit_code == 0


def test_weights_that_do_not_fit_cost_a_suite_their_method_only(
    stackclip: Run, workspace: Path, tmp_path: Path
) -> None:
    import torch

    torch.save({"fc.0.weight": torch.zeros(3, 5), "fc.0.bias": torch.zeros(3)}, tmp_path / "x.pth")
    unfit = f"april-gan[weights={tmp_path / 'x.pth'}]"
    words = ("bench", "--suite", "fuzzyclip-table1", *HERE, "--epochs", "1", "--json", "--methods")
    result = stackclip(workspace, *words, f"clip,{unfit}")
    assert result.exit_code == 0, result.output
    assert {method for method, _ in rows_of(result)} == {"clip"}
    assert f"lacking for fuzzyclip-table1: {unfit}: " in result.stderr
    alone = stackclip(workspace, *words, unfit)
    assert alone.exit_code == 1
    assert "lacking for fuzzyclip-table1: " in alone.stderr


def test_printed_numbers_stand_beside_a_bench_when_asked_for(stackclip: Run, workspace: Path) -> None:
    words = ("bench", "--methods", "clip", "--published", "--train-on", TRAINING, "--test-on", TESTED, *TOWER)
    result = stackclip(workspace, *words)
    assert result.exit_code == 0, result.output
    assert "FuzzyCLIP" not in result.stdout  # nobody prints numbers of generated pictures
    assert stackclip(workspace, "report", "--published").exit_code == 0


def test_suites_and_papers_can_be_listed_and_shown(stackclip: Run, workspace: Path) -> None:
    listed = stackclip(workspace, "list", "suites").stdout
    assert "fuzzyclip-table2" in listed
    assert "clip-ad-table8" in listed
    papers = stackclip(workspace, "list", "papers").stdout
    assert "FuzzyCLIP" in papers
    assert "fuzzyclip-table6" in papers
    shown = stackclip(workspace, "show", "fuzzyclip-table8").stdout
    assert "What an unseen category is called" in shown
    assert "ViT-L-14-336 openai 518" in shown
    assert "it equals the AUPRO of table 2" in shown
    wrong = stackclip(workspace, "list", "paper")
    assert wrong.exit_code == 2
    assert "did you mean 'papers'" in wrong.stderr
