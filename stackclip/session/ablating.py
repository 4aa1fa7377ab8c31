"""The call of a session that takes a method apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from stackclip.defaults import TESTED, TRAINING
from stackclip.errors import UsageError
from stackclip.ops.progress import Listener, silent
from stackclip.papers.contests import Contest
from stackclip.registry import stay_with
from stackclip.reports.columns import columns_named
from stackclip.reports.parts_report import PartsReport
from stackclip.session.conditions import Conditions, Names
from stackclip.session.steps import Steps
from stackclip.studies.ablation import Ablation, ablation_of

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite

__all__ = ["Ablating"]


class Ablating(Steps):
    """Says what each part of a method is worth; a session is one."""

    def ablate(
        self,
        method: str,
        *,
        train_on: Names = TRAINING,
        test_on: Names = TESTED,
        categories: Sequence[str] = (),
        columns: Sequence[str] = (),
        overwrite: Overwrite = "only-missing",
        cached_only: bool = False,
        executor: str = "serial",
        progress: Listener = silent,
        **conditions: Unpack[Conditions],
    ) -> PartsReport:
        """Take a method's parts away one by one, and add them one by one to the one that has none of them.

        It is a bench of all these methods: its rows are kept, with draws, and those that are there are not computed
        again. `columns` are the metrics that are told. Raises UsageError for a method without parts, and as `bench`.
        """
        metrics = columns_named(columns)
        ablation, contest = self.ablation(
            method, train_on=train_on, test_on=test_on, categories=categories, **conditions
        )
        how: dict[str, Any] = {"overwrite": overwrite, "cached_only": cached_only, "executor": executor}
        return PartsReport(ablation, self.run(contest, progress=progress, **how), metrics)

    def ablation(
        self,
        method: str,
        *,
        train_on: Names = TRAINING,
        test_on: Names = TESTED,
        categories: Sequence[str] = (),
        **conditions: Unpack[Conditions],
    ) -> tuple[Ablation, Contest]:
        """What `ablate` would compare, and the bench that it would run. Raises as that does."""
        if not isinstance(method, str):
            raise UsageError(f"method={method!r}; wanted one name, as 'stackclip'")
        stay_with(self.workspace.registry)
        given = {name for name, value in conditions.items() if value is not None}
        found = ablation_of(method, given=given)
        conditions.setdefault("ci", True)
        places: dict[str, Any] = {"train_on": train_on, "test_on": test_on, "categories": categories}
        return found, self.contest(found.methods, **places, **conditions)
