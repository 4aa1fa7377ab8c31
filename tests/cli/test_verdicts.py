"""Verdicts by good pictures, and detectors in a file, as a person meets them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from safetensors.torch import save_file

if TYPE_CHECKING:
    from playwright.sync_api import Page

Run = Callable[..., Result]
TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
TOWER = ("--backbone", "random-vit-8", "--image-size", "56")
WORDS = ("--object", "metal plate", "--train-on", TRAINING, *TOWER)


def pictures(folder: Path, count: int, seed: int, *, marked: bool = False) -> Path:
    """Grey plates with a little noise; `marked` ones have a bright square."""
    draws = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = draws.integers(90, 120, (60, 90, 3), dtype=np.uint8)
        if marked:
            pixels[20:40, 30:60] = (255, 240, 0)
        Image.fromarray(pixels).save(folder / f"{seed}{number}.png")
    return folder


@pytest.fixture
def plates(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Pictures to be tested, of which the last two are marked, good ones, and bad ones."""
    tested = pictures(tmp_path / "tested" / "fine", 4, 1)
    pictures(tmp_path / "tested" / "marked", 2, 2, marked=True)
    return tested.parent, pictures(tmp_path / "good", 24, 3), pictures(tmp_path / "bad", 3, 4, marked=True)


def rows(place: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((place / "scores.csv").read_text().splitlines()))


