"""Text as LaTeX sets it in Computer Modern at 10 points: nothing in a name acts, and its width is known beforehand."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

from stackclip.ops.words import legible

__all__ = ["PREAMBLE", "SMALL", "breakable", "in_box", "longest", "tex", "width_of"]

SMALL = 0.8
"""How wide \\scriptsize is beside \\normalsize."""

PREAMBLE = (
    r"\providecommand{\unicodename}{}",
    r"\DeclareRobustCommand{\unicodename}[2]{\ifdefined\Umathcode#1\else{\scriptsize#2}\fi}",
)
"""What letters need that pdfTeX has no glyph for: XeTeX and LuaTeX set them, elsewhere it is their number."""

_SIGNS = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "_%&#${}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "`": r"\textasciigrave{}",
        '"': r"\textquotedblright{}",
        "±": r"$\pm$",
        "†": r"$^\dagger$",
    }
)
_PLAIN = frozenset("±†ßæøœÆØŒłŁı–—")
_ACCENTS = frozenset("\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327")
_EMS = {
    0.28: "!',.:;[]|il",
    0.37: "fj-I_",
    0.39: "()rst",
    0.44: "cez",
    0.51: '"$*/0123456789\\^ago{}~ †`',
    0.56: "?Jkqvxydhbnpu",
    0.65: "LZFS",
    0.73: "EPBCT",
    0.78: "RwAHNUVXYD&+=@GKOQ<>±",
    0.92: "#%mM",
}
_WIDTHS = {letter: 10 * em for em, letters in _EMS.items() for letter in letters}
_WIDEST = 10.3  # of W, and of what is not known
_PIECES = re.compile(r"\[?[^\[,=/+_.:\\-]*[,=/+_.:\\-]*")


def tex(text: object) -> str:
    """Text as LaTeX code that shows it and does nothing else, whatever stands in it."""
    plain = "".join(" " if letter.isspace() else letter for letter in unicodedata.normalize("NFC", legible(text)))
    runs = ((known, "".join(run)) for known, run in groupby(plain, key=_has_glyph))
    code = "".join(run.translate(_SIGNS) if known else _named(run) for known, run in runs)
    return re.sub(r"(?<=-)(?=-)|(?<=')(?=')", "{}", code)  # two of them would become another sign


def width_of(text: object) -> float:
    """How many points of a line a text takes at most."""
    return sum(map(_width, unicodedata.normalize("NFC", legible(text))))


def longest(text: object) -> float:
    """The width of the longest piece of a text that should not be broken."""
    return max((width_of(piece) for word in legible(text).split() for piece in _PIECES.findall(word)), default=0.0)


def breakable(text: object, room: float) -> str:
    """Text in which words that are wider than `room` points may be broken, at their signs if they have some."""
    return " ".join(_broken(word, room) for word in legible(text).split())


def _broken(word: str, room: float) -> str:
    if width_of(word) <= room:
        return tex(word)
    pieces = (piece for piece in _PIECES.findall(word) if piece)
    parts = (part for piece in pieces for part in ([piece] if width_of(piece) <= room else piece))
    return r"\allowbreak{}".join(map(tex, parts))


def in_box(text: object, room: float, *, scale: float = 1.0, head: bool = False) -> str:
    """Text that is no wider than `room` points, in several lines where it has to; heads stand on their last one.

    `scale` is the size of the letters beside \\normalsize.
    """
    if width_of(text) * scale <= room:
        return tex(text)
    place, how = ("b", r"\centering") if head else ("t", r"\raggedright")
    return rf"\parbox[{place}]{{{room:.1f}pt}}{{{how}\strut {breakable(text, room / scale)}\strut}}"


def _has_glyph(letter: str) -> bool:
    """Whether pdfTeX shows a letter without packages."""
    if letter.isascii() or letter in _PLAIN:
        return True
    apart = unicodedata.normalize("NFD", letter)
    return ord(letter) < 0x180 and apart[0].isascii() and {*apart[1:]} <= _ACCENTS


def _named(letters: str) -> str:
    return rf"\unicodename{{{letters}}}{{{' '.join(f'U+{ord(letter):04X}' for letter in letters)}}}"


def _width(letter: str) -> float:
    if letter.isspace():
        return 5.0
    if not _has_glyph(letter):
        return max(_WIDEST, SMALL * width_of(f"U+{ord(letter):04X} "))
    return _WIDTHS.get(unicodedata.normalize("NFD", letter)[0], _WIDEST)
