"""The verbs about your own components and your machine: new, check, doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackclip.cli.commandline import program
from stackclip.cli.group import cli
from stackclip.cli.options import data_root_option
from stackclip.errors import UsageError

if TYPE_CHECKING:
    from stackclip.workspace import Workspace

__all__ = ["check_verb", "doctor_verb", "new_verb"]


@cli.command("check")
@click.argument("name")
@data_root_option
def check_verb(name: str, data_root: Path | None) -> None:
    """Run the contract tests of its shelf on a component, ours or yours; of a data set on its pictures too."""
    from stackclip.console import output, say
    from stackclip.contracts import check

    reports = check(name, data_root=data_root)
    for each in reports:
        say(f"{each.component.name} ({each.component.shelf}, {each.component.source})", "bold")
        for finding in each.findings:
            mark = "[green]ok[/]    " if finding.passed else "[red]failed[/]"
            output.print(f"  {mark}", end=" ")
            say(finding.sentence + (f": {finding.detail}" if finding.detail else ""), soft_wrap=True)
    if not all(finding.passed for each in reports for finding in each.findings):
        sys.exit(1)


@cli.command("new")
@click.argument("kind")
@click.argument("name")
@click.pass_obj
def new_verb(workspace: Workspace, kind: str, name: str) -> None:
    """Copy a worked example of a KIND (head, method, dataset ...) into the workspace's registry/ under your NAME."""
    from stackclip.console import say
    from stackclip.registry import Example

    example = Example.of(kind).under(name)
    if workspace.registry is None:
        raise UsageError(f"no workspace to put it in; name a folder: stackclip --workspace DIR new {kind} {name}")
    _check_free(example.shelf, name)
    say(f"{example.write(workspace.registry)} is yours now; it works as it is. Try it, change it, try it again:")
    for command in example.commands:
        say(f"  {program()} {command}", soft_wrap=True)


def _check_free(kind: str, name: str) -> None:
    """Raise UsageError for a name that a component of that shelf has; methods and prompt strategies share theirs."""
    from stackclip.registry import SHELVES, noun

    shared = ("methods", "prompts")
    for shelf in SHELVES:
        if name in shelf and (shelf.kind == kind or {shelf.kind, kind} == {*shared}):
            raise UsageError(
                f"{name} is a {noun(shelf.kind)} already, in {shelf.find(name).source}: choose another name"
            )


@cli.command("doctor")
@click.option(
    "--store",
    type=click.Path(file_okay=False),
    is_flag=False,
    flag_value="",
    metavar="[FOLDER]",
    help="Instead try whether that folder's disk, or the workspace's, is fit for a store that many write to.",
)
@click.pass_obj
def doctor_verb(workspace: Workspace, store: str | None) -> None:
    """Tell what is installed, which device there is, which weights are reachable and where things are kept."""
    from stackclip.console import say
    from stackclip.doctor import findings, store_findings

    if store is not None:
        place = Path(store) if store else workspace.features
        say(f"the disk of {place}", "bold")
        holds = []
        for held, line in store_findings(place):
            holds.append(held)
            say(f"  {line}")
        sys.exit(0 if all(holds) else 1)
    for title, lines in findings(workspace):
        say(title, "bold")
        for line in lines:
            say(f"  {line}")
