"""Lists of names as they are typed, with commas between, and back."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

__all__ = ["chosen", "split_typed", "typed_again"]

_CLOSING = {"[": "]", "(": ")"}
_ESCAPED = ",[]() "  # what has a meaning of its own, unless a backslash stands before it
_SPECIAL = re.compile(r"(\\*)([,\[\]() ])")
_KEPT = "\0"  # stands for a space that is not to be cut off; no name holds one


def split_typed(text: str) -> tuple[str, ...]:
    """Split at the commas outside brackets, and take away the backslash from an escaped comma, bracket or space.

    `a[x=1,y=2],b` gives `a[x=1,y=2]` and `b`; `a\\, b` gives `a, b`. A bracket that is not closed is a letter. Spaces
    around a name are cut off unless they are escaped. Before what can be escaped two backslashes are one; elsewhere a
    backslash is a letter.
    """
    pieces, piece, awaited, position = [], "", "", 0
    while position < len(text):
        letter = text[position]
        if letter == "\\":
            run = len(text[position:]) - len(text[position:].lstrip("\\"))
            following = text[position + run : position + run + 1]
            if following and following in _ESCAPED:
                literal = following if run % 2 else ""
                piece, position = piece + "\\" * (run // 2) + literal.replace(" ", _KEPT), position + run + len(literal)
            else:
                piece, position = piece + "\\" * run, position + run
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
    return tuple(name.replace(_KEPT, " ") for each in (*pieces, piece) if (name := each.strip()))


def typed_again(names: Iterable[str]) -> str:
    """The names as one text that `split_typed` splits into them."""
    names = tuple(names)
    plain = ",".join(names)
    if split_typed(plain) == names:
        return plain
    *others, last = names
    return ",".join((*(_escaped(f"{name},")[:-2] for name in others), _escaped(last)))


def chosen(texts: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """The names in texts as typed; a text that as a whole is one of the `known` names is that one.

    A text without a name is the name of nothing, so that it is not taken for no choice.
    """
    return tuple(name for text in texts for name in ((text,) if text in known else split_typed(text) or ("",)))


def _closes(text: str, opening: int) -> bool:
    """Whether the bracket at `opening` is closed again."""
    depth, opens, closes = 0, text[opening], _CLOSING[text[opening]]
    escaped = False
    for letter in text[opening:]:
        if escaped or letter == "\\":
            escaped = not escaped
            continue
        depth += (letter == opens) - (letter == closes)
        if not depth:
            return True
    return False


def _escaped(name: str) -> str:
    """A name with a backslash before whatever has a meaning, and two for each that stands before such a letter."""
    return _SPECIAL.sub(lambda found: f"{found[1] * 2}\\{found[2]}", name)
