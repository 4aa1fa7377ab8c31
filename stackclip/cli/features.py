"""The verbs about features: cache-features, verify, repair, export."""

from __future__ import annotations

import math
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.group import cli, echo
from stackclip.cli.options import (
    COMMAS,
    FAILED_SOME,
    PROMPT_METHODS,
    TESTED,
    TRAINING,
    data_options,
    encode_options,
    places,
    several,
    specs,
    tower_options,
)
from stackclip.cli.steps import encode, here, load_tower_of, open_datasets, say_plan, stores_of

if TYPE_CHECKING:
    from stackclip.cache import Problem, Store
    from stackclip.types import Part
    from stackclip.workspace import Workspace

__all__ = ["cache_features", "export", "repair", "verify"]


@cli.command("cache-features")
@several(
    "--dataset",
    callback=places,
    default=(TRAINING, TESTED),
    show_default="the generated data set",
    help=f"A registered data set, a folder below --data-root, or a path; NAME=PATH names one. {COMMAS}",
)
@click.option("--split", type=click.Choice(["train", "test", "all"]), default="test", show_default=True)
@several("--methods", callback=specs, default=PROMPT_METHODS, show_default=True, help="Whose parts are wanted.")
@data_options
@tower_options
@encode_options
@click.option("--strict", is_flag=True, help="Stop at the first picture that cannot be used.")
@click.option("--only-missing", is_flag=True, expose_value=False, help="Only what the store lacks; it is always so.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and how large it would be.")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    is_flag=False,
    flag_value=math.inf,
    default=0.0,
    metavar="[SECONDS]",
    help="Wait for another process that writes to the store; without a number, as long as it takes.",
)
@click.pass_obj
def cache_features(
    workspace: Workspace,
    /,
    dataset: tuple[str, ...],
    split: str,
    methods: tuple[str, ...],
    data_root: Path | None,
    category: tuple[str, ...],
    encode_batch_size: int,
    num_workers: int,
    strict: bool,
    dry_run: bool,
    wait: float,
    **tower_arguments: Any,
) -> None:
    """Encode every picture once and keep its parts in the feature store.

    Only what the methods need and the store lacks is encoded. Interrupted, it goes on where it was.
    """
    from stackclip.benchmarks.entrant import needs_of
    from stackclip.benchmarks.plan import resolved
    from stackclip.types import MASK

    wanted = resolved(methods)
    opened = open_datasets(workspace, dataset, data_root, category)
    tower = load_tower_of(**tower_arguments)
    samples = [s for each in opened for s in each.select(split=None if split == "all" else split).samples]  # type: ignore[arg-type]  # click checked the word
    parts = frozenset({MASK}).union(*(needs_of(method, tower.spec, name=name) for name, method in wanted.items()))
    if dry_run:
        say_plan(workspace, tower, samples, parts)
        return
    failed = encode(workspace, tower, samples, parts, encode_batch_size, num_workers, strict=strict, patience=wait)
    if failed:
        sys.exit(FAILED_SOME)


@cli.command()
@click.argument("store", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--sources", is_flag=True, help="Read the pictures again too: are they still what was encoded?")
@click.pass_obj
def verify(workspace: Workspace, store: Path | None, sources: bool) -> None:
    """Check every byte of a feature store, or of all stores of the workspace, against its checksum."""
    from stackclip.ops.words import counted
    from stackclip.terminal import Bars, size

    bad = damaged = 0
    for opened in stores_of(workspace, store):
        with Bars.shown() as bars:
            problems = opened.verify(partial(bars, f"verify {opened.folder.name}"))
        for problem in problems:
            echo(problem)
        bad += len(problems)
        damaged += sum(not problem.unreadable for problem in problems)
        held = f"{counted(len(opened), 'picture')}, {size(opened.size_bytes)}"
        echo(f"{opened.folder}: {held}, {counted(len(problems), 'problem')}")
        bad += _verify_sources(opened) if sources else 0
    if damaged:
        echo(f"run: {shlex.join(here('repair'))}, which says how to encode again what is lost")
    if bad:
        sys.exit(1)


def _verify_sources(store: Store) -> int:
    """Read again what a store was made from and say what is no longer as it was; how many files to mend there are."""
    from stackclip.ops.words import counted, legible
    from stackclip.terminal import Bars

    states: Counter[str] = Counter()
    with Bars.shown() as bars:
        for check in store.check_sources(partial(bars, f"sources of {store.folder.name}")):
            states[check.state] += 1
            if check.state != "same":
                echo(f"{check.state}: {legible(check.path)}{f': {check.reason}' if check.reason else ''}")
    counts = ", ".join(f"{states[state]} {state}" for state in ("same", "changed", "gone", "unreadable"))
    echo(f"{store.folder}: {counted(states.total(), 'source')} of known place: {counts}")
    if states["changed"]:
        echo(f"run: {shlex.join(here('cache-features'))} as before, which encodes what changed")
    return states["changed"] + states["unreadable"]


@cli.command()
@click.argument("store", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.pass_obj
def repair(workspace: Workspace, store: Path | None) -> None:
    """Drop the segments of a feature store that fail `verify`, and say what was dropped."""
    for opened in stores_of(workspace, store):
        from stackclip.terminal import Bars

        with Bars.shown() as bars:
            dropped = opened.repair(partial(bars, f"repair {opened.folder.name}"))
        for problem in dropped:
            echo(f"dropped: {problem}")
        echo(f"{opened.folder}: {len(dropped)} dropped")
        if dropped:
            echo(_how_to_encode_again(opened, dropped))


def _how_to_encode_again(store: Store, dropped: Sequence[Problem]) -> str:
    """What a repair took from a store, and the methods, with the options that they have by default, that read it."""
    from contextlib import suppress

    from stackclip.benchmarks.entrant import needs_of
    from stackclip.errors import StackclipError
    from stackclip.methods import resolve
    from stackclip.registry import methods
    from stackclip.types import MASK

    lost = frozenset[Any]().union(*(problem.parts for problem in dropped))
    if not lost:
        return (
            f"run {shlex.join(here('cache-features'))} with the data sets, methods and tower that they were encoded for"
        )
    reading, chosen, left = {}, [], lost - {MASK}
    for name in methods.names():
        with suppress(StackclipError):  # it cannot work on this tower
            needs = needs_of(resolve(name), store.spec) - {MASK}
            if needs <= lost | store.parts:
                reading[name] = needs
    while useful := [name for name, needs in reading.items() if needs & left]:
        chosen.append(min(useful, key=lambda name: (len(reading[name] - lost), -len(reading[name] & left))))
        left -= reading[chosen[-1]]
    datasets = dict.fromkeys(each.key.partition("/")[0] for problem in dropped for each in problem.records or ())
    words = [*here("cache-features"), *(["--methods", ",".join(chosen)] if chosen else [])]
    others = f", and with --methods that read {_listed(left)}" if left else ""
    return (
        f"lost: {_listed(lost)} of {', '.join(datasets)}. Run: {shlex.join(words)}{others}, "
        "with the --dataset and the tower that they were encoded with"
    )


def _listed(parts: Iterable[Part]) -> str:
    return ", ".join(map(str, sorted(parts)))


@cli.command()
@click.argument("dataset")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def export(dataset: str, folder: Path) -> None:
    """Write a generated data set, `synthetic[...]`, as a folder with the layout of MVTec-AD."""
    from stackclip.data import open_dataset

    echo(open_dataset(dataset, generated=folder).finding)
