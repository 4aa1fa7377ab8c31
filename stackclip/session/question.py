"""Which point of a grid is best: the words of a selection, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stackclip.benchmarks.plan import check_plan
from stackclip.errors import CategoryOverlap, UsageError
from stackclip.papers.contests import Contest
from stackclip.registry import Spec
from stackclip.studies.schemes import Criterion, Grid, Scheme, grids_among

__all__ = ["SELECTION", "Choice", "Question", "choice_in", "question_of", "refuse_jitter", "refuse_shard"]

SELECTION = ("select", "select_by", "select_rule", "hindsight")
"""The words of a bench that are about a selection."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How one point of each grid is taken, in words that were checked; with `hindsight` the others are tested too."""

    scheme: Scheme
    criterion: Criterion
    hindsight: bool = False


def choice_in(words: dict[str, Any]) -> Choice | None:
    """Take what a selection is told out of the `words` of a bench; None where nothing is selected.

    Raises UsageError for a scheme, metric or rule that there is not, and for one of these without `select`.
    """
    select, hindsight = words.pop("select", None), words.pop("hindsight", False)
    given = {"select_by": words.pop("select_by", None), "select_rule": words.pop("select_rule", "best")}
    if select is None:
        named = [f"--{name.replace('_', '-')} {value}" for name, value in given.items() if value not in (None, "best")]
        named += ["--hindsight"] if hindsight else []
        if named:
            raise UsageError(f"{named[0]} is about a selection, and none is asked for: add --select leave-category-out")
        return None
    scheme = Scheme.parse(select)
    criterion = Criterion.of(given["select_by"], given["select_rule"], words.get("eval_every"))
    tiles = words.get("tiles")
    if isinstance(tiles, str) and "x" not in tiles.partition("[")[0]:
        raise UsageError(
            f"--tiles {tiles} is a grid by the largest tested picture, and a selection looks at none: name a grid, as "
            "--tiles 2x2"
        )
    return Choice(scheme, criterion, bool(hindsight))


def refuse_shard(shard: str | None) -> None:
    """Raise UsageError for a shard of a selection, which has to know all folds."""
    if shard is not None:
        raise UsageError(f"--shard {shard} has a part of the rows that --select goes by: share the work with --workers")


def refuse_jitter(draws: int) -> None:
    """Raise UsageError for draws of words beside a selection, which would choose in each of them."""
    if draws:
        raise UsageError(f"--prompt-jitter {draws} beside --select would choose in each wording anew: leave out one")


@dataclass(frozen=True)
class Question:
    """Which point of each grid is best: `contest` has all of them, and the methods that are no grid's.

    `names` are the methods as rows name them, grids too.
    """

    contest: Contest
    choice: Choice
    grids: tuple[Grid, ...]
    names: tuple[str, ...]

    @property
    def points(self) -> tuple[str, ...]:
        """The points of all grids, each once."""
        return tuple(dict.fromkeys(spec for grid in self.grids for spec in grid.specs))

    @property
    def others(self) -> tuple[str, ...]:
        """The methods that are no grid's."""
        grids = {grid.name for grid in self.grids}
        return tuple(name for name in self.names if name not in grids)

    def part(self, methods: Iterable[str], **changed: Any) -> Contest:
        """The contest of some of the methods."""
        return replace(self.contest, plan=replace(self.contest.plan, methods=tuple(methods), **changed))


def question_of(contest: Contest, names: Sequence[str], choice: Choice) -> Question:
    """The question of a contest, of methods as they were typed, with their grids.

    Raises UsageError where there is no grid, or one of a single point, and CategoryOverlap where a tested category is
    trained on, whatever is allowed: it would be selected by.
    """
    grids = grids_among(names)
    try:
        check_plan(replace(contest.plan, allow_overlap=False))
    except CategoryOverlap as error:
        said = str(error).partition("; choose")[0]
        raise CategoryOverlap(f"{said}, and points would be selected by it: take it out on one side") from None
    every = tuple(dict.fromkeys(str(Spec.parse(name)) for name in names))
    return Question(contest, choice, grids, every)
