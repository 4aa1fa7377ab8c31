"""The ways to write a document down, each on a shelf under the suffix of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from stackclip.errors import BrokenPlugin, UsageError
from stackclip.registry import Spec, writers
from stackclip.reports.document import Document

__all__ = ["DocumentWriter", "check_output", "suffixes", "written"]


class DocumentWriter(Protocol):
    """Something that makes a file of a document."""

    def write(self, document: Document) -> str | bytes:
        """The whole text, or the bytes of a file that is none; nothing in it acts on whoever shows it."""


def suffixes() -> tuple[str, ...]:
    """The suffixes of the files that documents can be written to, sorted: `.csv`, `.jsonl` ..."""
    return tuple(f".{name}" for name in writers.names())


def check_output(path: Path) -> None:
    """Raise UsageError for a file whose suffix no writer has, or one that needs what is not installed."""
    if path.suffix not in suffixes():
        raise UsageError(f"{path}: no table is written as {path.suffix or 'that'}; wanted {', '.join(suffixes())}")
    writers.create(path.suffix.removeprefix("."))


def written(document: Document, suffix: str) -> str | bytes:
    """A document as the writer of that suffix writes it.

    Raises UnknownComponent for a suffix that no writer has, BrokenPlugin for a writer of others that fails.
    """
    component = writers.find(suffix.removeprefix("."))
    writer: DocumentWriter = component.create(Spec(component.name))
    with component.guard_foreign("cannot write the document"):
        made = writer.write(document)
    if not isinstance(made, str | bytes):
        raise BrokenPlugin(f"{component} gives a {type(made).__name__}, wanted text or bytes")
    return made
