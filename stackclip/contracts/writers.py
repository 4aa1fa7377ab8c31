"""What writers of documents promise."""

from __future__ import annotations

from stackclip.contracts.trial import Promises, Subject, global_randomness_untouched, require
from stackclip.errors import StackclipError
from stackclip.reports.document import Document
from stackclip.types import Row

__all__ = ["WRITERS"]

_NOT_SEEN = "it writes bytes, which are not read here"
_HOSTILE = "a\x1b[2J\r\u202eb"


def _document(category: str = "bottle") -> Document:
    """Two methods on two categories, one of them failed once; `category` is in the names and the reasons."""
    metrics = {"image_AUROC": 0.5, "pixel_AUPRO": 0.25}
    undefined = {"pixel_AP": f"no masks of {category}"}
    rows = [
        Row(method, ("training",), "tested", place, 0, 0, metrics, undefined, facts={"note": category})
        for method in ("precise", "fuzzy")
        for place in (category, "cable")
    ]
    failed = Row("clip", ("training",), "tested", category, 0, 0, error=f"failed on {category}")
    return Document([*rows, failed], per_category=True)


def _text(subject: Subject, document: Document) -> str | bytes:
    made = subject.make().write(document)
    require(isinstance(made, str | bytes), f"write() gives a {type(made).__name__}, wanted text or bytes")
    return made if isinstance(made, bytes) else str(made)


def _names_all(subject: Subject) -> str | None:
    text = _text(subject, _document())
    if isinstance(text, bytes):
        return _NOT_SEEN
    for name in ("precise", "fuzzy", "clip", "bottle", "cable"):
        require(name in text, f"{name} is not in what it writes")
    return None


def _writes_again(subject: Subject) -> None:
    with global_randomness_untouched():
        first, again = _text(subject, _document()), _text(subject, _document())
    require(first == again, "one document gives two texts")


def _writes_nothing(subject: Subject) -> None:
    try:
        _text(subject, Document([]))
    except StackclipError as error:
        require(False, f"a document without rows is refused: {error}")


def _is_harmless(subject: Subject) -> str | None:
    text = _text(subject, _document(_HOSTILE))
    if isinstance(text, bytes):
        return _NOT_SEEN
    found = [sign for sign in ("\x1b", "\r", "\u202e") if sign in text]
    require(not found, f"{', '.join(map(repr, found))} of a name stands in what it writes")
    return None


WRITERS: Promises = {
    "it names every method and category of a document": _names_all,
    "it writes a document the same way again, and leaves the global random state alone": _writes_again,
    "it writes a document without rows too": _writes_nothing,
    "nothing in the names acts on whoever shows what it writes": _is_harmless,
}
