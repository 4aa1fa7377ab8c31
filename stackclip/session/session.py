"""A workspace and a tower, and the four things that are done with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from stackclip.benchmarks.entrant import needs_of
from stackclip.benchmarks.plan import Plan, check_plan, resolved
from stackclip.benchmarks.rows import RowFolder
from stackclip.clip.recipe import TowerRecipe
from stackclip.data import Dataset
from stackclip.defaults import BACKBONE, INSPECTION_METHODS, PROMPT_METHODS, TESTED, TRAINING
from stackclip.errors import StackclipError
from stackclip.papers.catalogue import Catalogue
from stackclip.papers.jobs import Job, Request, jobs_of
from stackclip.papers.published import Lookup
from stackclip.papers.suites import Suite
from stackclip.registry import stay_with
from stackclip.reports.document import Document
from stackclip.reports.selection import Selection
from stackclip.session.conditions import Conditions, Names, SuiteWords, checked, names_of
from stackclip.session.opening import open_datasets
from stackclip.session.pictures import Inspection, check_normal, output_folder, own_set, words_of
from stackclip.session.progress import Listener, silent
from stackclip.session.recipe import LastTower, chosen
from stackclip.session.rows import BenchRows
from stackclip.session.work import Encoded, Forecast
from stackclip.training.residency import Resident
from stackclip.types import MASK, Part, Sample
from stackclip.workspace import Workspace

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite
    from stackclip.session.workbench import Workbench

__all__ = ["Session"]


@dataclass(frozen=True, init=False)
class Session:
    """Where work lies and which tower does it: small, frozen, and picklable. Nothing is loaded before it is needed.

    The tower is loaded once and serves all calls; a copy in another process loads its own. Nothing is printed: what is
    found and done is logged under `stackclip`, and each `progress` is told a stage, how much is done, of how much.
    Names of data sets are those of the command line: registered ones (with options, `synthetic[categories=2]`), folders
    below `data_root`, paths, `NAME=PATH`. All errors are StackclipError.
    """

    workspace: Workspace
    backbone: TowerRecipe
    data_root: Path | None
    batch_size: int
    workers: int
    resident: Resident
    _towers: LastTower = field(init=False, repr=False, compare=False)

    def __init__(
        self,
        workspace: Workspace | PathLike[str] | str | None = None,
        backbone: TowerRecipe | str = BACKBONE,
        *,
        data_root: PathLike[str] | str | None = None,
        batch_size: int = 8,
        workers: int = 2,
        resident: Resident = "auto",
    ) -> None:
        """`workspace` is a folder with `registry/` and `cache/`, whose components run; else what the command takes.

        `backbone` is a name, or a recipe with weights and picture size. Pictures are encoded `batch_size` at a time and
        read by `workers` threads; `resident` says where features stay that are read again (auto, gpu, ram or off).
        """
        found = workspace if isinstance(workspace, Workspace) else Workspace.find(_path(workspace))
        recipe = backbone if isinstance(backbone, TowerRecipe) else TowerRecipe(backbone)
        facts = (found, recipe, _path(data_root), batch_size, workers, resident, LastTower())
        for place, value in zip(fields(self), facts, strict=True):
            object.__setattr__(self, place.name, value)

    def bench(
        self,
        methods: Names = PROMPT_METHODS,
        *,
        train_on: Names = TRAINING,
        test_on: Names = TESTED,
        categories: Sequence[str] = (),
        overwrite: Overwrite = "only-missing",
        cached_only: bool = False,
        progress: Listener = silent,
        **conditions: Unpack[Conditions],
    ) -> BenchRows:
        """Train methods on data sets, test them on others, and give a row for each method, category and seed.

        What is not encoded is, unless `cached_only` says that it is an error. Cells that are on disk are taken from
        there; `overwrite` computes those that are missing (only-missing), all (always) or none (never).
        Raises UsageError, DataError, WeightsError, CategoryOverlap, MissingParts, StoreError. What goes wrong with one
        method or cell is the `error` of its rows.
        """
        job = self.job(methods, train_on=train_on, test_on=test_on, categories=categories, **conditions)
        return self.run(job, overwrite=overwrite, cached_only=cached_only, progress=progress)

    def encode(
        self,
        datasets: Names = (TRAINING, TESTED),
        *,
        methods: Names = PROMPT_METHODS,
        split: Literal["train", "test"] | None = "test",
        categories: Sequence[str] = (),
        strict: bool = False,
        wait: float = 0.0,
        progress: Listener = silent,
    ) -> Encoded:
        """Encode what methods read of a split of data sets (None: of all) and the store lacks.

        A picture that cannot be used is among `failed` and the rest goes on; with `strict` it is raised as
        PictureError. Another process that writes to the store is waited for as many seconds as `wait` says, after which
        StoreLocked is raised. Raises UsageError, DataError, WeightsError, StoreError too.
        """
        workbench, samples, parts = self._wanted(datasets, methods, split, categories)
        return workbench.encode(workbench.store(), samples, parts, strict=strict, patience=wait, progress=progress)

    def forecast_encoding(
        self,
        datasets: Names = (TRAINING, TESTED),
        *,
        methods: Names = PROMPT_METHODS,
        split: Literal["train", "test"] | None = "test",
        categories: Sequence[str] = (),
    ) -> Forecast:
        """What `encode` would encode; nothing is written. Raises as that does."""
        workbench, samples, parts = self._wanted(datasets, methods, split, categories)
        planned = workbench.planned(samples, parts)
        return Forecast(planned, len(samples), self.workspace.features, workbench.tower.spec.note)

    def inspect(
        self,
        pictures: PathLike[str] | str,
        *,
        object: str,  # noqa: A002 - as the verb's option is called
        methods: Names = INSPECTION_METHODS,
        good: PathLike[str] | str | None = None,
        train_on: Names = TRAINING,
        output: PathLike[str] | str | None = None,
        progress: Listener = silent,
        **conditions: Unpack[Conditions],
    ) -> Inspection:
        """Score the pictures in a folder, with `object` for what they show; they need no labels, and none is read.

        Methods train on `train_on`; those that are shown normal pictures are shown some of the folder `good`. In the
        folder `output`, if given, each method has its scores in a file, and heat maps on one scale.
        Raises UsageError, DataError, WeightsError, StoreError, and StackclipError where nothing could be scored.
        """
        from stackclip.session.inspecting import Examination

        stay_with(self.workspace.registry)
        given = checked(conditions)
        known = resolved(names_of(methods))
        normal = _path(good)
        own = own_set(self.workspace, Path(pictures), words_of(object), normal)
        training = tuple(self._open(train_on).values())
        plan = Plan(methods=names_of(methods), train_on=training, test_on=(own,), resolved=known, **given)
        check_normal(plan, normal)
        with output_folder(_path(output), plan.resolved) as place:
            workbench = self._workbench()
            examination = Examination(workbench, workbench.store(), plan, Path(pictures), progress)
            return examination.run(place, kept=output is not None)

    def report(
        self,
        methods: Names = (),
        *,
        train_on: Names = (),
        test_on: Names = (),
        seeds: Sequence[int] | None = None,
        per_category: bool = False,
        published: bool = False,
        ci: bool = False,
    ) -> Document:
        """The rows that earlier benches kept, or some of them, as tables with notes; nothing is computed.

        `per_category` gives each category a line, `published` puts printed numbers beside measured ones, `ci` adds
        intervals and differences. Raises StackclipError where no row fits.
        """
        selection = Selection(names_of(methods), names_of(train_on), names_of(test_on), seeds)
        rows = selection.of(RowFolder(self.workspace.rows))
        return Document(rows, per_category=per_category, published=Lookup() if published else None, ci=ci)

    def sheet(self, job: Job, path: Path, *, progress: Listener = silent) -> None:
        """Draw what the methods of a bench that was run see in some of its pictures into a file. Raises OSError too."""
        from stackclip.inspection.predictions import draw_sheet
        from stackclip.session.benches import Lineup

        stay_with(self.workspace.registry)
        workbench = self._workbench(job.tower)
        lineup = Lineup.of(job, workbench)
        with workbench.bench(lineup.plan, lineup.entrants, workbench.store(), progress=progress) as bench:
            draw_sheet(bench, path)

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
        trained, tested = self._open(train_on), self._open(test_on, categories)
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
        own = chosen(self.backbone) if own_tower is None else own_tower
        request = Request.of(given, categories=categories, paper_tower=paper_tower, own_tower=own)
        catalogue = Catalogue(lambda text: self._open(text)[text])
        catalogue.make(given.get("methods", ()))  # a wrong name is said before data sets are opened
        return jobs_of(suites, catalogue, request)

    def run(
        self, job: Job, *, overwrite: Overwrite = "only-missing", cached_only: bool = False, progress: Listener = silent
    ) -> BenchRows:
        """The rows of a job; of one of a suite that cannot run, it is logged what it lacks. Else raises as `bench`."""
        from stackclip.session.benches import Lineup, rows_of, sparing

        stay_with(self.workspace.registry)
        lineup = None
        with sparing(job, StackclipError):
            workbench = self._workbench(job.tower)
            lineup = Lineup.of(job, workbench)
        if lineup is None:
            return BenchRows()
        store = workbench.store()
        lacking = () if overwrite == "never" else store.lacking(lineup.samples, lineup.parts)
        store.keep_readings()
        if lacking and cached_only:
            raise workbench.missing_parts(lineup.entrants, lacking, job.texts, self.data_root)
        failed = workbench.encode(store, lineup.samples, lineup.parts, progress=progress).failed if lacking else ()
        rows = rows_of(job, workbench, lineup, store, overwrite=overwrite, progress=progress)
        return BenchRows(unencoded=failed) + rows

    def forecast(self, job: Job, *, overwrite: Overwrite = "only-missing") -> Forecast | None:
        """What `run` would encode and compute; nothing is written. None for a job of a suite that cannot run."""
        from stackclip.session.benches import Lineup, forecast, sparing

        stay_with(self.workspace.registry)
        with sparing(job, StackclipError):
            workbench = self._workbench(job.tower)
            return forecast(workbench, Lineup.of(job, workbench), again=overwrite == "always")
        return None

    def _workbench(self, other: Mapping[str, Any] | None = None) -> Workbench:
        """The tower at work in the workspace, with some `other` fields of its recipe."""
        from stackclip.session.workbench import Workbench

        recipe = replace(self.backbone, **(other or {}))
        return Workbench(self.workspace, recipe, self._towers.of(recipe), self.batch_size, self.workers, self.resident)

    def _wanted(
        self, datasets: Names, methods: Names, split: Literal["train", "test"] | None, categories: Sequence[str]
    ) -> tuple[Workbench, list[Sample], frozenset[Part]]:
        """The tower at work, the pictures of the data sets, and the parts that the methods read of them."""
        stay_with(self.workspace.registry)
        known = resolved(names_of(methods))
        opened = self._open(datasets, categories)
        workbench = self._workbench()
        samples = [sample for dataset in opened.values() for sample in dataset.select(split=split).samples]
        needs = (needs_of(method, workbench.tower.spec, name=name) for name, method in known.items())
        return workbench, samples, frozenset({MASK}).union(*needs)

    def _open(self, texts: Names, categories: Sequence[str] = ()) -> dict[str, Dataset]:
        generated, data_root = self.workspace.generated, self.data_root
        return open_datasets(names_of(texts), generated=generated, data_root=data_root, categories=categories)


def _path(place: PathLike[str] | str | None) -> Path | None:
    return None if place is None else Path(place)
