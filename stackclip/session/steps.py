"""The steps between a call and its rows, for who asks and prints in between."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from stackclip.benchmarks.entrant import Errand, errands_in_tiles, readers_of, stored
from stackclip.benchmarks.plan import Plan, check_plan, resolved, tiling_for
from stackclip.clip.known import weights_files
from stackclip.data import Dataset
from stackclip.defaults import PROMPT_METHODS, TESTED, TRAINING
from stackclip.errors import CategoryOverlap, StackclipError, UsageError
from stackclip.executors import Executor
from stackclip.ops.progress import Listener, silent
from stackclip.ops.shards import Shard
from stackclip.papers.catalogue import Catalogue
from stackclip.papers.contests import Contest, Request, contests_of
from stackclip.papers.suites import Suite
from stackclip.registry import Spec, executors, stay_with
from stackclip.session.apart import Foreman, foreman
from stackclip.session.conditions import Conditions, Names, SuiteWords, checked, names_of, one_of
from stackclip.session.jobs import BenchWords
from stackclip.session.recipe import changed_fields
from stackclip.session.rows import BenchRows
from stackclip.session.site import Site
from stackclip.session.work import Forecast
from stackclip.types import MASK

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite
    from stackclip.session.workbench import Workbench

__all__ = ["Steps"]

OVERWRITE = ("only-missing", "always", "never")


class Steps(Site):
    """What the calls of a session are made of: contests, what they would do, and their running."""

    def contest(
        self,
        methods: Names = PROMPT_METHODS,
        *,
        train_on: Names = TRAINING,
        test_on: Names = TESTED,
        categories: Sequence[str] = (),
        **conditions: Unpack[Conditions],
    ) -> Contest:
        """A bench that was not run yet: its data sets are opened and its methods made. Raises as `bench` does."""
        stay_with(self.workspace.registry)
        given = checked(conditions)
        names = names_of(methods)
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
        **words: Unpack[SuiteWords],
    ) -> list[Contest]:
        """The benches of tables of papers, as far as the data and methods at hand allow; what they lack is logged.

        `words` change what the runs of the suites say. With `paper_tower` each has the tower of its paper, but for the
        fields in `own_tower`: those that the recipe names, if not given.
        """
        stay_with(self.workspace.registry)
        given = checked(words, SuiteWords)
        own = changed_fields(self.backbone) if own_tower is None else own_tower
        request = Request.of(given, categories=categories, paper_tower=paper_tower, own_tower=own)
        catalogue = Catalogue(lambda text: self.opened(text)[text])
        catalogue.make(given.get("methods", ()))  # a wrong name is said before data sets are opened
        return contests_of(suites, catalogue, request)

    def run(
        self,
        contest: Contest,
        *,
        overwrite: Overwrite = "only-missing",
        cached_only: bool = False,
        executor: str = "serial",
        progress: Listener = silent,
    ) -> BenchRows:
        """The rows of a contest; one of a suite that cannot run has none, which is logged. Else raises as `bench`."""
        from stackclip.session.benches import Lineup, rows_by, rows_of, sparing

        one_of("overwrite", overwrite, OVERWRITE)
        self.check_executor(executor)
        lineup = None
        with sparing(contest, StackclipError):
            workbench = self.workbench(contest.tower)
            lineup = Lineup.of(contest, workbench)
        if lineup is None:
            return BenchRows()
        store = workbench.store()
        with store.one_look():
            errands = [] if overwrite == "never" else workbench.lacking(store, lineup.errands)
            if errands and cached_only:
                lacking = [found for each in errands for found in store.lacking(each.samples, each.parts)]
                raise workbench.missing_parts(
                    lineup.entrants, lacking, contest.texts, self.data_root, contest.plan.tiles
                )
            with self._shared("serial" if overwrite == "never" else executor, progress) as shared:
                words = BenchWords.of(replace(contest, plan=lineup.plan), overwrite)
                rows = BenchRows()
                if errands and shared:
                    rows += BenchRows(unencoded=shared.encode(words, workbench, store, lineup.errands).failed)
                elif errands:
                    rows += BenchRows(unencoded=workbench.encode(store, errands, progress=progress).failed)
                with sparing(contest, CategoryOverlap):
                    if shared:
                        return rows + rows_by(shared, words, workbench, lineup, store, progress=progress)
                    return rows + rows_of(workbench, lineup, store, overwrite=overwrite, progress=progress)
                return rows

    def check_executor(self, executor: str) -> None:
        """Raise UsageError, or what making a component does, for what is no executor."""
        stay_with(self.workspace.registry)
        if not isinstance(executor, str):
            raise UsageError(f"executor={executor!r}; wanted text, as 'processes[workers=2]'")
        executors.create(executor)

    @contextmanager
    def _shared(self, executor: str, progress: Listener) -> Iterator[Foreman | None]:
        """What gives work to other processes; nothing where an executor does it all in this one."""
        who: Executor = executors.create(executor)
        if not who.apart:
            yield None
            return
        with (
            executors.find(Spec.parse(executor).name).guard_foreign("cannot run"),
            foreman(who, self, progress) as shared,
        ):
            yield shared

    def forecast(self, contest: Contest, *, overwrite: Overwrite = "only-missing") -> Forecast | None:
        """What `run` would encode and compute; nothing is written. None for a contest of a suite that cannot run."""
        from stackclip.session.benches import Lineup, forecast, sparing

        stay_with(self.workspace.registry)
        with sparing(contest, StackclipError):
            workbench = self.workbench(contest.tower)
            return forecast(workbench, Lineup.of(contest, workbench), again=overwrite == "always")
        return None

    def forecast_encoding(
        self,
        datasets: Names = (TRAINING, TESTED),
        *,
        methods: Names = PROMPT_METHODS,
        split: Literal["train", "test"] | None = "test",
        categories: Sequence[str] = (),
        tiles: str | None = None,
        shard: str | None = None,
    ) -> Forecast:
        """What `encode` would encode; nothing is written. Raises as that does."""
        workbench, errands, _ = self.wanted(datasets, methods, split, categories, tiles, shard)
        planned = workbench.planned(errands, workbench.found())
        pictures = sum(len(each.samples) for each in errands)
        return Forecast(planned, pictures, self.workspace.features, workbench.tower.spec.note)

    def grounds(self, datasets: Iterable[Dataset], tower: Mapping[str, Any] | None = None) -> tuple[Path, ...] | None:
        """The files and folders that rows of these data sets rest on, but for code; None where that is not known."""
        workbench, workspace = self.workbench(tower), self.workspace
        weights, store = weights_files(workbench.recipe), workbench.found()
        if weights is None or store is None:
            return None
        places = {dataset.root for dataset in datasets}
        files = (file for dataset in datasets for sample in dataset for file in (sample.image, sample.mask) if file)
        places |= {file.parent for file in files if not any(map(file.is_relative_to, places))}
        return (*sorted(places), store.folder, workspace.rows, workspace.towers, *weights)

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
