"""A bench in several processes: each computes some of its cells and keeps them, and the session finds them there.

What is sent is work as data, small and picklable: which cells, by the names that were typed. The features are read from
the store, rows and heads are kept as always, so a worker that dies costs what it was at, and nothing else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from stackclip.ops.progress import Listener
from stackclip.ops.words import counted
from stackclip.papers.jobs import Job
from stackclip.session.conditions import Conditions

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite
    from stackclip.session.steps import Steps

__all__ = ["Work", "compute_apart", "works_of"]

logger = logging.getLogger("stackclip")

TRIES = 3  # of work at which a worker died


@dataclass(frozen=True)
class Work:
    """Some methods and one seed of a bench, for a session in another process."""

    session: Steps
    methods: tuple[str, ...]
    train_on: tuple[str, ...]
    test_on: tuple[str, ...]
    categories: tuple[str, ...]
    conditions: Mapping[str, Any]
    tower: Mapping[str, Any]
    overwrite: Overwrite

    def run(self) -> int:
        """Compute its cells, and keep them; how many there were. Raises as `Steps.run` does."""
        from dataclasses import replace

        job = self.session.job(
            self.methods, train_on=self.train_on, test_on=self.test_on, categories=self.categories, **self.conditions
        )
        return self.session.run(replace(job, tower=self.tower), overwrite=self.overwrite, cached_only=True).computed


def works_of(session: Steps, job: Job, processes: int, overwrite: Overwrite) -> list[Work]:
    """The cells of a job, cut by seeds, and by methods too where there are fewer seeds than processes."""
    plan = job.plan
    own = {each.name for each in fields(plan)} & Conditions.__annotations__.keys()
    conditions = {name: getattr(plan, name) for name in own} | {"executor": "serial", "fail_fast": False}
    pieces = min(len(plan.methods), -(-processes // len(plan.seeds)))
    names = [dataset.name for dataset in (*plan.train_on, *plan.test_on)]
    texts = [job.texts[name] for name in names]
    categories = tuple(dict.fromkeys(category for dataset in plan.test_on for category in dataset.categories))
    return [
        Work(
            session,
            tuple(plan.resolved)[piece::pieces],
            tuple(texts[: len(plan.train_on)]),
            tuple(texts[len(plan.train_on) :]),
            categories,
            {**conditions, "seeds": (seed,)},
            dict(job.tower),
            overwrite,
        )
        for seed in plan.seeds
        for piece in range(pieces)
    ]


def compute_apart(works: Sequence[Work], processes: int, progress: Listener) -> None:
    """Have works computed by so many processes; what fails or dies there is left to who asks for the rows.

    Work at which a process died is tried TRIES times, as the death of one ends the others too.
    """
    left, done = list(works), 0
    for attempt in range(TRIES):
        with ProcessPoolExecutor(
            processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(processes,)
        ) as pool:
            futures: dict[Future[int], Work] = {pool.submit(_run, work): work for work in left}
            try:
                while futures:
                    finished, _ = wait(futures, return_when=FIRST_COMPLETED)
                    for future in finished:
                        _say(future)
                        left.remove(futures.pop(future))
                        done += 1
                        progress("processes", done, len(works))
                return
            except BrokenProcessPool:
                logger.warning(
                    "a process died at its work; %s left, try %d of %d", counted(len(left), "piece"), attempt + 1, TRIES
                )
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    logger.warning("processes died %d times: the rest is computed here", TRIES)


def _say(future: Future[int]) -> None:
    """Raise BrokenProcessPool where the worker died; what went wrong otherwise will be a row, and is said."""
    try:
        future.result()
    except BrokenProcessPool:
        raise
    except Exception as error:
        logger.warning("in another process: %s", error)


def _begin(processes: int) -> None:
    """Share the cores among the processes."""
    import torch

    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // processes)))
    logging.getLogger("stackclip").setLevel(logging.ERROR)


def _run(work: Work) -> int:
    return work.run()
