"""The command lines that encode again what was lost."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from stackclip.benchmarks.entrant import needs_of
from stackclip.cache import Problem, Store
from stackclip.errors import StackclipError
from stackclip.methods import resolve
from stackclip.registry import methods
from stackclip.types import MASK, Part
from stackclip.workspace import Workspace

__all__ = ["how_to_encode_again"]


def how_to_encode_again(workspace: Workspace, store: Store, dropped: Sequence[Problem]) -> str:
    """What a repair took from a store, and the methods, with the options that they have by default, that read it."""
    words = workspace.command("cache-features")
    lost = frozenset[Part]().union(*(problem.parts for problem in dropped))
    if not lost:
        return f"run {shlex.join(words)} with the data sets, methods and tower that they were encoded for"
    reading = dict(_readers(store, lost))
    chosen, left = [], lost - {MASK}
    while useful := [name for name, needs in reading.items() if needs & left]:
        chosen.append(min(useful, key=lambda name: (len(reading[name] - lost), -len(reading[name] & left))))
        left -= reading[chosen[-1]]
    datasets = dict.fromkeys(each.key.partition("/")[0] for problem in dropped for each in problem.records or ())
    words += ["--methods", ",".join(chosen)] if chosen else []
    others = f", and with --methods that read {_listed(left)}" if left else ""
    return (
        f"lost: {_listed(lost)} of {', '.join(datasets)}. Run: {shlex.join(words)}{others}, "
        "with the --dataset and the tower that they were encoded with"
    )


def _readers(store: Store, lost: frozenset[Part]) -> Iterator[tuple[str, frozenset[Part]]]:
    """The methods that read nothing but what was lost or is in the store, with what they read."""
    for name in methods.names():
        with suppress(StackclipError):  # it cannot work on this tower
            needs = needs_of(resolve(name), store.spec) - {MASK}
            if needs <= lost | store.parts:
                yield name, needs


def _listed(parts: Iterable[Part]) -> str:
    return ", ".join(map(str, sorted(parts)))
