"""The steps between a call and its rows, for who asks and prints in between."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from stackclip.benchmarks.entrant import Errand, errands_in_tiles, readers_of, stored
from stackclip.benchmarks.plan import Plan, check_plan, resolved, tiling_for
from stackclip.defaults import PROMPT_METHODS, TESTED, TRAINING
from stackclip.errors import StackclipError
from stackclip.ops.progress import Listener, silent
from stackclip.papers.catalogue import Catalogue
from stackclip.papers.jobs import Job, Request, jobs_of
from stackclip.papers.suites import Suite
from stackclip.registry import stay_with
from stackclip.session.conditions import Conditions, Names, SuiteWords, checked, names_of, one_of, whole
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
    """What the calls of a session are made of: jobs, what they would do, and their running."""

    def job(
        self,
        methods: Names = PROMPT_METHODS,
        *,
        train_on: Names = TRAINING,
        test_on: Names = TESTED,
        categories: Sequence[str] = (),
        **conditions: Unpack[Conditions],
    ) -> Job:
        """A bench that was not run yet: its data sets are opened and its methods made. Raises as `bench` does."""
        stay_with(self.workspace.registry)
        given = checked(conditions)
        names = names_of(methods)
        known = resolved(names)  # a wrong name is said before data sets are opened
        trained, tested = self.opened(train_on), self.opened(test_on, categories)
        of_training, of_test = tuple(trained.values()), tuple(tested.values())
        plan = Plan(methods=names, resolved=known, train_on=of_training, test_on=of_test, **given)
        check_plan(plan)
        return Job(plan, {dataset.name: text for text, dataset in (*trained.items(), *tested.items())})

    def suite_jobs(
        self,
        suites: Sequence[Suite],
        *,
        paper_tower: bool = False,
        own_tower: Collection[str] | None = None,
        categories: Collection[str] = (),
        **words: Unpack[SuiteWords],
    ) -> list[Job]:
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
        return jobs_of(suites, catalogue, request)

    def run(
        self,
        job: Job,
        *,
        overwrite: Overwrite = "only-missing",
        cached_only: bool = False,
        processes: int = 1,
        progress: Listener = silent,
    ) -> BenchRows:
        """The rows of a job; of one of a suite that cannot run, it is logged what it lacks. Else raises as `bench`."""
        from stackclip.session.benches import Lineup, rows_of, sparing
        from stackclip.session.workers import compute_apart, died, works_of

        one_of("overwrite", overwrite, OVERWRITE)
        stay_with(self.workspace.registry)
        lineup = None
        with sparing(job, StackclipError):
            workbench = self.workbench(job.tower)
            lineup = Lineup.of(job, workbench)
        if lineup is None:
            return BenchRows()
        store = workbench.store()
        errands = [] if overwrite == "never" else workbench.lacking(store, lineup.errands)
        if errands and cached_only:
            lacking = [found for each in errands for found in store.lacking(each.samples, each.parts)]
            raise workbench.missing_parts(lineup.entrants, lacking, job.texts, self.data_root, job.plan.tiles)
        failed = workbench.encode(store, errands, progress=progress).failed if errands else ()
        if whole("processes", processes, 1) > 1 and overwrite != "never":
            deadly = compute_apart(works_of(self, job, processes, overwrite), processes, progress)
            rows = BenchRows()
            if sound := lineup.only(each.spec for each in lineup.entrants if each.spec not in deadly):
                rows += rows_of(job, workbench, sound, store, overwrite="only-missing", progress=progress)
            if rest := lineup.only(deadly):
                rows += died(rows_of(job, workbench, rest, store, overwrite="never", progress=progress))
            return BenchRows(unencoded=failed) + rows
        rows = rows_of(job, workbench, lineup, store, overwrite=overwrite, progress=progress)
        return BenchRows(unencoded=failed) + rows

    def forecast(self, job: Job, *, overwrite: Overwrite = "only-missing") -> Forecast | None:
        """What `run` would encode and compute; nothing is written. None for a job of a suite that cannot run."""
        from stackclip.session.benches import Lineup, forecast, sparing

        stay_with(self.workspace.registry)
        with sparing(job, StackclipError):
            workbench = self.workbench(job.tower)
            return forecast(workbench, Lineup.of(job, workbench), again=overwrite == "always")
        return None

    def forecast_encoding(
        self,
        datasets: Names = (TRAINING, TESTED),
        *,
        methods: Names = PROMPT_METHODS,
        split: Literal["train", "test"] | None = "test",
        categories: Sequence[str] = (),
        tiles: str | None = None,
    ) -> Forecast:
        """What `encode` would encode; nothing is written. Raises as that does."""
        workbench, errands = self.wanted(datasets, methods, split, categories, tiles)
        planned = workbench.planned(errands, workbench.found())
        pictures = sum(len(each.samples) for each in errands)
        return Forecast(planned, pictures, self.workspace.features, workbench.tower.spec.note)

    def sheet(self, job: Job, path: Path, *, progress: Listener = silent) -> None:
        """Draw what the methods of a bench that was run see in some of its pictures into a file. Raises OSError too."""
        from stackclip.inspection.examples import draw_sheet
        from stackclip.session.benches import Lineup

        stay_with(self.workspace.registry)
        workbench = self.workbench(job.tower)
        lineup = Lineup.of(job, workbench)
        with workbench.bench(lineup.plan, lineup.entrants, workbench.store(), progress=progress) as bench:
            draw_sheet(bench, path)

    def wanted(
        self,
        datasets: Names,
        methods: Names,
        split: Literal["train", "test"] | None,
        categories: Sequence[str],
        tiles: str | None,
    ) -> tuple[Workbench, tuple[Errand, ...]]:
        """The tower at work, the pictures of the data sets, and the parts that the methods read of them."""
        stay_with(self.workspace.registry)
        known = resolved(names_of(methods))
        opened = self.opened(datasets, categories)
        workbench = self.workbench()
        tiling = tiling_for(tiles, opened.values()) if tiles else None
        samples = tuple(sample for dataset in opened.values() for sample in dataset.select(split=split).samples)
        readers = readers_of(known, workbench.tower.spec, tiling)
        if tiling is not None:
            return workbench, errands_in_tiles(samples, readers)
        return workbench, (Errand(samples, stored(frozenset({MASK}).union(*(each.parts for each in readers)))),)
