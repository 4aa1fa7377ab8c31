"""Where a process does the jobs of a session: what it opened for one serves the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from stackclip.executors import Job, Tell
from stackclip.registry import stay_with
from stackclip.session.jobs import BenchWords, EncodeWords, Encoding, Teaching, Tried, Trying

if TYPE_CHECKING:
    from stackclip.benchmarks.entrant import Errand
    from stackclip.benchmarks.runner import Bench
    from stackclip.benchmarks.seeds import OneSeed, Share
    from stackclip.cache import Extracted, Store
    from stackclip.session.benches import Lineup
    from stackclip.session.steps import Steps
    from stackclip.session.workbench import Workbench

__all__ = ["Desk"]


class Desk:
    """Does jobs of a session in whatever process it is; a copy for another one has nothing open."""

    def __init__(self, session: Steps) -> None:
        self.session = session
        self._opened: _Opened | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Desk, (self.session,)

    @property
    def any_gpu(self) -> bool:
        """Whether it works on whatever GPU it is given."""
        return self.session.backbone.device in ("auto", "cuda")

    def __call__(self, job: Job, tell: Tell) -> Any:
        """Do a job. Raises as `Session.bench` and `Session.encode` do."""
        from stackclip.clip.device import flush_denormals

        flush_denormals()  # of whatever thread this is
        kinds: Mapping[str, Callable[[Any, Tell], Any]] = {
            "encode": self._encode,
            "train": self._train,
            "test": self._test,
        }
        return kinds[job.kind](job.what, tell)

    def _encode(self, what: Encoding, tell: Tell) -> Extracted:
        from stackclip.benchmarks.entrant import Errand

        opened = self._open(what.words)
        opened.store.refresh()
        errands = [Errand(what.shard.of(each.samples), each.parts) for each in opened.errands]
        return opened.workbench.extracted(
            opened.store,
            errands,
            strict=what.strict,
            patience=what.patience,
            progress=lambda _stage, done, total: tell(done, total),
        )

    def _train(self, what: Teaching, tell: Tell) -> Tried:
        from stackclip.benchmarks.seeds import Share

        return self._tried(what.words, what.seed, Share(frozenset(what.methods), learn_only=True))

    def _test(self, what: Trying, tell: Tell) -> Tried:
        from stackclip.benchmarks.seeds import Share

        place = frozenset({(what.dataset, what.category)})
        return self._tried(what.words, what.seed, Share(frozenset(what.methods), place, taught=True))

    def _tried(self, words: BenchWords, seed: int, share: Share) -> Tried:
        rows, computed = self._open(words).of_seed(seed).run(share)
        return Tried(computed, tuple(row for row in rows if row.error))

    def _open(self, words: BenchWords | EncodeWords) -> _Opened:
        """What the words are about; the last that was opened is kept."""
        stay_with(self.session.workspace.registry)
        if self._opened is None or self._opened.words != words:
            self._opened = None
            self._opened = _opened(self.session, words)
        return self._opened


@dataclass
class _Opened:
    """A store, and the pictures or the bench that words are about."""

    words: BenchWords | EncodeWords
    workbench: Workbench
    store: Store
    errands: tuple[Errand, ...]
    lineup: Lineup | None = None
    _seed: OneSeed | None = None

    def of_seed(self, seed: int) -> OneSeed:
        """One seed of the bench, with what its methods have learned here; that of the last one is let go of."""
        if self._seed is None or self._seed.seed != seed:
            self._seed = None
            self.store.refresh()
            self._seed = self._bench.of_seed(seed)
        return self._seed

    @cached_property
    def _bench(self) -> Bench:
        assert self.lineup is not None
        assert isinstance(self.words, BenchWords)
        plan, entrants, overwrite = self.lineup.plan, self.lineup.entrants, self.words.overwrite
        return self.workbench.bench_on(self.store, plan, entrants, overwrite=overwrite)


def _opened(session: Steps, words: BenchWords | EncodeWords) -> _Opened:
    if isinstance(words, EncodeWords):
        workbench, errands, _ = session.wanted(*(getattr(words, each.name) for each in fields(words)))
        return _Opened(words, workbench, workbench.store(), errands)
    from stackclip.session.benches import Lineup

    contest = words.contest(session)
    workbench = session.workbench(contest.tower)
    lineup = Lineup.of(contest, workbench)
    return _Opened(words, workbench, workbench.store(), lineup.errands, lineup)
