"""What a hub, a network or a disk answered when weights were asked for, as one line that says what to do."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from stackclip.errors import StackclipError, WeightsError
from stackclip.ops.words import duration, legible, one_line

__all__ = ["asked_wait", "refusals", "status_of"]

_ELSEWHERE = "point HF_HOME at a cache that holds them, or give --weights FILE"
_UNREACHABLE = ("ConnectError", "ConnectionError", "URLError", "gaierror", "ProxyError")
_SLOW = ("TimeoutException", "TimeoutError", "Timeout")
_BROKEN = ("RemoteProtocolError", "ReadError", "IncompleteRead")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
_LONGEST = 200  # letters of an error that is none of those known here


@contextmanager
def refusals(name: str, repository: str, cache: Path) -> Iterator[None]:
    """Whatever ends a download of the weights `name` is a WeightsError: what happened, and what to do.

    The kinds of errors are told by name, as the hub's client has changed the library that it speaks HTTP with.
    """
    try:
        yield
    except StackclipError:
        raise
    except Exception as error:  # hub, network and file system raise kinds of their own
        chain = list(_chain(error))
        told = (_told(each, repository, cache) for each in chain)
        what, todo = next(filter(None, (*told, *map(_unreached, chain))), _unknown(error))
        raise WeightsError(f"the weights {name} could not be downloaded: {what}: {todo}") from error


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error stands for, if it does for one."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if status is not None else getattr(error, "code", None)


def asked_wait(error: BaseException) -> float | None:
    """The seconds that an answer asks to wait for (`Retry-After`, or the hub's own `RateLimit`); None where none."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or getattr(error, "headers", None) or {}
    said = str(headers.get("Retry-After") or "").strip()
    if said.isdecimal():
        return float(said)
    if said:
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
        except ValueError:  # neither seconds nor a date
            return None
    limit = re.search(r"\bt\s*=\s*(\d+)", str(headers.get("RateLimit") or ""))
    return float(limit[1]) if limit else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what lies below it, each once."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None)]


def _told(error: BaseException, repository: str, cache: Path) -> tuple[str, str] | None:
    """What happened and what to do, where an error is of a known kind."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "OfflineModeIsEnabled" in kinds:
        return "HF_HUB_OFFLINE is set and they are not in the local cache", f"unset it to fetch them, {_ELSEWHERE}"
    if "FileMetadataError" in kinds:
        return "what answers is no hub (it names no commit)", f"check HF_ENDPOINT and the proxy, {_ELSEWHERE}"
    if (status := status_of(error)) is not None:
        return _answered(status, kinds, asked_wait(error), repository)
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"the disk of {legible(cache)} is full", "make room and run again, or point HF_HOME at another disk"
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        what = f"{legible(error.filename or cache)} cannot be used ({error.strerror})"
        return what, "point HF_HOME at a folder that can, or at a cache that holds them, or give --weights FILE"
    if "Consistency check failed" in str(error) or "SHA256 checksum" in str(error):
        return "what came is not the whole file, or another one", f"run again, {_ELSEWHERE}"
    if kinds & {*_SLOW}:
        return "the hub did not answer in time", (
            f"run again, let HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT be more seconds, {_ELSEWHERE}"
        )
    if kinds & {*_BROKEN}:
        return "the connection broke off", f"run again, {_ELSEWHERE}"
    return None


def _unreached(error: BaseException) -> tuple[str, str] | None:
    """The same for a hub that cannot be reached, which errors that say more than that are wrapped in too."""
    if {kind.__name__ for kind in type(error).__mro__} & {*_UNREACHABLE}:
        reason = legible(one_line(error))[:_LONGEST]
        return (
            f"the hub cannot be reached ({reason})",
            f"connect (HTTPS_PROXY, HF_ENDPOINT) and run again, {_ELSEWHERE}",
        )
    return None


def _answered(status: int, kinds: set[str], wait: float | None, repository: str) -> tuple[str, str]:
    """What the hub answered with an HTTP status, and what to do."""
    if "GatedRepoError" in kinds:
        terms = "accept its terms on its page, let HF_TOKEN be a token of yours and run again"
        return f"{repository} is gated ({status})", f"{terms}, {_ELSEWHERE}"
    if "RevisionNotFoundError" in kinds:
        return f"{repository} has no revision main ({status})", f"check HF_ENDPOINT, {_ELSEWHERE}"
    if "EntryNotFoundError" in kinds:
        return f"{repository} has no such file of weights ({status})", f"check HF_ENDPOINT, {_ELSEWHERE}"
    if status in (401, 403) and "RepositoryNotFoundError" not in kinds:
        return f"the hub refuses {repository} ({status})", f"let HF_TOKEN be a token that may read it, {_ELSEWHERE}"
    if status in (401, 403, 404):
        token = "check HF_ENDPOINT, let HF_TOKEN be a token that may read it"
        return f"there is no {repository}, or it is hidden ({status})", f"{token}, {_ELSEWHERE}"
    if status == 429:
        later = f"in {duration(wait)}" if wait is not None else "later"
        return "the hub is asked too often (429)", f"run again {later}, let HF_TOKEN raise the limit, {_ELSEWHERE}"
    what = "is out of order" if status >= 500 else "answers what was not expected"
    return f"the hub {what} ({status})", f"run again later, {_ELSEWHERE}"


def _unknown(error: BaseException) -> tuple[str, str]:
    reason = legible(one_line(error))[:_LONGEST]
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__, f"run again, {_ELSEWHERE}"
