"""The verbs that make features and pictures: cache-features, export."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.answers import say_forecast
from stackclip.cli.group import cli, echo
from stackclip.cli.options import (
    COMMAS,
    FAILED_SOME,
    data_options,
    encode_options,
    pass_session,
    share_options,
    tiles_option,
)
from stackclip.cli.parsing import places, several, specs
from stackclip.cli.recall import recalls
from stackclip.cli.tower import tower_options
from stackclip.defaults import PROMPT_METHODS, TESTED, TRAINING

if TYPE_CHECKING:
    from stackclip.session import Session

__all__ = ["cache_features_verb", "export_verb"]


@cli.command("cache-features")
@several(
    "--dataset",
    callback=places,
    default=(TRAINING, TESTED),
    show_default="the generated data set",
    help=f"A registered data set, a folder below --data-root, or a path; NAME=PATH names one. {COMMAS}",
)
@click.option("--split", type=click.Choice(["train", "test", "all"]), default="test", show_default=True)
@several(
    "--methods", callback=specs, default=",".join(PROMPT_METHODS), show_default=True, help="Whose parts are wanted."
)
@data_options
@tower_options
@encode_options
@tiles_option
@share_options
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
    help="Wait for one who repairs the store (others may write too); without a number, as long as it takes.",
)
@recalls
@pass_session
def cache_features_verb(
    session: Session,
    /,
    dataset: tuple[str, ...],
    split: str,
    category: tuple[str, ...],
    dry_run: bool,
    strict: bool,
    wait: float,
    methods: tuple[str, ...],
    tiles: str | None,
    executor: str,
    shard: str | None,
) -> Iterable[Path] | None:
    """Encode every picture once and keep its parts in the feature store.

    Only what the methods need and the store lacks is encoded. Interrupted, it goes on where it was. With --tiles it is
    what they need of pictures that they test, or are shown, in tiles; pictures to train on are encoded without.
    """
    from stackclip.terminal import Bars

    wanted: dict[str, Any] = {"methods": methods, "categories": category, "tiles": tiles, "shard": shard}
    wanted["split"] = None if split == "all" else split
    if dry_run:
        say_forecast(session.forecast_encoding(dataset, **wanted))
        return None
    with Bars.shown() as bars:
        encoded = session.encode(dataset, strict=strict, wait=wait, executor=executor, progress=bars, **wanted)
    if encoded.failed:
        sys.exit(FAILED_SOME)
    whole = len(encoded.datasets) == len({*dataset})  # one that has no such category may come to have it
    return session.grounds(encoded.datasets) if whole and not encoded.done.encoded else None


@cli.command("export")
@click.argument("dataset")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def export_verb(dataset: str, folder: Path) -> None:
    """Write a generated data set, `synthetic[...]`, as a folder with the layout of MVTec-AD."""
    from stackclip.data import open_dataset

    echo(open_dataset(dataset, generated=folder).finding)
