"""A bench in several processes: each computes some of its cells and keeps them, and the session finds them there.

What is sent is work as data, small and picklable: which cells, by the names that were typed. The features are read from
the store, rows and heads are kept as always, so a worker that dies costs what it was at, and nothing else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields, replace
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from stackclip.ops.progress import Listener
from stackclip.ops.words import counted
from stackclip.papers.contests import Contest
from stackclip.session.conditions import Conditions
from stackclip.session.rows import BenchRows

if TYPE_CHECKING:
    from stackclip.benchmarks.runner import Overwrite
    from stackclip.session.steps import Steps

__all__ = ["Work", "compute_apart", "died", "works_of"]

logger = logging.getLogger("stackclip")

TRIES = 3  # of work at which a process died


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
        contest = self.session.contest(
            self.methods, train_on=self.train_on, test_on=self.test_on, categories=self.categories, **self.conditions
        )
        return self.session.run(replace(contest, tower=self.tower), overwrite=self.overwrite, cached_only=True).computed


def works_of(session: Steps, contest: Contest, processes: int, overwrite: Overwrite) -> list[Work]:
    """The cells of a contest, cut by seeds, and by methods too where there are fewer seeds than processes."""
    plan = contest.plan
    own = {each.name for each in fields(plan)} & Conditions.__annotations__.keys()
    conditions = {name: getattr(plan, name) for name in own} | {"executor": "serial", "fail_fast": False}
    pieces = min(len(plan.methods), -(-processes // len(plan.seeds)))
    names = [dataset.name for dataset in (*plan.train_on, *plan.test_on)]
    texts = [contest.texts[name] for name in names]
    categories = tuple(dict.fromkeys(category for dataset in plan.test_on for category in dataset.categories))
    return [
        Work(
            session,
            tuple(plan.resolved)[piece::pieces],
            tuple(texts[: len(plan.train_on)]),
            tuple(texts[len(plan.train_on) :]),
            categories,
            {**conditions, "seeds": (seed,)},
            dict(contest.tower),
            overwrite,
        )
        for seed in plan.seeds
        for piece in range(pieces)
    ]


def compute_apart(works: Sequence[Work], processes: int, progress: Listener) -> frozenset[str]:
    """Have works computed by so many processes; the methods are given at whose work a process died TRIES times.

    The death of one ends the others too, so each method that is left after one has a process of its own. What fails
    otherwise is left to who asks for the rows.
    """
    left, computed = list(works), 0

    def tell(work: Work, cells: int) -> None:
        nonlocal computed
        left.remove(work)
        computed += cells
        progress("processes", len(works) - len(left), len(works))

    whole = _together(works, processes, tell)
    logger.info("%s computed in %d processes", counted(computed, "cell"), processes)
    if whole:
        return frozenset()
    logger.warning("a process died at its work: %s, each by a process of its own", counted(len(left), "piece"))
    alone = [replace(work, methods=(method,)) for work in left for method in work.methods]
    deadly = set[str]()
    for number, work in enumerate(alone, start=1):
        if not any(_together([work], 1, lambda *_: None) for _ in range(TRIES - 1)):
            logger.warning("a process died %d times at %s", TRIES, *work.methods)
            deadly.update(work.methods)
        progress("processes", number, len(alone))
    return frozenset(deadly)


def died(rows: BenchRows) -> BenchRows:
    """Rows of methods at whose work processes died, those that are missing with that as their error."""
    error = f"a process died {TRIES} times at it"
    return replace(rows, rows=tuple(replace(row, error=error) if row.error else row for row in rows))


def _together(works: Sequence[Work], processes: int, tell: Callable[[Work, int], None]) -> bool:
    """Compute works in a pool, and tell of each that is done; False where a process died."""
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(processes,)) as pool:
        futures: dict[Future[int], Work] = {pool.submit(_run, work): work for work in works}
        try:
            while futures:
                finished, _ = wait(futures, return_when=FIRST_COMPLETED)
                for future in finished:
                    cells = _cells_of(future)
                    tell(futures.pop(future), cells)
        except BrokenProcessPool:
            return False
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return True


def _cells_of(future: Future[int]) -> int:
    """How many cells were computed; what went wrong is said, and will be a row. Raises BrokenProcessPool."""
    try:
        return future.result()
    except BrokenProcessPool:
        raise
    except Exception as error:
        logger.warning("in another process: %s", error)
        return 0


def _begin(processes: int) -> None:
    """Share the cores among the processes."""
    import torch

    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // processes)))
    logging.getLogger("stackclip").setLevel(logging.ERROR)


def _run(work: Work) -> int:
    return work.run()
