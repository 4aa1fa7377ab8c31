"""The verbs about feature stores that are there: verify, repair."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackclip.cli.group import cli, echo
from stackclip.errors import StackclipError
from stackclip.ops.words import counted, legible, size

if TYPE_CHECKING:
    from stackclip.cache import Store
    from stackclip.workspace import Workspace

__all__ = ["repair_verb", "verify_verb"]


@cli.command("verify")
@click.argument("store", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--sources", is_flag=True, help="Read the pictures again too: are they still what was encoded?")
@click.pass_obj
def verify_verb(workspace: Workspace, store: Path | None, sources: bool) -> None:
    """Check every byte of a feature store, or of all stores of the workspace, against its checksum."""
    from stackclip.terminal import Bars

    bad = damaged = 0
    for opened in _stores(workspace, store):
        with Bars.shown() as bars:
            problems = opened.verify(partial(bars, f"verify {opened.folder.name}"))
        for problem in problems:
            echo(problem)
        bad += len(problems)
        damaged += sum(not problem.unreadable for problem in problems)
        held = f"{counted(len(opened), 'picture')}, {size(opened.size_bytes)}"
        echo(f"{opened.folder}: {held}, {counted(len(problems), 'problem')}")
        bad += _verify_sources(workspace, opened) if sources else 0
    if damaged:
        echo(f"run: {shlex.join(workspace.command('repair'))}, which says how to encode again what is lost")
    if bad:
        sys.exit(1)


def _verify_sources(workspace: Workspace, store: Store) -> int:
    """Read again what a store was made from and say what is no longer as it was; how many files to mend there are."""
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
        echo(f"run: {shlex.join(workspace.command('cache-features'))} as before, which encodes what changed")
    return states["changed"] + states["unreadable"]


@cli.command("repair")
@click.argument("store", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.pass_obj
def repair_verb(workspace: Workspace, store: Path | None) -> None:
    """Drop the segments of a feature store that fail `verify`, and say what was dropped."""
    from stackclip.session.commands import how_to_encode_again
    from stackclip.terminal import Bars

    for opened in _stores(workspace, store):
        with Bars.shown() as bars:
            dropped = opened.repair(partial(bars, f"repair {opened.folder.name}"))
        for problem in dropped:
            echo(f"dropped: {problem}")
        echo(f"{opened.folder}: {len(dropped)} dropped")
        if dropped:
            echo(how_to_encode_again(workspace, opened, dropped))


def _stores(workspace: Workspace, folder: Path | None) -> list[Store]:
    """The store in a folder, or all of the workspace. Raises StackclipError where there is none."""
    from stackclip.cache import Store, stores_in

    stores = [Store.open(path) for path in ([folder] if folder else stores_in(workspace.features))]
    if not stores:
        raise StackclipError(f"no feature store in {workspace.features}; run: stackclip cache-features")
    return stores
