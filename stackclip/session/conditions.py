"""Under which conditions methods are compared, as keywords of a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict

from stackclip.benchmarks.curves import EvalEvery
from stackclip.data.names import CategoryNames
from stackclip.errors import UsageError
from stackclip.registry import did_you_mean, executors
from stackclip.types import LARGEST_SEED

__all__ = ["Conditions", "Names", "SuiteWords", "checked", "names_of"]

Names = str | PathLike[str] | Sequence[str | PathLike[str]]
"""One name or place, or several."""


class Conditions(TypedDict, total=False):
    """What a bench may be told beside its methods and data sets; all of it has a default.

    `seeds` (0,) and `shots` (0, normal pictures a category, or `all`), `epochs` and `batch_size`, pictures a step
    (each method's own), `class_names` (raw, spaced, natural or FILE.json; each method's own), `metrics` (auto, exact
    or streamed),
    `eval_every` (training curves: steps, or `epoch`), `ci` (draws for intervals), `executor` (what runs the seeds),
    `allow_overlap` (not zero-shot then), `fail_fast` (raise the first failure; else it is a row).
    """

    seeds: Sequence[int]
    shots: int | Literal["all"]
    epochs: int | None
    batch_size: int | None
    class_names: str | None
    metrics: str
    eval_every: EvalEvery | None
    ci: bool
    executor: str
    allow_overlap: bool
    fail_fast: bool


class SuiteWords(Conditions, total=False):
    """What stands in place of what the runs of a suite say: other methods and data sets too."""

    methods: Names
    train_on: Names
    test_on: Names


_LOWEST = {"shots": 0, "epochs": 0, "batch_size": 1}


def checked(words: Mapping[str, Any], known: type = Conditions) -> dict[str, Any]:
    """The words that a call was given, with lists as tuples.

    Raises UsageError for a word that means nothing, a number that is too small, a seed that no generator takes, and
    what an executor or class names that are wrong raise, before any work is done.
    """
    names = known.__annotations__
    for name, value in words.items():
        if name not in names:
            raise UsageError(f"{name!r} means nothing here{did_you_mean(name, names)}; known are {', '.join(names)}")
        unset = value is None or (name == "shots" and value == "all")
        if name in _LOWEST and not unset and value < _LOWEST[name]:
            raise UsageError(f"{name}={value}; wanted {_LOWEST[name]} or more")
    if "executor" in words:
        executors.create(words["executor"])
    if words.get("class_names") is not None:
        CategoryNames(words["class_names"])
    seeds = tuple(words.get("seeds") or ())
    if seeds and not 0 <= min(seeds) <= max(seeds) <= LARGEST_SEED:
        raise UsageError(f"seeds={seeds}; wanted numbers from 0 to {LARGEST_SEED}")
    return {name: _several(name, value) for name, value in words.items()}


def names_of(names: Names) -> tuple[str, ...]:
    """The names or places, also where it is one."""
    several: Iterable[Any] = (names,) if isinstance(names, str | PathLike) else names
    return tuple(str(name) for name in several)


def _several(name: str, value: Any) -> Any:
    if name in ("methods", "train_on", "test_on"):
        return names_of(value)
    return tuple(value or ()) if name == "seeds" else value
