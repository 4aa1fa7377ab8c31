"""The command lines that encode again what was lost."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress

from stackclip.benchmarks.entrant import needs_of
from stackclip.cache import Problem, Store
from stackclip.errors import StackclipError
from stackclip.methods import resolve
from stackclip.ops.tiling import by_tiles, parts_in_words
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
    datasets = dict.fromkeys(each.key.partition("/")[0] for problem in dropped for each in problem.records or ())
    alone = by_tiles(lost - {MASK}) or {"": frozenset()}
    held = by_tiles(store.parts)
    commands = (
        _command([*words, *(["--tiles", tiles] if tiles else [])], store, some, held.get(tiles, frozenset()))
        for tiles, some in alone.items()
    )
    return (
        f"lost: {parts_in_words(lost)} of {', '.join(datasets)}. Run: {' and '.join(commands)}, "
        "with the --dataset and the tower that they were encoded with"
    )


def _command(words: Sequence[str], store: Store, lost: frozenset[Part], held: frozenset[Part]) -> str:
    """The command that encodes parts again, of which a store holds some, with the methods that read them."""
    reading = dict(_readers(store, lost | held))
    chosen, left = [], lost
    while useful := [name for name, needs in reading.items() if needs & left]:
        chosen.append(min(useful, key=lambda name: (len(reading[name] - lost), -len(reading[name] & left))))
        left -= reading[chosen[-1]]
    named = ["--methods", ",".join(chosen)] if chosen else []
    others = f", and with --methods that read {parts_in_words(left)}" if left else ""
    return f"{shlex.join([*words, *named])}{others}"


def _readers(store: Store, there: frozenset[Part]) -> Iterator[tuple[str, frozenset[Part]]]:
    """The methods that read nothing but these parts, with what they read."""
    for name in methods.names():
        with suppress(StackclipError):  # it cannot work on this tower
            needs = needs_of(resolve(name), store.spec) - {MASK}
            if needs <= there:
                yield name, needs
