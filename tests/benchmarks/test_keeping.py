"""What cannot be kept or found costs itself and nothing else, and is said once for each reason."""

from __future__ import annotations

import errno
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stackclip.benchmarks.runner import Bench
from stackclip.heads import TrainedHead, load_head, save_head
from stackclip.ops import drafts


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    logging.getLogger("stackclip").propagate = True
    return caplog


def metrics_of(run: Bench) -> list[Any]:
    return [row.metrics for row in run.run().rows]


@pytest.fixture
def whole(small, bench) -> list[Any]:
    """The figures of a bench that nothing happens to."""
    return metrics_of(bench(small.plan("fuzzy", "clip"), "whole"))


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.ENAMETOOLONG, errno.EDQUOT])
def test_rows_and_heads_that_cannot_be_kept_are_said_once_and_the_figures_stay(
    error: int, small, bench, whole, said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(error, "no")

    monkeypatch.setattr(drafts.Draft, "write", fail)
    run = bench(small.plan("fuzzy", "clip"))
    outcome = run.run()
    assert [row.metrics for row in outcome.rows] == whole
    assert (outcome.computed, outcome.unkept) == (4, 5)
    head, row, total = said.messages
    assert head.startswith(f"{run.heads}")
    assert head.endswith("this head is not kept (no); the bench goes on")
    assert row.startswith(f"{run.rows.folder}")
    assert row.endswith("this row is not kept (no); the bench goes on")
    assert total == "1 head and 4 rows could not be kept; mend that and run the same command again"
    monkeypatch.undo()
    assert bench(small.plan("fuzzy", "clip")).run().unkept == 0


def test_a_folder_in_the_place_of_a_file_costs_that_file_alone(small, bench, whole, said) -> None:
    run = bench(small.plan("fuzzy", "clip"))
    run.run()
    row, head = min(run.rows.folder.iterdir()), min(run.heads.iterdir())
    for path in (row, head):
        path.unlink()
        path.mkdir()
    for path in set(run.rows.folder.iterdir()) - {row}:
        path.unlink()
    outcome = bench(small.plan("fuzzy", "clip")).run()
    assert [each.metrics for each in outcome.rows] == whole
    assert outcome.unkept == 2
    for path in (row, head):
        assert sum(str(path) in line for line in said.messages) == 2  # read and not kept
    assert len(list(run.rows.folder.glob("*.json"))) == 4


def _with_facts(head: TrainedHead, **changed: Any) -> TrainedHead:
    facts = {name: value for name, value in {**head.facts, **changed}.items() if value is not None}
    return replace(head, facts=facts)


def _with_tensors(head: TrainedHead, change: Any) -> TrainedHead:
    return replace(head, tensors={name: change(tensor) for name, tensor in head.tensors.items()})


UNFIT: dict[str, Any] = {
    "no losses": lambda head: _with_facts(head, losses=None),
    "losses that are text": lambda head: _with_facts(head, losses="none"),
    "losses of text": lambda head: _with_facts(head, losses=[{"loss": "1"}]),
    "no seconds": lambda head: _with_facts(head, seconds=None),
    "steps of another shape": lambda head: _with_facts(head, steps=[1]),
    "curves that are none": lambda head: _with_facts(head, curves={"a": [{"step": 1}]}),
    "another shape": lambda head: _with_tensors(head, lambda tensor: tensor[..., :1].clone()),
    "another type": lambda head: _with_tensors(head, lambda tensor: tensor.double()),
    "whole numbers": lambda head: _with_tensors(head, lambda tensor: tensor.long()),
    "float8": lambda head: _with_tensors(head, lambda tensor: tensor.to(torch.float8_e4m3fn)),
    "complex": lambda head: _with_tensors(head, lambda tensor: tensor.to(torch.complex64)),
    "no tensors": lambda head: replace(head, tensors={}),
    "other names": lambda head: replace(head, tensors={f"x.{name}": each for name, each in head.tensors.items()}),
}


@pytest.mark.parametrize("what", UNFIT)
def test_a_head_that_cannot_be_adopted_is_trained_again_with_one_line(what: str, small, bench, whole, said) -> None:
    run = bench(small.plan("fuzzy", "clip"))
    run.run()
    [path] = run.heads.iterdir()
    head = load_head(path, fingerprint=small.store.digest)
    save_head(path, UNFIT[what](head))
    for row in run.rows.folder.iterdir():
        row.unlink()
    said.clear()
    assert metrics_of(bench(small.plan("fuzzy", "clip"))) == whole
    [line] = said.messages
    assert line.startswith(str(path))
    assert line.endswith("it is trained again")
    again = load_head(path, fingerprint=small.store.digest)
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in head.tensors.items())


def test_the_head_of_another_method_under_a_methods_name_is_not_taken(
    small, bench, whole, said, tmp_path: Path
) -> None:
    run, other = bench(small.plan("fuzzy", "clip")), bench(small.plan("precise"), "other")
    run.run()
    other.run()
    [path], [foreign] = run.heads.iterdir(), other.heads.iterdir()
    path.write_bytes(foreign.read_bytes())
    for row in run.rows.folder.iterdir():
        row.unlink()
    said.clear()
    assert metrics_of(bench(small.plan("fuzzy", "clip"))) == whole
    [line] = said.messages
    assert f"it was saved as {foreign.stem}" in line
