"""Words for people: numbers in sentences, and text from files as one line that cannot harm."""

from __future__ import annotations

import unicodedata

__all__ = ["agreed", "counted", "legible"]

_OF_ONE = {"are": "is", "were": "was", "have": "has", "lack": "lacks"}


def counted(number: int, noun: str) -> str:
    """The number and its noun: `1 picture`, `2 pictures`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def agreed(verb: str, number: int) -> str:
    """The form of `are`, `were`, `have` or `lack` that goes with the number."""
    return _OF_ONE[verb] if number == 1 else verb


def legible(text: object) -> str:
    """Text from files, folders and plugins as it may be shown: one line, and nothing in it that acts.

    Control characters (ESC and the C1 set among them), line and paragraph ends, marks that turn or join text, and bytes
    that are no text are shown as escapes: `\\x1b`, `\\u202e`. Everything else stays.
    """
    return "".join(letter if _is_harmless(letter) else _escape(letter) for letter in str(text))


def _is_harmless(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode()
