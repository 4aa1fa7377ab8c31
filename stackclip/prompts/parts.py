"""Parts lists: what the parts of a product are called, coarse and fine, as JSON that people write (CLIP-LAD)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from stackclip.errors import DataError
from stackclip.ops.given import why_no_name
from stackclip.ops.objects import read_object
from stackclip.registry import did_you_mean

__all__ = ["ANY_CATEGORY", "SHIPPED", "PartsList", "parts_for", "read_parts"]

ANY_CATEGORY = "*"
"""The list of a category that has none of its own; `{}` in its words is what the category is called."""

SHIPPED = Path(str(resources.files("stackclip.prompts") / "parts.json"))
"""Lists in our own words for the categories of MVTec-LOCO and of synthetic-logical, and one for any other."""

_WANTED = '{"pen box": {"fine": {"pen": ["pen", "ball pen"], "eraser": ["eraser"]}, "background": ["box"]}}'
_CLUSTERS, _LARGEST_COUNT = 8, 256
_BACKGROUND = "background"

FineBy = Literal["patch", "region"]
Words = Mapping[str, tuple[str, ...]]
"""Synonyms by the name of a class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartsList:
    """The classes of a product with their synonyms, and how its pictures are cut.

    `coarse` classes tell the foreground from the `background`, which may be of several classes too; `fine` ones are
    what is counted. `thresholds` are cosines that the region of a coarse class must exceed, where it has one. There are
    `clusters` regions; `fine_by` says whether each patch has a fine class, or each region, as the paper does for
    bottles.
    """

    coarse: Words
    fine: Words
    background: Words
    thresholds: Mapping[str, float]
    clusters: int
    fine_by: FineBy

    def called(self, name: str) -> PartsList:
        """The same list for a category of a name, which stands for each `{}`."""

        def named(words: Words) -> Words:
            return {each.replace("{}", name): _filled(synonyms, name) for each, synonyms in words.items()}

        return PartsList(
            coarse=named(self.coarse),
            fine=named(self.fine),
            background=named(self.background),
            thresholds={each.replace("{}", name): threshold for each, threshold in self.thresholds.items()},
            clusters=self.clusters,
            fine_by=self.fine_by,
        )


def parts_for(lists: Mapping[str, PartsList], category: str) -> tuple[str, PartsList]:
    """The list of a category and the name it stands under: its own, that of what it is a sub-type of, or `*`.

    The sub-type `juice_bottle/cherry` without a list of its own has that of `juice_bottle`. Raises DataError for a
    category without a list where there is none for any.
    """
    for name in (category, category.partition("/")[0], ANY_CATEGORY):
        if name in lists:
            return name, lists[name]
    near = did_you_mean(category, lists)
    raise DataError(
        f"no parts of {category!r} are listed{near}; add them to the file, or those of any as {ANY_CATEGORY!r}"
    )


def read_parts(path: Path | None) -> Mapping[str, PartsList]:
    """The lists by category of a file, or those of the package. Raises DataError for a file that is not so."""
    return _shipped() if path is None else _read(path)


@cache
def _shipped() -> Mapping[str, PartsList]:
    return _read(SHIPPED)


def _read(path: Path) -> dict[str, PartsList]:
    found = read_object(path, wanted=_WANTED)
    if not found:
        raise DataError(f"{path}: lists nothing; wanted {_WANTED}")
    return {category: _list(facts, f"{path}: {category!r}") for category, facts in found.items()}


_KNOWN = ("coarse", "fine", "background", "thresholds", "clusters", "fine_by")


def _list(facts: object, where: str) -> PartsList:
    if not isinstance(facts, dict):
        raise DataError(f'{where} is {facts!r:.60}; wanted an object with the parts as "fine"')
    for name in facts:
        if name not in _KNOWN:
            raise DataError(
                f"{where}: {name!r} means nothing{did_you_mean(name, _KNOWN)}; known are {', '.join(_KNOWN)}"
            )
    if "fine" not in facts:
        raise DataError(f'{where} lacks "fine"; wanted {{part: [synonym, ...]}}, what is counted')
    fine = _classes(facts["fine"], f"{where}, fine")
    coarse = _classes(facts.get("coarse", facts["fine"]), f"{where}, coarse")
    return PartsList(
        coarse=coarse,
        fine=fine,
        background=_background(facts.get("background", [_BACKGROUND]), f"{where}, background"),
        thresholds=_thresholds(facts.get("thresholds", {}), coarse, f"{where}, thresholds"),
        clusters=_clusters(facts.get("clusters", _CLUSTERS), where),
        fine_by=_fine_by(facts.get("fine_by", "patch"), where),
    )


def _classes(classes: object, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(classes, dict) or not classes:
        raise DataError(f"{where} is {classes!r:.60}; wanted {{part: [synonym, ...]}}, one part at least")
    return {name: _words(synonyms, f"{where}, {name!r}") for name, synonyms in classes.items() if _named(name, where)}


def _background(words: object, where: str) -> dict[str, tuple[str, ...]]:
    """One class of a list of words, or several by name."""
    return _classes(words, where) if isinstance(words, dict) else {_BACKGROUND: _words(words, where)}


def _named(name: str, where: str) -> bool:
    if why := why_no_name(name.replace("{}", "x")):
        raise DataError(f"{where} has a part {name!r}, {why}")
    return True


def _words(words: object, where: str) -> tuple[str, ...]:
    if not isinstance(words, list) or not words:
        raise DataError(f"{where} is {words!r:.60}; wanted a list of words, one at least")
    for word in words:
        if why := why_no_name(word.replace("{}", "x") if isinstance(word, str) else word):
            raise DataError(f"{where} lists {word!r:.60}, {why}")
    return tuple(dict.fromkeys(words))


def _thresholds(thresholds: object, coarse: Words, where: str) -> dict[str, float]:
    if not isinstance(thresholds, dict):
        raise DataError(f"{where} are {thresholds!r:.60}; wanted {{coarse part: cosine}}")
    for name, cosine in thresholds.items():
        if name not in coarse:
            raise DataError(f"{where} name {name!r}{did_you_mean(name, coarse)}; coarse are {', '.join(coarse)}")
        if isinstance(cosine, bool) or not isinstance(cosine, int | float) or not -1 <= cosine <= 1:
            raise DataError(f"{where} give {name!r} {cosine!r:.60}; wanted a cosine, -1 to 1")
    return {name: float(cosine) for name, cosine in thresholds.items()}


def _clusters(count: object, where: str) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= _LARGEST_COUNT:
        raise DataError(f"{where} has {count!r:.60} clusters; wanted a whole number, 2 to {_LARGEST_COUNT}")
    return count


def _fine_by(how: Any, where: str) -> FineBy:
    if how not in get_args(FineBy):
        raise DataError(f"{where} has fine_by {how!r:.60}; wanted {' or '.join(get_args(FineBy))}")
    chosen: FineBy = how
    return chosen


def _filled(words: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(word.replace("{}", name) for word in words)
