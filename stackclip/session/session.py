"""A workspace and a tower, and the four things that are done with them."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from stackclip.benchmarks.plan import Plan, resolved
from stackclip.benchmarks.rows import RowFolder
from stackclip.defaults import INSPECTION_METHODS, PROMPT_METHODS, TESTED, TRAINING
from stackclip.ops.progress import Listener, silent
from stackclip.papers.published import Lookup
from stackclip.registry import stay_with
from stackclip.reports.columns import columns_named
from stackclip.reports.document import Document
from stackclip.reports.selection import Selection
from stackclip.session.conditions import Conditions, Names, checked, names_of
from stackclip.session.pictures import (
    Inspection,
    check_normal,
    deployed_set,
    object_words,
    output_folder,
    own_set,
    showing_all,
)
from stackclip.session.rows import BenchRows
from stackclip.session.site import path_of
from stackclip.session.steps import Steps
from stackclip.session.work import Encoded

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite
    from stackclip.export import Exported, GraphOptions

__all__ = ["Session"]


class Session(Steps):
    """Where work lies and which tower does it: small, frozen, and picklable. Nothing is loaded before it is needed.

    The tower is loaded once and serves all calls; a copy in another process loads its own. Nothing is printed: what is
    found and done is logged under `stackclip`, and each `progress` is told a stage, how much is done, of how much.
    Names of data sets are those of the command line: registered ones (with options, `synthetic[categories=2]`), folders
    below `data_root`, paths, `NAME=PATH`. All errors are StackclipError.
    """

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
        workbench, samples, parts = self.wanted(datasets, methods, split, categories)
        return workbench.encode(workbench.store(), samples, parts, strict=strict, patience=wait, progress=progress)

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

        Methods train on `train_on`; those that are shown normal pictures are shown some of the folder `good`, or all of
        them where they cannot do without and do not say how many. In the folder `output`, if given, each method has its
        scores in a file, and heat maps on one scale.
        Raises UsageError, DataError, WeightsError, StoreError, and StackclipError where nothing could be scored.
        """
        from stackclip.session.inspecting import Examination

        stay_with(self.workspace.registry)
        given = checked(conditions)
        normal = path_of(good)
        known = resolved(names_of(methods))
        if normal is not None and not given.get("shots"):
            known = showing_all(known)
        own = own_set(self.workspace, Path(pictures), object_words(object), normal)
        training = tuple(self.opened(train_on).values())
        plan = Plan(methods=tuple(known), train_on=training, test_on=(own,), resolved=known, **given)
        check_normal(plan, normal)
        with output_folder(path_of(output), plan.resolved) as place:
            workbench = self.workbench()
            examination = Examination(workbench, workbench.store(), plan, Path(pictures), progress)
            return examination.run(place, kept=output is not None)

    def export_onnx(
        self,
        output: PathLike[str] | str,
        *,
        object: str,  # noqa: A002 - as the verb's option is called
        method: str = INSPECTION_METHODS[0],
        good: PathLike[str] | str | None = None,
        train_on: Names = TRAINING,
        check: PathLike[str] | str | None = None,
        options: GraphOptions | None = None,
        progress: Listener = silent,
        **conditions: Unpack[Conditions],
    ) -> Exported:
        """Write a detector of `object` as an ONNX graph, with a JSON beside it that says how it is used.

        The method trains on `train_on` and is shown normal pictures of the folder `good`, as by `inspect`. The graph is
        run by onnxruntime on the pictures in the folder `check`, or on generated ones, and is kept where it says what
        the live detector says (`stackclip.export.export_onnx`). Nothing but the CPU in fp32 serves to make it.
        Raises UsageError, DataError, WeightsError, StoreError, PictureError, NotApplicable for a method of which no
        graph can be made, and StackclipError for one that is not near enough.
        """
        from stackclip.export import GraphOptions, check_words
        from stackclip.session.exporting import CHECKED_ON, Deployment, checked_pictures

        stay_with(self.workspace.registry)
        path, normal, folder = Path(output), path_of(good), path_of(check)
        check_words(path)
        words, known = object_words(object), resolved([method])
        if normal is not None and not checked(conditions).get("shots"):
            known = showing_all(known)
        [tested] = self.opened(CHECKED_ON if folder is None else str(folder)).values()
        workbench = self.workbench({"device": "cpu"} if self.backbone.device == "auto" else None)
        pictures = checked_pictures(tested, workbench.tower.picture_range)
        own = deployed_set(self.workspace, tested, words, normal)
        training = tuple(self.opened(train_on).values())
        given = {**checked(conditions), "fail_fast": True}
        plan = Plan(methods=tuple(known), train_on=training, test_on=(own,), resolved=known, **given)
        check_normal(plan, normal)
        return Deployment(workbench, plan, progress).write(path, pictures, options or GraphOptions())

    def report(
        self,
        methods: Names = (),
        *,
        train_on: Names = (),
        test_on: Names = (),
        seeds: Sequence[int] | None = None,
        per_category: bool = False,
        per_defect: bool = False,
        columns: Sequence[str] = (),
        published: bool = False,
        ci: bool = False,
    ) -> Document:
        """The rows that earlier benches kept, or some of them, as tables with notes; nothing is computed.

        `per_category` gives each category a line, `per_defect` adds tables by kind of defect, `columns` are the only
        metrics that tables show, `published` puts printed numbers beside measured ones, `ci` adds intervals and
        differences. Raises StackclipError where no row fits, UsageError for what is no metric.
        """
        metrics = columns_named(columns)
        selection = Selection(names_of(methods), names_of(train_on), names_of(test_on), seeds)
        rows = selection.of(RowFolder(self.workspace.rows))
        look = {"per_category": per_category, "per_defect": per_defect, "ci": ci}
        return Document(rows, metrics=metrics, published=Lookup() if published else None, **look)
