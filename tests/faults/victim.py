"""A small caching run that faults happen to, its judge, and the process that forks both as often as it is asked.

Run as a script it is that process: one line of JSON asks for one child, one line tells how the child ended.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import gc
import json
import logging
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache as remember
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from stackclip.cache import Store, Writer, commit, extract, find_store
from stackclip.cache import committed as indexing
from stackclip.cache.manifest import Record
from stackclip.errors import CorruptStore, MissingParts, StackclipError
from stackclip.ops.drafts import Draft
from stackclip.types import ANOMALOUS, CLS, GOOD, MASK, NORMAL, Part, Sample, TowerSpec, patch

Task = Callable[[Path, Path, Path], Any]

SPEC = TowerSpec(name="Fault/16", image_size=16, grid=4, depth=3, width=8, joint=6, layers=(1, 2, 3))
FINGERPRINT = {"model": SPEC.name, "weights": "f" * 64, "mean": (0.5, 0.5, 0.5), "semantics": 1}
FIRST, LATER = frozenset({CLS, patch(1), MASK}), frozenset({CLS, patch(1), patch(2), MASK})
PICTURES = 10
SEGMENT = 1100  # bytes at which a segment is sealed: four or five of them, and two of the later part
HANG_SECONDS = 30.0
SETTLED_SECONDS = 3.2
SIEGE_SECONDS = 0.3  # about what a run takes beside others
DERIVED = {"writer.lock", "sources.bin", "index.bin"}


class Tower:
    """Features that anyone can work out: sixteen pixels of the picture, times the layer, plus the channel."""

    spec = SPEC

    picture_range = "auto"

    def prepare(self, image: Image.Image) -> Any:
        return np.asarray(image.resize((16, 16)), np.float32).transpose(2, 0, 1)

    def encode(self, pictures: Any, parts: Iterable[Part]) -> dict[Part, Any]:
        import torch

        pixels = pictures[:, 0, :4, :4].reshape(-1, 16)
        channel = torch.arange(8)
        return {
            part: pixels[:, :6] if part == CLS else pixels[..., None] * part.index + channel for part in sorted(parts)
        }


class TellingStore(Store):
    """A store whose writer seals often and which says in a file what is safe, as soon as it is told so itself."""

    told: Path

    def writer(self, **_: Any) -> AbstractContextManager[Writer]:
        def tell(records: tuple[Record, ...]) -> None:
            self.tell((record.digest, part) for record in records for part in record.hashes)

        return super().writer(on_sealed=tell, seal_bytes=SEGMENT)

    def tell(self, safe: Iterable[tuple[str, Part]]) -> None:
        """Write down parts of pictures that are said to be safe."""
        descriptor = os.open(self.told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(descriptor, "".join(f"{digest} {part}\n" for digest, part in safe).encode())
        os.close(descriptor)


def make_pictures(folder: Path) -> None:
    """Write the pictures, every second one with a mask."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(PICTURES):
        draw = np.random.default_rng(index)
        Image.fromarray(draw.integers(0, 256, (20, 24, 3), np.uint8)).save(folder / f"{index:03d}.png")
        if index % 2:
            mask = np.zeros((20, 24), np.uint8)
            mask[2:9, 3 : 8 + index] = 255
            mask[15:, index:] = 1
            Image.fromarray(mask).save(folder / f"{index:03d}_mask.png")


def samples_in(folder: Path) -> list[Sample]:
    """The samples of those pictures."""
    samples = []
    for index in range(PICTURES):
        image, odd = folder / f"{index:03d}.png", bool(index % 2)
        mask = folder / f"{index:03d}_mask.png" if odd else None
        label, defect = (ANOMALOUS, "cut") if odd else (NORMAL, GOOD)
        samples.append(Sample(image.name, "faults", "plate", "test", image, mask, label, defect))
    return samples


def cache(root: Path, pictures: Path, told: Path) -> None:
    """The run: a new store, segments of some parts, and then another part of the same pictures."""
    TellingStore.told = told
    samples = samples_in(pictures)
    for parts in (FIRST, LATER):
        store = TellingStore.create(root, FINGERPRINT, spec=SPEC, recorded={"torch": "0"})
        report = extract(store, Tower(), samples, parts, batch_size=2, workers=1)
        for failure in report.failed:
            raise failure
        store.tell(  # those that were there already were reported too
            (store.source(sample, part).digest, part)
            for sample in samples
            for part in sorted(parts)
            if part != MASK or sample.label == ANOMALOUS
        )


def repair(root: Path, pictures: Path, told: Path) -> None:
    """Drop what is damaged."""
    store = find_store(root, FINGERPRINT)
    assert store is not None
    store.repair()


