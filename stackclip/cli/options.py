"""The options that several verbs share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from stackclip.cli.words import split_typed
from stackclip.types import LARGEST_SEED

__all__ = [
    "COMMAS",
    "DEFAULT_BACKBONE",
    "FAILED_SOME",
    "PROMPT_METHODS",
    "TRAINING",
    "Command",
    "Several",
    "ci_option",
    "curve_interval",
    "data_options",
    "data_root_option",
    "encode_options",
    "logger",
    "numbers",
    "options",
    "places",
    "plot_option",
    "resident_option",
    "several",
    "specs",
    "tower_options",
]


DEFAULT_BACKBONE = "stackclip-tiny"


TRAINING, TESTED = "synthetic[part=training]", "synthetic[part=combinations]"


PROMPT_METHODS = "stacked,fuzzy,precise,april-gan"


FAILED_SOME = 3


COMMAS = "Several with commas between, or the option again; a comma in a name is typed \\,."


logger = logging.getLogger("stackclip")


Command = TypeVar("Command", bound=Callable[..., Any])


def options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


class Several(click.Option):
    """An option of which there may be several: typed again it adds up; one text holds them with commas between.

    What is typed replaces the default. A variable of the environment is one text.
    """

    def __init__(self, *words: Any, **settings: Any) -> None:
        default = settings.get("default", ())
        settings["default"] = (default,) if isinstance(default, str) else default
        settings["multiple"] = True
        super().__init__(*words, **settings)

    def value_from_envvar(self, ctx: click.Context) -> Any:
        text = self.resolve_envvar_value(ctx)
        return None if text is None else (text,)


def several(*words: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(*words, cls=Several, **settings)


def specs(context: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Names separated by commas outside brackets."""
    from stackclip.registry import split_specs

    return tuple(name for text in value for name in split_specs(text))


def places(context: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Data sets separated by commas; a text that as a whole is the path of a folder is one, whatever is in it."""
    if not value:
        return ()  # --help brings no data
    from stackclip.data.naming import is_folder

    root = context.params.get("data_root")
    return tuple(name for text in value for name in ([text] if is_folder(text, root) else split_typed(text)))


def numbers(context: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[int, ...] | None:
    if not value:
        return None
    typed = ",".join(value)
    try:
        numbers = tuple(dict.fromkeys(int(number) for number in typed.split(",")))
    except ValueError:
        raise click.BadParameter(f"{typed!r}: wanted whole numbers separated by commas") from None
    if not 0 <= min(numbers) <= max(numbers) <= LARGEST_SEED:
        raise click.BadParameter(f"{typed!r}: wanted numbers from 0 to {LARGEST_SEED}")
    return numbers


def picture_range(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """The word as it came, if it is a range."""
    from stackclip.ops.levels import parse_range

    parse_range(value)
    return value


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
    click.option(
        "--range",
        "picture_range",
        default="auto",
        show_default=True,
        callback=picture_range,
        metavar="auto|file|MIN:MAX",
        help="Black and white of pictures of more than 8 bits; auto is file, and tells where little of it is used.",
    ),
    several("--layers", callback=numbers, metavar="N,N,...", help="Tapped blocks, 1-based; else quarters."),
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


data_root_option = click.option(
    "--data-root",
    type=click.Path(path_type=Path, file_okay=False),
    is_eager=True,  # data sets are looked for in it when they are read from the command line
    help="Folder of the data sets.",
)


data_options = options(
    data_root_option,
    several("--category", help=f"Only these categories. {COMMAS}"),
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
