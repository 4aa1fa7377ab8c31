"""A bench and a cache that processes, Ray or shards share: the same rows and features, whatever becomes of them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from stackclip.cache import Store, stores_in
from stackclip.data import open_dataset
from stackclip.types import MASK, is_live

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=3,size=56]"
ONE = TESTED.replace("categories=2", "categories=1")
SETS = ("--train-on", TRAINING, "--test-on", TESTED)
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")
WORDS = (*SETS, *TOWER, "--epochs", "1")
OWN = """
from stackclip.registry import prompts
from stackclip.prompts.precise import Precise

@prompts.register("my-own")
class Mine(Precise):
    "Precise phrases, under a name that only this workspace knows."
"""
DIES = """
import multiprocessing, os
from stackclip.registry import methods
from stackclip.methods import Detector, Method
from stackclip.types import CLS, Prediction

class Dying(Detector):
    def predict(self, features):
        if multiprocessing.parent_process() is not None:
            os._exit(9)
        return Prediction(features[CLS][:, 0], None, why_no_maps="none are made")

@methods.register("dying")
class Dies(Method):
    "Ends its process, unless that is the first."
    def needs(self, tower, phase): return frozenset({CLS})
    def begin(self, task): return Dying()
"""


def stated(value: Any, workspace: Path) -> Any:
    """A row without seconds, and without the place where it was computed."""
    if isinstance(value, dict):
        return {name: stated(each, workspace) for name, each in value.items() if "seconds" not in name}
    if isinstance(value, list):
        return [stated(each, workspace) for each in value]
    return value.replace(str(workspace), "") if isinstance(value, str) else value


def rows(said: str, workspace: Path) -> dict[tuple[Any, ...], Any]:
    found = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return {(row["method"], row["category"], row["seed"]): stated(row, workspace) for row in found}


def digest(workspace: Path) -> str:
    """What the store of a workspace holds of all pictures, as one digest."""
    [folder] = stores_in(workspace / "cache" / "features")
    store, total = Store.open(folder), sha256()
    assert store.verify() == []
    for text in (TRAINING, TESTED):
        for sample in open_dataset(text, generated=workspace / "cache" / "data").select(split="test").samples:
            for part in sorted(part for part in store.parts - {MASK} if not is_live(part)):
                total.update(f"{sample.key} {part}".encode() + store.read([sample], part).tobytes())
            total.update(store.masks([sample]).tobytes())
    return total.hexdigest()


def placed(folder: Path, **files: str) -> Path:
    (folder / "registry").mkdir(parents=True)
    for name, text in files.items():
        (folder / "registry" / f"{name}.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def alone(stackclip: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[tuple[Any, ...], Any]]:
    """The features and rows of one process."""
    place = placed(tmp_path_factory.mktemp("alone") / "one", own=OWN)
    result = stackclip(place, "bench", "--methods", "my-own,sdp", "--seeds", "0,1", *WORDS, "--json")
    assert result.exit_code == 0, result.output
    return digest(place), rows(result.stdout, place)


def test_processes_give_the_features_and_rows_of_one(stackclip: Run, tmp_path: Path, alone: Any) -> None:
    place = placed(tmp_path / "two", own=OWN)
    words = ("bench", "--methods", "my-own,sdp", "--seeds", "0,1", *WORDS, "--json")
    shared = stackclip(place, *words, "--workers", "2")
    assert shared.exit_code == 0, shared.output
    assert (digest(place), rows(shared.stdout, place)) == alone
    assert "computed 8 cells in" in shared.stderr
    assert "by 2 workers" in shared.stderr
    again = stackclip(place, *words, "--workers", "2")
    assert "computed" not in again.stderr
    assert rows(again.stdout, place) == alone[1]


@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="ray is not installed: pip install 'stackclip[ray]'")
def test_ray_gives_the_features_and_rows_of_one_process_and_leaves_no_process(tmp_path: Path, alone: Any) -> None:
    place = placed(tmp_path / "ray", own=OWN)
    words = ("--workspace", str(place), "bench", "--methods", "my-own,sdp", "--seeds", "0,1", *WORDS, "--json")
    ended = subprocess.run(
        [sys.executable, "-m", "stackclip", *words, "--executor", "ray[workers=2]"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "STACKCLIP_TRIAL": str(place)},
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert (digest(place), rows(ended.stdout, place)) == alone
    assert of_trial(place) == []


def of_trial(place: Path) -> list[int]:
    """The processes that have the environment of a trial."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"STACKCLIP_TRIAL={place}\0".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_shards_give_the_features_and_rows_of_one_process(stackclip: Run, tmp_path: Path, alone: Any) -> None:
    place = placed(tmp_path / "shards", own=OWN)
    encode = ("cache-features", "--dataset", TRAINING, "--dataset", TESTED, "--methods", "my-own,sdp", *TOWER)
    bench = ("bench", "--methods", "my-own,sdp", "--seeds", "0,1", *WORDS)
    for index in (3, 1, 2):
        result = stackclip(place, *encode, "--shard", f"{index}/3")
        assert result.exit_code == 0, result.output
        assert f"encoded {(6, 5, 5)[index - 1]} pictures" in result.stderr
        repeated = stackclip(place, *encode, "--shard", f"{index}/3")
        assert f"{(6, 5, 5)[index - 1]} were there already" in repeated.stderr
    computed = [stackclip(place, *bench, "--shard", f"{index}/5", "--cached-only") for index in range(1, 6)]
    assert [result.exit_code for result in computed] == [0] * 5
    assert ["computed 2 cells" in result.stderr for result in computed] == [True] * 4 + [False]
    assert "nothing to do: this shard has no part of the work" in computed[4].stderr
    table = stackclip(place, *bench, "--json")
    assert "nothing was left to compute" in table.stderr
    assert (digest(place), rows(table.stdout, place)) == alone


def test_at_whose_work_processes_die_is_a_row_with_that_error(stackclip: Run, tmp_path: Path) -> None:
    place = placed(tmp_path / "two", dies=DIES)
    shared = stackclip(place, "bench", "--methods", "clip,dying", *SETS[:3], ONE, *TOWER, "--json", "--workers", "2")
    assert shared.exit_code == 3, shared.stderr  # some cells failed
    found = rows(shared.stdout, place)
    errors = {method: {row["error"] for key, row in found.items() if key[0] == method} for method in ("clip", "dying")}
    assert errors == {"clip": {""}, "dying": {"a process died 3 times at it"}}
    assert len(found) == 2
    assert "a process died at its work" in shared.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "2", "--executor", "serial"), "leave out one of them"),
        (("--executor", "proceses"), "did you mean 'processes'?"),
        (("--executor", "processes[workers=-1]"), "wanted 1 or more, or 0 for one a GPU"),
        (("--executor", "processes[worker=2]"), "workers"),
        (("--executor", "ray[workers=0]"), "wanted 1 worker or more"),
        (("--shard", "0/4"), "wanted i/n, as 1/4 for the first of four"),
        (("--shard", "5/4"), "wanted i/n, as 1/4 for the first of four"),
        (("--shard", "half"), "wanted i/n, as 1/4 for the first of four"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("verb", ["bench", "cache-features"])
def test_wrong_words_get_one_line_before_any_work(
    stackclip: Run, tmp_path: Path, verb: str, words: tuple[str, ...], said: str
) -> None:
    result = stackclip(tmp_path, verb, *words)
    assert result.exit_code == 2
    assert said in result.stderr.splitlines()[-1]
    assert not (tmp_path / "cache").exists()
