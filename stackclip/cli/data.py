"""The verbs about data sets: data, convert."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackclip.cli.group import cli, echo
from stackclip.cli.options import FAILED_SOME, data_options, logger
from stackclip.errors import DataError, UnknownLayout, UsageError
from stackclip.ops.words import counted

if TYPE_CHECKING:
    from stackclip.data import Dataset
    from stackclip.workspace import Workspace

__all__ = ["convert_verb", "data_verb"]


@cli.command("data")
@click.argument("places", nargs=-1, required=True, metavar="PATH...")
@click.option("--object", "words", default="NAME", help="What the pictures show, for the command that is proposed.")
@data_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw a sheet of pictures with the outlines of their masks: sheet.png.",
)
@click.pass_obj
def data_verb(
    workspace: Workspace,
    places: tuple[str, ...],
    words: str,
    data_root: Path | None,
    category: tuple[str, ...],
    output: Path | None,
) -> None:
    """Show what data sets are taken for: layout, counts, masks, what was left out, and the words that change it.

    PATH is a name, whose terms, origin and size are told too, a folder, a picture or a pattern, NAME=PATH, or
    PATH[good=fine,bad=dent,masks=outlines,mask_suffix=_anno]. Nothing is trained or encoded.
    """
    from rich.table import Table

    from stackclip.cli.understood import page, page_of_published, page_of_unread
    from stackclip.console import output as answers
    from stackclip.data.understood import understood

    if output is not None and output.suffix.lower() != ".png":
        raise UsageError(f"{output}: a sheet is drawn as .png")
    opened, failed = [], 0
    for text in places:
        try:
            dataset = _opened(workspace, text, data_root, category)
        except DataError as error:
            what = error.line.partition("; wanted")[0] if isinstance(error, UnknownLayout) else error
            logger.error("Error: %s", what)
            blocks: Iterator[object] = chain(page_of_published(text, wanted=True), page_of_unread(text, data_root))
            failed += 1
        else:
            opened.append(dataset)
            blocks = chain(page_of_published(text), page(understood(dataset, text), text, words))
        for block in blocks:
            answers.print(block, soft_wrap=not isinstance(block, Table))  # a command can be copied
    if output is not None and opened:
        _draw(opened, output)
    if failed:
        sys.exit(1)


@cli.command("convert")
@click.argument("place", metavar="PATH")
@click.option(
    "--to", "form", required=True, help="mvtec (the MVTec-AD layout), csv, jsonl, coco or anomalib (folders)."
)
@data_options
@click.option("--copy", is_flag=True, help="Copy the pictures; else links lead to them.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="A folder that is new."
)
@click.pass_obj
def convert_verb(
    workspace: Workspace,
    place: str,
    form: str,
    data_root: Path | None,
    category: tuple[str, ...],
    copy: bool,
    output: Path,
) -> None:
    """Write a data set in another form as it was understood (see: data), with its masks and labels, in a new folder."""
    from stackclip.conversions import convert

    dataset = _opened(workspace, place, data_root, category)
    echo(dataset.finding)
    done = convert(dataset, form, output, copy=copy)
    for note in done.notes:
        logger.info("%s", note)
    for error in done.failed:
        logger.error("%s", error)
    echo(f"{done.folder}: {counted(done.pictures, 'picture')} and {counted(done.masks, 'mask')} as {form}")
    if done.failed:
        sys.exit(FAILED_SOME)


def _opened(workspace: Workspace, text: str, data_root: Path | None, category: tuple[str, ...]) -> Dataset:
    from stackclip.data import open_dataset
    from stackclip.ops.typed import chosen

    dataset = open_dataset(text, data_root=data_root, generated=workspace.generated)
    return dataset.select(categories=chosen(category, dataset.categories)) if category else dataset


def _draw(opened: list[Dataset], output: Path) -> None:
    """Draw the sheet of all data sets."""
    from stackclip.data.gallery import chosen_samples, pair_sheet
    from stackclip.data.images import png_of
    from stackclip.ops.files import write_atomically

    samples = chosen_samples(sample for dataset in opened for sample in dataset)
    write_atomically(output, png_of(pair_sheet(samples)))
    echo(f"{output}: {counted(len(samples), 'picture')}")
