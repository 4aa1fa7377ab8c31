"""What a session is asked for becomes contests, and pictures to encode; nothing runs yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal, Unpack

from stackclip.benchmarks.entrant import Errand, errands_in_tiles, readers_of, stored
from stackclip.benchmarks.plan import Plan, check_plan, resolved
from stackclip.benchmarks.tiles import tiling_for
from stackclip.data import Dataset
from stackclip.defaults import MOST_POINTS, PROMPT_METHODS, TESTED, TRAINING
from stackclip.ops.shards import Shard
from stackclip.papers.catalogue import Catalogue
from stackclip.papers.contests import Contest, Request, Teller, contests_of
from stackclip.papers.suites import Suite
from stackclip.registry import spread_out, stay_with
from stackclip.session.conditions import Conditions, Names, SuiteWords, checked, names_of, whole
from stackclip.session.recipe import changed_fields
from stackclip.session.site import Site
from stackclip.types import MASK

if TYPE_CHECKING:
    from stackclip.session.workbench import Workbench

__all__ = ["Asking"]


class Asking(Site):
    """Contests and pictures from words: data sets are opened and methods made."""

    def contest(
        self,
        methods: Names = PROMPT_METHODS,
        *,
        train_on: Names = TRAINING,
        test_on: Names = TESTED,
        categories: Sequence[str] = (),
        most_points: int = MOST_POINTS,
        **conditions: Unpack[Conditions],
    ) -> Contest:
        """A bench that was not run yet: its data sets are opened and its methods made. Raises as `bench` does."""
        stay_with(self.workspace.registry)
        given = checked(conditions)
        names = spread_out(names_of(methods), whole("most_points", most_points, 1))
        known = resolved(names)  # a wrong name is said before data sets are opened
        trained, tested = self.opened(train_on), self.opened(test_on, categories)
        of_training, of_test = tuple(trained.values()), tuple(tested.values())
        plan = Plan(methods=names, resolved=known, train_on=of_training, test_on=of_test, **given)
        check_plan(plan)
        return Contest(plan, {dataset.name: text for text, dataset in (*trained.items(), *tested.items())})

    def suite_contests(
        self,
        suites: Sequence[Suite],
        *,
        paper_tower: bool = False,
        own_tower: Collection[str] | None = None,
        categories: Collection[str] = (),
        most_points: int = MOST_POINTS,
        tell: Teller | None = None,
        **words: Unpack[SuiteWords],
    ) -> list[Contest]:
        """The benches of tables of papers, as far as the data and methods at hand allow.

        What they lack is logged, or `tell` is told of it.

        `words` change what the runs of the suites say. With `paper_tower` each has the tower of its paper, but for the
        fields in `own_tower`: those that the recipe names, if not given.
        """
        stay_with(self.workspace.registry)
        given = checked(words, SuiteWords)
        if "methods" in given:
            given["methods"] = spread_out(given["methods"], whole("most_points", most_points, 1))
        own = changed_fields(self.backbone) if own_tower is None else own_tower
        request = Request.of(given, categories=categories, paper_tower=paper_tower, own_tower=own)
        catalogue = Catalogue(lambda text: self.opened(text)[text])
        catalogue.make(given.get("methods", ()))  # a wrong name is said before data sets are opened
        return contests_of(suites, catalogue, request, tell)

    def wanted(
        self,
        datasets: Names,
        methods: Names,
        split: Literal["train", "test"] | None,
        categories: Sequence[str],
        tiles: str | None,
        shard: str | None = None,
    ) -> tuple[Workbench, tuple[Errand, ...], tuple[Dataset, ...]]:
        """The tower at work, the pictures of the data sets, or a shard, the parts that methods read, and the sets."""
        stay_with(self.workspace.registry)
        some = Shard.parse(shard) if shard is not None else Shard(0, 1)
        known = resolved(names_of(methods))
        opened = tuple(self.opened(datasets, categories).values())
        workbench = self.workbench()
        tiling = tiling_for(tiles, opened) if tiles else None
        samples = some.of([sample for dataset in opened for sample in dataset.select(split=split).samples])
        readers = readers_of(known, workbench.tower.spec, tiling)
        if tiling is not None:
            return workbench, errands_in_tiles(samples, readers), opened
        parts = stored(frozenset({MASK}).union(*(each.parts for each in readers)))
        return workbench, (Errand(samples, parts),), opened
