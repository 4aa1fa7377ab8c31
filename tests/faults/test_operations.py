"""At every single operation of a caching run: killed, out of space, refused, cut short."""

from __future__ import annotations

import errno

import pytest

from .lab import FAIL, FAIL_FROM, KILL, KILL_AFTER, SHORT, SHORT_FROM, Lab, log_of, operations
from .tally import Tally

FAULTS = {
    "SIGKILL before the operation": (KILL, 0),
    "SIGKILL after it, in the middle of a write": (KILL_AFTER, 0),
    "ENOSPC": (FAIL, errno.ENOSPC),
    "ENOSPC from then on": (FAIL_FROM, errno.ENOSPC),
    "EIO": (FAIL, errno.EIO),
    "EIO from then on": (FAIL_FROM, errno.EIO),
    "EACCES": (FAIL, errno.EACCES),
    "EACCES from then on": (FAIL_FROM, errno.EACCES),
    "EROFS from then on": (FAIL_FROM, errno.EROFS),
    "short write": (SHORT, 0),
    "short writes from then on": (SHORT_FROM, 0),
}
STEPS = {KILL: 9, KILL_AFTER: 11}  # in a sample; of the others every 40th


@pytest.fixture(scope="module")
def kinds(lab: Lab) -> list[str]:
    """The operations of a run without a fault."""
    root = lab.fresh()
    assert lab.run("cache", root).code == 0
    assert lab.judge(root)["why"] == []
    return [operation.kind for operation in operations(log_of(root)) if operation.kind != "note"]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_acknowledged_survives(lab: Lab, tally: Tally, full: bool, kinds: list[str], fault: str) -> None:
    action, error = FAULTS[fault]
    figures = tally.of(fault, "an operation of a run")
    points = [at for at, kind in enumerate(kinds) if kind == "write" or action not in (SHORT, SHORT_FROM)]
    if not full:
        points = points[len(fault) % 7 :: STEPS.get(action, len(points) // 5)]
    for at in points:
        root = lab.fresh()
        ending = lab.run("cache", root, action=action, at=at, error=error)
        if action in (KILL, KILL_AFTER):
            assert ending.signal == 9, f"operation {at} of {len(kinds)} was never done"
        tally.judged(fault, f"{kinds[at]} {at}", lab.judge(root), None if action in (KILL, KILL_AFTER) else ending)
        lab.drop(root)
    assert figures.points == len(points)
    tally.require(fault)


def test_a_writer_in_the_wrong_order_is_noticed(lab: Lab, tally: Tally, kinds: list[str], full: bool) -> None:
    """The control: what the harness says of a manifest that is there before its segment."""
    tried = failed = 0
    for at in range(30, 90, 1 if full else 4):
        root = lab.fresh()
        lab.run("cache-manifest-first", root, action=KILL, at=at)
        verdict = lab.judge(root)
        tried += 1
        failed += not (verdict["whole"] and verdict["resumed"])
        lab.drop(root)
    tally.control("manifest first, SIGKILL", states=tried, failed=failed)
    assert failed
