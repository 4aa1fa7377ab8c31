"""A bench tells trackers of its rows, each once: when they are made, found again, or answered from memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from stackclip.ops import states

Run = Callable[..., Result]
TRAINING = "synthetic[categories=2,per_category=2,train_good=2,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--epochs", "1")
BENCH = ("bench", "--train-on", TRAINING, "--test-on", TRAINING, "--allow-overlap", *TOWER)
PLUGIN = '''
from pathlib import Path
from stackclip.executors.serial import Serial
from stackclip.registry import executors, trackers

@executors.register("beside")
class Beside(Serial):
    """It works as other processes would, in this one."""
    apart = True

@trackers.register("list")
class Listed:
    """Lines in a `file`; while there is a file of that name and `.down`, it fails."""
    def __init__(self, *, file: Path): self.file, self.destination = file, str(file)
    def log(self, notice):
        if self.file.with_suffix(".down").exists(): raise OSError("the server is down")
        with self.file.open("a") as lines:
            lines.writelines(f"{notice.run} {value.name} {value.step}\\n" for value in notice.values)
    def close(self): pass
'''


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    (root / "registry").mkdir()
    (root / "registry" / "listed.py").write_text(PLUGIN)
    return root


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_rows_are_told_once_whoever_made_them_and_a_tracker_that_fails_costs_none(
    stackclip: Run, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "_OLD_ENOUGH_NS", 0)
    file, down = tmp_path / "list.txt", tmp_path / "list.down"
    words = (*BENCH, "--methods", "fuzzy,clip", "--tracker", f"list[file={file}]")
    down.touch()
    failed = stackclip(workspace, *words)
    assert failed.exit_code == 3
    assert failed.stderr.count("the server is down; nothing more is logged to it, and the bench goes on") == 1
    assert "computed 4 cells" in failed.stderr
    assert lines(file) == []
    down.unlink()
    first = stackclip(workspace, *words)
    assert first.exit_code == 0
    assert "all 4 cells were there already" in first.stderr
    told = lines(file)
    assert len(told) == len({*told}) > 0
    assert sum(line.endswith(" train/loss 1") for line in told) == 1
    assert sum(line.endswith("image_AUROC 0") for line in told) == 4
    for recall in ("on", "on"):  # the last answers from memory
        again = stackclip(workspace, *words, env={"STACKCLIP_RECALL": recall})
        assert (again.exit_code, lines(file)) == (0, told)
    anew = stackclip(workspace, *words, "--overwrite", "always")
    assert (anew.exit_code, lines(file)) == (0, told)
    for each in (workspace / "cache" / "told").glob("*/*"):
        each.unlink()
    whole = stackclip(workspace, *words, env={"STACKCLIP_RECALL": "on"})  # what was kept is no answer any more
    assert whole.exit_code == 0
    assert sum(line.endswith("image_AUROC 0") for line in lines(file)) == 8


def test_workers_leave_the_telling_to_the_one_that_called_them(stackclip: Run, workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    words = (*BENCH, "--methods", "fuzzy,clip", "--seeds", "7", "--tracker", f"list[file={file}]")
    done = stackclip(workspace, *words, "--executor", "beside")
    assert done.exit_code == 0, done.output
    assert "by 1 worker" in done.stderr
    assert sum(line.endswith("image_AUROC 0") for line in lines(file)) == 4
    assert len(lines(file)) == len({*lines(file)})


@pytest.mark.parametrize(
    ("tracker", "said"),
    [
        ("lists", "no tracker is named 'lists' (did you mean 'list'?)"),
        ("list", "list needs file: write list[file=...]"),
        ("tensorboard[place=x]", "tensorboard has no option 'place'"),
    ],
)
def test_wrong_trackers_are_said_before_the_work(stackclip: Run, workspace: Path, tracker: str, said: str) -> None:
    done = stackclip(workspace, *BENCH, "--methods", "sdp", "--tracker", tracker)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "encoded" not in done.stderr
