"""Under which conditions methods are compared, as keywords of a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypedDict

from stackclip.benchmarks.curves import EvalEvery
from stackclip.data.names import CategoryNames
from stackclip.errors import UsageError
from stackclip.ops.tiling import tiling_of
from stackclip.registry import did_you_mean
from stackclip.types import LARGEST_SEED

__all__ = [
    "Conditions",
    "InspectionWords",
    "Names",
    "SelectionWords",
    "SuiteWords",
    "checked",
    "names_of",
    "whole",
]

Names = str | PathLike[str] | Sequence[str | PathLike[str]]
"""One name or place, or several."""


class Conditions(TypedDict, total=False):
    """What a bench may be told beside its methods and data sets; all of it has a default.

    `seeds` (0,) and `shots` (0, normal pictures a category, or `all`), `epochs` and `batch_size`, pictures a step
    (each method's own), `train_shots` (pictures of each training category, half of them normal; all that there are),
    `train_list` (a JSON-lines file that names them instead),
    `stop_after` (epochs of each schedule; all of it),
    `class_names` (raw, spaced, natural or FILE.json; each method's own), `metrics` (auto, exact or streamed),
    `eval_every` (training curves: steps, or `epoch`), `ci` (draws for intervals), `per_defect` (figures of each kind of
    defect), `tiles` (large pictures in tiles: 2x2, or the side of a tile in pixels),
    `allow_overlap` (not zero-shot then), `fail_fast` (raise the first failure; else it is a row).
    """

    seeds: Sequence[int]
    shots: int | Literal["all"]
    epochs: int | None
    batch_size: int | None
    train_shots: int | None
    train_list: PathLike[str] | str | None
    stop_after: int | None
    class_names: str | None
    metrics: str
    eval_every: EvalEvery | None
    ci: bool
    per_defect: bool
    tiles: str | None
    allow_overlap: bool
    fail_fast: bool


class SelectionWords(Conditions, total=False):
    """What a bench may be told of grids too.

    `select` (leave-category-out, leave-defect-out or `k-fold[folds=5]`) takes one point of each by what was learned
    without a part of the training sets, `select_by` a metric (pixel_AP, or image_AUROC where there are no maps), by the
    `select_rule` (best or one-standard-error). `hindsight` tests the other points too, once the choice is kept.
    """

    select: str | None
    select_by: str | None
    select_rule: str
    hindsight: bool


class SuiteWords(Conditions, total=False):
    """What stands in place of what the runs of a suite say: other methods and data sets too."""

    methods: Names
    train_on: Names
    test_on: Names


class InspectionWords(Conditions, total=False):
    """What an inspection may be told too.

    `bad` is a folder of pictures that are known to be bad: how many of them a verdict finds is told. `false_alarms` is
    the share of good pictures that may be called anomalous, and `calibrate` how good pictures that a method takes are
    divided (auto, split, cross); both mean something with good pictures alone. `maps` keeps maps as files (npy, tiff).
    `detector` is a file that `fit` saved, `html` one for a page with all pictures.
    """

    bad: PathLike[str] | str | None
    false_alarms: float | None
    calibrate: str
    maps: str
    detector: PathLike[str] | str | None
    html: PathLike[str] | str | None


_LOWEST = {"shots": 0, "epochs": 0, "batch_size": 1, "train_shots": 2, "stop_after": 1}
_TEXTS = {"class_names", "metrics", "tiles"}
_NONE_TOO = {"class_names", "tiles"}
_NAMES = {"methods", "train_on", "test_on"}


def checked(words: Mapping[str, Any], known: type = Conditions) -> dict[str, Any]:
    """The words that a call was given, with lists as tuples.

    Raises UsageError for a word that means nothing, what is no whole number or too small, a seed that no generator
    takes, and what class names that are wrong raise, before any work is done.
    """
    names = known.__annotations__
    given = dict(words)
    for name, value in words.items():
        if name not in names:
            raise UsageError(f"{name!r} means nothing here{did_you_mean(name, names)}; known are {', '.join(names)}")
        if name in _LOWEST and value is not None and (name, value) != ("shots", "all"):
            given[name] = whole(name, value, _LOWEST[name])
    for name in _TEXTS & given.keys():
        if not isinstance(given[name], str) and not (name in _NONE_TOO and given[name] is None):
            raise UsageError(f"{name}={given[name]!r}; wanted text")
    if given.get("tiles") is not None:
        tiling_of(given["tiles"], lambda: (1, 1))
    if given.get("class_names") is not None:
        CategoryNames(given["class_names"])
    if given.get("train_list") is not None:
        given["train_list"] = _file("train_list", given["train_list"])
    if "seeds" in given:
        given["seeds"] = _seeds(given["seeds"])
    return {name: names_of(value) if name in _NAMES else value for name, value in given.items()}


def _file(name: str, value: object) -> Path:
    if not isinstance(value, str | PathLike):
        raise UsageError(f"{name}={value!r}; wanted a path")
    return Path(value)


def whole(name: str, value: object, lowest: int) -> int:
    """A whole number of any kind as one of Python's. Raises UsageError for anything else, and below the lowest."""
    found = _plain(name, value)
    if found < lowest:
        raise UsageError(f"{name}={found}; wanted {lowest} or more")
    return found


def names_of(names: Names) -> tuple[str, ...]:
    """The names or places, also where it is one. Raises UsageError for what holds none."""
    several: Iterable[Any] = (names,) if isinstance(names, str | PathLike) else names
    if isinstance(names, bytes) or not hasattr(several, "__iter__"):
        raise UsageError(f"{names!r} is no name, and holds none; wanted one, or several in a list")
    return tuple(str(name) for name in several)


def _seeds(seeds: Any) -> tuple[int, ...]:
    if isinstance(seeds, str | bytes) or not (seeds is None or hasattr(seeds, "__iter__")):
        raise UsageError(f"seeds={seeds!r}; wanted several whole numbers, as in seeds=[0, 1]")
    found = tuple(dict.fromkeys(_plain("seeds", seed) for seed in (() if seeds is None else seeds)))
    if found and not 0 <= min(found) <= max(found) <= LARGEST_SEED:
        raise UsageError(f"seeds={found}; wanted numbers from 0 to {LARGEST_SEED}")
    return found


def _plain(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(f"{name}={value!r}; wanted a whole number")
    return index(value)
