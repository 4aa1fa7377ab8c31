"""The options that several verbs share, and the session that they make."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from stackclip.cli.parsing import Command, ShotsType, curve_interval, places, several, specs, whole_numbers
from stackclip.defaults import TESTED, TRAINING
from stackclip.errors import UsageError

if TYPE_CHECKING:
    from stackclip.workspace import Workspace

__all__ = [
    "COMMAS",
    "FAILED_SOME",
    "answer_options",
    "condition_options",
    "data_options",
    "data_root_option",
    "encode_options",
    "kept_options",
    "live_options",
    "logger",
    "options",
    "pass_session",
    "set_options",
    "share_options",
    "tiles_option",
]

Answer = TypeVar("Answer")
FAILED_SOME = 3
COMMAS = "Several with commas between, or the option again; a comma in a name is typed \\,."
logger = logging.getLogger("stackclip")


def options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def pass_session(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Call a verb with the session that its options describe, and with what else was typed."""

    @click.pass_obj
    @wraps(command)
    def verb(workspace: Workspace, /, **words: Any) -> Answer:
        from stackclip.session import LiveTraining, Session, TowerRecipe

        of_tower = {each.name: words.pop(each.name) for each in fields(TowerRecipe) if each.name in words}
        of_session = {ours: words.pop(name) for name, ours in _OF_SESSION.items() if name in words}
        if live := {ours: words.pop(name) for name, ours in _OF_LIVE.items() if name in words}:
            of_session["live"] = LiveTraining(**live)
        return command(Session(workspace, TowerRecipe(**of_tower), **of_session), **words)

    return verb


_OF_SESSION = {
    "data_root": "data_root",
    "encode_batch_size": "batch_size",
    "num_workers": "workers",
    "resident": "resident",
}
_OF_LIVE = {"recompute": "recompute", "micro_batch": "micro_batch", "precision_of_training": "precision"}


tiles_option = click.option(
    "--tiles",
    metavar="RxC|SIZE",
    help="See large pictures in overlapping tiles, 4x4 or of at most SIZE pixels a side: '518[overlap=25,whole=yes]'.",
)

condition_options = options(
    click.option(
        "--shots", type=ShotsType(), default=0, show_default=True, help="Normal pictures a category; all there are."
    ),
    several("--seeds", callback=whole_numbers, default="0", show_default=True),
    click.option("--epochs", type=click.IntRange(min=0), help="For all methods; else each has its paper's."),
    click.option("--stop-after", type=click.IntRange(min=1), help="Stop after so many epochs of each schedule."),
    click.option(
        "--train-shots", type=click.IntRange(min=2), help="Training pictures a category, half of them normal; else all."
    ),
    click.option(
        "--train-list",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Train on the pictures that a JSON-lines file names (image_path, label).",
    ),
    click.option("--batch-size", type=click.IntRange(min=1), help="Pictures a step, for all; else each its own."),
    click.option("--class-names", help="raw, spaced, natural or FILE.json, for all methods; else each has its own."),
    click.option(
        "--metrics",
        type=click.Choice(["auto", "exact", "streamed"]),
        default="auto",
        show_default=True,
        help="Pixel metrics from all scores, or binned with a bound of the error; auto bins large categories.",
    ),
    click.option(
        "--eval-every",
        metavar="N|epoch",
        callback=curve_interval,
        help="Training curves: test after every N optimiser steps too; --select compares epochs by those of folds.",
    ),
    tiles_option,
    click.option("--allow-overlap", is_flag=True, help="Test on categories that were trained on (not zero-shot)."),
)

set_options = options(
    several("--train-on", callback=places, default=TRAINING, show_default=True, help="Data sets; their test splits."),
    several(
        "--test-on",
        callback=places,
        default=TESTED,
        show_default=True,
        help=f"Data sets; their test splits. NAME=PATH names one. {COMMAS}",
    ),
)

