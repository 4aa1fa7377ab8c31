"""Pictures that arrive while a detector watches: each is scored once, whatever happens to the watch."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from stackclip import Session
from stackclip.clip.recipe import TowerRecipe
from stackclip.data.listing import pictures_below
from stackclip.errors import DataError, StackclipError, UsageError
from stackclip.session import PictureScore
from stackclip.session.watching import Watching

Run = Callable[..., Result]


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(90, 120, (56, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, Path]:
    """A session, and a detector that it fitted."""
    place = tmp_path_factory.mktemp("fitted")
    for number in range(20):
        picture(place / "good" / f"{number}.png", number)
    session = Session(place / "w", TowerRecipe("random-vit-8", image_size=56))
    session.fit(place / "plate.stackclip", object="plate", good=place / "good", train_on="synthetic[categories=1]")
    return session, place / "plate.stackclip"


def watch(fitted: tuple[Session, Path], folder: Path, out: Path) -> Iterator[tuple[PictureScore, ...]]:
    session, detector = fitted
    return session.watch(folder, detector, out, every=0.0)


def lines(out: Path) -> list[dict[str, object]]:
    [place] = out.iterdir()
    records = [json.loads(line) for line in (place / "scores.jsonl").read_text().splitlines()]
    table = list(csv.DictReader((place / "scores.csv").read_text().splitlines()))
    assert [row["picture"] for row in table] == [record["picture"] for record in records]
    assert all((place / str(record["heat_map"])).is_file() for record in records)
    return records


def test_what_arrives_is_scored_once_also_after_a_restart(fitted: tuple[Session, Path], tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    picture(folder / "a.png", 100)
    watching = watch(fitted, folder, out)
    [first] = next(watching)
    assert first.picture == folder / "a.png"
    assert first.anomalous is not None
    picture(folder / "line2" / "a.png", 101)  # the same stem
    (folder / "broken.png").write_bytes(b"\x89PNG no picture")
    [second] = next(watching)
    assert second.picture == folder / "line2" / "a.png"
    assert [line["picture"] for line in lines(out)] == ["a.png", "line2/a.png"]
    watching.close()
    picture(folder / "b.png", 102)
    picture(folder / "a.png", 103)  # another picture of the same name
    again = sorted(score.picture.name for score in next(watch(fitted, folder, out)))
    assert again == ["a.png", "b.png"]
    assert len(lines(out)) == 4
    one = fitted[0].inspect(folder / "b.png", detector=fitted[1])
    assert one[0].score == next(line for line in lines(out) if line["picture"] == "b.png")["score"]


@pytest.mark.parametrize("left", [0, 1, 40])
def test_a_torn_line_is_dropped_and_its_picture_scored_again(
    fitted: tuple[Session, Path], tmp_path: Path, left: int
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b"):
        picture(folder / f"{name}.png", ord(name))
    assert len(next(watch(fitted, folder, out))) == 2
    [place] = out.iterdir()
    names = [line["picture"] for line in lines(out)]
    whole = (place / "scores.jsonl").read_bytes()
    (place / "scores.jsonl").write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1 + left])
    [score] = next(watch(fitted, folder, out))
    assert score.picture.name == names[-1]
    assert [line["picture"] for line in lines(out)] == names


def test_a_picture_that_still_grows_waits(fitted: tuple[Session, Path], tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    whole = picture(tmp_path / "whole.png", 1).read_bytes()
    folder.mkdir()
    looks = iter(range(1, 5))

    def grow(_: float) -> None:
        step = next(looks, 4)
        (folder / "a.png").write_bytes(whole[: len(whole) * step // 4])
        os.utime(folder / "a.png", ns=(step, step))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("stackclip.session.watching.time.sleep", grow)
        [found] = next(watch(fitted, folder, out))
    assert found.picture.read_bytes() == whole
    assert len(lines(out)) == 1


def test_tables_of_others_and_folders_that_are_not_there_are_refused(
    fitted: tuple[Session, Path], tmp_path: Path, stackclip: Run
) -> None:
    folder, out = picture(tmp_path / "in" / "a.png", 1).parent, tmp_path / "out"
    next(watch(fitted, folder, out))
    [place] = out.iterdir()
    (place / "scores.jsonl").write_text("mine\nmine\n")
    with pytest.raises(DataError, match="line 1 was not written by a watch"):
        next(watch(fitted, folder, out))
    with pytest.raises(UsageError, match="no folder to watch"):
        watch(fitted, tmp_path / "none", out)
    shutil.rmtree(out)
    result = stackclip(tmp_path / "w", "inspect", str(folder), "--watch", "--object", "plate")
    assert result.exit_code == 2
    assert "--watch goes by --detector FILE alone: leave out --object" in result.stderr
    typed = ("--watch", "--tiles", "2x2", "--train-on", "synthetic")
    result = stackclip(tmp_path / "w", "inspect", str(folder), *typed)
    assert "leave out --tiles, --train-on" in result.stderr
    result = stackclip(tmp_path / "w", "inspect", str(folder), "--watch")
    assert result.exit_code == 2
    assert "a watch wants a detector" in result.stderr


def test_a_watch_says_what_it_watches_before_anything_arrives(
    fitted: tuple[Session, Path], tmp_path: Path, stackclip: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stackclip.session.watching.time.sleep", stop)
    (folder := tmp_path / "in").mkdir()
    words = ("inspect", str(folder), "--watch", "--detector", str(fitted[1]), "-o", str(tmp_path / "out"))
    result = stackclip(tmp_path / "w", *words)
    assert f"watching {folder}, every 2 s, until Ctrl-C; tables and heat maps go to {tmp_path / 'out'}" in result.stderr


def test_many_pictures_come_in_batches(
    fitted: tuple[Session, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackclip.session.watching.AT_ONCE", 2)
    folder, out = tmp_path / "in", tmp_path / "out"
    for number in range(5):
        picture(folder / f"{number}.png", number)
    assert [len(each) for each in islice(watch(fitted, folder, out), 3)] == [2, 2, 1]
    assert len(lines(out)) == 5


def test_a_watch_goes_by_the_rate_that_is_asked_for(fitted: tuple[Session, Path], tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for number in range(12):
        picture(folder / f"{number}.png", number + 300)
    session, detector = fitted
    [scores] = islice(session.watch(folder, detector, tmp_path / "out", every=0.0, false_alarms=0.5), 1)
    assert [each.anomalous for each in scores] == [each.p_value <= 0.5 for each in scores if each.p_value]
    assert np.mean([each.anomalous for each in scores]) > 0.05
    with pytest.raises(UsageError, match="wants 999 good pictures"):
        next(session.watch(folder, detector, tmp_path / "other", every=0.0, false_alarms=0.001))


def test_a_table_has_the_lines_of_one_watch_one_detector_and_one_rate(
    fitted: tuple[Session, Path], tmp_path: Path
) -> None:
    folder, out = picture(tmp_path / "in" / "a.png", 1).parent, tmp_path / "out"
    watching = watch(fitted, folder, out)
    next(watching)
    with pytest.raises(DataError, match="another watch writes there"):
        next(watch(fitted, folder, out))
    watching.close()
    [place] = out.iterdir()
    killed = place / f".stackclip-elsewhere-1-{'0' * 16}.folder"  # of a watch, some days ago
    killed.mkdir()
    os.utime(killed, (0, 0))
    session, detector = fitted
    with pytest.raises(DataError, match="by another false alarm rate: choose another folder"):
        next(session.watch(folder, detector, out, every=0.0, false_alarms=0.5))
    with pytest.raises(StackclipError, match="a watch adds its lines there"):
        session.inspect(folder, detector=detector, output=out)
    other = tmp_path / "other.stackclip"
    session.fit(other, object="plate", good=detector.parent / "good", seeds=(1,), train_on="synthetic[categories=1]")
    with pytest.raises(DataError, match="by another detector"):
        next(session.watch(folder, other, out, every=0.0))
    picture(folder / "b.png", 2)
    assert [score.picture.name for score in next(watch(fitted, folder, out))] == ["b.png"]
    assert not killed.exists()


def test_what_vanishes_and_comes_back_is_scored(
    fitted: tuple[Session, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture is moved away before it is read, and a folder before it is listed; both come back as they were."""
    folder, out, away = tmp_path / "in", tmp_path / "out", tmp_path / "away"
    picture(folder / "a.png", 1)
    path, taken = picture(folder / "line2" / "b.png", 2), []

    def takes(_: object) -> None:
        if not taken:
            taken.append(path.rename(away))
        elif away.exists():
            away.rename(path)

    score = Watching._score

    def scored(self: Watching, *words: Any) -> Any:
        takes(None)
        return score(self, *words)

    monkeypatch.setattr(Watching, "_score", scored)
    watching = watch(fitted, folder, out)
    assert [each.picture.name for each in next(watching)] == ["a.png"]
    monkeypatch.setattr("stackclip.session.watching.time.sleep", takes)
    assert [each.picture.name for each in next(watching)] == ["b.png"]
    assert [line["picture"] for line in lines(out)] == ["a.png", "line2/b.png"]


