"""What trackers promise; nothing is told to them, as only they know what is safe to write to."""

from __future__ import annotations

from stackclip.contracts.trial import Promises, Subject, require

__all__ = ["TRACKERS"]


def _says_where(subject: Subject) -> str:
    first, again = subject.make(), subject.make()
    where = first.destination
    require(isinstance(where, str) and bool(where.strip()), f"its destination is {where!r}, wanted text")
    require(where == again.destination, f"one made alike says {again.destination!r}, and not {where!r}")
    return str(where)


def _closes(subject: Subject) -> None:
    made = subject.make()
    made.close()
    made.close()


TRACKERS: Promises = {
    "it says where it keeps numbers, and one made alike says the same": _says_where,
    "it can be closed before it was told anything, and twice": _closes,
}