def read(root: Path, pictures: Path, told: Path) -> None:
    """What a bench does with a store: look what it holds and read it."""
    store = find_store(root, FINGERPRINT)
    assert store is not None
    right = expected(pictures)
    for samples, features in store.batches(samples_in(pictures), sorted(LATER), batch_size=4):
        for part, arrays in features.items():
            assert all(
                np.array_equal(array, right[each.key, part]) for each, array in zip(samples, arrays, strict=True)
            )


@contextmanager
def manifest_first() -> Iterator[None]:
    """The order that must not be: the manifest is there before the segment that it tells of."""
    original = commit.compose, commit.written_draft, commit._claimed, commit._commit
    composed, written, _, committed = original
    now: dict[str, Any] = {}

    def compose(*given: Any, **named: Any) -> Any:
        now["composition"] = composed(*given, **named)
        return now["composition"]

    def swapped(folder: Path, pieces: Sequence[bytes], *, size: int = 0) -> AbstractContextManager[Any]:
        if size:
            number = max(commit.segment_numbers(folder.parent), default=0) + 1
            now["path"] = folder / f"{number:06d}.h5"
            committed(now["path"].with_suffix(".json"), now["composition"].manifest.encoded())
        return written(folder, pieces, size=size)

    def claim(draft: Draft, folder: Path) -> Path:
        assert draft.claims(now["path"])
        return now["path"]

    commit.compose, commit.written_draft = compose, swapped
    commit._claimed, commit._commit = claim, lambda manifest, data: None
    try:
        yield
    finally:
        commit.compose, commit.written_draft, commit._claimed, commit._commit = original


def cache_manifest_first(root: Path, pictures: Path, told: Path) -> None:
    """`cache` in the wrong order, for a harness that must notice."""
    with manifest_first():
        cache(root, pictures, told)


def deprived(task: Task, lack: tuple[Any, str, int], root: Path, pictures: Path, told: Path) -> None:
    """Do a task on a file system that lacks something: each call of it is refused with this error."""
    module, name, number = lack

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    original = getattr(module, name)
    setattr(module, name, refused)
    try:
        task(root, pictures, told)
    finally:
        setattr(module, name, original)


@remember
def expected(pictures: Path) -> dict[tuple[str, Part], np.ndarray]:
    """By sample and part what the store must hold, worked out without a store."""
    import torch

    from stackclip.data.images import read_picture
    from stackclip.data.masks import read_mask

    tower, right = Tower(), {}
    for sample in samples_in(pictures):
        picture = torch.from_numpy(tower.prepare(read_picture(sample.image)))[None]
        for part, features in tower.encode(picture, LATER - {MASK}).items():
            right[sample.key, part] = features[0].numpy().astype(np.float16)
        right[sample.key, MASK] = read_mask(sample, SPEC.image_size).astype(np.uint8)
    return right


def content(store: Store, sample: Sample, part: Part) -> np.ndarray:
    """What the store says of one sample."""
    return store.masks([sample])[0] if part == MASK else store.read([sample], part)[0]


def judge(root: Path, pictures: Path, told: Path) -> dict[str, Any]:
    """What is left of a store after a fault, before and after the run is done again.

    `lost` and `silent` count parts of pictures: told to be safe and not there; there and wrong. `whole` is whether the
    store says of no segment that it is damaged, `resumed` whether running again leaves all of it there, right, and
    nothing else beside it; `why` tells what was wrong.
    """
    right, samples, why = expected(pictures), samples_in(pictures), []
    promised = {tuple(line.split()) for line in told.read_text().splitlines()} if told.exists() else set()
    kept: set[tuple[str, str]] = set()
    verdict: dict[str, Any] = {"acknowledged": len(promised), "silent": 0, "whole": True, "resumed": False}
    try:
        store = find_store(root, FINGERPRINT)
    except StackclipError as error:
        store, verdict["whole"] = None, False
        why.append(str(error))
    if store is not None:
        verdict["whole"] = not store.problems
        why += map(str, store.problems)
        for sample in samples:
            for part in store.holdings([sample])[0] & LATER:
                try:
                    if not np.array_equal(content(store, sample, part), right[sample.key, part]):
                        verdict["silent"] += 1
                        why.append(f"{part} of {sample.key} is wrong")
                    elif part != MASK or sample.label == ANOMALOUS:
                        kept.add((store.source(sample, part).digest, str(part)))
                except CorruptStore as error:
                    why.append(str(error))
    verdict["lost"] = len(promised - kept)
    try:
        cache(root, pictures, told.with_name("told-later"))
        with find_store(root, FINGERPRINT).writer():  # the next one, which clears what others left
            pass
    except StackclipError as error:
        why.append(f"running again: {error}")
    else:
        flaws = list(_flaws(root, samples, right))
        why += flaws
        verdict["resumed"] = not flaws
    return {**verdict, "why": why}


