"""The drawn assemblies: reproducible, and true to their masks, in number, kind and place of their parts."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_fill_holes

from stackclip.errors import UsageError
from stackclip.synthetic.arrangement import LOGICAL, Arrangement, Pose, lie
from stackclip.synthetic.assembled import STRUCTURAL, Photo, draw_assembly, flaws_of
from stackclip.synthetic.assemblies import ASSEMBLIES
from stackclip.synthetic.fields import seeded

NAMES, SIZE = tuple(ASSEMBLIES), 96
UPRIGHT = Pose(0.0, 1.0, (0.0, 0.0))

DIGEST = "8fc6625287290005e3970c46065afdcaa640840be851b7b0e0b7f312d7b96339"
DIGEST_OF_A_FEW = """
import hashlib
from stackclip.synthetic.arrangement import LOGICAL
from stackclip.synthetic.assembled import STRUCTURAL, draw_assembly
from stackclip.synthetic.assemblies import ASSEMBLIES
digest = hashlib.sha256()
for name in ASSEMBLIES:
    for number, kind in enumerate(("good", *LOGICAL, *STRUCTURAL)):
        photo = draw_assembly(name, kind, seed=number, size=80)
        for array in (photo.pixels, *(defect.mask for defect in photo.defects)):
            digest.update(array.tobytes())
print(digest.hexdigest())
"""


def change(one: Photo, other: Photo) -> np.ndarray:
    """The largest difference over the channels, in levels: (S, S)."""
    return np.abs(one.pixels.astype(int) - other.pixels).max(2)


def union(photo: Photo) -> np.ndarray:
    return np.logical_or.reduce([defect.mask for defect in photo.defects])


def arranged(name: str, kind: str, seed: int) -> tuple[Arrangement, Arrangement]:
    """A good arrangement, and what an anomaly makes of it."""
    good = lie(ASSEMBLIES[name], UPRIGHT, seeded(seed))
    return good, LOGICAL[kind](ASSEMBLIES[name], good, UPRIGHT, seeded(seed, kind))


def contents(arrangement: Arrangement) -> list[tuple[str, tuple[float, ...]]]:
    return [(lying.part, lying.product.first) for lying in arrangement.lying]


@pytest.mark.parametrize("salt", ["1", "2"])
def test_another_process_draws_the_photos_of_this_version(salt: str) -> None:
    """Where this fails the drawing has changed: raise _VERSION, so that no older folder is reused, and renew DIGEST."""
    environment = {**os.environ, "PYTHONHASHSEED": salt}
    command = [sys.executable, "-c", DIGEST_OF_A_FEW]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == DIGEST


@pytest.mark.parametrize("name", NAMES)
def test_a_structural_defect_shows_within_its_mask_and_nowhere_else(name: str) -> None:
    for seed in range(6):
        good = draw_assembly(name, seed=seed, size=SIZE)
        for kind in STRUCTURAL:
            photo = draw_assembly(name, kind, seed=seed, size=SIZE)
            assert [defect.name for defect in photo.defects] == [kind]
            difference, mask = change(photo, good), union(photo)
            assert mask.any()
            assert difference[~mask].max() <= 13  # 12, and what the sensor rounds
            assert difference[mask].mean() >= 12


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", LOGICAL)
def test_a_logical_anomaly_changes_its_mask_and_beyond_it_shadows_only(name: str, kind: str) -> None:
    for seed in range(5):
        good, photo = draw_assembly(name, seed=seed, size=SIZE), draw_assembly(name, kind, seed=seed, size=SIZE)
        difference, mask = change(photo, good) > 20, union(photo)
        assert mask.any()
        near = binary_dilation(binary_fill_holes(mask), iterations=SIZE // 10)
        # A part that lies elsewhere than one of another kind leaves some of its place bare.
        assert (difference & near).sum() >= 0.9 * difference.sum()
        assert all(defect.name.startswith(f"{kind}_") for defect in photo.defects)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_surplus_swapped_or_repainted_is_counted(name: str) -> None:
    for seed in range(12):
        good, missing = arranged(name, "missing", seed)
        gone = [lying for flaw in missing.flaws for lying in flaw.absent]
        assert len(missing.lying) + len(gone) == len(good.lying)
        assert {*missing.lying, *gone} == {*good.lying}

        good, surplus = arranged(name, "surplus", seed)
        [flaw] = surplus.flaws
        assert surplus.lying[:-1] == good.lying
        twin, extra = (surplus.lying[number] for number in flaw.wrong)
        assert extra is surplus.lying[-1]
        assert twin.part == extra.part
        assert flaw.name == f"surplus_{twin.part}"

        for kind in ("swapped", "wrong_colour"):
            good, other = arranged(name, kind, seed)
            differing = [at for at, (a, b) in enumerate(zip(contents(good), contents(other), strict=True)) if a != b]
            assert differing == sorted(at for flaw in other.flaws for at in flaw.wrong)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_colour_is_none_that_a_place_allows(name: str) -> None:
    for place in ASSEMBLIES[name].places:
        assert place.wrong
        assert not set(place.wrong) & set(place.colours)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_part_is_found_in_less_than_its_room_and_a_surplus_one_in_one_of_two(name: str) -> None:
    flaws = flaws_of(name, SIZE)
    for seed in range(8):
        for kind in ("missing", "surplus"):
            for defect in draw_assembly(name, kind, seed=seed, size=SIZE).defects:
                enough = flaws[defect.name]
                assert enough is not None
                assert 0.3 * defect.mask.sum() < enough < 1.1 * defect.mask.sum()
    assert all(flaws[kind] is None for kind in STRUCTURAL)
    assert {flaw.rsplit("_", 1)[0] for flaw in flaws if "_" in flaw} == set(LOGICAL)


def test_every_part_lies_in_the_picture() -> None:
    for name in NAMES:
        for kind in LOGICAL:
            for lying in arranged(name, kind, 1)[1].lying:
                covered = lying.patch(SIZE).covered()
                assert covered[1:-1, 1:-1].sum() == covered.sum() > 0


def test_another_size_shows_the_same_photo() -> None:
    for name in NAMES:
        small, large = (draw_assembly(name, "missing", seed=4, size=size) for size in (96, 192))
        halved = large.pixels.reshape(96, 2, 96, 2, 3).mean((1, 3))
        assert np.abs(halved - small.pixels).mean() < 12
        mask = union(large).reshape(96, 2, 96, 2).mean((1, 3)) >= 0.5
        assert (mask & union(small)).sum() >= 0.75 * (mask | union(small)).sum()


def test_unknown_names_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no assembly is named 'toolbox'; there are fastener_tray"):
        draw_assembly("toolbox", seed=0)
    with pytest.raises(UsageError, match="no anomaly is named 'rust'; there are good, missing"):
        draw_assembly("pencil_box", "rust", seed=0)
