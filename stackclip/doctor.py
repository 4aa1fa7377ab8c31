"""What this machine can do: packages, device, reachable weights, and where things are kept."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

from stackclip.cache import Store, stores_in
from stackclip.cache.fitness import fitness
from stackclip.clip import describe_backbones
from stackclip.clip.device import bf16_share
from stackclip.errors import BrokenPlugin, StackclipError
from stackclip.ops.words import size
from stackclip.registry import SHELVES, problems, reason
from stackclip.version import VERSION
from stackclip.workspace import Workspace

__all__ = ["findings", "store_findings"]

_PAYS = 0.8  # of the time of float32: what is not a product gains nothing
NEEDED = (
    "torch",
    "open_clip_torch",
    "h5py",
    "numpy",
    "scikit-learn",
    "scipy",
    "Pillow",
    "safetensors",
    "click",
    "rich",
)
OPTIONAL = {"faiss-cpu": "faiss", "faiss-gpu-cu12": "faiss-gpu"}


def findings(workspace: Workspace) -> Iterator[tuple[str, list[str]]]:
    """Titled lists of lines, in the order in which a person reads them."""
    yield "stackclip", [f"{VERSION} on Python {platform.python_version()}, {platform.platform()}", sys.executable]
    yield "packages", [*(f"{name} {_version(name) or 'NOT INSTALLED'}" for name in NEEDED), *_optional()]
    yield "device", list(_tried(_devices, "device"))
    yield "weights", list(_tried(_weights, "weights"))
    yield "kept in", list(_tried(partial(_places, workspace), str(workspace.cache)))
    yield "components", list(_tried(_components, "components"))


def store_findings(place: Path) -> Iterator[tuple[bool, str]]:
    """What a feature store assumes of the disk that a folder is on: whether each holds, and a line about it.

    The folder may be one that is yet to be made. Raises StoreError where nothing can be written.
    """
    while not place.exists() and place != place.parent:
        place = place.parent
    for trial in fitness(place):
        about = trial.seen if trial.holds else f"{trial.seen}. So: {trial.otherwise}"
        yield trial.holds, f"{'OK' if trial.holds else 'NOT OK':7}{trial.assumption}: {about}"


def _tried(lines: Callable[[], Iterator[str]], about: str) -> Iterator[str]:
    """The lines, and in place of those that cannot be had the reason: a doctor does not fall ill of what is broken."""
    try:
        yield from lines()
    except (StackclipError, OSError, RuntimeError, ValueError) as error:
        yield f"PROBLEM: {about} cannot be looked at: {reason(error)}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _optional() -> Iterator[str]:
    for name, extra in OPTIONAL.items():
        version = _version(name)
        yield f"{name} {version}" if version else f'{name} not installed (optional): pip install "stackclip[{extra}]"'


def _devices() -> Iterator[str]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            yield f"cuda:{index} {facts.name}, {size(facts.total_memory)}; autocast bf16"
    else:
        yield f"cpu, {os.cpu_count()} cores, {torch.get_num_threads()} threads; float32 (no GPU that torch can use)"
        yield _of_bf16(bf16_share())


def _of_bf16(share: float) -> str:
    """What `--precision bf16` is worth on this CPU, where a product takes that share of the time of one in float32."""
    measured = f"a product takes {share:.2g} of the time of one in float32 (measured now)"
    if share < _PAYS:
        return f"bf16 pays: {measured}; --precision bf16 encodes with it, into a store of its own; never chosen unasked"
    return f"bf16 does not pay: {measured}"


def _weights() -> Iterator[str]:
    backbones = describe_backbones()
    yield "without a download: " + ", ".join(b.name for b in backbones if b.origin == "registered")
    cached = [f"{b.name} --pretrained {tag}" for b in backbones for tag in b.cached]
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    home = os.environ.get("HF_HOME", "its usual place")
    yield f"in the local cache (HF_HOME: {home}{', offline' if offline else ''}): {', '.join(cached) or 'none'}"
    usable = sum(1 for b in backbones if b.origin != "registered" and not b.why_not)
    yield f"open_clip and timm list {usable} models that can be used with --pretrained TAG or --weights FILE"


def _places(workspace: Workspace) -> Iterator[str]:
    yield f"workspace cache: {workspace.cache}{'' if workspace.cache.exists() else ' (made at first use)'}"
    yield f"own components: {workspace.registry or 'none without --workspace'}"
    for folder in stores_in(workspace.features):
        yield from _tried(partial(_store, folder), f"store {folder.name}")
    yield f"{_count(workspace.rows, '[!.]*.json')} rows, {_count(workspace.heads, '*.safetensors')} heads"


def _store(folder: Path) -> Iterator[str]:
    store = Store.open(folder)
    bad = f", {len(store.problems)} PROBLEMS: run stackclip verify" if store.problems else ""
    yield f"store {folder.name}: {len(store)} pictures, {size(store.size_bytes)}{bad}"


def _count(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern)) if folder.is_dir() else 0


def _components() -> Iterator[str]:
    broken: dict[str, None] = {}
    for shelf in SHELVES:
        names = shelf.names()
        if names:
            yield f"{shelf.kind}: {', '.join(names)}"
        for name in names:
            try:
                shelf.find(name)
            except BrokenPlugin:
                continue  # it is among the problems below
            except StackclipError as error:
                broken[str(error)] = None
    for problem in (*broken, *problems()):
        yield f"PROBLEM: {problem}"
