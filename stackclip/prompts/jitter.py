"""Equivalent words: phrases said in other words that mean the same, all phrases of a draw by one mapping.

The lists are our own, `equivalents.json`; docs/decisions/0075 says what may stand in them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

import numpy as np

from stackclip.ops.files import content_hash

__all__ = ["EQUIVALENTS", "Wording", "lists_hash"]

Joint = Literal["as typed", "spaced", "hyphenated"]

_LISTS: Mapping[str, Mapping[str, Sequence[str]]] = json.loads(
    files(__package__).joinpath("equivalents.json").read_text("utf-8")
)
_SAID = ("states", "templates", "names")
_UNCOUNTABLE = frozenset(_LISTS["uncountable"]["names"])

EQUIVALENTS: Mapping[str, Sequence[str]] = {word: others for each in _SAID for word, others in _LISTS[each].items()}
"""What may stand for each word, or for several together, beside itself."""

_BEHIND = "with|without|for|in|on|from|free|lacking|having|showing|to"  # a name that becomes a plural


@cache
def lists_hash() -> str:
    """A short hash of the lists: draws of other lists are other draws."""
    return content_hash(json.dumps(_LISTS, sort_keys=True).encode())[:8]


@dataclass(frozen=True)
class Wording:
    """The words of a draw: `Wording(2, names)(phrase)` is the phrase in them; those of draw 0 are its own.

    Every word that has equivalents is said by one of them, or stays, in all phrases alike. Of `names`, what categories
    are called, nothing is exchanged but their form: whether `_` and `-` in them are so, spaces or hyphens, and whether
    "of a NAME" becomes "of NAMES"; one form holds for all names of a draw. Articles follow the word behind them.
    """

    draw: int
    names: tuple[str, ...] = ()

    def __call__(self, phrase: str) -> str:
        """The phrase in the words of the draw."""
        if not self.draw:
            return phrase
        said = self._words.sub(self._said, phrase)
        return self._singular.sub(self._pluralised, said) if self._singular else said

    @cached_property
    def chosen(self) -> Mapping[str, str]:
        """What is said for each word of the lists; each is drawn by itself, so that no list changes another's draw."""
        every = {word: (word, *others) for word, others in EQUIVALENTS.items()}
        return {word: options[self._drawn(word, len(options))] for word, options in every.items()} if self.draw else {}

    @cached_property
    def joint(self) -> Joint:
        """How the parts of names are joined that have `_` or `-` between them."""
        forms: tuple[Joint, ...] = ("as typed", "spaced", "hyphenated")
        return forms[self._drawn("_", len(forms))] if self.draw else "as typed"

    @cached_property
    def plural(self) -> bool:
        """Whether names that stand behind "of a" are plurals."""
        return bool(self.draw and self._drawn("s", 2))

    def name(self, name: str) -> str:
        """A name in the form of the draw, as one thing."""
        joint = {"as typed": "", "spaced": " ", "hyphenated": "-"}[self.joint]
        return re.sub(r"(?<=\w)[_-](?=\w)", joint, name) if joint else name

    def _drawn(self, what: str, count: int) -> int:
        return int(np.random.default_rng([self.draw, *what.encode()]).integers(count))

    @cached_property
    def _words(self) -> re.Pattern[str]:
        """Names first, then the words of the lists, the longest first, each with the article before it."""
        every = [*_longest_first(self.names), *_longest_first(EQUIVALENTS)]
        return re.compile(rf"(?<![\w-])(an? )?({'|'.join(map(re.escape, every))})(?![\w-])", re.IGNORECASE)

    def _said(self, found: re.Match[str]) -> str:
        article, word = found[1] or "", found[2]
        if word in self._known:
            return article + self.name(word)
        other = _in_case(word, self.chosen.get(word.lower(), word))
        return found[0] if other == word else _article(article, other) + other

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def _singular(self) -> re.Pattern[str] | None:
        """Names, in the form of the draw, that stand behind "of a", alone or with words between."""
        names = [name for name in map(self.name, self.names) if _countable(name)]
        if not names or not self.plural:
            return None
        either = "|".join(map(re.escape, _longest_first(names)))
        between = rf"(?!(?:an?|the|one|of|{either})\b)[\w-]+ "  # no other name: that would be a stack of them
        return re.compile(rf"\bof an? ((?:{between}){{0,3}}?)({either})(?=$|[.,]| (?:{_BEHIND})\b)")

    @staticmethod
    def _pluralised(found: re.Match[str]) -> str:
        return f"of {found[1]}{_plural(found[2])}"


def _longest_first(words: Iterable[str]) -> list[str]:
    return sorted({*words} - {""}, key=lambda word: (-len(word), word))


def _in_case(word: str, other: str) -> str:
    """The other word with a capital where the word has one."""
    return other[:1].upper() + other[1:] if word[:1].isupper() and other != word.lower() else other


def _article(article: str, word: str) -> str:
    """The article that a word of the lists wants, where there was one: none of them begins with a silent letter."""
    if not article:
        return ""
    right = "an " if word[:1].lower() in "aeiou" else "a "
    return right.capitalize() if article[0].isupper() else right


def _countable(name: str) -> bool:
    """Whether a name has a plural that is told from it: a word in letters that is none, and stands for no material."""
    last = re.split(r"[ _-]", name)[-1]
    plain = last.isascii() and last.isalpha() and not last.endswith(("s", "ss"))
    return plain and name.lower() not in _UNCOUNTABLE and last.lower() not in _UNCOUNTABLE


def _plural(name: str) -> str:
    """The plural of a name that `_countable` lets pass."""
    if name.endswith(("x", "z", "ch", "sh")):
        return f"{name}es"
    return f"{name[:-1]}ies" if re.search(r"[^aeiou]y$", name) else f"{name}s"
