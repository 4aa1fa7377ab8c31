"""The benches of one question: what they would do together, and their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stackclip.ops.progress import Listener, silent
from stackclip.ops.shards import Shard
from stackclip.papers.contests import Contest
from stackclip.session.jobs import sharded
from stackclip.session.question import refuse_shard
from stackclip.session.rows import BenchRows

if TYPE_CHECKING:
    from stackclip.session.selecting import Selecting, SelectionForecast
    from stackclip.session.transferring import Transferring
    from stackclip.session.work import Forecast
    from stackclip.studies.transfer import Transfer

__all__ = ["Together"]


@dataclass(frozen=True)
class Together:
    """Benches of a session; `selecting` and `transfer` say what they are of, where it is that."""

    session: Transferring
    contests: Sequence[Contest]
    selecting: Selecting | None = None
    transfer: Transfer | None = None

    def part(self, shard: str | None) -> Together:
        """The benches of a shard, where one is asked for. Raises UsageError where that cannot be."""
        if shard is None:
            return self
        if self.selecting is not None:
            refuse_shard(shard)
        return replace(self, contests=sharded(list(self.contests), Shard.parse(shard)))

    def forecasts(self, overwrite: Any) -> Iterator[Forecast | SelectionForecast]:
        """What would be encoded and computed; nothing is written."""
        session = self.session
        if self.selecting is not None:
            yield self.selecting.forecast(overwrite=overwrite)
        elif self.transfer is not None:
            yield from filter(None, [session.forecast_all(self.contests, overwrite=overwrite)])
        else:
            yield from filter(None, (session.forecast(each, overwrite=overwrite) for each in self.contests))

    def run(self, *, executor: str = "serial", progress: Listener = silent, **how: Any) -> BenchRows:
        """The rows of all benches; the same processes serve all of them. `how` and what is raised is as in `run`."""
        if self.selecting is not None:
            return self.selecting.run(executor=executor, progress=progress, **how)
        session = self.session
        session.check_executor(executor)
        with session.hired("serial" if how.get("overwrite") == "never" else executor, progress) as hired:
            asked: dict[str, Any] = {"executor": hired or "serial", "progress": progress, **how}
            if self.transfer is not None and hired is None:
                session.encode_together(self.contests, **asked)
            return sum((session.run(each, **asked) for each in self.contests), BenchRows())
