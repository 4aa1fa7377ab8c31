"""Maps as the server of MVTec AD 2 takes them: one scale for a category, at the size of the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.errors import PictureError
from stackclip.inspection.submission import problems_of, write_maps

tifffile = pytest.importorskip("tifffile")


def planted(root: Path, maps: dict[str, np.ndarray], size: tuple[int, int] = (8, 8)) -> dict[Path, Path]:
    found = {}
    for name, scores in maps.items():
        picture, path = root / "can" / f"{name}.png", root / f"{name.replace('/', '-')}.npy"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size).save(picture)
        np.save(path, scores.astype(np.float32))
        found[picture] = path
    return found


@pytest.mark.parametrize(("scale", "shift"), [(1e-9, 0.0), (1e7, 0.0), (1.0, -50.0)])
def test_scores_keep_their_order_over_both_splits_whatever_their_range(
    tmp_path: Path, scale: float, shift: float
) -> None:
    draws = np.random.default_rng(0).random((2, 8, 8))
    regular, mixed = draws[0] * 0.5 * scale + shift, draws[1] * scale + shift
    maps = planted(tmp_path, {"test_private/000_regular": regular, "test_private_mixed/000_mixed": mixed})
    write_maps(tmp_path / "out", "can", maps, float(np.float32(mixed[0, 0])))
    below = tmp_path / "out/anomaly_images/can"
    kept = [
        tifffile.imread(below / name) for name in ("test_private/000_regular.tiff", "test_private_mixed/000_mixed.tiff")
    ]
    both, ranked = (
        np.concatenate([each.ravel() for each in kept]),
        np.argsort(np.concatenate([regular, mixed]), axis=None),
    )
    assert (np.diff(both.astype(np.float32)[ranked]) >= 0).all()  # float16 may tie, and turns nothing round
    assert (both.min(), both.max()) == (0, 1)
    mask = Image.open(tmp_path / "out/anomaly_images_thresholded/can/test_private_mixed/000_mixed.png")
    assert (np.asarray(mask) == 255).tolist() == (mixed.astype(np.float32) > np.float32(mixed[0, 0])).tolist()
    wanted = {"can": {"test_private": {"000_regular"}, "test_private_mixed": {"000_mixed"}}}
    assert list(problems_of(tmp_path / "out", wanted)) == []


def test_a_map_is_stretched_to_its_picture_and_one_of_one_value_is_0(tmp_path: Path) -> None:
    maps = planted(tmp_path, {"test_private/000_regular": np.full((8, 8), 3.5)}, size=(20, 12))
    write_maps(tmp_path / "out", "can", maps, None)
    kept = tifffile.imread(tmp_path / "out/anomaly_images/can/test_private/000_regular.tiff")
    assert (kept.shape, kept.dtype, set(kept.ravel())) == ((12, 20), np.float16, {0})
    assert not (tmp_path / "out/anomaly_images_thresholded").exists()


def test_a_map_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    maps = planted(tmp_path, {"test_private/000_regular": np.zeros((8, 8))})
    next(iter(maps.values())).write_bytes(b"half")
    with pytest.raises(PictureError, match=r"test_private-000_regular\.npy.*cannot be read"):
        write_maps(tmp_path / "out", "can", maps, None)
