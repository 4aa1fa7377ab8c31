"""Jobs on a Ray cluster: each worker is a process of its own that a Ray actor speaks for."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stackclip.errors import BadOption, UsageError
from stackclip.executors.job import Ask, Do, Done, Job, Run, Told
from stackclip.executors.processes import Hand, ended
from stackclip.executors.worker import PATIENCE, Station
from stackclip.registry import executors

__all__ = ["OnRay", "Post"]

_OBJECTS = 100 << 20  # bytes that a cluster of our own keeps objects in: jobs and results are small
_ANSWER = 10.0  # seconds in which a cluster answers at all
_LOOK = 1.0  # seconds between two looks at how far jobs are


@executors.register("ray")
class OnRay:
    """Processes of a Ray cluster (the extra `ray`): so many `workers`, each with `gpus` of its own.

    `address` names a cluster as Ray does: `auto`, `HOST:PORT`. Without one, a small one is started on this machine and
    taken down at the end. All see the workspace and the data at the same paths.
    """

    apart = True

    def __init__(self, *, workers: int = 2, address: str = "", gpus: float = 0.0) -> None:
        if workers < 1 or gpus < 0:
            raise BadOption(f"ray: workers={workers}, gpus={gpus:g}; wanted 1 worker or more, and no GPU or some")
        self.workers, self.address, self.gpus = workers, address, gpus

    @contextmanager
    def hired(self, do: Do) -> Iterator[Run]:
        """Actors that are started when there are jobs for them, and ended with the block.

        Raises UsageError where Ray is not installed, or there is no such cluster.
        """
        ray = _ray()
        with _cluster(ray, self):
            crew = _Crew(ray, do, self)
            try:
                yield crew.run
            finally:
                crew.end()


class Post:
    """What an actor is: it has a worker process on its machine, and speaks for it."""

    def __init__(self, do: Do, place: Station, home: str) -> None:
        with suppress(OSError):  # what is named by relative paths is looked for where the driver has it
            os.chdir(home)
        self._how = do, place
        self._hand = Hand(*self._how)
        self._reached = 0, 0

    def do(self, job: Job) -> Done:
        """Have the process do a job; where it dies, another one takes its place."""
        self._reached = 0, 0
        self._hand.give(job)
        while (done := self._hand.heard(self._far)) is None:
            pass
        if done.died:
            self._hand = Hand(*self._how)
        return done

    def reached(self) -> tuple[int, int]:
        """How much of the job is done, of how much."""
        return self._reached

    def end(self) -> None:
        """End the process; what it gathered is sealed."""
        ended([self._hand])

    def _far(self, job: Job, done: int, total: int) -> None:
        self._reached = done, total


class _Crew:
    """The actors of an executor."""

    def __init__(self, ray: Any, do: Do, how: OnRay) -> None:
        self.ray, self.workers = ray, how.workers
        actor: Any = ray.remote(num_cpus=1, num_gpus=how.gpus, max_restarts=0, max_concurrency=2)(Post)
        place = Station(1 if how.address else how.workers)  # elsewhere Ray says which cores and GPUs there are
        self._hire: Callable[[], Any] = lambda: actor.remote(do, place, str(Path.cwd()))
        self.idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, Job]] = {}

    def run(self, ask: Ask, told: Told) -> Iterator[Done]:
        while True:
            self._hand_out(ask)
            if not self.busy:
                return
            ready, _ = self.ray.wait(list(self.busy), timeout=_LOOK)
            if not ready:
                self._look(told)
            for reference in ready:
                yield self._outcome(reference)

    def _hand_out(self, ask: Ask) -> None:
        while self.idle or len(self.busy) < self.workers:
            if (job := ask()) is None:
                return
            actor: Any = self.idle.pop() if self.idle else self._hire()
            self.busy[actor.do.remote(job)] = actor, job

    def _outcome(self, reference: Any) -> Done:
        actor, job = self.busy.pop(reference)
        try:
            done: Done = self.ray.get(reference)
        except self.ray.exceptions.RayError:  # the actor, or its machine, is gone
            return Done(job, died=True)
        self.idle.append(actor)
        return done

    def _look(self, told: Told) -> None:
        for actor, job in tuple(self.busy.values()):
            with suppress(self.ray.exceptions.RayError):  # dead, or only just starting
                told(job, *self.ray.get(actor.reached.remote(), timeout=_LOOK))

    def end(self) -> None:
        """End all actors; those at work seal what they have gathered."""
        actors = [*self.idle, *(actor for actor, _ in self.busy.values())]
        if actors:
            self.ray.wait([actor.end.remote() for actor in actors], num_returns=len(actors), timeout=PATIENCE)
        for actor in actors:
            self.ray.kill(actor)


@contextmanager
def _cluster(ray: Any, how: OnRay) -> Iterator[None]:
    """The cluster that is wanted: one that runs, or a small one that is taken down at the end."""
    if ray.is_initialized():
        yield
        return
    where: dict[str, Any] = {"address": how.address}
    if not how.address:
        where = {"num_cpus": how.workers, "object_store_memory": _OBJECTS, "include_dashboard": False}
    _check_there(how.address)
    try:
        with _signals_kept():
            ray.init(**where, configure_logging=False, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"no Ray cluster at {how.address or 'this machine'}: {str(error).splitlines()[0]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_there(address: str) -> None:
    """Raise UsageError where nobody answers at HOST:PORT, which Ray would ask for many minutes."""
    host, _, port = address.rpartition(":")
    if "://" in address or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray cluster at {address}: {getattr(error, 'strerror', None) or error}") from None


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray answers SIGTERM by ending the process on the spot; who called us knows better."""
    ours = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    yield
    if ours:
        signal.signal(signal.SIGTERM, before)


def _ray() -> Any:
    """Ray, which tells nobody that it is used; raises UsageError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray").setLevel(logging.WARNING)
    try:
        import ray
    except ImportError:
        raise UsageError("ray is not installed: pip install 'stackclip[ray]', or use processes[workers=N]") from None
    return ray
