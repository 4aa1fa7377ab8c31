"""A run that has nothing to do builds no tower; one that has to do something builds the tower that it planned for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from stackclip.clip import known
from stackclip.errors import WeightsError
from stackclip.ops.seals import sealed, unsealed
from stackclip.session import Session, TowerRecipe

TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=3,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")
BENCH = ("bench", "--methods", "stacked,clip", "--train-on", TRAINING, "--test-on", TESTED, "--epochs", "1", *TOWER)
CACHE = ("cache-features", "--dataset", TRAINING, "--dataset", TESTED, *TOWER)
HEAVY = {"open_clip", "torchvision", "timm", "huggingface_hub"}
Run = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("registry_as_it_was")


@pytest.fixture(scope="module")
def first(stackclip: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A workspace in which two methods were benched, and what the bench printed."""
    root = tmp_path_factory.mktemp("workspace")
    result = stackclip(root, *BENCH, "--json")
    assert result.exit_code == 0, result.output
    return root, result


@pytest.fixture
def own(first: tuple[Path, Result], tmp_path: Path) -> Path:
    """A copy of that workspace for a test that changes it."""
    return Path(shutil.copytree(first[0], tmp_path / "own"))


def facts_file(workspace: Path) -> Path:
    [file] = (workspace / "cache" / "towers").iterdir()
    return file


def say_otherwise(workspace: Path, **facts: Any) -> None:
    """Put false facts of the tower in place of those that were kept."""
    file = facts_file(workspace)
    content = unsealed(file.read_bytes())
    file.write_bytes(sealed({**content, "tower": {**content["tower"], **facts}}))


def made_in(workspace: Path) -> set[Path]:
    """The features, rows and heads."""
    suffixes = {".h5", ".json", ".safetensors"}
    found = {path for name in ("features", "rows", "heads") for path in (workspace / "cache" / name).rglob("*")}
    return {path for path in found if path.suffix in suffixes and path.name not in ("store.json", "sources.bin")}


@pytest.mark.parametrize("words", [[*BENCH, "--json"], [*BENCH, "--dry-run"], CACHE])
def test_with_nothing_to_do_neither_open_clip_nor_torchvision_is_imported(
    first: tuple[Path, Result], words: list[str]
) -> None:
    code = (
        "import sys\n"
        "from stackclip.cli import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        f"sys.exit(' '.join({HEAVY} & set(sys.modules)) or None)\n"
    )
    command = [sys.executable, "-c", code, "--workspace", str(first[0]), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if "--json" in words:
        assert done.stdout == first[1].stdout
        assert "nothing was left to compute: all 4 cells were there already" in done.stderr
    else:
        assert "note: random-vit-8 is a random tower" in done.stdout + done.stderr


def test_what_is_missing_is_encoded_by_a_tower_that_was_known(
    stackclip: Run, own: Path, first: tuple[Path, Result]
) -> None:
    for name in ("features", "rows", "heads", "text"):
        shutil.rmtree(own / "cache" / name)
    result = stackclip(own, *BENCH, "--json")
    assert result.exit_code == 0, result.output
    printed = result.stdout.replace(str(own), str(first[0])), first[1].stdout
    rows = [[json.loads(line) for line in lines.splitlines()] for lines in printed]
    for row in (*rows[0], *rows[1]):
        row["seconds"] = row["facts"]["train_seconds"] = 0
    assert rows[0] == rows[1]


@pytest.mark.parametrize("facts", [{"weights": "0" * 64}, {"context_length": 76}])
def test_neither_features_nor_rows_are_made_for_a_tower_that_is_another(
    stackclip: Run, own: Path, facts: dict[str, Any]
) -> None:
    """The first has a store of its own, which is empty; the second has all features, and no rows."""
    right, before = facts_file(own).read_bytes(), made_in(own)
    say_otherwise(own, **facts)
    result = stackclip(own, *BENCH)
    assert result.exit_code == 1
    [name] = facts
    [line] = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert f"random-vit-8 is no longer the tower that this began with, found another {name}: run the same" in line
    assert made_in(own) == before
    assert not [*(own / "cache" / "towers").iterdir()]
    again = stackclip(own, *BENCH)
    assert "all 4 cells were there already" in again.stderr
    assert facts_file(own).read_bytes() == right


def test_a_session_goes_on_with_the_tower_as_it_is(own: Path) -> None:
    session = Session(own, TowerRecipe("random-vit-8", image_size=56))
    bench = partial(session.bench, ["stacked", "clip"], train_on=TRAINING, test_on=TESTED, epochs=1)
    say_otherwise(own, weights="0" * 64)
    with pytest.raises(WeightsError, match="is no longer the tower that this began with"):
        bench()
    assert bench().computed == 0


def test_a_session_knows_the_tower_too(stackclip: Run, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "load_tower", None)
    recipe = TowerRecipe("random-vit-8", image_size=56)
    rows = Session(own, recipe).bench(["stacked", "clip"], train_on=TRAINING, test_on=TESTED, epochs=1)
    assert (len(rows), rows.computed) == (4, 0)
    assert Session(own, recipe).encode([TRAINING, TESTED], methods=["stacked"]).done.encoded == 0
