"""A writer that goes on and on, and readers beside it; each is a process of its own, without torch.

`python crowd.py write ROOT SECONDS` or `python crowd.py read ROOT READS`; the last line of output is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from stackclip.cache import Store
from stackclip.cache.sources import Source
from stackclip.errors import StackclipError
from stackclip.types import CLS, GOOD, NORMAL, Sample, TowerSpec, patch

SPEC = TowerSpec(name="Crowd/16", image_size=16, grid=4, depth=3, width=8, joint=6, layers=(1, 2, 3))
FINGERPRINT = {"model": SPEC.name}
PICTURES = 600


def samples_in(root: Path) -> list[Sample]:
    """Files that a store takes for pictures; their content is their number."""
    folder = root / "pictures"
    if not folder.exists():
        folder.mkdir(parents=True)
        for index in range(PICTURES):
            (folder / f"{index}.png").write_text(str(index))
    paths = [folder / f"{index}.png" for index in range(PICTURES)]
    return [Sample(path.name, "crowd", "plate", "test", path, None, NORMAL, GOOD) for path in paths]


def tokens(index: int) -> np.ndarray:
    """The patch tokens of a picture."""
    return (np.arange(16 * 8).reshape(16, 8) + index).astype(np.float16)


def wait_for(there: Callable[[], bool]) -> None:
    """Wait until it is so, or for a minute."""
    end = time.monotonic() + 60
    while not there() and time.monotonic() < end:
        time.sleep(0.01)


def write(root: Path, seconds: float) -> dict[str, int]:
    """Write segment after segment, some pictures each, spread over the time, when two readers are there."""
    store, samples = Store.create(root / "store", FINGERPRINT, spec=SPEC, recorded={}), samples_in(root)
    wait_for(lambda: len(list(root.glob("ready-*"))) == 2)
    with store.writer(seal_bytes=3 * tokens(0).nbytes) as writer:
        for index, sample in enumerate(samples):
            source: Source = store.source(sample)
            writer.add(source, {CLS: np.full(6, index, np.float16), patch(1): tokens(index)})
            time.sleep(seconds / PICTURES)
    return {"acknowledged": writer.acknowledged}


def read(root: Path, reads: int) -> dict[str, int]:
    """Read pictures at random, as soon as they are there; how many, how many wrong or refused, how many when."""
    samples, random = samples_in(root), Random(reads)
    wait_for(lambda: bool(list((root / "store").glob("*/store.json"))))
    (folder,) = (path.parent for path in (root / "store").glob("*/store.json"))
    store = Store.open(folder)
    (root / f"ready-{reads}").touch()
    sizes, bad, done = [len(store)], 0, 0
    while done < reads:
        store.refresh()
        held = [index for index, parts in enumerate(store.holdings(samples)) if patch(1) in parts]
        for index in random.sample(held, min(5, len(held))):
            try:
                right = np.array_equal(store.read([samples[index]], patch(1))[0], tokens(index))
                right &= bool((store.read([samples[index]], CLS) == np.float16(index)).all())
            except StackclipError as error:
                print(error, file=sys.stderr)
                right = False
            bad += not right
            done += 1
        bad += len(store.problems)
        sizes.append(len(store))
    return {"reads": done, "bad": bad, "first": sizes[0], "last": sizes[-1], "shrunk": int(sizes != sorted(sizes))}


if __name__ == "__main__":
    verb, where, amount = sys.argv[1:]
    outcome = write(Path(where), float(amount)) if verb == "write" else read(Path(where), int(amount))
    print(json.dumps(outcome))