kept_options = options(
    click.option("--cached-only", is_flag=True, help="Refuse to encode: what is missing is an error."),
    click.option(
        "--overwrite",
        type=click.Choice(["only-missing", "always", "never"]),
        default="only-missing",
        show_default=True,
        help="Compute missing cells, all cells, or none.",
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

live_options = options(
    resident_option,
    click.option(
        "--recompute", is_flag=True, help="Train inside the image tower with less memory, in half as much time again."
    ),
    click.option(
        "--micro-batch",
        type=click.IntRange(min=1),
        help="Pictures of a step that go through a tower at once; their gradients are summed.",
    ),
    click.option(
        "--train-precision",
        "precision_of_training",
        type=click.Choice(["fp32", "bf16"]),
        default="fp32",
        show_default=True,
        help="Numbers of training: of the products of heads, and inside the image tower for what trains there.",
    ),
)


def _judge(command: Command) -> Command:
    """Give a verb `judged`, what was typed of intervals, tests and ranks."""

    @wraps(command)
    def verb(*given: Any, **words: Any) -> Any:
        from stackclip.cli.answers import Judged

        return command(*given, judged=Judged.of({name: words.pop(name) for name in _JUDGING}), **words)

    return cast(Command, verb)


_JUDGING = ("ci", "ci_over", "correction", "power", "ranks", "ranks_over", "ranks_test")
answer_options = options(
    click.option("--per-category", is_flag=True, help="A line for every category."),
    click.option("--per-defect", is_flag=True, help="A table by kind of defect: its pictures and all good ones."),
    several(
        "--columns",
        "--metrics-shown",
        callback=specs,
        help="Only these metrics in tables: image_AUROC, pixel_AUsPRO@0.05 ...",
    ),
    click.option(
        "-o",
        "--output",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write tables, several too: .csv, .html (with pictures), .jsonl, .md, .parquet, .tex, .txt or .xlsx.",
    ),
    _judge,
    click.option("--ci", is_flag=True, help="Intervals of 95 %, and paired tests against the first method."),
    click.option(
        "--ci-over",
        type=click.Choice(["pictures", "categories"]),
        help="What intervals and tests are over, as --ci: other pictures (default), or other products.",
    ),
    click.option(
        "--correction",
        type=click.Choice(["holm", "none"]),
        help="Of the p of several tests for their number: by Holm (default), or none.",
    ),
    click.option(
        "--power",
        is_flag=False,
        flag_value="observed",
        metavar="[POINTS]",
        help="How many seeds and categories would find the differences from the first method, or one of POINTS.",
    ),
    click.option(
        "--ranks",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Draw mean ranks with what is not told apart: .png, .svg or .pdf (needs matplotlib).",
    ),
    click.option(
        "--ranks-over", type=click.Choice(["categories", "data-sets"]), help="What --ranks are over; categories."
    ),
    click.option(
        "--ranks-test",
        type=click.Choice(["nemenyi", "wilcoxon"]),
        help="Pairs by Nemenyi's critical difference (default), or by Wilcoxon's test with Holm's correction.",
    ),
    click.option(
        "--plot",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Draw the training curves, or else a grid: .png, .svg or .pdf (needs matplotlib).",
    ),
    several("--axes", callback=specs, help="Draw a grid over these two options, or one: clusters,head.temperature."),
    click.option("--json", is_flag=True, help="Print rows as JSON lines instead of a table."),
)


def _share(command: Command) -> Command:
    """Give a verb one `executor` for what was typed of processes, and a `shard` that was checked."""

    @wraps(command)
    def verb(*given: Any, workers: int | None, executor: str | None, shard: str | None, **words: Any) -> None:
        from stackclip.ops.shards import Shard
        from stackclip.registry import executors

        if workers is not None and executor is not None:
            raise UsageError(f"--workers {workers} is --executor processes[workers={workers}]: leave out one of them")
        named = executor or ("serial" if (workers or 1) == 1 else f"processes[workers={workers}]")
        executors.create(named)  # what is wrong with it is said before data sets are opened
        if shard is not None:
            Shard.parse(shard)
        command(*given, executor=named, shard=shard, **words)

    return cast(Command, verb)


share_options = options(
    _share,
    click.option(
        "--workers", type=click.IntRange(min=1), help="Processes that share the work, one a GPU if there are."
    ),
    click.option("--executor", help="What shares the work: serial (default), processes[workers=4], ray[workers=8]."),
    click.option("--shard", metavar="i/n", help="The i-th of n parts of the whole work, from 1/n to n/n."),
)

encode_options = options(
    click.option("--encode-batch-size", type=click.IntRange(min=1), default=8, show_default=True),
    click.option("--num-workers", type=click.IntRange(min=1), default=2, show_default=True, help="Threads that read."),
)
