"""The verb about your own pictures: inspect, which was called predict."""

from __future__ import annotations

import sys
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from stackclip.cli.group import cli, echo
from stackclip.cli.options import (
    FAILED_SOME,
    data_root_option,
    encode_options,
    live_options,
    logger,
    options,
    pass_session,
    tiles_option,
)
from stackclip.cli.parsing import places, several, specs
from stackclip.cli.tower import tower_options
from stackclip.defaults import GOOD_METHODS, INSPECTION_METHODS, TRAINING
from stackclip.types import LARGEST_SEED

if TYPE_CHECKING:
    from stackclip.session import Session

__all__ = ["fit_verb", "inspect_verb"]


_own = options(
    click.option(
        "--false-alarms",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        metavar="SHARE",
        help="Of good pictures at most so many are called anomalous; .05, or what the good pictures allow.",
    ),
    click.option(
        "--calibrate",
        type=click.Choice(["auto", "split", "cross"]),
        default="auto",
        show_default=True,
        help="Good pictures that a method takes are split in two, or each fifth is held back in turn.",
    ),
    several("--train-on", callback=places, default=TRAINING, show_default=True, help="Data sets; their test splits."),
    click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True),
    click.option("--epochs", type=click.IntRange(min=0), help="For all methods; else each has its paper's."),
    tiles_option,
    data_root_option,
)


@cli.command("inspect")
@click.argument("folder")
@click.option("--object", default="", help="What the pictures show, in words: 'metal plate'.")
@click.option(
    "--detector",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of `fit`, which brings the object, the method and what it learned.",
)
@several(
    "--methods",
    "--method",
    callback=specs,
    help=f"{GOOD_METHODS[0]} where there are good pictures, else {INSPECTION_METHODS[0]}.",
)
@click.option(
    "--good",
    type=click.Path(path_type=Path),
    help="Folder of good pictures of the same object: for verdicts, and for methods that are shown some.",
)
@click.option(
    "--bad",
    type=click.Path(path_type=Path),
    help="Folder of pictures that are known to be bad: tells how many of them the threshold finds.",
)
@click.option("--maps", type=click.Choice(["npy", "tiff"]), help="Keep the maps as they are, too.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="A page with all pictures and maps, in one file."
)
@click.option("--watch", is_flag=True, help="Score pictures as they arrive in FOLDER, until Ctrl-C; wants --detector.")
@click.option("--every", type=click.FloatRange(min=0), default=2.0, show_default=True, help="Seconds between looks.")
@_own
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
def inspect_verb(
    session: Session, /, folder: str, seed: int, maps: str | None, watch: bool, every: float, **words: Any
) -> None:
    """Find defects in your own pictures: a verdict and a score for each, where they are, and heat maps.

    FOLDER may be a picture too, or a pattern of pictures in quotes ('shots/*.png'). It needs no masks and no labels;
    where it has some they are not looked at. Nothing is learned from FOLDER: methods train on other data sets, and a
    method that is shown normal pictures is shown some of --good. Those that it was not shown say from which score on
    a picture is anomalous. Without --good there are no verdicts, and heat maps are on the scale of these pictures.
    """
    from stackclip.terminal import Bars

    if watch:
        _watch(session, folder, every, maps=maps or "", **words)
        return
    with Bars.shown() as bars:
        inspection = session.inspect(folder, seeds=(seed,), progress=bars, maps=maps or "", **words)
    for summary in inspection.summaries:
        echo(summary)
    if not inspection.whole:
        sys.exit(FAILED_SOME)


def _watch(session: Session, folder: str, every: float, **words: Any) -> None:
    """Print a line for each picture that arrives."""
    from stackclip.errors import UsageError

    source, brought = click.get_current_context().get_parameter_source, ("seed", "epochs", "tiles", "calibrate")
    typed = [name for name in (*brought, "train_on") if source(name) is ParameterSource.COMMANDLINE]
    if said := [name for name in ("object", "methods", "good", "bad", "html") if words[name]] + typed:
        raise UsageError(f"--watch goes by --detector FILE alone: leave out --{', --'.join(said).replace('_', '-')}")
    how = {name: words[name] for name in ("false_alarms", "maps")}
    arriving = session.watch(folder, words["detector"], words["output"], every=every, **how)
    logger.info("watching %s, every %g s, until Ctrl-C; tables and heat maps go to %s", folder, every, words["output"])
    for scores in arriving:
        for each in scores:
            verdict = "anomalous" if each.anomalous else "good"
            echo(f"{each.picture}: {verdict}, score {each.score:.6g}, p {each.p_value:.3g}, {each.heat_map}")


_older = copy(inspect_verb)
_older.name, _older.hidden = "predict", True  # as it was called
cli.add_command(_older)


@cli.command("fit")
@click.option("--object", required=True, help="What the pictures show, in words: 'metal plate'.")
@click.option("--good", type=click.Path(path_type=Path), required=True, help="Folder of good pictures of the object.")
@click.option("--method", default=GOOD_METHODS[0], show_default=True)
@_own
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="plate.stackclip")
@tower_options
@encode_options
@live_options
@pass_session
def fit_verb(session: Session, /, output: Path, seed: int, **words: Any) -> None:
    """Save a detector in one file: a method that is ready for an object, with the threshold that good pictures set.

    `inspect FOLDER --detector FILE` then gives the same verdicts on any machine, without the good and the training
    pictures. The weights of the tower are not in it; which they are is.
    """
    from stackclip.terminal import Bars

    with Bars.shown() as bars:
        fitted = session.fit(output, seeds=(seed,), progress=bars, **words)
    echo(fitted)
