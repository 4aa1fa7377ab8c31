"""The verb that makes a graph of a detector: export-onnx."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.group import cli, echo
from stackclip.cli.options import data_root_option, encode_options, live_options, pass_session
from stackclip.cli.parsing import places, several
from stackclip.cli.tower import tower_options
from stackclip.defaults import INSPECTION_METHODS, TRAINING
from stackclip.types import LARGEST_SEED

if TYPE_CHECKING:
    from stackclip.session import Session

__all__ = ["export_onnx_verb"]


@cli.command("export-onnx")
@click.option("--object", default="", help="What the pictures show, in words: 'metal plate'.")
@click.option(
    "--method",
    default="",
    help=f"One method, with its options.  [default: {INSPECTION_METHODS[0]}]",
    show_default=False,
)
@click.option(
    "--detector",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of `fit`, which brings the object, the method, what it learned, and its threshold.",
)
@click.option(
    "--good",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of normal pictures of the same object, for a method that is shown some: 'winclip[shots=4]'.",
)
@several("--train-on", callback=places, default=TRAINING, show_default=True, help="Data sets; their test splits.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True)
@click.option("--epochs", type=click.IntRange(min=0), help="Else the method has its paper's.")
@click.option(
    "--check",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of pictures on which the graph must say what the live detector says; else 20 generated ones.",
)
@click.option(
    "--with-preprocessing",
    "preparation",
    type=click.Choice(["nhwc", "nchw"]),
    is_flag=False,
    flag_value="nhwc",
    help="Resize and normalise inside: the graph takes RGB pictures of 8 bits, channels last or first.",
)
@click.option("--threshold", type=float, help="Kept in the JSON beside the graph, for who compares scores with it.")
@data_root_option
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The graph, FILE.onnx; FILE.onnx.json beside it says how it is used.",
)
@tower_options
@encode_options
@live_options
@pass_session
def export_onnx_verb(
    session: Session, /, output: Path, seed: int, preparation: Any, threshold: float | None, **words: Any
) -> None:
    """Write a detector as an ONNX graph, from pixels to scores and maps, for any number of pictures at once.

    The graph is run by onnxruntime beside the live detector, and kept where both say the same. docs/onnx.md tells which
    methods can be exported. It needs the extra: pip install 'stackclip[onnx]'.
    """
    from stackclip.export import GraphOptions
    from stackclip.terminal import Bars

    options = GraphOptions(preparation=preparation, threshold=threshold)
    with Bars.shown() as bars:
        exported = session.export_onnx(output, options=options, seeds=(seed,), progress=bars, **words)
    echo(f"{exported.path} and {exported.sidecar.name}: {exported.parity}")
    for note in exported.notes:
        echo(note)
