"""Everything that can go wrong on purpose, as one tree.

    StackclipError
    ├── UsageError              wrong words: options, names, specs             exit 2
    │   ├── UnknownComponent
    │   ├── DuplicateComponent
    │   └── BadOption
    ├── BrokenPlugin            a component whose code does not load
    ├── DataError               pictures, masks, folders
    │   ├── UnknownLayout
    │   └── PictureError        one picture or its mask; the rest goes on      exit 3
    ├── DamagedFile             facts on disk that are not as they were written
    ├── StoreError              the feature store
    │   ├── CorruptStore
    │   ├── UnreadableStore     the system does not give a file; nothing is known against it
    │   ├── FingerprintMismatch
    │   ├── StoreLocked
    │   └── MissingParts
    ├── WeightsError            model or head weights that do not fit
    ├── CategoryOverlap         a tested category was trained on
    ├── NotApplicable           a method cannot do this here; the reason is the message
    └── NonFiniteScores         a method gave NaN or infinity, or would be given some

A message is one line: what was found, what was wanted, what to do next.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "BadOption",
    "BrokenPlugin",
    "CategoryOverlap",
    "CorruptStore",
    "DamagedFile",
    "DataError",
    "DuplicateComponent",
    "FingerprintMismatch",
    "MissingParts",
    "NonFiniteScores",
    "NotApplicable",
    "PictureError",
    "StackclipError",
    "StoreError",
    "StoreLocked",
    "UnknownComponent",
    "UnknownLayout",
    "UnreadableStore",
    "UsageError",
    "WeightsError",
]


class StackclipError(Exception):
    """Could not do it; the message is one line for a person."""

    exit_code = 1


class UsageError(StackclipError):
    """The words of the call are wrong."""

    exit_code = 2


class UnknownComponent(UsageError):
    """No component of that name; the nearest names are suggested."""


class DuplicateComponent(UsageError):
    """Two places define the same name; both are named."""


class BadOption(UsageError):
    """An option that the component does not have, or a value that it does not take."""


class BrokenPlugin(StackclipError):
    """A component that exists but whose code does not load."""


class DataError(StackclipError):
    """Pictures, masks or folders that are not as they must be."""


class UnknownLayout(DataError):
    """A folder whose layout is none that we know; the expected `trees` are shown below the message."""

    def __init__(self, message: str, trees: str = "") -> None:
        super().__init__(message)
        self.line = message
        self.trees = trees

    def __str__(self) -> str:
        return f"{self.line}\n{self.trees}" if self.trees else self.line


class PictureError(DataError):
    """One picture (or its mask) cannot be used; the others go on.

    The path comes first in the message, so that a list of failures reads as a list of files.
    """

    exit_code = 3

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[PictureError], tuple[Path, str]]:
        return type(self), (self.path, self.reason)


class DamagedFile(StackclipError):
    """A file that is not as it was written; the path comes first in the message."""

    def why(self, path: Path) -> str:
        """The message without the path of the file."""
        return str(self).removeprefix(f"{path}: ")


class StoreError(StackclipError):
    """The feature store cannot be used."""


class CorruptStore(StoreError):
    """Bytes on disk are not those that were written."""


class UnreadableStore(StoreError):
    """The system does not let us read a file of the store, which says nothing about its bytes."""


class FingerprintMismatch(StoreError):
    """The store (or head) was made with another tower, transform or option."""


class StoreLocked(StoreError):
    """Another process writes to the store."""


class MissingParts(StoreError):
    """The store lacks features that a method needs; the message holds the command that makes them."""


class WeightsError(StackclipError):
    """Weights that cannot be read, or that belong to another architecture."""


class CategoryOverlap(StackclipError):
    """Training on a category that is tested is not zero-shot."""


class NotApplicable(StackclipError):
    """The method cannot do this here; its row carries the reason."""


class NonFiniteScores(StackclipError):
    """A method gave NaN or infinity, or would be shown features with some; method and picture are named."""
