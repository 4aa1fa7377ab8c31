"""A workspace and a tower, and the four things that are done with them."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from stackclip.benchmarks.rows import RowFolder
from stackclip.defaults import GOOD_METHODS, PROMPT_METHODS, TESTED, TRAINING
from stackclip.ops.progress import Listener, silent
from stackclip.papers.published import Lookup
from stackclip.reports.columns import columns_named
from stackclip.reports.document import Document
from stackclip.reports.selection import Selection
from stackclip.session.conditions import Conditions, InspectionWords, Names, names_of
from stackclip.session.pictures import (
    Inspection,
)
from stackclip.session.rows import BenchRows
from stackclip.session.site import path_of
from stackclip.session.steps import Steps
from stackclip.session.work import Encoded

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite
    from stackclip.session.fitting import Fitted

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
        object: str = "",  # noqa: A002 - as the verb's option is called
        methods: Names = (),
        good: PathLike[str] | str | None = None,
        train_on: Names = TRAINING,
        output: PathLike[str] | str | None = None,
        progress: Listener = silent,
        **words: Unpack[InspectionWords],
    ) -> Inspection:
        """Score the pictures in a folder, with `object` for what they show; they need no labels, and none is read.

        Methods train on `train_on`; those that are shown normal pictures are shown some of the folder `good`, or all of
        them where they cannot do without and do not say how many. The good pictures that a method was not shown give
        the threshold of its verdicts, and its heat maps their scale; without `good` there are none. With none named the
        method is `patchcore-clip` where there are good pictures, else `stackclip`. A `detector` that `fit` saved brings
        all of that with it. In the folder `output`, if given, each method has its scores in files, and heat maps.
        Raises UsageError, DataError, WeightsError, StoreError, and StackclipError where nothing could be scored.
        """
        from stackclip.session.own import Asked, inspect

        asked = Asked(object, names_of(methods), path_of(good), train_on, words, progress)
        return inspect(self, Path(pictures), path_of(output), asked)

    def fit(
        self,
        output: PathLike[str] | str,
        *,
        object: str,  # noqa: A002 - as the verb's option is called
        good: PathLike[str] | str,
        method: str = GOOD_METHODS[0],
        train_on: Names = TRAINING,
        progress: Listener = silent,
        **words: Unpack[InspectionWords],
    ) -> Fitted:
        """Save a method that was made ready for an `object` by the pictures in the folder `good`, with its threshold.

        Raises UsageError, DataError, WeightsError, StoreError, and StackclipError for a method that needs all tested
        pictures, and for a picture that fails.
        """
        from stackclip.session.own import Asked, fit

        asked = Asked(object, (method,), path_of(good), train_on, words, progress)
        return fit(self, Path(output), asked)

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
