"""How much memory this process may still take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["available_memory", "share_memory"]

_sharers = [1]  # processes like this one, that take from the same memory
_ANCIENT = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))
_UNIFIED = ("memory.max", "memory.current", ("inactive_file", "active_file"))


def available_memory(root: Path = Path("/")) -> int | None:
    """The bytes that the machine, and each control group that this process is in, still have; None if nobody says.

    Cached file pages count as free: the system gives them up when memory is asked for.
    """
    found = [*_of_the_machine(root), *_of_groups(root)]
    if not found and hasattr(os, "sysconf"):
        with suppress(ValueError, OSError):
            found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(found) // _sharers[0]) if found else None


def share_memory(processes: int) -> None:
    """Leave the others their part from now on: this is one of so many processes that work at once."""
    _sharers[0] = processes


def _of_the_machine(root: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        for line in (root / "proc/meminfo").read_text("utf-8").splitlines():
            name, _, rest = line.partition(":")
            if name == "MemAvailable":
                yield int(rest.split()[0]) * 1024


def _of_groups(root: Path) -> Iterator[int]:
    """What is left of the limit of each control group above this process, of either version."""
    memberships = []
    with suppress(OSError, ValueError):
        memberships = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    for membership in memberships:
        _, controllers, group = (*membership.split(":", 2), "", "")[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        folder = top / group.strip("/")
        for place in (folder, *folder.parents):
            if place != top and top not in place.parents:
                break
            with suppress(OSError, ValueError):
                yield _left_in(place, *(_ANCIENT if controllers else _UNIFIED))


def _left_in(group: Path, limit: str, usage: str, cached: tuple[str, ...]) -> int:
    """Raises OSError or ValueError where the group has no limit."""
    most, used = int((group / limit).read_text("utf-8")), int((group / usage).read_text("utf-8"))
    facts = dict(line.split() for line in (group / "memory.stat").read_text("utf-8").splitlines())
    return most - used + sum(int(facts.get(name, 0)) for name in cached)
