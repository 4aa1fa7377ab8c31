"""A workspace and a tower, and the four things that are done with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.sets import reported
from stackclip.benchmarks.sidecars import Sidecars
from stackclip.defaults import PROMPT_METHODS, TESTED, TRAINING
from stackclip.ops.progress import Listener, silent
from stackclip.ops.shards import Shard
from stackclip.papers.contests import worded
from stackclip.papers.published import Lookup
from stackclip.reports.columns import columns_named
from stackclip.reports.document import Document, Judging
from stackclip.reports.selection import Selection, transferred
from stackclip.session.conditions import Names, SelectionWords, names_of
from stackclip.session.jobs import EncodeWords
from stackclip.session.own_pictures import OwnPictures
from stackclip.session.question import SELECTION, refuse_jitter, refuse_shard
from stackclip.session.rows import BenchRows
from stackclip.session.studying import Studies
from stackclip.session.together import Together
from stackclip.session.work import Encoded

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite

__all__ = ["Session"]


class Session(OwnPictures, Studies):
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
        executor: str = "serial",
        shard: str | None = None,
        trackers: Names = (),
        prompt_jitter: int = 0,
        progress: Listener = silent,
        **conditions: Unpack[SelectionWords],
    ) -> BenchRows:
        """Train methods on data sets, test them on others, and give a row for each method, category and seed.

        What is not encoded is, unless `cached_only` says that it is an error. Cells that are on disk are taken from
        there; `overwrite` computes those that are missing (only-missing), all (always) or none (never). An
        `executor` shares the work: `processes[workers=4]`, `ray[workers=8]` (`list executors`). A `shard`, `2/8`, is
        the second of eight parts of the methods and seeds, whatever is there already. Each of the `trackers`
        (`mlflow[uri=mlruns]`; `list trackers`) is told of the rows that it was not told yet. With
        `prompt_jitter` all is measured in so many draws of equivalent words too: tables show how far they move methods.
        With `select` each grid among the methods has one row a cell, of the point that is taken (`selecting`).
        Raises UsageError, DataError, WeightsError, CategoryOverlap, MissingParts, StoreError. What goes wrong with one
        method or cell is the `error` of its rows.
        """
        if shard is not None:
            Shard.parse(shard)
        self.check_executor(executor)
        self.check_trackers(trackers)
        how: dict[str, Any] = {"overwrite": overwrite, "cached_only": cached_only, "executor": executor}
        how["trackers"] = trackers
        words: dict[str, Any] = {"train_on": train_on, "test_on": test_on, "categories": categories, **conditions}
        if (selecting := self.selecting(methods, **words)) is not None:
            refuse_shard(shard)
            refuse_jitter(prompt_jitter)
            return selecting.run(progress=progress, **how)
        contest = self.contest(methods, **{name: words[name] for name in words if name not in SELECTION})
        return Together(self, worded(contest, prompt_jitter)).part(shard).run(progress=progress, **how)

    def encode(
        self,
        datasets: Names = (TRAINING, TESTED),
        *,
        methods: Names = PROMPT_METHODS,
        split: Literal["train", "test"] | None = "test",
        categories: Sequence[str] = (),
        tiles: str | None = None,
        strict: bool = False,
        wait: float = 0.0,
        executor: str = "serial",
        shard: str | None = None,
        progress: Listener = silent,
    ) -> Encoded:
        """Encode what methods read of a split of data sets (None: of all) and the store lacks.

        With `tiles` it is what they read of tested pictures, and of shots, in tiles: as in `bench`.
        A picture that cannot be used is among `failed` and the rest goes on; with `strict` it is raised as
        PictureError. Others may write to the store too; one who repairs it is waited for as many seconds as `wait`
        says, after which StoreLocked is raised. An `executor` shares the work, as in `bench`; a `shard`, `2/8`, is the
        second of eight parts of the pictures, whatever is there already. Raises UsageError, DataError, WeightsError,
        StoreError too.
        """
        self.check_executor(executor)
        workbench, errands, opened = self.wanted(datasets, methods, split, categories, tiles, shard)
        store = workbench.store()
        with self.hired(executor, progress) as shared:
            if shared is None:
                encoded = workbench.encode(store, errands, strict=strict, patience=wait, progress=progress)
            else:
                words = EncodeWords(names_of(datasets), names_of(methods), split, tuple(categories), tiles, shard)
                encoded = shared.encode(words, workbench, store, errands, strict=strict, patience=wait)
            return replace(encoded, datasets=opened)

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
        transfer: Names = (),
        **judged: Unpack[Judging],
    ) -> Document:
        """The rows that earlier benches kept, or some of them, as tables with notes; nothing is computed.

        `per_category` gives each category a line, `per_defect` adds tables by kind of defect, `columns` are the only
        metrics that tables show, `published` puts printed numbers beside measured ones, `ci` adds intervals and
        differences; what these are over, what it takes to find them, and ranks, are `judged`. `transfer` are data sets
        between which methods were trained and tested, as tables of who teaches whom. Raises StackclipError where no row
        fits, UsageError for what is no metric.
        """
        metrics = columns_named(columns)
        selection = Selection(names_of(methods), names_of(train_on), names_of(test_on), seeds)
        folder = RowFolder(self.workspace.rows)
        rows = selection.of(folder)
        known = reported(folder.entries()) if any(facts_of(row).selected for row in rows) else ()
        look: dict[str, Any] = {"per_category": per_category, "per_defect": per_defect, "ci": ci, **judged}
        if sets := names_of(transfer):
            rows, look["transfer"] = transferred(rows, sets)
        printed, find = Lookup() if published else None, Sidecars(folder).of
        return Document(rows, metrics=metrics, published=printed, find=find, known=known, **look)