def _flaws(root: Path, samples: list[Sample], right: dict[tuple[str, Part], np.ndarray]) -> Iterator[str]:
    """In what a store that must be complete is not."""
    (store,) = [Store.open(path) for path in root.iterdir()]
    yield from map(str, store.verify())
    for sample, missing in store.lacking(samples, LATER):
        yield f"{sample.key} still lacks {missing}"
        return
    for (key, part), array in right.items():
        sample = next(sample for sample in samples if sample.key == key)
        if not np.array_equal(content(store, sample, part), array):
            yield f"{part} of {key} is wrong after running again"
    names = {str(path.relative_to(store.folder)) for path in store.folder.rglob("*")} - DERIVED
    segments = {f"{path.with_suffix('')}" for path in map(Path, names) if path.suffix == ".h5"}
    wanted = {"store.json", "segments", *(f"{path}.{kind}" for path in segments for kind in ("h5", "json"))}
    if names != wanted:
        yield f"left over: {sorted(names ^ wanted)}"


def keep_index(root: Path, pictures: Path, told: Path) -> None:
    """Write down what is in a store that nobody changed for long enough."""
    time.sleep(SETTLED_SECONDS)
    indexing._FEW = 1
    store = find_store(root, FINGERPRINT)
    assert store is not None
    store.keep_readings()


def rot(root: Path, pictures: Path, told: Path) -> list[dict[str, Any]]:
    """`endure` on a disk that changes bytes and no times: what the index covers looks as it was."""
    (folder,) = root.iterdir()
    seen = indexing.seen_in(folder)
    indexing.seen_in = lambda folder: seen
    return endure(root, pictures, told)


def endure(root: Path, pictures: Path, told: Path) -> list[dict[str, Any]]:
    """Damage one file after the other as `plan` beside the store says, and tell what the store made of it."""
    right, samples = expected(pictures), samples_in(pictures)
    outcomes = []
    for name, start, stop, damage in json.loads(root.with_name("plan").read_text()):
        path = root / name
        intact = path.read_bytes()
        path.write_bytes(intact[:start] + bytes.fromhex(damage) + intact[stop:])
        outcomes.append(_assess(root, samples, right))
        path.write_bytes(intact)
    return outcomes


def forge(root: Path, pictures: Path, told: Path) -> list[dict[str, Any]]:
    """`endure`, and every time the manifest is made to fit, as someone would who means harm."""
    from hostile import reseal

    right, samples = expected(pictures), samples_in(pictures)
    outcomes = []
    for name, start, stop, damage in json.loads(root.with_name("plan").read_text()):
        path = root / name
        intact, manifest = path.read_bytes(), path.with_suffix(".json").read_bytes()
        path.write_bytes(intact[:start] + bytes.fromhex(damage) + intact[stop:])
        reseal(path)
        outcomes.append(_assess(root, samples, right))
        path.write_bytes(intact)
        path.with_suffix(".json").write_bytes(manifest)
    return outcomes


def _assess(root: Path, samples: list[Sample], right: dict[tuple[str, Part], np.ndarray]) -> dict[str, Any]:
    """Whether damage is noticed by `verify`, how much of what is read is wrong, and what was not meant to happen."""
    outcome: dict[str, Any] = {"noticed": False, "silent": 0, "why": ""}
    try:
        store = find_store(root, FINGERPRINT)
        assert store is not None
        for sample in samples:
            for part in LATER:
                with suppress(CorruptStore, MissingParts):
                    outcome["silent"] += not np.array_equal(content(store, sample, part), right[sample.key, part])
        outcome["noticed"] = bool(store.verify())
    except StackclipError as error:
        outcome["noticed"] = "\n" not in str(error)
    except Exception:
        outcome["why"] = traceback.format_exc()
    return outcome


def race(root: Path, pictures: Path, told: Path, *, task: str = "cache") -> dict[str, Any]:
    """Run a task four times at once; each one's exit code and message, as a command would give them."""
    messages = [root.with_name(f"messages-{number}") for number in range(4)]
    wait, go = os.pipe()
    children = [_started(root, pictures, told, message, (wait, go), task) for message in messages]
    os.close(wait)
    os.close(go)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return {"codes": codes, "messages": [message.read_text() for message in messages]}


