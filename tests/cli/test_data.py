"""The verbs `data` and `convert`, as a person meets them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Run = Callable[..., Result]


def pictures(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(number).integers(60, 200, (20, 30, 3), dtype=np.uint8)
        mask = np.zeros((20, 30), np.uint8)
        mask[3:9, 3:9] = 255
        Image.fromarray(mask if "gt" in name else values).save(root / name)
    return root


def test_data_shows_counts_masks_and_what_was_left_out(stackclip: Run, tmp_path: Path) -> None:
    root = pictures(tmp_path / "nut", "good/1.png", "good/2.png", "dent/3.png", "dent/4.png", "gt/dent/3.png")
    (root / "notes.txt").touch()
    result = stackclip(tmp_path / "w", "data", str(root), "-o", str(tmp_path / "sheet.png"))
    assert result.exit_code == 0
    for words in (
        "own pictures",
        "dent 2",
        "1 paired",
        "1 mask missing (4.png)",
        "30 x 20; PNG RGB",
        "1 .txt",
        "NAME=",
    ):
        assert words in result.stdout, result.stdout
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 400
    assert not (tmp_path / "w").exists()


def test_data_of_a_folder_without_labels_names_the_words_that_work(stackclip: Run, tmp_path: Path) -> None:
    root = pictures(tmp_path / "nut", "fine/1.png", "dent/2.png")
    result = stackclip(tmp_path, "data", str(root), "--object", "hazel nut")
    assert f"'{root}[good=fine,bad=dent]'" in result.stdout
    assert f"stackclip inspect {root} --object 'hazel nut'" in result.stdout
    again = stackclip(tmp_path, "data", f"{root}[good=fine,bad=dent]")
    assert "dent 1" in again.stdout
    assert "unlabelled" not in again.stdout


def test_data_names_the_folder_of_good_pictures_in_the_command_for_defects(stackclip: Run, tmp_path: Path) -> None:
    root = pictures(tmp_path / "nut", "gut/1.png", "schlecht/2.png")
    assert f"inspect {root} --object NAME --good FOLDER" in stackclip(tmp_path, "data", str(root)).stdout
    said = stackclip(tmp_path, "data", f"{root}[good=gut,bad=schlecht]").stdout
    assert f"inspect '{root}[good=gut,bad=schlecht]' --object NAME --good {root}/gut\n" in said
    pictures(root, "mixed/good_1.png", "mixed/bad_2.png")
    (root / "list.csv").write_text("image,label\nmixed/good_1.png,good\nmixed/bad_2.png,bad\n")
    assert "--good FOLDER   (a folder of good" in stackclip(tmp_path, "data", str(root / "list.csv")).stdout
    layout = pictures(tmp_path / "a", "train/good/1.png", "test/good/2.png", "test/dent/3.png")
    assert f"--good {layout}/train/good\n" in stackclip(tmp_path, "data", str(layout)).stdout
    assert "next:" not in stackclip(tmp_path, "data", "synthetic[categories=2,per_category=2]").stdout


def test_data_of_what_cannot_be_read_shows_what_lies_there_and_goes_on(stackclip: Run, tmp_path: Path) -> None:
    odd = pictures(tmp_path / "odd", "good/1.png", "2.png")
    fine = pictures(tmp_path / "fine", "good/1.png", "dent/2.png")
    result = stackclip(tmp_path, "data", str(odd), str(tmp_path / "none"), str(fine))
    assert result.exit_code == 1
    assert "2.png: beside folders that are labels" in result.stderr
    assert "none: no such folder" in result.stderr
    assert "what lies in" in result.stdout
    assert "dent 1" in result.stdout


def test_data_of_a_name_tells_terms_size_and_tree_and_what_is_not_unpacked(stackclip: Run, tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    for name in ("VisA_20220922.tar", "can.tar.gz.part", "notes.txt"):
        (tmp_path / "sets" / name).touch()
    result = stackclip(tmp_path, "data", "visa", "vad", "--data-root", str(tmp_path / "sets"))
    assert result.exit_code == 1
    for words in (
        "from CC BY 4.0, Zou et al., ECCV 2022, github.com/amazon-science/spot-diff",
        "published: 12 categories, train 8659 good, test 962 good + 1200 defective; one archive, 1.8 GB",
        "in folders called visa, VisA_20220922, in any case",
        "split_csv/1cls.csv",
        "published: 1 category, train 2000 good + 1000 defective, test 1000 good + 1000 defective\n",
        "test/bad_unseen_defects/NNN.png",
    ):
        assert words in result.stdout, result.stdout
    held = "archives that are not unpacked (VisA_20220922.tar) and downloads that are not whole (can.tar.gz.part)"
    assert f"Error: visa: not found at {tmp_path / 'sets'}" in result.stderr
    assert result.stderr.count(f"{tmp_path / 'sets'} holds {held}") == 2


def test_data_of_a_name_checks_the_tree_that_is_there(stackclip: Run, tmp_path: Path) -> None:
    root = pictures(tmp_path / "MPDD", "tubes/train/good/0.png", "tubes/test/good/1.png", "tubes/test/hole/2.png")
    (root / "connector.zip").touch()
    result = stackclip(tmp_path, "data", "mpdd", "--data-root", str(tmp_path))
    assert result.exit_code == 0
    for words in (
        "from CC BY-NC-SA 4.0, Jezek et al.",
        "published: 6 categories, train 888 good, test 176 good + 282 defective",
        "not mpdd as published: 1 of its 6 categories",
        "! mpdd: archives that are not unpacked (connector.zip)",
    ):
        assert words in result.stdout, result.stdout
    assert "expected" not in result.stdout


def test_data_of_a_folder_with_nothing_but_archives_says_so(stackclip: Run, tmp_path: Path) -> None:
    (tmp_path / "mvtec_ad_2").mkdir()
    (tmp_path / "mvtec_ad_2" / "can.tar.gz").touch()
    result = stackclip(tmp_path, "data", str(tmp_path / "mvtec_ad_2"))
    assert result.exit_code == 1
    assert "archives that are not unpacked (can.tar.gz): unpack them first" in result.stderr
    (tmp_path / "mvtec_ad_2" / "rice").mkdir()
    (tmp_path / "mvtec_ad_2" / "rice" / "rice.zip").touch()
    result = stackclip(tmp_path, "data", "mvtec-ad2", "--data-root", str(tmp_path))
    assert "archives that are not unpacked (can.tar.gz, rice.zip): unpack them first" in result.stderr


def test_data_escapes_names_from_files(stackclip: Run, tmp_path: Path) -> None:
    root = pictures(tmp_path / "nut", "good/1.png", "de\x1b[2Jnt/2.png")
    result = stackclip(tmp_path, "data", str(root))
    assert "\x1b" not in result.output
    assert "de\\x1b[2Jnt 1" in result.stdout


def test_convert_says_what_it_wrote_and_overwrites_nothing(stackclip: Run, tmp_path: Path) -> None:
    root = pictures(tmp_path / "nut", "good/1.png", "dent/3.png", "gt/dent/3.png")
    words = ("convert", str(root), "--to", "mvtec", "-o", str(tmp_path / "out"))
    done = stackclip(tmp_path / "w", *words)
    assert done.exit_code == 0
    assert f"{tmp_path / 'out'}: 2 pictures and 1 mask as mvtec" in done.stdout
    assert (tmp_path / "out/nut/ground_truth/dent/3_mask.png").is_file()
    again = stackclip(tmp_path / "w", *words)
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)
    assert "nothing is overwritten" in again.stderr


def test_convert_ends_with_3_where_a_picture_could_not_be_read(stackclip: Run, tmp_path: Path) -> None:
    root = pictures(tmp_path / "nut", "good/1.png", "good/2.png", "dent/3.png")
    (root / "good/1.png").write_bytes(b"")
    result = stackclip(tmp_path, "convert", str(root), "--to", "csv", "-o", str(tmp_path / "out"))
    assert result.exit_code == 3
    assert "1.png: empty file" in result.stderr


@pytest.mark.parametrize("words", [("data", "{}"), ("convert", "{}", "--to", "coco", "-o", "{}-out")])
def test_neither_verb_brings_torch(words: tuple[str, ...], tmp_path: Path) -> None:
    root = pictures(tmp_path / "nut", "good/1.png", "dent/3.png")
    code = (
        "import sys; from stackclip.cli import cli\n"
        f"cli({[word.format(root) for word in words]!r}, standalone_mode=False)\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_pattern_is_predicted_on(stackclip: Run, tmp_path: Path) -> None:
    root = pictures(tmp_path / "shots", "a1.png", "a2.png", "b1.png")
    small = ("--backbone", "random-vit-8", "--image-size", "56", "--methods", "sdp", "-o", str(tmp_path / "out"))
    result = stackclip(tmp_path / "w", "predict", f"{root}/a*.png", "--object", "plate", *small)
    assert result.exit_code == 0, result.output
    assert "heat maps of 2 pictures" in result.stdout
    lacking = stackclip(tmp_path / "w", "predict", f"{root}/c*.png", "--object", "plate", *small)
    assert (lacking.exit_code, lacking.stderr.count("\n")) == (1, 1)
