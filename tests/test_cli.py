"""The command line as its users meet it: what it prints, where, with which exit code, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

from stackclip.cache import Store
from stackclip.cli import cli
from stackclip.cli.commandline import program
from stackclip.clip import Tower
from stackclip.registry import SHELVES

ROOT = Path(__file__).resolve().parents[1]
TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=3,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")
BENCH = ("bench", "--train-on", TRAINING, "--test-on", TESTED, "--epochs", "1", *TOWER)
CACHE = ("cache-features", "--dataset", TRAINING, "--dataset", TESTED, *TOWER)
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def workspace(stackclip: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the two small data sets are encoded and two methods benched with two seeds."""
    root = tmp_path_factory.mktemp("workspace")
    result = stackclip(root, *BENCH, "--methods", "stacked,clip", "--seeds", "0,1")
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def own(workspace: Path, tmp_path: Path) -> Path:
    """A copy of that workspace for a test that changes it."""
    return Path(shutil.copytree(workspace, tmp_path / "own"))


def error_of(result: Result, code: int) -> str:
    """The one error line of a command that ended with `code`."""
    assert result.exit_code == code, result.output
    [line] = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


def rows_of(result: Result) -> dict[tuple[str, str, int], dict[str, float]]:
    """The metrics of rows printed with --json."""
    rows = map(json.loads, result.stdout.splitlines())
    return {(row["method"], row["category"], row["seed"]): row["metrics"] for row in rows}


def files_below(folder: Path) -> dict[str, int]:
    """Every file with its time of change."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def exported(stackclip: Run, tmp_path: Path) -> Path:
    """A generated data set as a folder of one's own."""
    result = stackclip(None, "export", TESTED, str(tmp_path / "drawn"))
    assert result.exit_code == 0, result.output
    root = next(path for path in (tmp_path / "drawn").rglob("synthetic-*") if list(path.glob("*/test")))
    return root.rename(tmp_path / "own-pictures")


# Start-up


