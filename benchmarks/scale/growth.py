"""How what a store costs grows with it: `python benchmarks/scale/growth.py` measures and prints the table.

Each figure is of a process of its own. Seconds are those of the processor, which other work on the machine disturbs
least; memory is what the process has more than before. An exponent of 1 is growth in proportion.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from measure import WHAT
from synthetic import make_store, samples_in

HERE = Path(__file__).parent
SETTLED = 3.2  # seconds after which what was written is believed
Figures = Mapping[str, float]


def figures_of(root: Path, size: int, per_segment: int, count: int) -> Iterator[tuple[str, Figures]]:
    """Measure everything of one store, of as many samples as `count` says."""
    folder = make_store(root / f"store-{size}", size, per_segment=per_segment)
    samples_in(root / "pictures", count)
    yield "open, no index", measured("open", folder, root, count)
    time.sleep(SETTLED)
    yield "first look at all pictures", measured("keep", folder, root, count)
    for what in WHAT:
        if what != "keep":
            yield what, measured(what, folder, root, count)
    for name in ("index.bin", "sources.bin"):
        yield f"{name}, MB", {"size": (folder / name).stat().st_size / 1e6}
    manifests = sum(path.stat().st_size for path in (folder / "segments").glob("*.json"))
    yield "manifests, MB", {"size": manifests / 1e6}


def measured(what: str, folder: Path, root: Path, count: int) -> Figures:
    """What one thing costs in a new process."""
    words = [sys.executable, str(HERE / "measure.py"), what, str(folder), str(root / "pictures"), str(count)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return dict(json.loads(done.stdout.splitlines()[-1]))


def exponent(sizes: Sequence[int], values: Sequence[float]) -> str:
    """By which power of the size a value grows from the smallest store to the largest."""
    if len(sizes) < 2 or min(values) <= 0:
        return "-"
    return f"{math.log(values[-1] / values[0]) / math.log(sizes[-1] / sizes[0]):.2f}"


def table(sizes: Sequence[int], found: Sequence[Mapping[str, Figures]]) -> Iterator[str]:
    """The lines of the table, in Markdown."""
    columns = [f"{size:,}".replace(",", " ") for size in sizes]
    yield "| what | unit | " + " | ".join(columns) + " | exponent | each |"
    yield "|---|---|" + "---:|" * (len(sizes) + 2)
    units = {"processor": ("s of a CPU", 1e6, "us"), "memory": ("MB more", 1e6, "B"), "size": ("MB", 1e6, "B")}
    for what in found[0]:
        for key, (unit, scale, each) in units.items():
            values = [figures[what][key] for figures in found if key in figures[what]]
            if values and (key != "memory" or what in ("open", "open, no index", "plan")):
                shown = " | ".join(f"{value:.3g}" for value in values)
                per = f"{values[-1] / sizes[-1] * scale:.3g} {each}"
                yield f"| {what.removesuffix(', MB')} | {unit} | {shown} | {exponent(sizes, values)} | {per} |"


def main() -> None:
    """Measure stores of some sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 200_000, 1_000_000], help="pictures")
    parser.add_argument("--per-segment", type=int, default=1000, help="pictures; 23 of ViT-L/14 at 518 fill one")
    parser.add_argument("--samples", type=int, default=200_000, help="at most so many are planned for")
    parser.add_argument("--folder", type=Path, help="where the stores are made for a while; needs some GB")
    given = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="stackclip-scale-") as root:
        for size in given.sizes:
            found.append(dict(figures_of(Path(root), size, given.per_segment, min(size, given.samples))))
            print(json.dumps({"pictures": size, **found[-1]}), file=sys.stderr, flush=True)
    print("\n".join(table(given.sizes, found)))


if __name__ == "__main__":
    main()
