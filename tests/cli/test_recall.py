"""An answer is given again while all that it depends on is as it was, and not a moment longer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

from stackclip.cli import recall
from stackclip.cli.options import FAILED_SOME
from stackclip.defaults import BACKBONE
from stackclip.ops import states
from stackclip.ops.seals import sealed, unsealed

TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")
BENCH = ("bench", "--methods", "stacked,clip", "--train-on", TRAINING, "--epochs", "1", "--seeds", "0", *TOWER)
HEAVY = ("torch", "open_clip", "scipy", "sklearn")
ON = {"STACKCLIP_RECALL": "on"}
Run = Callable[..., Result]
Words = tuple[str, ...]


@pytest.fixture(autouse=True)
def _clocks_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files need not be three seconds old to be relied on."""
    monkeypatch.setattr(states, "_OLD_ENOUGH_NS", 0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, stackclip: Run) -> Path:
    folder = tmp_path_factory.mktemp("data") / "own"
    drawn = "synthetic[part=novel,categories=2,per_category=4,train_good=3,size=56]"
    assert stackclip(None, "export", drawn, str(folder)).exit_code == 0
    return next(folder.glob("*/*"))


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory, stackclip: Run, pictures: Path) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    result = stackclip(root, *BENCH, "--test-on", str(pictures))
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def own(benched: Path, pictures: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of both, for a test that changes them."""
    without_answers = shutil.ignore_patterns("answers")
    workspace = shutil.copytree(benched, tmp_path / "w", ignore=without_answers)
    return Path(workspace), Path(shutil.copytree(pictures, tmp_path / "own"))


def kept(workspace: Path) -> list[Path]:
    return sorted((workspace / "cache" / "answers").glob("*.json"))


def asked(stackclip: Run, workspace: Path, *words: str) -> tuple[Result, bool]:
    """An answer, and whether it was the one that was kept."""
    heard: list[str] = []
    known = recall._known

    def listening(*given: object) -> object:
        found = known(*given)  # type: ignore[arg-type]
        heard.append("kept" if found else "anew")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "_known", listening)
        result = stackclip(workspace, *words, env=ON)
    assert result.exit_code in (0, FAILED_SOME), result.output
    return result, heard == ["kept"]


@pytest.mark.parametrize("words", [("list",), ("list", "heads"), ("list", "papers"), ("show", "winclip")])
def test_what_there_is_is_told_again_without_loading_anything(stackclip: Run, tmp_path: Path, words: Words) -> None:
    first, again = asked(stackclip, tmp_path, *words)
    assert not again
    second, again = asked(stackclip, tmp_path, *words)
    assert again
    assert second.stdout == first.stdout
    assert second.stderr == first.stderr


@pytest.mark.parametrize(
    "words", [(*BENCH,), (*BENCH, "--json"), ("cache-features", "--dataset", TRAINING, *TOWER), ("list",)]
)
def test_a_run_with_nothing_to_do_loads_neither_torch_nor_scipy(benched: Path, pictures: Path, words: Words) -> None:
    code = (
        "import sys\n"
        "from stackclip.cli import cli\n"
        "from stackclip.ops import states\n"
        "states._OLD_ENOUGH_NS = 0\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        f"print(*sorted({set(HEAVY)} & set(sys.modules)), file=sys.stderr)\n"
    )
    words = (*words, "--test-on", str(pictures)) if words[0] == "bench" else words
    command = [sys.executable, "-c", code, "--workspace", str(benched), *words]
    environment = {**os.environ, **ON}
    first, second = (subprocess.run(command, capture_output=True, text=True, env=environment) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert second.stdout == first.stdout
    assert first.stderr.splitlines()[:-1] == second.stderr.splitlines()[:-1]
    assert "torch" in first.stderr.splitlines()[-1].split()
    assert second.stderr.splitlines()[-1] == ""


def _a_row_is_gone(workspace: Path, pictures: Path) -> None:
    next((workspace / "cache" / "rows").rglob("*.json")).unlink()


def _a_row_is_another(workspace: Path, pictures: Path) -> None:
    row = next((workspace / "cache" / "rows").rglob("*.json"))
    row.write_bytes(row.read_bytes())


def _a_picture_is_another(workspace: Path, pictures: Path) -> None:
    picture = sorted(pictures.rglob("test/*/*.png"))[0]
    size = picture.stat()
    Image.open(picture).rotate(180).save(picture)
    os.utime(picture, ns=(size.st_atime_ns, size.st_mtime_ns))


def _a_picture_came(workspace: Path, pictures: Path) -> None:
    picture = sorted(pictures.rglob("test/good/*.png"))[0]
    shutil.copy(picture, picture.with_name("new.png"))


def _a_mask_is_gone(workspace: Path, pictures: Path) -> None:
    sorted(pictures.rglob("ground_truth/*/*.png"))[0].unlink()


def _the_store_is_another(workspace: Path, pictures: Path) -> None:
    next((workspace / "cache" / "features").rglob("segments/*.json")).unlink()


def _a_component_came(workspace: Path, pictures: Path) -> None:
    (workspace / "registry").mkdir()
    (workspace / "registry" / "mine.py").write_text("")


@pytest.mark.parametrize(
    "change",
    [
        _a_row_is_gone,
        _a_row_is_another,
        _a_picture_is_another,
        _a_picture_came,
        _a_mask_is_gone,
        _the_store_is_another,
        _a_component_came,
    ],
)
def test_whatever_a_bench_rests_on_changes_it_is_asked_anew(
    stackclip: Run, own: tuple[Path, Path], change: Callable[[Path, Path], None]
) -> None:
    workspace, pictures = own
    words = (*BENCH, "--test-on", str(pictures))
    stackclip(workspace, *words)  # the copies are known
    assert not asked(stackclip, workspace, *words)[1]
    assert asked(stackclip, workspace, *words)[1]
    change(workspace, pictures)
    assert not asked(stackclip, workspace, *words)[1]


def test_other_words_another_place_and_another_environment_are_other_questions(
    stackclip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(stackclip, tmp_path, "list", "heads")
    assert not asked(stackclip, tmp_path, "list", "scorers")[1]
    assert not asked(stackclip, tmp_path, "-v", "list", "heads")[1]
    monkeypatch.setenv("STACKCLIP_BENCH_SEEDS", "3")
    assert not asked(stackclip, tmp_path, "list", "heads")[1]
    monkeypatch.delenv("STACKCLIP_BENCH_SEEDS")
    monkeypatch.chdir(tmp_path)
    assert not asked(stackclip, tmp_path, "list", "heads")[1]


@pytest.mark.parametrize(
    "name", ["MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_ENTITY", "DATABRICKS_HOST", "TENSORBOARD_LOGDIR", "HF_TOKEN"]
)
def test_an_answer_depends_on_where_trackers_are_told_to_write_and_keeps_no_key(
    name: str, stackclip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(stackclip, tmp_path, "list", "heads")
    monkeypatch.setenv(name, "open-sesame")
    assert not asked(stackclip, tmp_path, "list", "heads")[1]
    assert asked(stackclip, tmp_path, "list", "heads")[1]
    answers = [*tmp_path.rglob("answers/*.json")]
    assert len(answers) == 2
    assert not any("open-sesame" in each.read_text("utf-8") for each in answers)


def test_an_option_that_is_typed_with_its_default_is_another_question(stackclip: Run, tmp_path: Path) -> None:
    """A suite gives way to what is typed, be it what the option is anyway."""
    words = ("show", "winclip")
    asked(stackclip, tmp_path, *words)
    typed = (*words, "--backbone", BACKBONE)
    assert not asked(stackclip, tmp_path, *typed)[1]
    assert asked(stackclip, tmp_path, *typed)[1]
    assert asked(stackclip, tmp_path, *words)[1]


def test_what_lies_behind_a_link_to_a_folder_is_looked_at_too(stackclip: Run, own: tuple[Path, Path]) -> None:
    workspace, pictures = own
    category = sorted(each for each in pictures.iterdir() if each.is_dir())[0]
    elsewhere = category.rename(pictures.parent / "elsewhere")
    category.symlink_to(elsewhere)
    (elsewhere / "test" / "round").symlink_to(elsewhere)
    words = (*BENCH, "--test-on", str(pictures))
    stackclip(workspace, *words)
    assert not asked(stackclip, workspace, *words)[1]
    assert asked(stackclip, workspace, *words)[1]
    mask = sorted(elsewhere.rglob("ground_truth/*/*.png"))[0]
    mask.write_bytes(mask.read_bytes())
    assert not asked(stackclip, workspace, *words)[1]


@pytest.mark.parametrize("verb", ["bench", "cache-features"])
def test_a_data_set_without_the_category_that_comes_to_have_it_is_no_longer_left_out(
    stackclip: Run, own: tuple[Path, Path], verb: str
) -> None:
    workspace, pictures = own
    first, second = sorted(each for each in pictures.iterdir() if each.is_dir())
    apart = pictures.parent / "apart"
    apart.mkdir()
    first.rename(apart / first.name)
    named = f"{pictures},{apart}"
    sets = ("--test-on", named) if verb == "bench" else ("--dataset", named, "--methods", "clip", *TOWER)
    words = (*(BENCH if verb == "bench" else (verb,)), *sets, "--category", second.name)
    stackclip(workspace, *words)
    assert "apart" not in asked(stackclip, workspace, *words)[0].stderr
    shutil.copytree(second, apart / second.name)
    result, again = asked(stackclip, workspace, *words)
    assert not again
    assert "apart" in result.stderr


def test_a_folder_that_many_links_lead_to_is_gone_through_once(tmp_path: Path) -> None:
    for name in "abcdefghijkl":
        (tmp_path / name).mkdir()
    for name, other in product("abcdefghijkl", repeat=2):
        (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    assert len([*recall._below(tmp_path, set())]) == 1 + 12 + 12 * 12


@pytest.mark.parametrize("name", ["suite.toml", "a,b (1).toml", "it's [here]=+.toml", "line\nbreak.toml"])
def test_what_a_word_names_is_looked_at_too(tmp_path: Path, name: str) -> None:
    listed = tmp_path / name
    listed.write_text("")
    assert [*recall._named([listed, 3, None])] == [listed]
    assert [*recall._named([("winclip", str(listed))])] == [listed]


def test_what_an_option_of_a_method_names_is_looked_at_too(tmp_path: Path) -> None:
    listed = tmp_path / "parts.toml"
    listed.write_text("")
    assert [*recall._named([(f"clip-lad[parts={listed}]",)])] == [listed]


@pytest.mark.parametrize("how", ["cut", "flipped", "of another question", "a lie about itself"])
def test_a_damaged_answer_is_none(stackclip: Run, tmp_path: Path, how: str) -> None:
    first, _ = asked(stackclip, tmp_path, "list", "heads")
    [file] = kept(tmp_path)
    data = file.read_bytes()
    content = unsealed(data)
    damaged = {
        "cut": data[:-20],
        "flipped": data.replace(b"linear", b"lineaf", 1),
        "of another question": sealed({**content, "asked": {**content["asked"], "verb": "show"}}),
        "a lie about itself": sealed({**content, "state": "0" * 64, "printed": "nothing"}),
    }
    file.write_bytes(damaged[how])
    again, was_kept = asked(stackclip, tmp_path, "list", "heads")
    assert not was_kept
    assert again.stdout == first.stdout


def test_what_failed_was_computed_or_is_off_is_not_kept(stackclip: Run, own: tuple[Path, Path], tmp_path: Path) -> None:
    workspace, pictures = own
    assert stackclip(workspace, "show", "no-such-thing", env=ON).exit_code
    assert stackclip(workspace, "list", "heads", env={"STACKCLIP_RECALL": "off"}).exit_code == 0
    words = (*BENCH, "--test-on", str(pictures), "--overwrite", "always")
    assert stackclip(workspace, *words, env=ON).exit_code == 0
    assert stackclip(workspace, *words[:-2], "-o", str(tmp_path / "t.csv"), env=ON).exit_code == 0
    assert not kept(workspace)


def test_a_young_file_is_not_relied_on(stackclip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "_OLD_ENOUGH_NS", 10**18)
    asked(stackclip, tmp_path, "list", "heads")
    assert not kept(tmp_path)


def test_where_nothing_can_be_kept_the_answer_is_given(stackclip: Run, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "answers").write_text("a file")
    assert not asked(stackclip, tmp_path, "list", "heads")[1]


def test_answers_do_not_pile_up(stackclip: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "_MOST", 2)
    for shelf in ("heads", "scorers", "learners"):
        asked(stackclip, tmp_path, "list", shelf)
    assert len(kept(tmp_path)) == 2
    assert json.loads(json.dumps(of_last(tmp_path)["asked"]))["words"] == {"shelf": "'learners'"}


def of_last(workspace: Path) -> dict[str, dict[str, object]]:
    newest = max(kept(workspace), key=lambda file: file.stat().st_mtime_ns)
    return unsealed(newest.read_bytes())
