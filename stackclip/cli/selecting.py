"""The options by which one point of a grid is taken, and the selection that they make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.options import options
from stackclip.errors import UsageError

if TYPE_CHECKING:
    from stackclip.session import Session
    from stackclip.session.selecting import Selecting

__all__ = ["selecting_of", "selection_options"]

selection_options = options(
    click.option(
        "--select",
        metavar="SCHEME",
        help="Take one point of each grid by the training sets alone: leave-category-out, leave-defect-out or "
        "'k-fold[folds=5]'.",
    ),
    click.option("--select-by", metavar="METRIC", help="The metric; else pixel_AP, or image_AUROC without maps."),
    click.option(
        "--select-rule",
        type=click.Choice(["best", "one-standard-error"]),
        default="best",
        show_default=True,
        help="The best mean over folds, or the first point within one standard error of it.",
    ),
    click.option("--hindsight", is_flag=True, help="Then test all points, to say how much better the best would be."),
)


def selecting_of(
    session: Session, words: dict[str, Any], *, suite: Sequence[str], shard: str | None, plot: Path | None
) -> Selecting | None:
    """Take the selection that was typed out of the `words` of a bench; None where nothing is selected.

    Raises UsageError for one beside what it does not go with, and as `Session.selecting` does.
    """
    from stackclip.session.question import SELECTION, choice_in, refuse_shard

    asked = {name: words.pop(name) for name in SELECTION}
    if asked["select"] is None:
        choice_in(asked)
        return None
    refuse_shard(shard)
    if suite or words["paper_tower"]:
        raise UsageError("--select takes points of grids among --methods, and a --suite has its own: leave out one")
    if plot:
        raise UsageError("--plot draws curves of tested pictures, which --select tests once: leave out one of them")
    told = {name: value for name, value in words.items() if name not in ("paper_tower", "category")}
    return session.selecting(categories=words["category"], **told, **asked)