def test_a_folder_that_vanishes_while_it_is_listed_ends_no_watch(
    fitted: tuple[Session, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, failures = picture(tmp_path / "in" / "a.png", 1).parent, iter([True])

    def below(place: Path) -> Iterator[Path]:
        if next(failures, False):
            raise DataError(f"{place}/line2: cannot be listed")
        yield from pictures_below(place)

    monkeypatch.setattr("stackclip.session.watching.pictures_below", below)
    watching = watch(fitted, folder, tmp_path / "out")
    assert len(next(watching)) == 1
    failures = iter([True, True])
    with pytest.raises(DataError, match="line2: cannot be listed"):
        next(watching)


def test_words_that_would_be_passed_over_are_refused(fitted: tuple[Session, Path], tmp_path: Path) -> None:
    session, detector = fitted
    good, new = detector.parent / "good", tmp_path / "x.stackclip"
    with pytest.raises(UsageError, match="bad and maps: words of an inspection"):
        session.fit(new, object="plate", good=good, bad=good, maps="npy")
    with pytest.raises(UsageError, match="a folder, and a detector is a file"):
        session.fit(tmp_path, object="plate", good=good)
    with pytest.raises(UsageError, match="name one seed"):
        session.fit(new, object="plate", good=good, seeds=(0, 1))
    with pytest.raises(UsageError, match="name one seed"):
        session.inspect(picture(tmp_path / "in" / "a.png", 1), object="plate", good=good, seeds=(0, 1))
    for every in (-1.0, float("nan"), "soon"):
        with pytest.raises(UsageError, match="the seconds between two looks"):
            session.watch(good, detector, tmp_path / "out", every=every)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="brings its own shots"):
        session.inspect(good, detector=detector, shots=4)