@pytest.mark.parametrize(
    "code",
    [
        "import stackclip",
        "import stackclip.types, stackclip.registry, stackclip.data, stackclip.cache",
        "from stackclip.cli import cli; cli(['--help'], standalone_mode=False)",
        "from stackclip.cli import cli; cli(['bench', '--help'], standalone_mode=False)",
        "from stackclip.cli import cli; cli(['--version'], standalone_mode=False)",
    ],
)
def test_what_only_asks_for_help_loads_neither_torch_nor_open_clip(code: str) -> None:
    code = (
        f"{code}\nimport sys; heavy = {{'torch', 'open_clip', 'sklearn'}} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def installed_command() -> str:
    """The console script of this environment."""
    path = Path(sys.executable).with_name("stackclip")
    if not path.exists():
        pytest.skip("stackclip is not installed as a command here: pip install -e .")
    return str(path)


def test_the_installed_command_runs_no_code_of_the_current_directory(installed_command: str, tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    evil = "import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch()\n"
    for name in ("registry/evil.py", "registry.py", "click.py", "cache.py", "sitecustomize.py", "cli.py"):
        (tmp_path / name).write_text(evil)
    environment = {**os.environ, "STACKCLIP_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [installed_command, "list", "prompts"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "stacked" in done.stdout
    assert list(tmp_path.rglob("*.ran")) == []


# Bench and report


def test_the_package_is_run_as_the_command() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "stackclip", "report", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout.split()[:4]) == (0, ["Usage:", "python", "-m", "stackclip"])


def test_a_second_bench_computes_nothing_and_encodes_nothing(
    stackclip: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed")

    monkeypatch.setattr(Tower, "encode", never)
    monkeypatch.setattr(Tower, "encode_text", never)
    monkeypatch.setattr(Store, "batches", never)
    before = files_below(workspace)
    result = stackclip(workspace, *BENCH, "--methods", "stacked,clip", "--seeds", "0,1")
    assert result.exit_code == 0, result.output
    assert "nothing was left to compute: all 8 cells were there already" in result.stderr
    assert "encoded" not in result.stderr
    # Pictures that were just made when they were read are read once more, and that is remembered.
    after = files_below(workspace)
    assert {name: after[name] for name in after if not name.endswith("sources.bin")} == {
        name: before[name] for name in before if not name.endswith("sources.bin")
    }


def test_cache_features_after_a_bench_has_nothing_to_encode(stackclip: Run, workspace: Path) -> None:
    result = stackclip(workspace, *CACHE)
    assert result.exit_code == 0
    assert re.search(
        r"encoded 0 pictures in .*; 16 were there already; the store holds 16 pictures, .* in /", result.stderr
    )


def test_json_is_all_that_stdout_holds(stackclip: Run, workspace: Path) -> None:
    result = stackclip(workspace, *BENCH, "--methods", "stacked,clip", "--seeds", "0,1", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 8
    clip = next(row for row in rows if row["method"] == "clip")
    assert clip["metrics"]["pixel_AUROC"] is None
    assert clip["undefined"]["pixel_AUROC"].startswith("no map: ")


def test_a_report_says_what_the_bench_said_and_computes_nothing(
    stackclip: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ("rows.csv", "rows.jsonl", "table.md", "table.tex")
    outputs = [word for name in names for word in ("-o", str(tmp_path / "bench" / name))]
    benched = stackclip(workspace, *BENCH, "--methods", "clip,stacked", "--seeds", "0,1", "--per-category", *outputs)
    monkeypatch.setattr("stackclip.clip.load_tower", None)
    outputs = [word for name in names for word in ("-o", str(tmp_path / "report" / name))]
    reported = stackclip(workspace, "report", "--per-category", *outputs)
    assert reported.exit_code == 0, reported.output
    assert reported.stdout == benched.stdout
    for name in names:
        lines = [sorted((tmp_path / place / name).read_text().splitlines()) for place in ("bench", "report")]
        assert lines[0] == lines[1]


def test_a_report_can_be_narrowed_and_says_where_nothing_fits(stackclip: Run, workspace: Path) -> None:
    result = stackclip(workspace, "report", "--methods", "clip", "--seeds", "1", "--json")
    assert {(method, seed) for method, _, seed in rows_of(result)} == {("clip", 1)}
    assert "no row in" in error_of(stackclip(workspace, "report", "--methods", "fuzzy"), 1)


def test_benches_that_asked_for_other_epochs_are_reported_in_tables_of_their_own(stackclip: Run, own: Path) -> None:
    words = [*BENCH, "--methods", "stacked"]
    words[words.index("--epochs") + 1] = "2"
    assert stackclip(own, *words).exit_code == 0
    result = stackclip(own, "report", "--methods", "stacked")
    assert [line for line in result.stdout.splitlines() if line.endswith("1 epoch")]
    assert [line for line in result.stdout.splitlines() if "2 epochs" in line]


def test_too_few_normal_pictures_for_the_shots_cost_the_cell_and_say_so(stackclip: Run, own: Path) -> None:
    result = stackclip(own, *BENCH, "--methods", "april-gan", "--shots", "4")
    assert result.exit_code == 3
    assert "has 3 normal training pictures, wanted 4" in " ".join(result.stdout.split())


def test_pictures_without_labels_are_neither_trained_on_nor_tested(stackclip: Run, own: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (56, 56)).save(folder / "one.png")
    for flag in ("--train-on", "--test-on"):
        result = stackclip(own, *BENCH, flag, str(folder))
        assert result.exit_code == 1
        assert "encoded" not in result.stderr
        assert "1 picture has no labels" in result.stderr
        assert "stackclip inspect" in result.stderr


def test_a_bench_with_shots_says_what_it_drew_and_who_cannot_use_them(stackclip: Run, own: Path) -> None:
    words = [*BENCH, "--methods", "april-gan[epochs=1],clip", "--shots", "2", "--seeds", "0,1", "--json"]
    result = stackclip(own, *words)
    assert result.exit_code == 3
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    drawn = {(row["category"], row["seed"]): row["facts"]["shots_drawn"] for row in rows if not row["error"]}
    assert len(drawn) == 4
    assert all(len(set(names)) == 2 and all("/train/good/" in name for name in names) for names in drawn.values())
    assert {row["error"] for row in rows if row["method"] == "clip"} == {
        "it is zero-shot and learns nothing from 2 shots; april-gan takes them"
    }
    assert "learns nothing from 2 shots" in result.stderr


# Dry runs, quiet, log files


@pytest.mark.parametrize("verb", [CACHE, (*BENCH, "--methods", "stacked,clip", "--seeds", "0,1", "-o", "table.md")])
def test_a_dry_run_writes_nothing_and_says_numbers(
    stackclip: Run, verb: tuple[str, ...], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = stackclip(tmp_path / "new", *verb, "--dry-run")
    assert result.exit_code == 0, result.output
    assert re.search(r"would encode .*patch/8.* of 16 pictures, [\d.]+ kB in .* \(0 pictures are there", result.stdout)
    if verb[0] == "bench":
        assert "would compute 8 of 8 cells (0 are there already)" in result.stdout
    assert {path.split("/")[1] for path in files_below(tmp_path / "new")} == {"data"}  # drawn, to count them
    assert not (tmp_path / "table.md").exists()


def test_a_dry_run_where_all_is_there_says_so(stackclip: Run, workspace: Path) -> None:
    before = files_below(workspace)
    result = stackclip(workspace, *BENCH, "--methods", "stacked,fuzzy", "--seeds", "0,1", "--dry-run")
    assert result.exit_code == 0
    assert "would encode nothing (16 pictures are there already)" in result.stdout
    assert "would compute 4 of 8 cells (4 are there already)" in result.stdout
    assert "not computed yet" not in result.output
    assert files_below(workspace) == before


def test_a_dry_run_estimates_the_size_that_is_then_written(stackclip: Run, tmp_path: Path) -> None:
    said = re.search(r", ([\d.]+) kB in", stackclip(tmp_path, *CACHE, "--dry-run").stdout)
    written = re.search(r"pictures, ([\d.]+) kB, in", stackclip(tmp_path, *CACHE).stderr)
    assert said is not None
    assert written is not None
    assert float(said[1]) == pytest.approx(float(written[1]), rel=0.15)


def test_quiet_leaves_only_the_answer(stackclip: Run, workspace: Path) -> None:
    result = stackclip(workspace, "-q", *BENCH, "--methods", "clip")
    assert result.stderr == ""
    assert "clip" in result.stdout


def test_a_log_file_keeps_what_was_said_quiet_or_not(stackclip: Run, own: Path, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "bench.log"
    assert stackclip(own, "-q", "--log-file", str(log), *BENCH, "--methods", "clip", "--seeds", "7").exit_code == 0
    stackclip(own, "-q", "--log-file", str(log), "report", "--methods", "none")
    text = log.read_text()
    assert "INFO stackclip: computed 2 cells" in text
    assert "ERROR stackclip: Error: no row in" in text


# Bad words


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((*BENCH, "--methods", "staked"), 2, "no method is named 'staked' (did you mean 'stacked'?)"),
        ((*CACHE, "--methods", "fuzy"), 2, "did you mean 'fuzzy'?"),
        ((*BENCH, "--methods", "stacked[cluster=2]"), 2, "clusters"),
        ((*BENCH, "--methods", "stacked[clusters=two]"), 2, "clusters"),
        ((*BENCH, "--methods", "stacked[clusters=2"), 2, "a bracket is not closed"),
        ((*BENCH, "--methods", "stacked[scorer=nonsense]"), 2, "no scorer is named 'nonsense'; see: stackclip list"),
        ((*BENCH, "--methods", "stacked[scorer=penalty[lambda=x]]"), 2, "lambda='x' is not of type float"),
        ((*BENCH, "--methods", "fuzzy[head=nonsense]"), 2, "no head is named 'nonsense'; see: stackclip list heads"),
        ((*BENCH, "--methods", "fuzzy[head=efa[temprature=1]]"), 2, "did you mean 'temperature'?"),
        ((*BENCH, "--methods", "fuzzy[select=medn]"), 2, "no selector is named 'medn' (did you mean 'mean'?)"),
        ((*BENCH, "--methods", "fuzzy[class_names=natrual]"), 2, "no class names 'natrual' (did you mean 'natural'?)"),
        ((*CACHE, "--methods", "stacked[clusters=0]"), 2, "clusters=0; wanted 1 or more"),
        ((*BENCH, "--methods", "stacked[max-clusters=0]"), 2, "max_clusters=0; wanted 1 or more"),
        ((*BENCH, "--methods", "stacked[seed=-1]"), 2, "seed=-1; wanted 0 or more"),
        ((*BENCH, "--methods", "clip[epochs=-1]"), 2, "epochs=-1; wanted 0 or more"),
        ((*BENCH, "--methods", "precise[lr=0]"), 2, "lr=0.0; wanted a number above 0"),
        ((*BENCH, "--methods", ","), 2, "names nothing"),
        ((*BENCH, "--seeds", "0,x"), 2, "wanted whole numbers separated by commas"),
        ((*BENCH, "--seeds", "-1"), 2, "wanted numbers from 0 to 4294967295"),
        ((*BENCH, "--seeds", "0,4294967296"), 2, "wanted numbers from 0 to 4294967295"),
        ((*BENCH, "--seeds", str(2**64)), 2, "wanted numbers from 0 to 4294967295"),
        (("predict", ".", "--object", "plate", "--seed", str(2**64)), 2, "0<=x<=4294967295"),
        (("predict", ".", "--object", "plate", "--seed", "-1"), 2, "0<=x<=4294967295"),
        ((*BENCH, "--methods", "stacked[seed=4294967296]"), 2, "wanted at most 4294967295"),
        ((*CACHE[:1], "--backbone", "random-vit-8[seed=-1]"), 2, "seed=-1; wanted 0 or more"),
        ((*BENCH, "--image-size", str(2**64)), 2, "more than 4096 pixels"),
        ((*BENCH, "--seed", "1"), 2, "--seed"),
        ((*BENCH, "--epoch", "1"), 2, "--epoch"),
        (
            (*BENCH, "-o", "table.docx"),
            2,
            "table.docx: no table is written as .docx; wanted .csv, .html, .jsonl, .md, .parquet, .tex",
        ),
        ((*BENCH, "-o", "table"), 2, "wanted .csv, .html, .jsonl, .md, .parquet, .tex"),
        ((*BENCH, "--executor", "seriel"), 2, "did you mean 'serial'?"),
        ((*BENCH, "--class-names", "pretty"), 2, "no class names 'pretty'"),
        ((*BENCH, "--class-names", "missing.json"), 1, "missing.json: cannot be read"),
        ((*BENCH, "--category", "bottel"), 2, "has a category 'bottel'"),
        ((*BENCH, "--backbone", "ViT-L-41"), 2, "did you mean 'ViT-L-1"),
        ((*BENCH, "--image-size", "57"), 2, "--image-size 57 is no multiple"),
        ((*BENCH, "--image-size", "56x57"), 2, "--image-size 56x57 is no multiple of random-vit-8's patches"),
        ((*BENCH, "--image-size", "5x"), 2, "Invalid value for '--image-size': '5x' is no size of a picture"),
        ((*BENCH, "--image-size", "-56"), 2, "Invalid value for '--image-size': '-56' is no size of a picture"),
        ((*BENCH, "--image-size", f"56x{2**63}"), 2, "more than 4096 pixels"),
        ((*BENCH, "--layers", "2,99"), 2, "99"),
        ((*BENCH, "--device", "tpu9"), 2, "tpu9"),
        ((*BENCH, "--device", "meta"), 2, "this PyTorch cannot compute on it: use --device cpu"),
        ((*CACHE[:1], "--dataset", "mvtek", *TOWER), 1, "did you mean 'mvtec'?"),
        ((*CACHE[:1], "--dataset", "synthetic[siez=3]", *TOWER), 2, "size"),
        (("list", "methodes"), 2, "did you mean 'methods'?"),
        (("show", "stakced"), 2, "did you mean 'stacked'?"),
        (("check", "stakced"), 2, "did you mean 'stacked'?"),
        (("verify", "nowhere"), 1, "nowhere is no feature store"),
        (("repair", "nowhere"), 1, "nowhere is no feature store"),
        (("benhc",), 2, "No such command 'benhc'"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else None,
)
def test_wrong_words_are_told_in_one_line(
    stackclip: Run, words: tuple[str, ...], code: int, said: str, workspace: Path, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in error_of(stackclip(workspace, *words), code)


def test_an_empty_workspace_says_what_to_run_first(stackclip: Run, tmp_path: Path) -> None:
    assert "run: stackclip cache-features" in error_of(stackclip(tmp_path, "verify"), 1)
    assert "stackclip bench --help" in error_of(stackclip(tmp_path, "report"), 1)


def test_a_folder_that_cannot_be_written_is_one_line(stackclip: Run, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in error_of(stackclip(tmp_path / "file" / "inside", *CACHE), 1)
    table = str(tmp_path / "file" / "table.md")
    unwritten = stackclip(workspace, *BENCH, "--methods", "clip", "-o", table)
    assert unwritten.exit_code == 3
    assert [line for line in unwritten.stderr.splitlines() if f"{table}: not written" in line]
    log = str(tmp_path / "file" / "log")
    unkept = stackclip(workspace, "--log-file", log, "report")
    assert unkept.exit_code == 0
    assert [line for line in unkept.stderr.splitlines() if log in line and "the work goes on without it" in line]


# Bad data


def test_a_folder_of_no_known_layout_is_shown_the_trees_that_were_expected(
    stackclip: Run, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("buy lamps")
    result = stackclip(workspace, "cache-features", "--dataset", str(tmp_path / "notes"), *TOWER)
    assert "1 file (todo.txt), no picture in all" in error_of(result, 1)
    for line in ("test/DEFECT/STEM.png", "split_csv", "mvtec:", "visa:", "ksdd:"):
        assert line in result.stderr


def test_a_picture_that_cannot_be_read_is_named_and_the_rest_is_done(
    stackclip: Run, exported: Path, tmp_path: Path
) -> None:
    [bad, *_] = sorted(exported.glob("*/test/good/*.png"))
    bad.write_bytes(b"not a picture")
    words = ("--dataset", str(exported), *TOWER)
    result = stackclip(tmp_path, "cache-features", *words)
    assert result.exit_code == 3
    assert f"failed: {bad}: " in result.stderr
    assert "encoded 7 pictures" in result.stderr
    assert "1 failed" in result.stderr

    bench = (
        "bench",
        "--methods",
        "fuzzy,clip",
        "--train-on",
        TRAINING,
        "--test-on",
        str(exported),
        "--epochs",
        "1",
        *TOWER,
    )
    result = stackclip(tmp_path, *bench, "--json")
    assert result.exit_code == 3
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert not any(row["error"] for row in rows)
    name = bad.relative_to(exported).as_posix()
    assert [row["facts"]["tested_left_out"] for row in rows] == [[name], [], [name], []]
    assert f"(1): {name}: not encoded" in stackclip(tmp_path, *bench).stdout

    strict = stackclip(tmp_path / "strict", "cache-features", *words, "--strict")
    assert str(bad) in error_of(strict, 3)


def test_a_mask_of_another_size_or_none_is_named_and_the_rest_is_done(
    stackclip: Run, exported: Path, tmp_path: Path
) -> None:
    small, lost, *_ = sorted(exported.glob("*/ground_truth/*/*.png"))
    Image.open(small).resize((20, 30)).save(small)
    lost.unlink()
    words = ("--dataset", str(exported), *TOWER)
    result = stackclip(tmp_path, "cache-features", *words)
    assert result.exit_code == 3
    assert re.search(rf"failed: {re.escape(str(small))}: .*20.*30", result.stderr)
    assert f"failed: {lost}: is missing" in result.stderr
    assert "1 masks missing" in result.stderr
    assert "encoded 8 pictures" in result.stderr  # what needs no mask can work with these two
    assert "2 failed" in result.stderr


def test_training_on_a_tested_category_is_refused_unless_it_is_asked_for(stackclip: Run, own: Path) -> None:
    words = [*BENCH, "--methods", "clip"]
    words[words.index("--test-on") + 1] = TRAINING
    line = error_of(stackclip(own, *words), 1)
    assert "so not zero-shot" in line
    assert "--allow-overlap" in line
    assert stackclip(own, *words, "--allow-overlap").exit_code == 0


def test_weights_of_another_architecture_are_one_line(stackclip: Run, workspace: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"visual.conv1.weight": torch.zeros(8, 3, 4, 4)}, tmp_path / "other.safetensors")
    words = ("cache-features", "--dataset", TRAINING, "--backbone", "ViT-B-32", "--weights")
    line = error_of(stackclip(workspace, *words, str(tmp_path / "other.safetensors")), 1)
    assert "other.safetensors" in line
    (tmp_path / "text.pt").write_text("hello")
    assert "text.pt" in error_of(stackclip(workspace, *words, str(tmp_path / "text.pt")), 1)


# The store


def segments(workspace: Path) -> list[Path]:
    return sorted((workspace / "cache" / "features").glob("*/segments/*.h5"))


def test_a_damaged_segment_is_found_dropped_and_encoded_again(stackclip: Run, own: Path) -> None:
    words = (*BENCH, "--methods", "stacked,clip", "--seeds", "0,1", "--json")
    before = rows_of(stackclip(own, *words))
    [segment] = segments(own)
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 4
    segment.write_bytes(content)

    shutil.rmtree(own / "cache" / "rows")
    shutil.rmtree(own / "cache" / "heads")
    broken = stackclip(own, *words)
    assert broken.exit_code == 3
    assert f"{segment}: " in broken.stderr
    assert "Run: stackclip repair" in broken.stderr

    verified = stackclip(own, "verify")
    assert verified.exit_code == 1
    assert f"{segment}: " in verified.stdout
    assert "1 problem" in verified.stdout

    repaired = stackclip(own, "repair")
    assert repaired.exit_code == 0
    assert f"dropped: {segment}: " in repaired.stdout
    assert segments(own) == []
    lost = re.search(
        r"lost: cls, mask, patch/2, .* of (.*)\. Run: stackclip (.*) (cache-features --methods \S+), ", repaired.stdout
    )
    assert lost is not None
    assert shlex.split(lost[2]) == ["--workspace", str(own)]
    assert set(lost[1].split(", ")) == {"synthetic-training", "synthetic-combinations"}
    again = stackclip(own, *lost[3].split(), "--dataset", TRAINING, "--dataset", TESTED, *TOWER)
    assert "encoded 16 pictures" in again.stderr
    assert "encoded 0 pictures" in stackclip(own, *CACHE).stderr
    assert stackclip(own, "verify").exit_code == 0
    assert rows_of(stackclip(own, *words)) == before


def test_features_kept_as_int8_are_a_store_and_rows_of_their_own(stackclip: Run, own: Path) -> None:
    int8, words = ("--feature-dtype", "int8"), (*BENCH, "--methods", "stacked", "--seeds", "0", "--json")
    before = {path.name for path in (own / "cache" / "features").iterdir()}
    lacking = error_of(stackclip(own, *words, *int8, "--cached-only"), 1)
    assert "--feature-dtype int8" in lacking
    assert "encoded 16 pictures" in stackclip(own, *shlex.split(lacking.partition("Run: stackclip ")[2])).stderr
    assert "encode nothing (16 pictures are there already)" in stackclip(own, *CACHE, *int8, "--dry-run").stdout
    rows = [json.loads(line) for line in stackclip(own, *words, *int8, "--cached-only").stdout.splitlines()]
    assert {row["facts"]["feature_dtype"] for row in rows} == {"int8"}
    [coded] = {path.name for path in (own / "cache" / "features").iterdir()} - before
    assert {row["facts"]["features"][:12] for row in rows} == {coded[-12:]}
    assert "nothing was left to compute" in stackclip(own, *words).stderr  # what was there has stayed what it was
    assert "kept as int8" in stackclip(own, "report", "--methods", "stacked").stdout
    assert stackclip(own, "verify").exit_code == 0


def test_the_facts_of_another_store_are_refused(stackclip: Run, own: Path) -> None:
    stackclip(own, "cache-features", "--dataset", TESTED, "--backbone", "random-vit-8", "--image-size", "64")
    ours, other = sorted(
        (own / "cache" / "features").glob("*/store.json"), key=lambda path: "56" not in path.read_text()
    )
    shutil.copy(other, ours)
    line = error_of(stackclip(own, *BENCH, "--methods", "clip"), 1)
    assert str(ours.parent) in line
    assert "image_size" in line


def test_a_bench_that_may_not_encode_names_the_command_that_does(stackclip: Run, tmp_path: Path) -> None:
    bench = (*BENCH, "--shots", "1", "--data-root", str(tmp_path), "--cached-only", "--methods")
    line = error_of(stackclip(tmp_path / "my work", *bench, "fuzzy,april-gan"), 1)
    assert re.search(r": \d+ pictures lack cls, mask, patch/2, patch/4, patch/6, patch/8\. Run: stackclip ", line)
    words = shlex.split(line.partition("Run: ")[2])[1:]
    assert stackclip(None, *words).exit_code == 0
    assert stackclip(tmp_path / "my work", *bench, "april-gan").exit_code == 0


@pytest.mark.parametrize("verb", ["bench", "cache-features", "predict"])
def test_weights_of_another_tower_are_refused_before_anything_is_encoded(
    stackclip: Run, tmp_path: Path, verb: str
) -> None:
    import torch

    torch.save({"fc.0.weight": torch.zeros(3, 5), "fc.0.bias": torch.zeros(3)}, tmp_path / "x.pth")
    (tmp_path / "own").mkdir()
    of_verb = {
        "bench": BENCH[1:],
        "cache-features": CACHE[1:],
        "predict": (str(tmp_path / "own"), "--object", "plate", "--train-on", TRAINING, *TOWER),
    }
    Image.new("RGB", (56, 56)).save(tmp_path / "own" / "a.png")
    words = (verb, *of_verb[verb], "--methods", f"april-gan[weights={tmp_path / 'x.pth'}]")
    line = error_of(stackclip(tmp_path / "work", *words), 1)
    assert re.search(
        r"x\.pth: APRIL-GAN's trainable_linearlayer for another tower .* found fc\.0\.weight \(3, 5\)", line
    )
    assert segments(tmp_path / "work") == []


def test_predict_scores_nothing_where_no_picture_can_be_read(stackclip: Run, own: Path, tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.png").write_text("no picture", encoding="utf-8")
    words = ("predict", str(tmp_path / "text"), "--object", "plate", "--train-on", TRAINING, *TOWER)
    result = stackclip(own, *words, "-o", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "a.png" in result.stderr
    assert result.stderr.rstrip().endswith("none of its pictures can be read, so there is nothing to score")
    assert not (tmp_path / "out").exists()


def test_the_program_is_named_as_it_was_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", str(tmp_path / ".venv" / "bin" / "python"))

    def named(script: str, *words: str) -> str:
        monkeypatch.setattr("sys.argv", [script])
        with cli.make_context("stackclip", [*words, "doctor"], default_map={"workspace": str(tmp_path)}):
            return program()

    assert named("cli.py") == ".venv/bin/python cli.py"
    assert named("/opt/bin/stackclip") == "stackclip"
    assert named("cli.py", "--workspace", "my work") == ".venv/bin/python cli.py --workspace 'my work'"


# Configuration


def seeds_of(result: Result) -> set[int]:
    assert result.exit_code == 0, result.output
    return {seed for _, _, seed in rows_of(result)}


def test_command_line_goes_before_environment_before_config_file(stackclip: Run, own: Path, tmp_path: Path) -> None:
    config = tmp_path / "stackclip.toml"
    config.write_text(f'[bench]\nmethods = ["clip"]\nseeds = [1, 2]\ntrain_on = "{TRAINING}"\ntest-on = "{TESTED}"\n')
    words = ("--config", str(config), "bench", *TOWER, "--epochs", "1", "--json")
    assert seeds_of(stackclip(own, *words)) == {1, 2}
    assert seeds_of(stackclip(own, *words, env={"STACKCLIP_BENCH_SEEDS": "3"})) == {3}
    assert seeds_of(stackclip(own, *words, "--seeds", "4", env={"STACKCLIP_BENCH_SEEDS": "3"})) == {4}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[bench]\nseds = 1", "[bench] has no 'seds' (did you mean 'seeds'?)"),
        ("[bnech]\nseeds = 1", "stackclip has no 'bnech' (did you mean 'bench'?)"),
        ("[bench\n", "stackclip.toml"),
        ("[bench]\nseeds = 'x'", "wanted whole numbers"),
    ],
)
def test_a_wrong_config_file_is_one_line(stackclip: Run, text: str, said: str, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "stackclip.toml").write_text(text)
    assert said in error_of(stackclip(workspace, "--config", str(tmp_path / "stackclip.toml"), "bench"), 2)


def test_options_in_the_environment_are_named_as_on_the_command_line(stackclip: Run, own: Path) -> None:
    env = {
        "STACKCLIP_WORKSPACE": str(own),
        "STACKCLIP_CACHE_FEATURES_DATASET": TESTED,
        "STACKCLIP_CACHE_FEATURES_IMAGE_SIZE": "56",
        "STACKCLIP_CACHE_FEATURES_BACKBONE": "random-vit-8",
    }
    result = stackclip(None, "cache-features", env=env)
    assert "encoded 0 pictures" in result.stderr
    assert "8 were there already" in result.stderr


def test_the_workspace_goes_before_the_cache_of_the_environment(stackclip: Run, tmp_path: Path) -> None:
    words = ("cache-features", "--dataset", "synthetic[categories=1,per_category=2,train_good=0,size=56]", *TOWER)
    env = {"STACKCLIP_CACHE": str(tmp_path / "named")}
    assert stackclip(None, *words, env=env).exit_code == 0
    assert (tmp_path / "named" / "features").is_dir()
    assert stackclip(tmp_path / "own", *words, env=env).exit_code == 0
    assert (tmp_path / "own" / "cache" / "features").is_dir()


# Components


def test_list_names_every_shelf_and_every_component(stackclip: Run, workspace: Path) -> None:
    result = stackclip(workspace, "list")
    assert result.exit_code == 0
    for shelf in SHELVES:
        assert all(name in result.stdout for name in (shelf.kind, *shelf.names()) if shelf.names())


def test_show_tells_options_defaults_source_and_parts(stackclip: Run, workspace: Path) -> None:
    result = stackclip(workspace, "show", "stacked", "--backbone", "random-vit-8")
    assert result.exit_code == 0
    for word in (
        "stacked",
        "stackclip/prompts/stacked.py",
        "clusters",
        "head",
        "linear",
        "class_names",
        "cls, patch/2",
    ):
        assert word in result.stdout
    assert "min-maxed map maximum" in stackclip(workspace, "show", "april-gan").stdout


def test_doctor_tries_a_disk(stackclip: Run, workspace: Path, tmp_path: Path) -> None:
    result = stackclip(workspace, "doctor", "--store", str(tmp_path))
    assert result.exit_code == int("NOT OK" in result.stdout)
    assert "one of two processes gets a name: 500 names" in result.stdout
    assert "torch" not in result.stdout
    assert str(workspace) in stackclip(workspace, "doctor", "--store").stdout


def test_doctor_says_what_there_is_and_where(stackclip: Run, workspace: Path) -> None:
    result = stackclip(workspace, "doctor")
    assert result.exit_code == 0
    for word in (
        "torch ",
        "device",
        "weights",
        "random-vit-8",
        str(workspace / "cache"),
        "16 pictures",
        "rows, ",
    ):
        assert word in result.stdout
    assert "PROBLEM" not in result.stdout
