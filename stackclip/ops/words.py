"""Words for people: numbers, sizes and times in sentences, and text from files as one line that cannot harm."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

__all__ = [
    "agreed",
    "chance",
    "chance_digits",
    "counted",
    "drawable",
    "duration",
    "few_of",
    "legible",
    "one_line",
    "size",
]

_SPELT = str.maketrans({"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"})
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
_DRAWN = frozenset("«°±´·»‘’“”…‹›™")  # what the font of drawn sheets has beside ASCII
_OF_ONE = {"are": "is", "were": "was", "have": "has", "lack": "lacks"}


def counted(number: int | str, noun: str) -> str:
    """The number and its noun: `1 picture`, `2 pictures`, `all pictures`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def agreed(verb: str, number: int) -> str:
    """The form of `are`, `were`, `have` or `lack` that goes with the number."""
    return _OF_ONE[verb] if number == 1 else verb


def few_of(names: Iterable[str], most: int = 3) -> str:
    """The first names, and how many more there are: `a, b, c and 2 more`."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def chance(p: float) -> str:
    """The p of a test: `p = .37`, `p = .032`, `p < .001`."""
    digits = chance_digits(p)
    return f"p {digits}" if digits.startswith("<") else f"p = {digits}"


def chance_digits(p: float) -> str:
    """The digits of a p that tell anything: `.37`, `.032`, `< .001`."""
    if p < 0.001:
        return "< .001"
    return (f"{p:.2f}" if p >= 0.095 else f"{p:.3f}").replace("0.", ".")


def size(count: float) -> str:
    """Bytes in words: 1.2 GB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def duration(seconds: float) -> str:
    """Seconds in words: 3 min 20 s."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def one_line(text: object) -> str:
    """The words of a text with single spaces between, also where it had lines."""
    return " ".join(str(text).split())


def legible(text: object) -> str:
    """Text from files, folders and plugins as it may be shown: one line, and nothing in it that acts.

    Control characters (ESC and the C1 set among them), line and paragraph ends, marks that turn or join text, and bytes
    that are no text are shown as escapes: `\\x1b`, `\\u202e`. Everything else stays.
    """
    return "".join(letter if _is_harmless(letter) else _escape(letter) for letter in str(text))


def drawable(text: object) -> str:
    """Legible text in the letters that the font of drawn sheets has: `Lange - Grosse` of `Länge – Größe`.

    Accents go, and a letter of another script becomes `?`.
    """
    spelt = legible(text).translate(_SPELT).translate(_DASHES)
    return "".join(letter if letter in _DRAWN else _base(letter) for letter in unicodedata.normalize("NFC", spelt))


def _base(letter: str) -> str:
    return unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"


def _is_harmless(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode()
