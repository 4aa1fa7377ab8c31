"""Methods one by one over features of ViT-L/14 at 448 and 518 pixels: memory at the peak, and CPU time a picture.

Features are random projections of pixels, as in test_real_size.py; caching is a process of its own, and so is the bench
of each method, with the real text tower (random weights) and the blocks that a method runs.

Run: pytest benchmarks/perf/test_rivals.py --benchmark-only -s
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stackclip.benchmarks.entrant import needed
from stackclip.benchmarks.plan import Plan
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.runner import Bench
from stackclip.cache import Store, extract
from stackclip.clip import TextEncoder, Tower, flush_denormals
from stackclip.data import open_dataset

METHODS = (
    "clip-lad[shots=4]",
    "winclip[shots=4]",
    "april-gan[shots=4]",
    "anomaly-dino[shots=4]",
    "mrad",
    "af-clip[epochs=1]",
)
TRAINED = "synthetic[categories=1,per_category=8,train_good=0,size=112]"
TESTED = "synthetic-logical[categories=1,train_good=4,validation_good=4,test_good=1,per_kind=1,size=112]"
BATCH = 8
DISK = 8e9  # bytes of the store, with room to spare


def bench_of(folder: Path, tower: Tower, *methods: str) -> Bench:
    """A bench of methods over the store below a folder, which is made if it is not there."""
    trained, tested = (open_dataset(text, generated=folder / "data") for text in (TRAINED, TESTED))
    plan = Plan(methods=methods, train_on=(trained,), test_on=(tested,), epochs=None, batch_size=BATCH)
    store = Store.create(folder / "features", tower.fingerprint, spec=tower.spec, recorded=tower.recorded)
    return Bench(plan, tower, TextEncoder(tower), store, RowFolder(folder / "rows"), folder / "heads")


def measure(folder: Path, side: int, method: str) -> dict[str, Any]:
    """What a method took, as JSON can hold it; all that METHODS read is cached below `folder` where none is named."""
    from test_real_size import Projected, peak, tower_of

    flush_denormals()
    tower = tower_of(side=side)
    if not method:
        whole = bench_of(folder, tower, *METHODS)
        samples, parts = needed(whole.plan, whole.entrants)
        report = extract(whole.store, Projected(tower), samples, parts)
        assert not report.failed, report.failed
        return {}
    before = peak()
    time.perf_counter = time.process_time  # what else the machine does takes no time of ours
    [row] = bench_of(folder, tower, method).run().rows
    assert not row.error, row.error
    trained, tested = row.facts["trained_pictures"], row.facts["tested_pictures"]
    return {
        "tower": before,
        "peak": peak(),
        "test": row.seconds / tested,
        "training": row.facts["train_seconds"] / (trained * row.facts["epochs"]) if row.facts["epochs"] else 0.0,
    }


def run(*arguments: object) -> dict[str, Any]:
    """What `measure` says in a process of its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("side", [448, 518])
def test_methods_one_by_one(side: int, tmp_path: Path, figure: Any) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    if (free := shutil.disk_usage(tmp_path).free) < DISK:
        pytest.skip(f"the store needs {DISK / 1e9:.0f} GB of disk, {free / 1e9:.1f} GB are free")
    run(tmp_path, side, "")
    for method in METHODS:
        found = run(tmp_path, side, method)
        what = f"{method}, ViT-L/14 at {side}, random features"
        note = f"{found['tower'] / 1e9:.3g} GB of it with the tower alone"
        figure(f"{what}: memory at the peak", found["peak"] / 1e9, unit="GB", note=note)
        note = f"training: {found['training']:.2g} s an epoch and picture" if found["training"] else ""
        figure(f"{what}: test", found["test"], unit="s of a CPU a picture", note=note)
    shutil.rmtree(tmp_path)


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