def test_pictures_much_larger_than_the_tower_sees_are_said_to_want_tiles(stackclip: Run, tmp_path: Path) -> None:
    for number in range(6):
        place = tmp_path / ("good" if number else "tested") / f"{number}.png"
        place.parent.mkdir(exist_ok=True)
        Image.effect_noise((4 * 56 + 1, 30), number + 1).save(place)
    words = ("inspect", str(tmp_path / "tested"), *WORDS, "--good", str(tmp_path / "good"), "--false-alarms", ".3")
    done = stackclip(tmp_path / "w", *words, "-o", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "pictures of up to 225 x 30 are seen at 56 x 56" in done.stderr
    assert "--tiles 224" in done.stderr
    closer = stackclip(tmp_path / "w", *words, "--tiles", "224", "-o", str(tmp_path / "closer"))
    assert closer.exit_code == 0, closer.output
    assert "are seen at" not in closer.stderr


def test_good_pictures_make_verdicts_regions_and_a_record(
    stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    tested, good, bad = plates
    out = tmp_path / "out"
    words = ("inspect", str(tested), *WORDS, "--good", str(good), "--bad", str(bad), "--maps", "npy", "-o", str(out))
    done = stackclip(tmp_path / "w", *words)
    assert done.exit_code == 0, done.output
    [place] = out.glob("patchcore-clip*")
    found = rows(place)
    assert [row["verdict"] for row in found[:2]] == ["anomalous"] * 2
    assert all("marked/" in row["picture"] for row in found[:2])
    assert "AUROC of good and bad ones 100.0; 3 of 3 bad pictures found" in done.stdout
    record = json.loads((place / "run.json").read_text())
    assert record["false_alarm_rate"] == 0.05
    assert record["good"]["pictures"] == record["shots"] == 24
    for row in found:
        assert (row["verdict"] == "anomalous") == (float(row["score"]) > record["threshold"])
        assert (row["verdict"] == "anomalous") == (float(row["p_value"]) <= 0.05)
        assert float(row["p_value"]) == pytest.approx(1 - float(row["percentile"]) / 100 * 24 / 25, abs=1e-4)
        kept = np.load(place / row["map"], allow_pickle=False)
        assert kept.max() == np.float32(row["map_maximum"])
        assert (int(row["regions"]) > 0) == (kept.max() > record["pixel_threshold"])
    lines = [json.loads(line) for line in (place / "scores.jsonl").read_text().splitlines()]
    assert [line["picture"] for line in lines] == [row["picture"] for row in found]
    assert [len(line["regions"]) for line in lines] == [int(row["regions"]) for row in found]
    coco = json.loads((place / "regions.json").read_text())
    assert {(each["width"], each["height"]) for each in coco["images"]} == {(90, 60)}
    assert len(coco["annotations"]) == sum(int(row["regions"]) for row in found)
    [hottest, *_] = lines[0]["regions"]
    left, top, width, height = hottest["box"]
    assert left < 45 < left + width  # the square is at (30, 20) to (60, 40)
    assert top < 30 < top + height
    assert (place / "worst.jpg").is_file()


@pytest.mark.parametrize(
    "method",
    [
        ("patchcore-clip",),
        ("patchcore-clip[shots=4]", "--tiles", "2x2"),
        ("april-gan[shots=4]",),
        ("stacked[source=image]",),
        ("clip-lad[scores=structural]",),
        ("sdp",),
    ],
    ids=" ".join,
)
def test_a_detector_says_elsewhere_what_was_said_where_it_was_fitted(
    stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path, method: tuple[str, ...]
) -> None:
    tested, good, _ = plates
    here = (*WORDS, "--good", str(good), "--epochs", "1", "--method", *method)
    assert stackclip(tmp_path / "w", "inspect", str(tested), *here, "-o", str(tmp_path / "one")).exit_code == 0
    fitted = stackclip(tmp_path / "w", "fit", *here, "-o", str(tmp_path / "plate.stackclip"))
    assert fitted.exit_code == 0, fitted.output
    moved = (tmp_path / "plate.stackclip").rename(tmp_path / "renamed.bin")
    for folder in (good, tmp_path / "w"):
        folder.rename(folder.with_name(f"{folder.name}-gone"))
    words = ("inspect", str(tested), "--detector", str(moved), "-o", str(tmp_path / "other"))
    done = stackclip(tmp_path / "w2", *words)
    assert done.exit_code == 0, done.output
    [one], [other] = ([*(tmp_path / name).glob("*/scores.csv")] for name in ("one", "other"))
    assert one.read_text() == other.read_text()
    assert one.parent.name == other.parent.name


def test_a_detector_that_is_damaged_or_of_another_tower_is_one_line(
    stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    tested, good, _ = plates
    file = tmp_path / "plate.stackclip"
    assert stackclip(tmp_path / "w", "fit", *WORDS, "--good", str(good), "-o", str(file)).exit_code == 0

    def refused(path: Path, *words: str) -> str:
        result = stackclip(tmp_path / "w", "inspect", str(tested), "--detector", str(path), *words)
        assert result.exit_code in (1, 2)
        assert "Traceback" not in result.output
        return result.stderr.splitlines()[-1]

    assert "brings its own object: leave that out" in refused(file, "--object", "nut")
    assert "brings its own tiles and image_size" in refused(file, "--tiles", "2x2", "--image-size", "64")
    assert "brings its own seeds" in refused(file, "--seed", "3")
    assert "brings its own calibrate" in refused(file, "--calibrate", "split")
    assert "brings its own train_on" in refused(file, "--train-on", "synthetic[categories=1]")
    assert "brings its own backbone" in refused(file, "--backbone", "ViT-B-16")
    assert "kept as float16: say --feature-dtype float16" in refused(file, "--feature-dtype", "int8")
    same = ("--image-size", "56", "--seed", "0", "-o", str(tmp_path / "out"))
    assert stackclip(tmp_path / "w", "inspect", str(tested), "--detector", str(file), *same).exit_code == 0
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    (tmp_path / "flipped").write_bytes(data)
    assert "its bytes are not those that were saved" in refused(tmp_path / "flipped")
    (tmp_path / "half").write_bytes(data[: len(data) // 2])
    assert "no detector can be read from it" in refused(tmp_path / "half")
    save_file({"weight": torch.zeros(2)}, tmp_path / "other")
    assert "found no format, wanted stackclip-detector/1" in refused(tmp_path / "other")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--false-alarms", "0.01"), "wants 99 good pictures that the method was not shown, and there are 24"),
        (("--false-alarms", "1.5"), "--false-alarms"),
        (("--calibrate", "split", "--false-alarms", "0.05"), "wants 19 good pictures"),
        (("--method", "patchcore-clip[shots=25]"), "too few pictures"),
    ],
)
def test_what_good_pictures_do_not_allow_is_said(
    stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    tested, good, _ = plates
    result = stackclip(tmp_path / "w", "inspect", str(tested), *WORDS, "--good", str(good), *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_words_about_good_pictures_want_some(stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path) -> None:
    tested, _, bad = plates
    for words in (("--bad", str(bad)), ("--false-alarms", ".1")):
        result = stackclip(tmp_path / "w", "inspect", str(tested), *WORDS, *words, "--method", "sdp")
        assert result.exit_code == 2
        assert "name a folder of them with --good" in result.stderr


def test_good_pictures_that_cannot_be_read_are_named_and_the_others_count(
    stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    tested, good, _ = plates
    (good / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    words = ("inspect", str(tested), *WORDS, "--good", str(good), "-o", str(tmp_path / "out"))
    result = stackclip(tmp_path / "w", *words)
    assert result.exit_code == 3
    assert "broken.png" in result.stderr
    assert "by 24 good pictures" in result.stdout


def test_a_method_that_scores_all_pictures_together_gives_no_verdicts_and_says_why(
    stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    tested, good, _ = plates
    here = (*WORDS, "--good", str(good), "--method", "musc")
    result = stackclip(tmp_path / "w", "inspect", str(tested), *here, "-o", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "no verdicts: its scores depend on all pictures that are scored together" in result.stdout
    refused = stackclip(tmp_path / "w", "fit", *here, "-o", str(tmp_path / "x"))
    assert refused.exit_code == 1
    assert "it scores the tested pictures of a category by each other" in refused.stderr


def test_a_picture_that_cannot_be_read_takes_no_other_from_a_detector(
    stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    tested, good, bad = plates
    file = tmp_path / "plate.stackclip"
    assert stackclip(tmp_path / "w", "fit", *WORDS, "--good", str(good), "-o", str(file)).exit_code == 0
    (tested / "fine" / "broken.png").write_bytes(b"no picture")
    (bad / "broken.png").write_bytes(b"no picture")
    words = ("--detector", str(file), "--bad", str(bad), "-o", str(tmp_path / "out"))
    result = stackclip(tmp_path / "w", "inspect", str(tested), *words)
    assert result.exit_code == 3, result.output
    assert result.stderr.count("broken.png: not a picture") == 2
    [place] = (tmp_path / "out").glob("*/")
    assert len(rows(place)) == 6
    assert "3 of 3 bad pictures found" in result.stdout


def test_a_good_picture_counts_once_and_is_no_news_where_it_is_tested_or_bad(
    stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    tested, good, bad = plates
    one, *others = sorted(good.iterdir())
    for path in others[:10]:
        path.write_bytes(one.read_bytes())
    (tested / "copy.png").write_bytes(one.read_bytes())
    words = ("--good", str(good), "-o", str(tmp_path / "out"))
    result = stackclip(tmp_path / "w", "inspect", str(tested), *WORDS, *words)
    assert result.exit_code == 0, result.output
    assert "10 pictures in it are there before, byte by byte, and are not counted" in result.stderr
    assert "1 picture in it is in --good" in result.stderr
    assert "(copy.png)" in result.stderr
    assert "a false-alarm rate of 0.0667 by 14 good pictures" in result.stdout
    fit = ("fit", *WORDS, "--good", str(good), "--false-alarms", ".05", "-o", str(tmp_path / "x"))
    result = stackclip(tmp_path / "w", *fit)
    assert "wants 19 good pictures that the method was not shown, and there are 14" in result.stderr
    (bad / "copy.png").write_bytes(one.read_bytes())
    result = stackclip(tmp_path / "w", "inspect", str(tested), *WORDS, *words, "--bad", str(bad))
    assert result.exit_code == 2
    assert "copy.png is in --good too" in result.stderr


def test_a_page_has_the_verdicts_of_the_tables_and_comes_in_equal_bytes(
    stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path, visit: Callable[..., Page]
) -> None:
    from playwright.sync_api import expect

    tested, good, _ = plates
    file, out, kept = tmp_path / "found.html", tmp_path / "out", set[bytes]()
    words = ("inspect", str(tested), *WORDS, "--good", str(good), "--methods", "patchcore-clip,sdp", "-o", str(out))
    for _ in range(2):
        done = stackclip(tmp_path / "w", *words, "--html", str(file))
        assert done.exit_code == 0, done.output
        kept.add(file.read_bytes())
    assert len(kept) == 1
    page = visit(file, viewport={"width": 1400, "height": 3000})
    for method, place in (("patchcore-clip[shots=all]", next(out.glob("patchcore-clip*"))), ("sdp", out / "sdp")):
        page.locator("#method").select_option(method)
        called = [line["verdict"] == "anomalous" for line in rows(place)]
        expect(page.locator("#counts b")).to_have_text([str(sum(called)), str(len(called) - sum(called))])
        expect(page.locator(".tile .name")).to_have_text([line["picture"] for line in rows(place)])
        expect(page.locator(".tile.drawn")).to_have_count(len(called))
    expect(page.locator(".brief pre")).to_contain_text("stackclip --workspace")


def test_a_page_that_cannot_be_written_costs_itself_alone(
    stackclip: Run, plates: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    tested, _, _ = plates
    out, words = tmp_path / "out", ("inspect", str(tested), *WORDS, "--methods", "clip", "--epochs", "0")
    done = stackclip(tmp_path / "w", *words, "-o", str(out), "--html", str(tested / "fine" / "10.png" / "x.html"))
    assert done.exit_code == 3
    assert "x.html: not written (" in done.stderr
    assert rows(out / "clip")
    for wrong in (("--watch", "--detector", str(tested / "fine" / "10.png")), ()):
        refused = stackclip(tmp_path / "w", *words, *wrong, "--html", str(tmp_path))
        assert refused.exit_code == 2
