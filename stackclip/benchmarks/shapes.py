"""What the fields of rows and of the facts of heads must be, so that nobody works with what is none of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackclip.benchmarks.checks import (
    Check,
    is_any,
    is_fraction,
    is_method,
    is_natural,
    is_place,
    is_text,
    is_time,
    list_of,
    object_of,
)
from stackclip.benchmarks.facts import Facts

__all__ = ["check_facts", "check_learned", "check_row", "check_seen"]


def check_row(fields: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the field, unless these are the fields of a Row as JSON holds them."""
    _check(fields, _ROW, needed=("method", "train_on", "test_on", "category", "shots", "seed"))
    check_facts(fields.get("facts", {}))
    if unknown := fields.keys() - _ROW.keys():
        raise ValueError(f"rows have no {sorted(unknown)[0]!r}")


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the fact, for one that a table, a note or a curve could not work with."""
    _check(facts, _FACTS)
    for name, with_it in (("scores", "stacks"), ("eval_every", "curve")):
        if facts.get(name) and with_it not in facts:
            raise ValueError(f"it has {name!r} and no {with_it!r}")


def check_seen(seen: Any) -> dict[str, dict[str, str]]:
    """Place -> category -> digest, of pairs of these; raises ValueError for anything else."""
    if not list_of(is_place)(seen):
        raise ValueError("it does not say what was tested where")
    return dict(seen)


def check_learned(facts: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the field, unless these are facts that a bench kept with a trained head."""
    _check(facts, _LEARNED, needed=("losses", "seconds"))


def _check(found: Mapping[str, Any], wanted: Mapping[str, Check], needed: tuple[str, ...] = ()) -> None:
    for name in needed:
        if name not in found:
            raise ValueError(f"it has no {name!r}")
    for name, fits in wanted.items():
        if name in found and not fits(found[name]):
            raise ValueError(f"its {name!r} is not what it must be")


_ROW: Mapping[str, Check] = {
    "method": is_method,
    "train_on": list_of(is_text),
    "test_on": is_text,
    "category": is_text,
    "shots": lambda shots: shots == "all" or is_natural(shots),
    "seed": is_natural,
    "metrics": object_of(is_fraction),
    "undefined": object_of(is_text),
    "seconds": is_time,
    "error": is_text,
    "facts": object_of(is_any),
}

_FACTS: Mapping[str, Check] = Facts.checks()

_LEARNED: Mapping[str, Check] = {
    "seconds": is_time,
    "curves": object_of(_FACTS["curve"]),
    **{name: _FACTS[name] for name in ("losses", "steps", "eval_every")},
}
