"""The verb about your own pictures: predict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.group import cli, echo
from stackclip.cli.options import (
    FAILED_SOME,
    data_root_option,
    encode_options,
    live_options,
    pass_session,
    tiles_option,
)
from stackclip.cli.parsing import places, several, specs
from stackclip.cli.tower import tower_options
from stackclip.defaults import INSPECTION_METHODS, TRAINING
from stackclip.types import LARGEST_SEED

if TYPE_CHECKING:
    from stackclip.session import Session

__all__ = ["predict_verb"]


@cli.command("predict")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--object", required=True, help="What the pictures show, in words: 'metal plate'.")
@several("--methods", callback=specs, default=INSPECTION_METHODS[0], show_default=True)
@click.option(
    "--good",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of normal pictures of the same object, for methods that are shown some: 'winclip[shots=4]'.",
)
@several("--train-on", callback=places, default=TRAINING, show_default=True, help="Data sets; their test splits.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True)
@click.option("--epochs", type=click.IntRange(min=0), help="For all methods; else each has its paper's.")
@tiles_option
@data_root_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="predictions",
    show_default=True,
    help="Folder for scores.csv and the heat maps.",
)
@tower_options
@encode_options
@live_options
@pass_session
def predict_verb(session: Session, /, folder: Path, seed: int, **words: Any) -> None:
    """Find defects in your own pictures: a score for each, and heat maps on one common scale.

    FOLDER needs no masks and no labels; where it has some they are not looked at. Nothing is learned from FOLDER:
    methods train on other data sets, and a method that is shown normal pictures is shown some of --good. The
    scale of the heat maps is that of training pictures; of methods that do not train, or are shown pictures, that of
    the pictures in FOLDER.
    """
    from stackclip.terminal import Bars

    with Bars.shown() as bars:
        inspection = session.inspect(folder, seeds=(seed,), progress=bars, **words)
    for summary in inspection.summaries:
        echo(summary)
    if not inspection.whole:
        sys.exit(FAILED_SOME)
