"""Pictures that look like others to all but their bytes, and names that somebody waits under."""

from __future__ import annotations

import os
import secrets
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.cache import Store, extract
from stackclip.errors import StoreError
from stackclip.ops.drafts import Draft
from stackclip.types import CLS, GOOD, NORMAL, Sample

from .tally import Tally
from .victim import FINGERPRINT, SPEC, Tower

AGE = 1_000_000_000  # seconds since 1970; of every picture, as in an archive with fixed times


def bitmap(path: Path, number: int) -> Path:
    """A picture whose size and time are those of all others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    os.utime(path, (AGE, AGE))
    return path


def written_into(picture: Path, other: Path) -> Path:
    picture.write_bytes(other.read_bytes())
    os.utime(picture, (AGE, AGE))
    return picture


def copied_over(picture: Path, other: Path) -> Path:
    shutil.copy2(other, picture)
    return picture


def renamed_over(picture: Path, other: Path) -> Path:
    return other.replace(picture)


def unpacked_over(picture: Path, other: Path) -> Path:
    archive = other.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(other, picture.name)
    with tarfile.open(archive) as tar:
        tar.extract(picture.name, picture.parent, filter="fully_trusted")
    return picture


def linked_elsewhere(picture: Path, other: Path) -> Path:
    picture.unlink()
    picture.symlink_to(other)
    return picture


def in_another_folder(picture: Path, other: Path) -> Path:
    return other


WAYS = [written_into, copied_over, renamed_over, unpacked_over, linked_elsewhere, in_another_folder]


@pytest.mark.parametrize("replaced", WAYS, ids=lambda way: way.__name__)
def test_no_replaced_picture_is_given_the_others_features(
    tally: Tally, full: bool, tmp_path: Path, replaced: Callable[[Path, Path], Path]
) -> None:
    fault, figure = "replaced pictures", "a picture replaced with name, size and time kept"
    for number in range(50 if full else 4):
        root = tmp_path / str(number)
        picture = bitmap(root / "a" / "pics" / "0.bmp", number)
        other = bitmap(root / "b" / "pics" / "0.bmp", number + 1000)
        right = Tower().prepare(Image.open(other))[0, :4, :4].reshape(-1)[:6].astype(np.float16)
        sample = Sample("0.bmp", "pics", "plate", "test", picture, None, NORMAL, GOOD)
        store = Store.create(root / "store", FINGERPRINT, spec=SPEC, recorded={})
        extract(store, Tower(), [sample], {CLS})
        after = replace(sample, image=replaced(picture, other))
        for reader in (store, Store.open(store.folder)):  # of this process, and as another one finds it
            extract(reader, Tower(), [after], {CLS})
            silent = not np.array_equal(reader.read([after], CLS)[0], right)
            tally.counted(fault, figure, f"{replaced.__name__} {number}", silent=silent)
    tally.require(fault)


def test_a_link_that_waits_under_a_drafts_name_is_not_followed(
    tally: Tally, full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, figure = "planted links and equal names", "a draft of the store whose name is taken"
    precious = tmp_path / "precious"
    precious.write_text("precious")
    store = Store.create(tmp_path / "store", FINGERPRINT, spec=SPEC, recorded={})
    samples = [
        Sample(f"{each}.bmp", "pics", "plate", "test", bitmap(tmp_path / f"{each}.bmp", each), None, NORMAL, GOOD)
        for each in range(17)
    ]
    new = iter(samples)
    tokens = [f"{number:016x}" for number in range(4)]  # a writer has three drafts at a time
    in_turn = iter(())
    monkeypatch.setattr(secrets, "token_hex", lambda count: next(in_turn))  # as if somebody guessed them
    for folder, guessed in product((store.folder / "segments", store.folder), tokens):
        in_turn = iter([guessed])
        with Draft(folder) as draft:
            name = draft.path
        for plant in (name.symlink_to, name.hardlink_to):
            plant(precious)
            in_turn = cycle(tokens)
            try:
                extract(store, Tower(), [next(new)], {CLS})
                message = ""
            except StoreError as error:
                message = str(error)
            name.unlink(missing_ok=True)
            harmed = precious.read_text() != "precious"
            tally.counted(fault, figure, f"{name}: {message}", silent=harmed, messages="\n" in message)
    in_turn = cycle(tokens)
    extract(store, Tower(), samples, {CLS})
    tally.counted(fault, figure, "afterwards", lost=bool(store.lacking(samples, {CLS})))
    tally.require(fault)


def test_processes_of_equal_number_write_side_by_side(
    tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, figure = "planted links and equal names", "a draft of the store whose name is taken"
    monkeypatch.setattr(os, "getpid", lambda: 7)  # as in two containers over one folder
    drafts = [Draft(tmp_path) for _ in range(20)]
    tally.counted(fault, figure, "equal pids", lost=20 - len({draft.path for draft in drafts}))
    for draft in drafts:
        draft.__exit__()
    tally.require(fault)
