"""The life of a process that does jobs for another one: it takes them from a pipe, and ends when the pipe does."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, NoReturn

from stackclip.errors import StackclipError
from stackclip.executors.job import Do, Done, Job, Tell
from stackclip.registry import ask_to_stop, reason

__all__ = ["PATIENCE", "STOP", "Station", "attempt", "work"]

STOP = "stop"  # comes in place of a job
PATIENCE = 20.0  # seconds in which a process that is to stop has sealed what it gathered
_PAUSE = 0.1  # seconds between two messages on how far a job is


@dataclass(frozen=True)
class Station:
    """Where a process works: one of so many on this machine, on the GPU that CUDA calls so, if that is said."""

    workers: int
    gpu: str = ""


def attempt(do: Do, job: Job, tell: Tell) -> Done:
    """Do a job; what it raises is what became of it, and a person's wish to stop goes through."""
    try:
        return Done(job, do(job, tell))
    except Exception as error:
        known = type(error).__module__ == StackclipError.__module__  # which another process can unpickle
        return Done(job, error=error if known else StackclipError(reason(error)))


def work(pipe: Connection, do: Do, place: Station) -> None:
    """Do the jobs that come through a pipe until one is None.

    At STOP, and where the pipe ends with the process at its other end, what is being done is stopped as by Ctrl-C: what
    is gathered is sealed. After PATIENCE seconds it ends on the spot.
    """
    jobs: SimpleQueue[Job | None] = SimpleQueue()
    with suppress(KeyboardInterrupt):  # told to stop, which may be as soon as that can be heard
        _settle_in(place, any_gpu=getattr(do, "any_gpu", True))
        threading.Thread(target=_listen, args=(pipe, jobs.put), daemon=True).start()
        with suppress(OSError):  # nobody is there to be told
            while (job := jobs.get()) is not None:
                pipe.send(attempt(do, job, _telling(pipe)))
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _settle_in(place: Station, *, any_gpu: bool) -> None:
    """Take a share of the machine, and its own GPU; leave Ctrl-C, and stdout, to who started this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # who started this one blocked it for so long
    with suppress(OSError):
        os.dup2(2, 1)  # an answer is not to be mixed with what a component prints
    if place.gpu and any_gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = place.gpu  # before CUDA begins, so `auto` is this one
    from stackclip.ops.memory import share_memory

    share_memory(place.workers)
    logging.getLogger("stackclip").setLevel(logging.CRITICAL)  # who started it says what became of the work
    import torch

    torch.set_num_threads(max(1, min(torch.get_num_threads(), _cores() // place.workers)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _stop(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is being sealed is not to be disturbed
    raise ask_to_stop(128 + number)


def _listen(pipe: Connection, put: Callable[[Job | None], None]) -> None:
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            job = STOP
        if job == STOP:
            break
        put(job)
        if job is None:
            return
    put(None)
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)  # wakes it, whatever it waits for
    else:
        _thread.interrupt_main(signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)


def _telling(pipe: Connection) -> Tell:
    """What sends on how far a job is, now and then."""
    last = 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= _PAUSE:
            last = time.monotonic()
            message: Any = (done, total)
            pipe.send(message)

    return tell
