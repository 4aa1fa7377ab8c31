"""From pictures to rows: real pictures, interruptions, and components of the user's."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from stackclip.benchmarks.rows import RowFolder
from stackclip.cache import Store, stores_in
from stackclip.cli.process import signals
from stackclip.clip import Tower
from stackclip.methods import PromptedDetector

ROOT = Path(__file__).resolve().parents[1]
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")
METHODS = ("--methods", "stacked,fuzzy,precise,april-gan")
TRAINING = "synthetic[categories=2,per_category=4,train_good=1,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=1,size=56]"
SMALL = ("--train-on", TRAINING, "--test-on", TESTED, "--epochs", "1", *TOWER)

Run = Callable[..., Result]
PLACES = {
    "encode": (Tower, "encode"),
    "step": (PromptedDetector, "step"),
    "predict": (PromptedDetector, "predict"),
    "row": (RowFolder, "write"),
}


@pytest.fixture(scope="session")
def run(stackclip: Run) -> Run:
    """Run a command; with `stop_at="encode 3"` a real signal comes when the third batch of pictures is encoded."""

    def run(workspace: Path, *words: str, code: int = 0, stop_at: str = "", by: str = "SIGINT") -> Result:
        with pytest.MonkeyPatch.context() as patch:
            if stop_at:
                what, _, number = stop_at.partition(" ")
                owner, name = PLACES[what]
                patch.setattr(owner, name, _stopping(getattr(owner, name), int(number), getattr(signal, by)))
            with _handlers_kept(), signals():
                result = stackclip(workspace, *words)
        assert result.exit_code == code, result.output
        return result

    return run


def _hear() -> None:
    """Give signals their own effect: in the background or under `nohup` some are ignored from the start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """What signals do to this process is afterwards as it was."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    _hear()
    yield
    for number, handler in before.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _stopping(original: Callable[..., object], number: int, by: signal.Signals) -> Callable[..., object]:
    calls = iter(range(number - 1))

    def call(*arguments: object, **words: object) -> object:
        if next(calls, None) is None:
            signal.raise_signal(by)
        return original(*arguments, **words)

    return call


def figures(done: Result) -> dict[tuple[str, str, str, int], Any]:
    """The metrics and losses of rows printed with --json."""
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert not any(row["error"] for row in rows)
    return {
        (row["method"], row["test_on"], row["category"], row["seed"]): (row["metrics"], row["facts"]["losses"])
        for row in rows
    }


def encoded(workspace: Path) -> int:
    return sum(len(Store.open(folder)) for folder in stores_in(workspace / "cache" / "features"))


def finished(workspace: Path) -> int:
    return len(list((workspace / "cache" / "rows").glob("*.json")))


@pytest.fixture(scope="module")
def photographs(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The words of a bench on photographs of boards, metal and nuts: some pictures of each kind from every folder."""
    root = tmp_path_factory.mktemp("photographs")
    for name in ("deeppcb-mini", "mvtec-mini", "ksdd-mini"):
        source = shared / "data" / name
        if not source.is_dir():
            pytest.skip(f"no pictures at {source}")
    for name in ("deeppcb-mini", "mvtec-mini"):
        for folder in (shared / "data" / name).glob("*/test/*"):
            target = root / name / folder.relative_to(shared / "data" / name)
            target.mkdir(parents=True)
            for picture in sorted(folder.iterdir())[:3]:
                shutil.copy(picture, target)
                category, defect = folder.parents[1], folder.name
                for mask in (category / "ground_truth" / defect).glob(f"{picture.stem}*"):
                    place = root / name / category.name / "ground_truth" / defect
                    place.mkdir(parents=True, exist_ok=True)
                    shutil.copy(mask, place)
    parts = sorted(path for path in (shared / "data" / "ksdd-mini").iterdir() if path.is_dir())
    for part in parts[:2]:
        shutil.copytree(part, root / "ksdd-mini" / part.name)
    data = ("--data-root", str(root), "--train-on", "deeppcb-mini", "--test-on", "mvtec-mini,ksdd-mini")
    return (*data, "--seeds", "0,1", "--epochs", "1", "--batch-size", "2", *TOWER)


