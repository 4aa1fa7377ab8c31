"""The verb of a first run: demo."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from stackclip.cli.answers import show_document, write_document
from stackclip.cli.commandline import program
from stackclip.cli.group import cli, echo
from stackclip.cli.options import FAILED_SOME, pass_session

if TYPE_CHECKING:
    from stackclip.session import Session
    from stackclip.types import Row

__all__ = ["demo_verb"]

DEMO_METHODS = (
    *("fuzzy", "stackclip", "visualad", "sdp", "clip", "musc"),
    *("april-gan[shots=4]", "patchcore-clip[shots=4]"),
)
"""Trained with text and without, not trained, scored by each other, and shown normal pictures: none asks for a part of
the tower that is slow to make, and their figures are told apart."""

RPL = ("rpl_ce", "rpl_mse")  # the terms of equation 12: cross-entropy, and the distance to the stacked prompts


@cli.command("demo")
@pass_session
def demo_verb(session: Session, /) -> None:
    """A first run on any machine: generate pictures, cache their features, bench methods, show what they see."""
    from stackclip.inspection.examples import draw_sheet
    from stackclip.reports.document import Document
    from stackclip.terminal import Bars

    workspace, contest = session.workspace, session.contest(DEMO_METHODS)
    with Bars.shown() as bars:
        rows = session.run(contest, progress=bars)
    show_document(Document(rows), as_json=False)
    for line in _learned(rows):
        echo(line)
    table, pictures = workspace.cache / "demo", workspace.cache / "demo.png"
    files = [table.with_suffix(suffix) for suffix in (".md", ".csv", ".jsonl")]
    kept = write_document(Document(rows, per_category=True), files)
    drawn, lacking = draw_sheet(rows, rows.find, pictures)
    if drawn:
        echo(f"pictures with heat maps  {pictures}")
    if lacking:
        again = f"{program()} bench --methods {shlex.quote(','.join(lacking))} --overwrite always"
        echo(f"no heat maps were kept of {', '.join(lacking)}: {again} makes them")
    echo(f"the table                {table}.md, .csv, .jsonl")
    echo(f"generated pictures       {workspace.generated}")
    echo(f"features                 {workspace.features}")
    echo(f"rows and trained heads   {workspace.rows}, {workspace.heads}")
    echo(f"next: {program()} bench --methods {shlex.quote(','.join(DEMO_METHODS))} --seeds 0,1,2,3,4 --ci")
    if rows.unencoded or rows.unkept or not kept:
        sys.exit(FAILED_SOME)


def _learned(rows: Sequence[Row]) -> Iterator[str]:
    """What StackCLIP came to: its stacks, and the terms of its learned prompts; and what the order of a table means."""
    from stackclip.benchmarks.facts import facts_of
    from stackclip.ops.words import counted

    learned = {row.method: facts for row in rows if set(RPL) <= (facts := facts_of(row)).steps.get("first", {}).keys()}
    stacks = (f"{method} made {counted(len(facts.stacks), 'stack')}" for method, facts in learned.items())
    if learned:
        yield f"CSP and EFA: {', '.join(stacks)} of the training categories, and trained a head for each"
    for cross_entropy, distance in dict.fromkeys(_of_rpl(facts.steps) for facts in learned.values()):
        yield f"RPL, first step and last: cross-entropy {cross_entropy}; distance to the stacked prompts {distance}"
    yield "the order of the methods is as it was measured, with one seed; the next command gives its spread"


def _of_rpl(steps: Mapping[str, Mapping[str, float]]) -> tuple[str, str]:
    """Both terms of equation 12, each in the first step and in the last."""
    cross_entropy, distance = (f"{steps['first'][term]:.2g} and {steps['last'][term]:.2g}" for term in RPL)
    return cross_entropy, distance
