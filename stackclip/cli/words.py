"""Lists of names as they are typed, with commas between, and back."""

from __future__ import annotations

from collections.abc import Collection, Iterable

__all__ = ["chosen", "split_typed", "typed_again"]

_CLOSING = {"[": "]", "(": ")"}
_ESCAPED = ",[]()"  # what has a meaning of its own, unless a backslash stands before it


def split_typed(text: str) -> tuple[str, ...]:
    """Split at the commas outside brackets, and take away the backslash from an escaped comma or bracket.

    `a[x=1,y=2],b` gives `a[x=1,y=2]` and `b`; `a\\, b` gives `a, b`. A bracket that is not closed is a letter.
    """
    pieces, piece, awaited, position = [], "", "", 0
    while position < len(text):
        letter, following = text[position], text[position + 1 : position + 2]
        if letter == "\\" and following and following in _ESCAPED:
            piece, position = piece + following, position + 2
            continue
        if letter in _CLOSING and _closes(text, position):
            awaited += _CLOSING[letter]
        elif awaited.endswith(letter):
            awaited = awaited[:-1]
        if letter == "," and not awaited:
            pieces.append(piece)
            piece = ""
        else:
            piece += letter
        position += 1
    return tuple(each.strip() for each in (*pieces, piece) if each.strip())


def typed_again(names: Iterable[str]) -> str:
    """The names as one text that `split_typed` splits into them."""
    names = tuple(names)
    plain = ",".join(names)
    return plain if split_typed(plain) == names else ",".join(map(_escaped, names))


def chosen(texts: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """The names in texts as typed; a text that as a whole is one of the `known` names is that one."""
    return tuple(name for text in texts for name in ((text,) if text in known else split_typed(text)))


def _closes(text: str, opening: int) -> bool:
    """Whether the bracket at `opening` is closed again."""
    depth, opens, closes = 0, text[opening], _CLOSING[text[opening]]
    for position in range(opening, len(text)):
        if text[position - 1 : position] == "\\" and position > opening:
            continue
        depth += (text[position] == opens) - (text[position] == closes)
        if not depth:
            return True
    return False


def _escaped(name: str) -> str:
    return "".join(f"\\{letter}" if letter in _ESCAPED else letter for letter in name)
