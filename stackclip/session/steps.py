"""The steps between a call and its rows, for who asks and prints in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stackclip.clip.known import weights_files
from stackclip.data import Dataset
from stackclip.defaults import PROMPT_METHODS, TESTED, TRAINING
from stackclip.errors import CategoryOverlap, StackclipError, UsageError
from stackclip.executors import Executor
from stackclip.ops.progress import Listener, silent
from stackclip.papers.contests import Contest
from stackclip.registry import Spec, executors, one_of, stay_with, trackers
from stackclip.session.apart import Foreman, foreman
from stackclip.session.asking import Asking
from stackclip.session.conditions import Names, names_of
from stackclip.session.jobs import BenchWords
from stackclip.session.rows import BenchRows
from stackclip.session.work import Forecast
from stackclip.types import Row

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite

__all__ = ["Steps"]

OVERWRITE = ("only-missing", "always", "never")


class Steps(Asking):
    """What the calls of a session are made of: what contests would do, and their running."""

    def run(
        self,
        contest: Contest,
        *,
        overwrite: Overwrite = "only-missing",
        cached_only: bool = False,
        executor: str | Foreman = "serial",
        trackers: Names = (),
        progress: Listener = silent,
    ) -> BenchRows:
        """The rows of a contest; one of a suite that cannot run has none, which is logged. Else raises as `bench`.

        An `executor` shares the work, or who was `hired` from one.
        """
        from stackclip.benchmarks.tracking import tracked

        stay_with(self.workspace.registry)
        with tracked(names_of(trackers), self.workspace.told) as tracking:
            how: dict[str, Any] = {"overwrite": overwrite, "cached_only": cached_only, "executor": executor}
            rows = self._run(contest, progress=progress, told=tracking.tell, **how)
        return rows + BenchRows(untold=tracking.untold)

    def _run(
        self,
        contest: Contest,
        *,
        overwrite: Overwrite,
        cached_only: bool,
        executor: str | Foreman,
        progress: Listener,
        told: Callable[[Row], None],
    ) -> BenchRows:
        from stackclip.session.benches import Lineup, rows_by, rows_of, sparing

        one_of("overwrite", overwrite, OVERWRITE)
        if not isinstance(executor, Foreman):
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
            with self.hired("serial" if overwrite == "never" else executor, progress) as shared:
                words = BenchWords.of(replace(contest, plan=lineup.plan), overwrite)
                rows = BenchRows()
                if errands and shared:
                    rows += BenchRows(unencoded=shared.encode(words, workbench, store, lineup.errands).failed)
                elif errands:
                    rows += BenchRows(unencoded=workbench.encode(store, errands, progress=progress).failed)
                with sparing(contest, CategoryOverlap):
                    how: dict[str, Any] = {"progress": progress, "told": told}
                    if shared:
                        return rows + rows_by(shared, words, workbench, lineup, store, **how)
                    return rows + rows_of(workbench, lineup, store, overwrite=overwrite, **how)
                return rows

    def check_executor(self, executor: str) -> None:
        """Raise UsageError, or what making a component does, for what is no executor."""
        stay_with(self.workspace.registry)
        if not isinstance(executor, str):
            raise UsageError(f"executor={executor!r}; wanted text, as 'processes[workers=2]'")
        executors.create(executor)

    def check_trackers(self, names: Names) -> None:
        """Raise UsageError, or what making a component does, for what is no tracker, or needs what is not installed."""
        stay_with(self.workspace.registry)
        for name in names_of(names):
            trackers.create(name)

    @contextmanager
    def hired(self, executor: str | Foreman, progress: Listener) -> Iterator[Foreman | None]:
        """What gives work to other processes, which may be hired already; nothing where one does it all in this."""
        if isinstance(executor, Foreman):
            yield executor
            return
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
            return forecast(workbench, [Lineup.of(contest, workbench)], again=overwrite == "always")
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
