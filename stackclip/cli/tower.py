"""The options that make a tower."""

from __future__ import annotations

from pathlib import Path

import click

from stackclip.cli.options import options
from stackclip.cli.parsing import keep_features_as, picture_range, several, typed_size, whole_numbers
from stackclip.defaults import BACKBONE

__all__ = ["tower_options"]

tower_options = options(
    click.option("--backbone", default=BACKBONE, show_default=True, help="A backbone, or a ViT of open_clip."),
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
    click.option(
        "--image-size",
        callback=typed_size,
        metavar="SIDE|HxW",
        help="Side of the picture in pixels, or its height and width: 336x672.",
    ),
    click.option(
        "--range",
        "picture_range",
        default="auto",
        show_default=True,
        callback=picture_range,
        metavar="auto|file|MIN:MAX",
        help="Black and white of pictures of more than 8 bits; auto is file, and tells where little of it is used.",
    ),
    several("--layers", callback=whole_numbers, metavar="N,N,...", help="Tapped blocks, 1-based; else quarters."),
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
