"""The verb `submission`: what the server of MVTec AD 2 takes, held against its rules."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

tifffile = pytest.importorskip("tifffile")

Run = Callable[..., Result]
TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
WORDS = ("--method", "patchcore-clip", "--train-on", TRAINING, "--backbone", "random-vit-8", "--image-size", "56")
PRIVATE = {"test_private": "regular", "test_private_mixed": "mixed"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A miniature of one category: 8 good pictures, 2 private ones of each split, 60 x 40."""
    draws = np.random.default_rng(0)
    names = [f"train/good/{number:03}_regular.png" for number in range(8)]
    names += ["test_public/good/000_regular.png", "validation/good/000_regular.png"]
    names += [f"{split}/{number:03}_{light}.png" for split, light in PRIVATE.items() for number in range(2)]
    for name in names:
        path = tmp_path / "mvtec_ad_2/fruit_jelly/fruit_jelly" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(path)
    return tmp_path


def test_a_submission_has_a_map_of_float16_and_a_mask_of_each_private_picture_at_its_size(
    stackclip: Run, data: Path
) -> None:
    output = data / "mine"
    result = stackclip(data / "w", "submission", "--data-root", str(data), *WORDS, "-o", str(output))
    expected = {f"fruit_jelly/{split}/{number:03}_{light}" for split, light in PRIVATE.items() for number in range(2)}
    files = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert files == {f"anomaly_images/{name}.tiff" for name in expected} | {
        f"anomaly_images_thresholded/{name}.png" for name in expected
    }
    maps = [tifffile.imread(output / f"anomaly_images/{name}.tiff") for name in sorted(expected)]
    assert {(each.shape, each.dtype.name) for each in maps} == {((40, 60), "float16")}
    assert min(each.min() for each in maps) >= 0
    assert 0.9 < max(each.max() for each in maps) <= 1
    for name, scores in zip(sorted(expected), maps, strict=True):
        mask = np.asarray(Image.open(output / f"anomaly_images_thresholded/{name}.png"))
        assert mask.shape == (40, 60)
        assert set(np.unique(mask)) <= {0, 255}
        if 0 < mask.mean() < 255:  # what is above the threshold is what scores most
            assert scores[mask == 255].min() >= scores[mask == 0].max() - 1e-3
    # the tree is a miniature, which the server would tell, and nothing else is wrong
    assert result.exit_code == 3
    assert result.stderr.count("mvtec-ad2-private") + result.stderr.count("not mvtec-ad2 (private") >= 2
    assert "missing" not in result.stderr
    assert "superfluous" not in result.stderr
    assert "fruit_jelly: 4 maps, and what is above" in result.stdout
    again = stackclip(data / "w", "submission", "--data-root", str(data), *WORDS, "-o", str(output))
    assert again.exit_code == 2
    assert f"{output}: holds fruit_jelly already: it has all that is wanted, or name a new folder" in again.stderr
    assert not list(data.glob(".mine.*"))


def test_what_is_not_as_the_server_wants_it_is_named(stackclip: Run, data: Path) -> None:
    output = data / "mine"
    for split, light in PRIVATE.items():
        for number in range(2):
            place = output / f"anomaly_images/fruit_jelly/{split}/{number:03}_{light}.tiff"
            place.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(place, np.zeros((40, 60), np.float16))

    def said() -> str:
        found = stackclip(data / "w", "submission", "--check", "--data-root", str(data), "-o", str(output))
        assert found.exit_code == 3
        return found.stderr

    private = output / "anomaly_images/fruit_jelly/test_private"
    assert "missing" not in said()
    tifffile.imwrite(private / "000_regular.tiff", np.zeros((40, 60), np.float32))
    assert "000_regular.tiff: float32 of shape (40, 60); wanted one channel of float16" in said()
    tifffile.imwrite(private / "000_regular.tiff", np.zeros((40, 60, 3), np.float16), photometric="rgb")
    assert "float16 of shape (40, 60, 3); wanted one channel" in said()
    tifffile.imwrite(private / "000_regular.tiff", np.full((40, 60), np.nan, np.float16))
    assert "000_regular.tiff: has NaN or infinity" in said()
    (private / "000_regular.tiff").write_bytes(b"II*\0")
    assert "000_regular.tiff: cannot be read" in said()
    (private / "000_regular.tiff").rename(private / "000.tiff")
    assert "1 missing name: 000_regular.tiff" in said()
    assert "1 superfluous name: 000.tiff" in said()
    (output / "readme.txt").touch()
    assert f"{output}: 1 superfluous name: readme.txt" in said()
    (output / "anomaly_images_thresholded/fruit_jelly/test_private").mkdir(parents=True)
    Image.new("L", (60, 40), 1).save(output / "anomaly_images_thresholded/fruit_jelly/test_private/001_regular.png")
    assert "001_regular.png: uint8 of shape (40, 60); wanted one channel of 0 and 255" in said()
    assert "anomaly_images_thresholded/fruit_jelly: 1 missing name: test_private_mixed" in said()


def test_a_submission_wants_private_and_training_pictures(stackclip: Run, data: Path) -> None:
    for path in (data / "mvtec_ad_2/fruit_jelly/fruit_jelly/test_private_mixed").iterdir():
        path.unlink()
    result = stackclip(data / "w", "submission", "--data-root", str(data), *WORDS, "-o", str(data / "mine"))
    assert result.exit_code == 1
    assert "test_private_mixed: no pictures; wanted are test_private, test_private_mixed, train/good" in result.stderr
    absent = stackclip(data / "w", "submission", "--data-root", str(data), *WORDS, "--category", "can")
    assert absent.exit_code == 2
    assert "has no category 'can'" in absent.stderr


def test_a_picture_that_cannot_be_read_leaves_no_category_half_written(stackclip: Run, data: Path) -> None:
    broken = data / "mvtec_ad_2/fruit_jelly/fruit_jelly/test_private_mixed/001_mixed.png"
    broken.write_bytes(broken.read_bytes()[:300])
    output = data / "mine"
    result = stackclip(data / "w", "submission", "--data-root", str(data), *WORDS, "-o", str(output))
    assert result.exit_code == 1
    assert f"{broken}: no map of it, and the server takes all pictures or none" in result.stderr
    assert not list(output.rglob("*"))
    assert not list(data.glob(".mine.*"))


def test_a_stopped_run_goes_on_with_the_other_categories(stackclip: Run, data: Path) -> None:
    shutil.copytree(data / "mvtec_ad_2/fruit_jelly", data / "mvtec_ad_2/rice")
    (data / "mvtec_ad_2/rice/fruit_jelly").rename(data / "mvtec_ad_2/rice/rice")
    (data / "mine/anomaly_images/fruit_jelly").mkdir(parents=True)
    result = stackclip(data / "w", "submission", "--data-root", str(data), *WORDS, "-o", str(data / "mine"))
    assert result.exit_code == 2
    assert "holds fruit_jelly already: go on with --category rice, or name a new folder" in result.stderr
