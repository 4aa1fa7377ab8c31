"""The call of a session that finds out which data set teaches methods what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

from stackclip.benchmarks.entrant import entrants_of
from stackclip.benchmarks.overlap import trained_on
from stackclip.benchmarks.plan import Plan, check_plan
from stackclip.cache import Store
from stackclip.data import Dataset
from stackclip.defaults import MOST_POINTS, PROMPT_METHODS
from stackclip.errors import CategoryOverlap, UsageError
from stackclip.ops.progress import Listener, silent
from stackclip.ops.shards import Shard
from stackclip.papers.contests import Contest
from stackclip.registry import stay_with
from stackclip.reports.document import Document
from stackclip.session.conditions import Conditions, Names, names_of
from stackclip.session.rows import BenchRows
from stackclip.session.steps import Steps
from stackclip.session.together import Together
from stackclip.session.work import Forecast
from stackclip.studies.transfer import Transfer, check_names, transfer_of, transfer_plans

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite

__all__ = ["Transferred", "Transferring"]


@dataclass(frozen=True)
class Transferred:
    """The rows of a transfer, and what they are of: `document()` has the matrices."""

    rows: BenchRows
    transfer: Transfer

    def document(self, metrics: Sequence[str] = ()) -> Document:
        """The matrices by method, of these metrics or one of images and one of pixels."""
        return Document(self.rows, metrics=metrics, transfer=self.transfer, find=self.rows.find)

    def _repr_html_(self) -> str:
        """The matrices, for notebooks."""
        return self.document()._repr_html_()


class Transferring(Steps):
    """Trains on each of several data sets and tests the others."""

    def transfer(
        self,
        methods: Names = PROMPT_METHODS,
        *,
        datasets: Names,
        categories: Sequence[str] = (),
        overwrite: Overwrite = "only-missing",
        cached_only: bool = False,
        executor: str = "serial",
        shard: str | None = None,
        trackers: Names = (),
        progress: Listener = silent,
        **conditions: Unpack[Conditions],
    ) -> Transferred:
        """Train methods on each of several data sets, then on all but one, and test them on all that this may teach.

        Methods that are not trained are tested once. Two sets that share categories or pictures teach each other
        nothing: that is said in `transfer.refused`, and the rest goes on. Everything else is as in `bench`, whose rows
        these are. Raises what that does, and UsageError for fewer than two sets, or one that comes twice.
        """
        if shard is not None:
            Shard.parse(shard)
        self.check_executor(executor)
        self.check_trackers(trackers)
        transfer, contests = self.transfer_contests(methods, datasets=datasets, categories=categories, **conditions)
        how: dict[str, Any] = {"overwrite": overwrite, "cached_only": cached_only, "executor": executor}
        how |= {"trackers": trackers, "progress": progress}
        return Transferred(Together(self, contests, transfer=transfer).part(shard).run(**how), transfer)

    def transfer_contests(
        self,
        methods: Names = PROMPT_METHODS,
        *,
        datasets: Names,
        categories: Sequence[str] = (),
        most_points: int = MOST_POINTS,
        writes: bool = True,
        **conditions: Unpack[Conditions],
    ) -> tuple[Transfer, list[Contest]]:
        """The benches of a transfer that were not run yet; pictures are read to see which sets share some.

        Where it `writes` nothing, and nothing was encoded yet, sets are told apart by their names alone. Raises as
        `transfer` does.
        """
        check_names(texts := names_of(datasets))
        if conditions.get("train_list") is not None:
            raise UsageError("a transfer trains on each data set as it is: leave --train-list out, or name --train-on")
        whole = self.opened(texts) if categories else {}
        base = self.contest(
            methods, train_on=(), test_on=texts, categories=categories, most_points=most_points, **conditions
        )
        plan = base.plan
        trained = tuple(whole.values()) or plan.test_on
        workbench = self.workbench()
        store = workbench.found() or (workbench.store() if writes else None)
        transfer = transfer_of(trained, plan.test_on, lambda one, other: _why_not(plan, one, other, store))
        learning = {each.spec for each in entrants_of(plan, workbench.tower.spec) if each.needs.get("train")}
        plans = transfer_plans(transfer, plan, trained, learning)
        named = {dataset.name: text for text, dataset in whole.items()} | dict(base.texts)
        return transfer, [replace(base, plan=each, texts=named) for each in plans]

    def encode_together(self, contests: Sequence[Contest], *, progress: Listener = silent, **how: Any) -> None:
        """Encode what the benches of one tower lack in one pass, where each would make its own; `how` is as in `run`.

        It is for one process; where nothing is to be encoded, nothing is done. Raises as `encode` does.
        """
        if not contests or how.get("cached_only") or how.get("overwrite") == "never":
            return
        from stackclip.session.benches import Lineup, joined_errands

        workbench = self.workbench(contests[0].tower)
        store, lineups = workbench.store(), [Lineup.of(each, workbench) for each in contests]
        with store.one_look():
            if errands := workbench.lacking(
                store, joined_errands(errand for each in lineups for errand in each.errands)
            ):
                workbench.encode(store, errands, progress=progress)

    def forecast_all(self, contests: Sequence[Contest], *, overwrite: Overwrite = "only-missing") -> Forecast | None:
        """What the benches of one tower would do together, each picture counted once; None without any."""
        from stackclip.session.benches import Lineup, forecast

        if not contests:
            return None
        stay_with(self.workspace.registry)
        workbench = self.workbench(contests[0].tower)
        return forecast(workbench, [Lineup.of(each, workbench) for each in contests], again=overwrite == "always")


def _why_not(plan: Plan, one: Dataset, other: Dataset, store: Store | None) -> str:
    """Why a set must not be trained on where another is tested: equal categories, or equal pictures."""
    pair = replace(plan, train_on=(one,), test_on=(other,))
    try:
        check_plan(pair)
    except CategoryOverlap as error:
        return str(error)
    return "" if store is None or plan.allow_overlap else trained_on(pair, store)
