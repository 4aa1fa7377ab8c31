"""What `bench` was told as benches: one, those of papers, of a transfer or of a selection; and how they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackclip.cli.answers import check_plotted
from stackclip.cli.parsing import given_here
from stackclip.cli.selecting import selecting_of
from stackclip.errors import UsageError

if TYPE_CHECKING:
    from stackclip.papers.contests import Contest
    from stackclip.papers.suites import Suite
    from stackclip.session import BenchRows, Forecast, Session
    from stackclip.session.selecting import SelectionForecast
    from stackclip.session.together import Together
    from stackclip.studies.transfer import Transfer

__all__ = ["TypedBenches", "typed_benches"]

_OF_RUNS = ("methods", "train_on", "test_on", "shots", "seeds", "epochs", "batch_size", "train_shots", "eval_every")


@dataclass(frozen=True)
class TypedBenches:
    """The benches that were typed, and the tables of papers that they are of, where it is that."""

    benches: Together
    suites: Sequence[Suite] = ()

    @property
    def contests(self) -> Sequence[Contest]:
        """The benches one by one."""
        return self.benches.contests

    @property
    def between(self) -> Transfer | None:
        """The transfer that they are of."""
        return self.benches.transfer

    @property
    def over_shots(self) -> bool:
        """Whether all that runs is shown over shots."""
        return bool(self.suites) and all(each.over_shots for each in self.suites)

    def part(self, shard: str | None) -> TypedBenches:
        """The benches of a shard, where one is asked for."""
        return replace(self, benches=self.benches.part(shard))

    def check_plot(self, plot: Path | None, axes: Sequence[str]) -> None:
        """Raise UsageError for a plot of what no bench will have."""
        if not self.between:
            check_plotted(self.contests, plot, axes, curves=self.over_shots)
        elif axes:
            raise UsageError(f"--axes {','.join(axes)} are those of a grid, and --transfer has its own: leave them out")

    def forecasts(self, overwrite: Any) -> Iterator[Forecast | SelectionForecast]:
        """What would be encoded and computed."""
        return self.benches.forecasts(overwrite)

    def run(self, **how: Any) -> Iterator[tuple[Suite | None, BenchRows]]:
        """The rows of all benches, table of a paper by table; without one they are no table's."""
        from stackclip.terminal import Bars

        for suite, group in groupby(self.contests, key=attrgetter("suite")):
            with Bars.shown() as bars:
                rows = replace(self.benches, contests=[*group]).run(progress=bars, **how)
            yield suite, rows

    def grounds(self, trackers: Sequence[str]) -> Iterable[Path] | None:
        """What rows that were there already rest on, and what trackers were told of them."""
        session = self.benches.session
        told = [session.workspace.told] if trackers else []
        every = [session.grounds((*each.plan.train_on, *each.plan.test_on), each.tower) for each in self.contests]
        return None if None in every else [*told, *(path for paths in every if paths for path in paths)]


def typed_benches(
    session: Session,
    suites: Sequence[Suite],
    transfer: tuple[str, ...],
    draws: int,
    *,
    writes: bool,
    shard: str | None,
    plot: Path | None,
    **words: Any,
) -> TypedBenches:
    """The benches of what was typed. Raises UsageError for what does not go together, and what making them does."""
    from stackclip.papers.contests import worded
    from stackclip.session.together import Together

    _check_transfer(transfer, suites, draws)
    names = tuple(suite.name for suite in suites)
    if (selecting := selecting_of(session, words, suite=names, shard=shard, plot=plot)) is not None:
        _check_selection(transfer, draws)
        return TypedBenches(Together(session, [selecting.question.contest], selecting))
    if words["paper_tower"] and not suites:
        raise UsageError("--paper-tower is the tower of a --suite: name one, or the tower with --backbone")
    if transfer:
        between, contests = _of_transfer(session, transfer, writes=writes, **words)
        return TypedBenches(Together(session, contests, transfer=between))
    contests = _of_suites(session, suites, **words) if suites else [_plain(session, **words)]
    return TypedBenches(Together(session, [each for one in contests for each in worded(one, draws)]), suites)


def _check_transfer(transfer: tuple[str, ...], suites: Sequence[Suite], draws: int) -> None:
    """Raise UsageError for what a transfer says itself, or would be another table."""
    others = [f"--{name.replace('_', '-')}" for name in given_here(("train_on", "test_on"))] if transfer else []
    others += ["--suite"] if suites else []
    others += ["--prompt-jitter"] if draws else []
    if transfer and others:
        raise UsageError(
            f"--transfer trains on and tests its own data sets, and makes one table: leave out {others[0]}"
        )


def _check_selection(transfer: tuple[str, ...], draws: int) -> None:
    from stackclip.session.question import refuse_jitter

    refuse_jitter(draws)
    if transfer:
        raise UsageError("--select takes points by one training, and --transfer has many: leave out one of them")


def _plain(session: Session, *, paper_tower: bool, category: Any, most_points: int, **words: Any) -> Contest:
    return session.contest(words.pop("methods"), categories=category, most_points=most_points, **words)


def _of_suites(
    session: Session, suites: Sequence[Suite], *, paper_tower: bool, category: Any, most_points: int, **words: Any
) -> list[Contest]:
    """The benches of suites, with what was typed beside them."""
    if paper_tower and given_here(("backbone",)):
        raise UsageError("--paper-tower and --backbone name two towers: leave out one of them")
    conditions = {name: value for name, value in words.items() if name not in _OF_RUNS}
    own_tower = given_here(("pretrained", "image_size"))
    tower: Mapping[str, Any] = {"paper_tower": paper_tower, "own_tower": own_tower}
    conditions |= given_here(_OF_RUNS)
    return session.suite_contests(suites, categories=category, most_points=most_points, **tower, **conditions)


def _of_transfer(
    session: Session, datasets: tuple[str, ...], *, paper_tower: bool, category: Any, writes: bool, **words: Any
) -> tuple[Transfer, list[Contest]]:
    """What a transfer is of, and its benches."""
    asked = {name: value for name, value in words.items() if name not in ("train_on", "test_on")}
    return session.transfer_contests(
        asked.pop("methods"), datasets=datasets, categories=category, writes=writes, **asked
    )
