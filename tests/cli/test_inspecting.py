"""The verb `inspect` (and `predict`, as it was called), as a person meets it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Run = Callable[..., Result]
TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
WORDS = ("--object", "metal plate", "--train-on", TRAINING, "--backbone", "random-vit-8", "--image-size", "56")


def pictures(folder: Path, *names: str, seed: int = 0) -> Path:
    draws = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 255, (56, 56, 3), dtype=np.uint8)).save(folder / name)
    return folder


def scores(place: Path) -> dict[str, str]:
    text = (place / "scores.csv").read_text()
    return {row["picture"].rpartition("/")[2]: row["score"] for row in csv.DictReader(text.splitlines())}


@pytest.mark.parametrize("output", ["pics", "pics/a/b", "pics/good"])
def test_a_second_run_scores_the_same_pictures_and_not_its_heat_maps(
    stackclip: Run, tmp_path: Path, output: str
) -> None:
    folder = pictures(tmp_path / "pics", "1.png", "2.png")
    words = ("predict", str(folder), *WORDS, "--methods", "sdp", "-o", str(tmp_path / output))
    for _ in range(2):
        assert stackclip(tmp_path / "w", *words).exit_code == 0
        assert set(scores(tmp_path / output / "sdp")) == {"1.png", "2.png"}
    (tmp_path / output / "sdp").rename(folder / "renamed")
    assert stackclip(tmp_path / "w", *words).exit_code == 0
    assert set(scores(tmp_path / output / "sdp")) == {"1.png", "2.png"}
    again = stackclip(tmp_path / "w", "predict", str(folder / "renamed"), *WORDS, "--methods", "sdp")
    assert again.exit_code == 1
    assert "stackclip wrote the scores and heat maps in it" in again.stderr


def test_the_layout_of_a_folder_does_not_change_scores(stackclip: Run, tmp_path: Path) -> None:
    flat = pictures(tmp_path / "flat" / "pics", "1.png", "2.png")
    labelled = tmp_path / "labelled" / "pics"
    for name, label in (("1.png", "good"), ("2.png", "scratch")):
        (labelled / label).mkdir(parents=True)
        shutil.copy(flat / name, labelled / label / name)
    for folder in (flat, labelled):
        out = str(folder.parent / "out")
        assert stackclip(tmp_path / "w", "predict", str(folder), *WORDS, "--methods", "sdp", "-o", out).exit_code == 0
    assert scores(flat.parent / "out" / "sdp") == scores(labelled.parent / "out" / "sdp")


def test_methods_that_do_not_train_encode_nothing_else(stackclip: Run, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pics", "1.png", "2.png")
    words = ("predict", str(folder), *WORDS, "--epochs", "1", "-o", str(tmp_path / "out"))
    untrained = stackclip(tmp_path / "w", *words, "--methods", "sdp,winclip")
    assert "encoded 2 pictures" in untrained.stderr
    assert "the store holds 2 pictures" in untrained.stderr
    trained = stackclip(tmp_path / "w", *words, "--methods", "precise")
    assert trained.exit_code == 0, trained.output
    assert "on the scale of these pictures" in trained.stdout
    assert "without good pictures scores only rank these" in trained.stdout


def test_each_picture_counts_once_and_the_note_of_the_tower_is_said_once(stackclip: Run, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pics", "1.png", "2.png")
    good = pictures(tmp_path / "ok", *(f"{n}.png" for n in range(4)), seed=1)
    words = ("inspect", str(folder), *WORDS, "--good", str(good), "-o", str(tmp_path / "out"))
    for encoded, there in ((6, 0), (0, 6)):
        done = stackclip(tmp_path / "w", *words, "--methods", "patchcore-clip")
        assert done.exit_code == 0, done.output
        assert done.stderr.count("numbers say nothing about CLIP") == 1
        assert f"encoded {encoded} pictures" in done.stderr
        assert f"; {there} were there already" in done.stderr
    trained = stackclip(tmp_path / "w", *words, "--epochs", "1", "--methods", "precise")  # encodes in two parts
    assert trained.stderr.count("numbers say nothing about CLIP") == 1


def test_shots_are_those_that_were_given_or_are_refused(stackclip: Run, tmp_path: Path) -> None:
    folder, good = pictures(tmp_path / "pics", "1.png", "2.png"), pictures(tmp_path / "ok", "1.png", "2.png", seed=1)

    def run(*words: str) -> Result:
        return stackclip(tmp_path / "w", "predict", str(folder), *WORDS, *words, "-o", str(tmp_path / "out"))

    for method in ("winclip[shots=2]", "april-gan[shots=2]"):
        refused = run("--methods", method)
        assert refused.exit_code == 2
        assert "name a folder of them with --good" in refused.stderr
    assert run("--methods", "winclip[shots=3]", "--good", str(good)).exit_code == 2
    done = run("--methods", "winclip,winclip[shots=2]", "--good", str(good))
    assert done.exit_code == 0, done.output
    [with_shots] = (tmp_path / "out").glob("winclip_*")
    assert scores(with_shots) != scores(tmp_path / "out" / "winclip")
    assert set(scores(with_shots)) == {"1.png", "2.png"}


PEN_BOX = '{"metal plate": {"fine": {"pen": ["pen"], "eraser": ["eraser"]}, "background": ["box"]}}'


def test_good_pictures_and_a_list_of_parts_are_all_that_clip_lad_wants(stackclip: Run, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pics", "1.png", "2.png")
    good = pictures(tmp_path / "ok", *(f"{n}.png" for n in range(4)), seed=1)
    (tmp_path / "my.json").write_text(PEN_BOX)
    words = ("predict", str(folder), *WORDS, "--good", str(good), "-o", str(tmp_path / "out"), "--methods")
    for scores in ("both", "logical"):
        for _ in range(2):  # the second run replaces what the first one drew
            done = stackclip(tmp_path / "w", *words, f"clip-lad[parts={tmp_path / 'my.json'},scores={scores}]")
            assert done.exit_code == 0, done.output
        assert "shots=all" in done.stdout
        assert "does not use the words" not in done.stderr
    logical, both = sorted((tmp_path / "out").glob("clip-lad_*"), key=lambda place: len(list(place.glob("*.png"))))
    for place, heat_maps in ((both, ["1.png", "2.png"]), (logical, [])):
        rows = list(csv.DictReader((place / "scores.csv").read_text().splitlines()))
        assert sorted(row["parts"] for row in rows) == ["1.parts.png", "2.parts.png"]
        assert sorted(row["heat_map"] for row in rows if row["heat_map"]) == heat_maps
        assert sorted(path.name for path in place.glob("*.png")) == sorted([*heat_maps, "1.parts.png", "2.parts.png"])
    with Image.open(logical / "1.parts.png") as drawn:
        assert drawn.width > 3 * 320


def test_a_list_of_parts_that_is_none_is_one_line(stackclip: Run, tmp_path: Path) -> None:
    folder, good = pictures(tmp_path / "pics", "1.png"), pictures(tmp_path / "ok", "1.png", seed=1)
    (tmp_path / "my.json").write_text('{"metal plate": {"fine": {}}}')
    method = f"clip-lad[parts={tmp_path / 'my.json'}]"
    result = stackclip(tmp_path / "w", "predict", str(folder), *WORDS, "--good", str(good), "--methods", method)
    assert result.exit_code != 0
    assert "'metal plate', fine is {}; wanted {part: [synonym, ...]}, one part at least" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("words", ["", " ", "\n", "\u200b", "--"])
def test_an_object_without_words_is_refused(stackclip: Run, tmp_path: Path, words: str) -> None:
    folder = pictures(tmp_path / "pics", "1.png")
    result = stackclip(tmp_path / "w", "predict", str(folder), *WORDS[2:], f"--object={words}")
    assert result.exit_code == 2
    assert "wanted what the pictures show, in words" in result.stderr


def test_methods_that_do_not_read_the_objects_name_say_so(stackclip: Run, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pics", "1.png")
    words = ("--methods", "fuzzy[head=none],precise[head=none],winclip", "-o", str(tmp_path / "out"))
    result = stackclip(tmp_path / "w", "predict", str(folder), *WORDS, *words)
    [line] = [line for line in result.stderr.splitlines() if "use the words" in line]
    assert line.endswith("fuzzy[head=none] does not use the words 'metal plate': it treats every object alike")


def test_a_workspace_that_holds_only_its_own_pictures_is_named(stackclip: Run, tmp_path: Path) -> None:
    cache = pictures(tmp_path / "w" / "cache", "1.png")
    result = stackclip(tmp_path / "w", "predict", str(tmp_path / "w"), *WORDS)
    assert result.exit_code == 1
    assert f"all its pictures are in {cache}, which stackclip fills itself" in result.stderr


@pytest.mark.parametrize("methods", ["april-gan,fuzzy,winclip", "winclip"])
def test_pictures_that_were_trained_on_are_named_once_and_only_by_methods_that_train(
    stackclip: Run, tmp_path: Path, methods: str
) -> None:
    trained = pictures(tmp_path / "other" / "nut", "good/1.png", "bad/2.png")
    folder = pictures(tmp_path / "pics", "3.png", seed=1)
    shutil.copy(trained / "bad" / "2.png", folder / "2.png")
    words = ("--methods", methods, "--epochs", "1", "--train-on", f"{trained}/", "-o", str(tmp_path / "out"))
    result = stackclip(tmp_path / "w", "predict", str(folder), *WORDS[:2], *WORDS[4:], *words)
    assert result.stderr.count("trained on, byte for byte") == (methods != "winclip"), result.stderr


def test_pictures_are_scored_in_tiles_with_good_ones_or_without(stackclip: Run, tmp_path: Path) -> None:
    folder, good = pictures(tmp_path / "pics", "1.png", "2.png"), pictures(tmp_path / "ok", "1.png", "2.png", seed=1)
    words = ("predict", str(folder), *WORDS, "--epochs", "1", "--tiles", "2x2[whole=yes]", "-o", str(tmp_path / "out"))
    done = stackclip(tmp_path / "w", *words, "--methods", "precise,sdp,patchcore-clip[shots=2]", "--good", str(good))
    assert done.exit_code == 0, done.output
    assert done.stdout.count("at a false-alarm rate of 0.333 by 2 good pictures that it was not shown") == 2
    assert "2 good pictures are too few to show 2 and hold others back for the threshold" in done.stdout
    for method in ("precise", "sdp"):
        assert set(scores(tmp_path / "out" / method)) == {"1.png", "2.png"}
        with Image.open(tmp_path / "out" / method / "1.png") as heat:
            assert heat.size == (112, 56)
    refused = stackclip(tmp_path / "w", *words[:-4], "--tiles", "2by2", "--methods", "sdp")
    assert (refused.exit_code, "--tiles 2by2: wanted ROWSxCOLUMNS" in refused.stderr) == (2, True)