def siege(root: Path, pictures: Path, told: Path, *, task: str = "cache") -> dict[str, Any]:
    """Run a task two to four times at once, each killed at a random moment, and once more so; how many were met.

    The others' exit codes and messages are as in `race`.
    """
    random = Random(root.parent.name)
    messages = [root.with_name(f"messages-{number}") for number in range(2 * random.randint(2, 4))]
    codes = []
    for half in (messages[::2], messages[1::2]):
        wait, go = os.pipe()
        children = [_started(root, pictures, told, message, (wait, go), task) for message in half]
        os.close(wait)
        os.close(go)
        start, ends = time.monotonic(), sorted((random.uniform(0, SIEGE_SECONDS), child) for child in children)
        for end, child in ends:
            time.sleep(max(0.0, start + end - time.monotonic()))
            os.kill(child, signal.SIGKILL)
        codes += [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    said = [message.read_text() for message in (*messages[::2], *messages[1::2])]
    alive = [index for index, code in enumerate(codes) if code != -signal.SIGKILL]
    return {
        "killed": len(codes) - len(alive),
        "codes": [codes[index] for index in alive],
        "messages": [said[index] for index in alive],
    }


def _started(root: Path, pictures: Path, told: Path, message: Path, gate: tuple[int, int], task: str) -> int:
    """Fork a run that begins when the gate's second end is closed everywhere; its process."""
    message.touch()
    child = os.fork()
    if not child:
        os.dup2(os.open(message, os.O_WRONLY | os.O_TRUNC), 2)
        os.close(gate[1])
        os.read(gate[0], 1)
        code = perform({"task": task, "root": str(root), "pictures": str(pictures), "told": str(told)})
        sys.stderr.flush()
        os._exit(code)
    return child


NO_LINKS, NO_LOCKS = (os, "link", errno.EPERM), (fcntl, "flock", errno.ENOLCK)
TASKS: dict[str, Task] = {
    "cache": cache,
    "cache-manifest-first": cache_manifest_first,
    "repair": repair,
    "read": read,
    "judge": judge,
    "endure": endure,
    "rot": rot,
    "keep index": keep_index,
    "forge": forge,
    "race": race,
    "siege": siege,
    "cache-without-links": partial(deprived, cache, NO_LINKS),
    "race-without-links": partial(race, task="cache-without-links"),
    "siege-without-links": partial(siege, task="cache-without-links"),
    "cache-without-locks": partial(deprived, cache, NO_LOCKS),
    "race-without-locks": partial(race, task="cache-without-locks"),
    "repair-without-locks": partial(deprived, repair, NO_LOCKS),
    "siege-without-locks": partial(siege, task="cache-without-locks"),
}


def perform(request: dict[str, Any]) -> int:
    """Do a task in this process and give its exit code, as the command line would; 70 for what it does not expect."""
    root, pictures, told = (Path(request[name]) for name in ("root", "pictures", "told"))
    if request.get("log"):
        words = [os.fsencode(request[name]) for name in ("root", "told", "log")]
        arm = ctypes.CDLL(os.environ["LD_PRELOAD"]).faults_arm
        if arm(*words, ctypes.c_long(request["at"]), request["action"], request["error"]) < 0:
            raise OSError(f"cannot write {request['log']}")
    try:
        answer = TASKS[request["task"]](root, pictures, told)
    except StackclipError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except BaseException:
        traceback.print_exc()
        return 70
    if answer is not None:
        Path(request["answer"]).write_text(json.dumps(answer))
    return 0


def _in_a_child(request: dict[str, Any]) -> dict[str, Any]:
    start = time.monotonic()
    child = os.fork()
    if not child:
        code = 71
        with suppress(BaseException):
            messages = os.open(request["messages"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.dup2(messages, 2)
            code = perform(request)
            sys.stderr.flush()
        os._exit(code)
    handle = os.pidfd_open(child)
    hung = not select.select([handle], [], [], HANG_SECONDS)[0]
    if hung:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(handle)
    code = os.waitstatus_to_exitcode(status)
    return {"code": max(code, 0), "signal": max(-code, 0), "hung": hung, "seconds": time.monotonic() - start}


def serve() -> None:
    """Answer requests, one child each, until the input ends; everything slow is imported before the first."""
    with tempfile.TemporaryDirectory() as folder:  # what is loaded and made on first use is so before the first child
        pictures = Path(sys.argv[1])
        make_pictures(pictures)
        time.sleep(SETTLED_SECONDS)  # so that every run that follows believes and writes the same of them
        judge(Path(folder, "root"), pictures, Path(folder, "told"))
    answer_requests()


def answer_requests() -> None:
    """Fork a child for each line of the input, until it ends."""
    logging.basicConfig(format="note: %(message)s", force=True)  # open_clip set it up already
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(_in_a_child(json.loads(line))), flush=True)


if __name__ == "__main__":
    serve()
