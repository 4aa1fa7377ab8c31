"""Rows of grids, beside those of the points that were taken: kept on disk, and told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.keeping import Keeper
from stackclip.benchmarks.rows import RowFolder, cell_id
from stackclip.benchmarks.selected import Selected
from stackclip.ops.files import canonical_json
from stackclip.papers.contests import Contest
from stackclip.types import Row

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite
    from stackclip.session.steps import Steps

__all__ = ["Answers"]


@dataclass(frozen=True)
class Answers:
    """Makes the rows of grids in a session, whose `contest` has all points, and keeps them."""

    session: Steps
    contest: Contest
    overwrite: Overwrite

    def kept(self, row: Row, name: str, selected: Selected) -> Row:
        """The row of a grid's cell, of that of the point that was taken; it is kept where that is, unless it failed."""
        facts = {**row.facts, "selected": json.loads(canonical_json(asdict(selected)))}
        if selected.stop_after is not None:  # which was chosen, and not asked of all methods
            facts = {key: value for key, value in facts.items() if key != "stop_after"}
            facts |= {"protocol": self._protocol}
            facts |= {} if self.contest.plan.stop_after is None else {"stop_after": self.contest.plan.stop_after}
        answer = replace(row, method=name, facts=facts)
        if not row.error and self.overwrite != "never":
            self._keep(row, answer)
        return answer

    def tell(self, rows: Iterable[Row], trackers: Sequence[str]) -> int:
        """Tell trackers of rows; how many could not be told."""
        from stackclip.benchmarks.tracking import tracked

        with tracked(trackers, self.session.workspace.told) as tracking:
            for row in rows:
                tracking.tell(row)
        return tracking.untold

    @property
    def unkept(self) -> int:
        """How many rows could not be kept."""
        return self._keeper.unkept.total()

    def _keep(self, row: Row, answer: Row) -> None:
        """Keep a row as the latest of its grid, with what was said of single pictures."""
        cell = self._keeper.sidecars.cell_of(row)
        entry = None if cell is None else self._keeper.rows.entry(cell)
        if cell is None or entry is None:
            return  # that it cannot be kept was said of the point
        name = cell_id({"point": cell, "grid": answer.method, "selected": answer.facts["selected"]})
        place = facts_of(row).tested.place
        adopted = self._keeper.find_row(name, place, entry.seen.get(place, {}), adopt=True)
        if adopted != answer:
            self._keeper.keep_row(name, answer, entry.seen, self._keeper.sidecars.find(cell))

    @cached_property
    def _keeper(self) -> Keeper:
        return Keeper(RowFolder(self.session.workspace.rows), self.session.workspace.heads)

    @cached_property
    def _protocol(self) -> str:
        """What is asked of all methods alike, in the bench that no epoch was chosen for."""
        from stackclip.session.benches import Lineup

        workbench = self.session.workbench(self.contest.tower)
        lineup = Lineup.of(self.contest, workbench)
        bench = workbench.bench_on(workbench.store(), lineup.plan, lineup.entrants, overwrite="never")
        return bench.of_seed(lineup.plan.seeds[0]).identities.protocol
