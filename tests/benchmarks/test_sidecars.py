"""What a method said of single pictures lies beside its row, agrees with it, and nothing depends on it."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import Bench
from stackclip.benchmarks.sidecars import FORMAT, CellPictures, Sidecars
from stackclip.ops.files import write_atomically
from stackclip.ops.tensor_files import packed, unpacked

Make = Callable[..., Bench]


def made(count: int = 3, **words: object) -> CellPictures:
    draws = np.random.default_rng(0)
    given = {
        "ids": tuple(f"{number}.png" for number in range(count)),
        "images": ("a/b.png", "\udcff.png", "/else.png")[:count],
        "labels": np.array([0, 1, 1], np.uint8)[:count],
        "defects": ("good", "dent", "\u202edent")[:count],
        "masks": draws.random((count, 64, 64)) < 0.1,
        "localised": np.array([True, True, False])[:count],
        "scores": draws.random(count),
        "levels": draws.integers(0, 256, (count, 64, 64)).astype(np.uint8),
        "low": np.zeros(count),
        "high": np.ones(count),
    }
    return CellPictures(**{**given, **words})  # type: ignore[arg-type]


def equal(one: CellPictures, other: CellPictures) -> bool:
    return all(np.array_equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(CellPictures))


@pytest.mark.parametrize(
    "pictures",
    [made(), made(0), made(scores=None), made(levels=None, low=None, high=None)],
    ids=["whole", "empty", "no scores", "no maps"],
)
def test_a_sidecar_is_read_as_it_was_written(pictures: CellPictures, tmp_path: Path) -> None:
    sidecars = Sidecars(RowFolder(tmp_path / "rows"))
    sidecars.write("abc", pictures)
    found = sidecars.find("abc")
    assert found is not None
    assert equal(found, pictures)
    assert sidecars.find("other") is None


def test_every_byte_that_is_another_is_noticed_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("stackclip").propagate = True
    whole = made(1).packed("abc")
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        write_atomically(tmp_path / "sidecars" / "abc.safetensors", bytes(damaged))
        assert Sidecars(RowFolder(tmp_path / "rows")).find("abc") is None, place
    caplog.clear()
    sidecars = Sidecars(RowFolder(tmp_path / "rows"))
    for data in (whole[:-5], b"", made(1).packed("another")):
        write_atomically(tmp_path / "sidecars" / "abc.safetensors", data)
        assert sidecars.find("abc") is None
    [said] = caplog.messages
    assert "abc.safetensors" in said
    assert said.endswith("stackclip bench --overwrite always writes it again")


def test_arrays_that_do_not_fit_each_other_are_refused() -> None:
    file = unpacked(made().packed("abc"))
    facts, tensors = dict(file.facts or {}), dict(file.tensors)
    for wrong in (
        {"scores": torch.zeros(2, dtype=torch.float64)},
        {"labels": torch.tensor([0, 1, 2], dtype=torch.uint8)},
        {"levels": torch.zeros(3, 64, 63, dtype=torch.uint8)},
        {"levels": torch.zeros(3, 64, 64)},
        {"scores": torch.tensor([0.0, float("nan"), 1.0], dtype=torch.float64)},
        {"more": torch.zeros(3)},
    ):
        data = packed({**tensors, **wrong}, facts, form=FORMAT, name="abc")
        with pytest.raises(ValueError, match="other shapes"):
            CellPictures.unpacked(unpacked(data))
    for lacking in ("levels", "low", "masks"):
        left = {name: each for name, each in tensors.items() if name != lacking}
        with pytest.raises(ValueError, match="other shapes"):
            CellPictures.unpacked(unpacked(packed(left, facts, form=FORMAT, name="abc")))
    with pytest.raises(ValueError, match="not those that were saved"):
        CellPictures.unpacked(unpacked(packed(tensors, {**facts, "ids": [1, 2, 3]}, form=FORMAT, name="abc")))


def test_each_row_of_a_bench_has_one_that_gives_its_figures(small, bench: Make) -> None:
    run = bench(small.plan("fuzzy", "clip", "stacked"))
    rows, sidecars = run.run().rows, Sidecars(run.rows)
    names = {row.method: sidecars.of(row) for row in rows}
    assert names["clip"] is not None
    assert names["clip"].levels is None
    for row in rows:
        found = sidecars.of(row)
        assert found is not None
        assert found.scores is not None
        assert abs(roc_auc_score(found.labels, found.scores) - row.metrics["image_AUROC"]) < 1e-12
        samples = small.tested.select(split="test", categories=(row.category,)).samples
        assert list(found.ids) == [sample.id for sample in samples]
        assert [small.tested.root / image for image in found.images] == [sample.image for sample in samples]
        assert found.masks.any((1, 2)).tolist() == [bool(label) for label in found.labels]
        if found.high is not None:
            assert found.levels is not None
            assert (found.levels.max((1, 2)) == 255).all()


def test_rows_are_the_same_bytes_without_and_none_is_computed_again(small, bench: Make) -> None:
    run = bench(small.plan("fuzzy", "clip"))
    rows = run.run().rows
    shutil.rmtree(run.rows.folder.with_name("sidecars"))
    before = {path: path.read_bytes() for path in run.rows.folder.iterdir()}
    again = bench(small.plan("fuzzy", "clip"))
    outcome = again.run()
    assert outcome.computed == 0
    assert outcome.rows == rows
    assert {path: path.read_bytes() for path in run.rows.folder.iterdir()} == before
    assert all(Sidecars(run.rows).of(row) is None for row in rows)


def test_a_row_finds_its_own_wherever_its_pictures_lie_now(small, bench: Make) -> None:
    run = bench(small.plan("fuzzy"))
    row, other = run.run().rows
    moved = replace(row, facts={**row.facts, "tested": {**row.facts["tested"], "place": "/elsewhere"}})
    sidecars = Sidecars(run.rows)
    mine = sidecars.of(row)
    found = sidecars.of(moved)
    assert mine is not None
    assert found is not None
    assert found.ids == mine.ids
    assert sidecars.of(replace(other, seed=7)) is None
    assert sidecars.of(replace(row, metrics={**row.metrics, "image_AUROC": 0.123})) is None


def test_one_that_cannot_be_written_costs_itself_alone(
    small, bench: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("stackclip").propagate = True

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(Sidecars, "write", full)
    run = bench(small.plan("fuzzy", "clip"))
    outcome = run.run()
    assert outcome.unkept == 0
    said = [message for message in caplog.messages if "not kept" in message]
    assert len(said) == 1
    assert said[0].endswith("this sidecar is not kept (no room); the bench goes on")
    assert len(list(run.rows)) == len(outcome.rows) == 4


def test_no_finished_row_is_without_whenever_a_bench_is_stopped(
    small, bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, there = RowFolder.write, list[bool]()

    def watched(rows: RowFolder, cell: str, *words: object) -> None:
        there.append(Sidecars(rows).find(cell) is not None)
        if len(there) == 2:
            raise KeyboardInterrupt
        write(rows, cell, *words)

    monkeypatch.setattr(RowFolder, "write", watched)
    run = bench(small.plan("fuzzy", "clip"))
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert there == [True, True]
    assert len(list(run.rows)) == 1
    outcome = bench(small.plan("fuzzy", "clip")).run()
    assert outcome.computed == 3
    assert all(there)
