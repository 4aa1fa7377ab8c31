"""The options that several verbs share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = [
    "DEFAULT_BACKBONE",
    "FAILED_SOME",
    "PROMPT_METHODS",
    "TRAINING",
    "Command",
    "ci_option",
    "curve_interval",
    "data_options",
    "encode_options",
    "logger",
    "numbers",
    "options",
    "plot_option",
    "resident_option",
    "specs",
    "tower_options",
]


DEFAULT_BACKBONE = "stackclip-tiny"


TRAINING, TESTED = "synthetic[part=training]", "synthetic[part=combinations]"


PROMPT_METHODS = "stacked,fuzzy,precise,april-gan"


FAILED_SOME = 3


logger = logging.getLogger("stackclip")


Command = TypeVar("Command", bound=Callable[..., Any])


def options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def specs(context: click.Context, parameter: click.Parameter, value: str | Sequence[str]) -> tuple[str, ...]:
    """Names separated by commas outside brackets, the option given once or several times."""
    from stackclip.registry import split_specs

    return tuple(name for text in ([value] if isinstance(value, str) else value) for name in split_specs(text))


def numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        numbers = tuple(dict.fromkeys(int(number) for number in value.split(",")))
    except ValueError:
        raise click.BadParameter(f"{value!r}: wanted whole numbers separated by commas") from None
    if min(numbers) < 0:
        raise click.BadParameter(f"{value!r}: wanted no number below 0")
    return numbers


def curve_interval(context: click.Context, parameter: click.Parameter, value: str | None) -> int | str | None:
    """Steps between two points of a training curve, or `epoch`."""
    from stackclip.benchmarks.curves import interval

    return None if value is None else interval(value)


def keep_features_as(context: click.Context, parameter: click.Parameter, value: str) -> None:
    """Let the command work with the stores of the workspace that keep features so."""
    context.obj = replace(context.obj, feature_dtype=value)


tower_options = options(
    click.option("--backbone", default=DEFAULT_BACKBONE, show_default=True, help="A backbone, or a ViT of open_clip."),
    click.option("--pretrained", metavar="TAG", help="Weights that open_clip knows by this tag."),
    click.option(
        "--weights", type=click.Path(path_type=Path, dir_okay=False), help="Weights in a file; nothing is downloaded."
    ),
    click.option("--activation", type=click.Choice(["native", "gelu", "quick-gelu"]), default="native"),
    click.option(
        "--position-embedding",
        type=click.Choice(["bicubic-antialias", "bicubic", "bilinear", "scale-factor"]),
        default="bicubic-antialias",
        help="How position embeddings are resized to the picture size.",
    ),
    click.option("--image-size", type=click.IntRange(min=1), help="Side of the picture in pixels."),
    click.option("--layers", callback=numbers, metavar="N,N,...", help="Tapped blocks, 1-based; else quarters."),
    click.option("--device", default="auto", show_default=True),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto"),
    click.option(
        "--feature-dtype",
        type=click.Choice(["float16", "int8"]),
        default="float16",
        show_default=True,
        callback=keep_features_as,
        expose_value=False,
        help="How the store keeps patch tokens; int8 takes half the room.",
    ),
)


data_options = options(
    click.option("--data-root", type=click.Path(path_type=Path, file_okay=False), help="Folder of the data sets."),
    click.option("--category", multiple=True, callback=specs, help="Only these; several or comma-separated."),
)


resident_option = click.option(
    "--resident",
    type=click.Choice(["auto", "gpu", "ram", "off"]),
    default="auto",
    show_default=True,
    help="Where features that are read again stay; auto takes up to half of the free memory.",
)


ci_option = click.option(
    "--ci", is_flag=True, help="Intervals of 95 % over pictures, and paired tests against the first method."
)


plot_option = click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the training curves: .png, .svg or .pdf (needs matplotlib).",
)


encode_options = options(
    click.option("--encode-batch-size", type=click.IntRange(min=1), default=8, show_default=True),
    click.option("--num-workers", type=click.IntRange(min=1), default=2, show_default=True, help="Threads that read."),
)
