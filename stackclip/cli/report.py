"""The verb that prints what earlier benches measured: report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.answers import Judged, check_files, keep, show_document
from stackclip.cli.group import cli
from stackclip.cli.options import FAILED_SOME, answer_options, pass_session
from stackclip.cli.parsing import places, several, specs, whole_numbers

if TYPE_CHECKING:
    from stackclip.session import Session

__all__ = ["report_verb"]


@cli.command("report")
@several("--methods", callback=specs, help="Only these.")
@several("--train-on", callback=places, help="Only rows trained on these.")
@several("--test-on", callback=places, help="Only rows tested on these.")
@several(
    "--transfer", callback=places, help="Data sets that taught and tested each other, as tables of who teaches whom."
)
@several("--seeds", callback=whole_numbers, help="Only these.")
@click.option("--published", is_flag=True, help="What papers print beside what was measured.")
@answer_options
@pass_session
def report_verb(
    session: Session,
    /,
    output: tuple[Path, ...],
    plot: Path | None,
    axes: tuple[str, ...],
    json: bool,
    judged: Judged,
    **selection: Any,
) -> None:
    """Print tables of the rows that earlier benches kept; nothing is computed."""
    check_files(output, plot, axes, judged.ranks)
    document = session.report(**selection, **judged.look)
    show_document(document, as_json=json)
    if not keep(document, output, plot, axes, judged.ranks, as_json=json):
        sys.exit(FAILED_SOME)
