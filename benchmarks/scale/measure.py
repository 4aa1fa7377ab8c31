"""What one process needs for one thing: `python measure.py WHAT STORE PICTURES COUNT`; the last line is JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from synthetic import PARTS, SPEC, samples_in

from stackclip.cache import Store, plan
from stackclip.types import MASK, Sample

WANTED = frozenset({*PARTS, MASK})


def resident() -> float:
    """MB of memory that the process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def opening(folder: Path, samples: Sequence[Sample]) -> Store:
    """Open it and say what it holds."""
    store = Store.open(folder)
    assert len(store)
    assert not store.problems
    return store


def keeping(folder: Path, samples: Sequence[Sample]) -> Store:
    """Come to know every picture, and write that down, as a first bench does."""
    store = opening(folder, samples)
    assert store.lacking(samples, WANTED) == ()
    store.keep_readings()
    return store


def lacking(folder: Path, samples: Sequence[Sample]) -> Store:
    """Open it and find that nothing lacks."""
    store = opening(folder, samples)
    assert store.lacking(samples, WANTED) == ()
    return store


def planning(folder: Path, samples: Sequence[Sample]) -> Store:
    """What a bench does with a store before it reads: the forecast, what lacks, what is usable, and its names."""
    store = opening(folder, samples)
    with store.one_look():
        assert plan(store, samples, WANTED, SPEC).pictures == 0
        assert store.lacking(samples, WANTED) == ()
        assert all(parts >= WANTED for parts in store.holdings(samples))
        assert all(store.digests(samples))
        assert all(store.digests([sample for sample in samples if sample.mask], MASK))
    store.keep_readings()
    return store


def reading(folder: Path, samples: Sequence[Sample]) -> Store:
    """Open it and read rows of a thousand pictures at random."""
    store = opening(folder, samples)
    store.batch(Random(0).sample(samples, min(1000, len(samples))), PARTS)
    return store


def verifying(folder: Path, samples: Sequence[Sample]) -> None:
    """Read every byte."""
    assert Store.open(folder).verify() == []


WHAT: dict[str, Callable[[Path, Sequence[Sample]], Any]] = {
    "open": opening,
    "keep": keeping,
    "lacking": lacking,
    "plan": planning,
    "read 1000": reading,
    "verify": verifying,
}


def measured(what: str, folder: Path, pictures: Path, count: int) -> dict[str, float]:
    """Seconds, seconds of the processor, and MB: what remains, and what there was at the peak."""
    import torch  # noqa: F401 - a bench has it; its import is none of this

    samples = [] if what in ("open", "verify") else samples_in(pictures, count)
    before, wall, processor = resident(), time.perf_counter(), time.process_time()
    kept = WHAT[what](folder, samples)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    after, peak = resident(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    del kept
    return {"seconds": wall, "processor": processor, "memory": after - before, "peak": peak * 1.024 - before}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    named, store, root, number = sys.argv[1:]
    print(json.dumps(measured(named, Path(store), Path(root), int(number))))