def test_interrupted_work_on_photographs_ends_with_the_rows_of_uninterrupted_work(
    run: Run, photographs: tuple[str, ...], tmp_path: Path
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    bench = ("bench", *METHODS, *photographs, "--json")
    wanted = run(whole, *bench)
    rows = figures(wanted)
    assert len(rows) == finished(whole) > 4 * 2 * 2
    assert {test_on for _, test_on, _, _ in rows} == {"mvtec-mini", "ksdd-mini"}

    datasets = ("--dataset", "deeppcb-mini", "--dataset", "mvtec-mini,ksdd-mini", *photographs[:2])
    cache = ("cache-features", *METHODS, *datasets, "--encode-batch-size", "5", *TOWER)
    done = run(stopped, *cache, stop_at="encode 3", code=130)
    assert "run the same command again to go on" in done.stderr
    assert encoded(stopped) == 10
    run(stopped, *cache, stop_at="encode 3", code=130)
    assert encoded(stopped) == 20
    assert "; 20 were there already" in run(stopped, *cache).stderr
    assert encoded(stopped) == encoded(whole)

    kept = []
    for moment in ("step 6", "predict 3", "row 7", "step 2", "predict 30"):
        done = run(stopped, *bench, stop_at=moment, code=130)
        assert done.stdout == ""
        kept.append(finished(stopped))
    assert kept[0] == 0
    assert kept == sorted(kept)
    assert 0 < kept[-1] < len(rows)
    assert figures(run(stopped, *bench)) == rows

    again = run(stopped, *bench, stop_at="encode 1")
    assert f"nothing was left to compute: all {len(rows)} cells were there already" in again.stderr
    assert figures(again) == rows


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_other_signals_keep_what_was_encoded_too(run: Run, name: str, code: int, tmp_path: Path) -> None:
    words = ("cache-features", "--dataset", TRAINING, "--encode-batch-size", "3", *TOWER)
    run(tmp_path, *words, stop_at="encode 2", by=name, code=code)
    assert encoded(tmp_path) == 3
    assert "3 were there already" in run(tmp_path, *words).stderr


SLOW = """
import time
from stackclip.clip import Tower
from stackclip.methods import PromptedDetector

def slowed(function):
    def slowly(*arguments, **words):
        print("BEGUN", flush=True)
        time.sleep(0.2)
        return function(*arguments, **words)
    return slowly

Tower.encode = slowed(Tower.encode)
PromptedDetector.predict = slowed(PromptedDetector.predict)
"""


@pytest.mark.skipif(os.name == "nt", reason="a console's Ctrl-C cannot be sent to one process")
def test_ctrl_c_from_outside_ends_caching_and_bench_with_130_and_loses_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "slow.py").write_text(SLOW)
    cache = ("cache-features", "--dataset", TRAINING, "--encode-batch-size", "1", *TOWER)
    assert "run the same command again to go on" in _interrupted(tmp_path, cache, begun=3)
    assert 2 <= encoded(tmp_path) < 8
    bench = ("bench", "--methods", "fuzzy,precise", *SMALL)
    (tmp_path / "registry" / "slow.py").unlink()
    run(tmp_path, "cache-features", "--dataset", TRAINING, "--dataset", TESTED, *TOWER)
    (tmp_path / "registry" / "slow.py").write_text(SLOW)
    _interrupted(tmp_path, bench, begun=3)  # two methods on one category are done before
    assert finished(tmp_path) == 2
    (tmp_path / "registry" / "slow.py").unlink()
    rows = figures(run(tmp_path, *bench, "--json"))
    assert figures(run(tmp_path / "whole", *bench, "--json")) == rows


def _interrupted(workspace: Path, words: tuple[str, ...], *, begun: int) -> str:
    """What a process says that gets SIGINT after it has begun some slow calls."""
    command = [sys.executable, str(ROOT / "cli.py"), "--workspace", str(workspace), *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, preexec_fn=_hear) as process:
        assert process.stdout is not None
        for _ in range(begun):
            assert process.stdout.readline() == "BEGUN\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    return said


# Components of the user's

GOOD = '''
"""One word for everything."""
from stackclip.registry import prompts

@prompts.register("gadget")
class Gadget:
    """Every category is called a `word`."""

    def __init__(self, *, word: str = "gadget") -> None:
        self.word = word

    def groups(self, categories, encode):
        return (tuple(categories),)

    def subject(self, category, group, *, seen):
        return self.word
'''


def test_a_strategy_dropped_into_the_registry_is_there_and_a_broken_one_does_not_disturb(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "registry").mkdir()
    before = figures(run(tmp_path / "plain", "bench", "--methods", "fuzzy", *SMALL, "--json"))
    (tmp_path / "registry" / "gadget.py").write_text(GOOD)
    (tmp_path / "registry" / "syntax.py").write_text("def broken(:\n")
    (tmp_path / "registry" / "leaving.py").write_text("raise SystemExit('bye')\n")
    assert "gadget" in run(tmp_path, "list", "prompts").stdout
    assert "failed" not in run(tmp_path, "check", "gadget").stdout
    done = run(tmp_path, "bench", "--methods", "fuzzy,gadget,gadget[word=object]", *SMALL, "--json")
    for broken in ("syntax.py", "leaving.py"):
        assert f"{broken}) did not load: " in done.stderr
    rows = figures(done)
    assert {key: value for key, value in rows.items() if key[0] == "fuzzy"} == before
    of_fuzzy, of_object = (
        [value for (method, *_), value in rows.items() if method == name] for name in ("fuzzy", "gadget[word=object]")
    )
    assert of_fuzzy == of_object  # fuzzy's word, by another way


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions; what is imported from it is forgotten afterwards."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield tmp_path / "site"
    for name in ("broken_gadgets", "gadgets"):
        sys.modules.pop(name, None)


def test_an_installed_distribution_is_benched_by_its_name(run: Run, site: Path, tmp_path: Path) -> None:
    wheel = _wheel(tmp_path, "gadgets", {"gadgets.py": GOOD}, "[stackclip.prompts]\ngadget = gadgets:Gadget\n")
    broken = "[stackclip.prompts]\nabsent = broken_gadgets:Absent\n[stackclip.methods]\nworse = broken_gadgets:Worse\n"
    other = _wheel(tmp_path, "broken_gadgets", {"broken_gadgets.py": "import sys; sys.exit(7)\n"}, broken)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-index",
        "--no-deps",
        "--target",
        str(site),
        str(wheel),
        str(other),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    words = ("bench", "--methods", "gadget[word=object],fuzzy", *SMALL, "--json")
    rows = figures(run(tmp_path / "work", *words))
    assert len({str(value) for value in rows.values()}) == 2  # two categories, and two names for one strategy
    listed = run(tmp_path / "work", "list").stdout
    assert "gadgets, gadgets:Gadget" in " ".join(listed.split())
    assert "absent" in listed
    run(tmp_path / "work", "bench", "--methods", "worse", *SMALL, code=1)


def _wheel(folder: Path, name: str, files: dict[str, str], entry_points: str) -> Path:
    """A wheel written by hand."""
    info = f"{name}-1.0.dist-info"
    written = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for path, text in written.items()
    }
    record = [f"{path},sha256={digests[path]},{len(text.encode())}" for path, text in written.items()]
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in written.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))
    return wheel
