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

A message is one line: what was found, what was wanted, what to do next. Each docstring ends with the mend.
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
    """Could not do it; the message is one line for a person.

    Mend: what was found, what was wanted and what to do next stand in that line. All others are of this class.
    """

    exit_code = 1


class UsageError(StackclipError):
    """The words of the call are wrong.

    Mend: the message names the word and what is taken in its place; `--help` of the verb has all of them.
    """

    exit_code = 2


class UnknownComponent(UsageError):
    """No component of that name; the nearest names are suggested.

    Mend: take the name that is suggested, or one that `stackclip list` prints. A component of your own is found
    with `--workspace`, or with the `cli.py` beside its `registry/`.
    """


class DuplicateComponent(UsageError):
    """Two places define the same name; both are named.

    Mend: rename one of them: neither takes the place of the other.
    """


class BadOption(UsageError):
    """An option that the component does not have, or a value that it does not take.

    Mend: `stackclip show NAME` prints its options with types and defaults. Brackets and commas want quotes in a
    shell.
    """


class BrokenPlugin(StackclipError):
    """A component that exists but whose code does not load.

    Mend: the message has file, line and reason. Mend that file, or move it out of `registry/`; `stackclip check
    NAME` tries a component out.
    """


class DataError(StackclipError):
    """Pictures, masks or folders that are not as they must be.

    Mend: `stackclip data PATH` shows what a folder is taken for, what was left out, and the words that change it.
    """


class UnknownLayout(DataError):
    """A folder whose layout is none that we know; the expected `trees` are shown below the message.

    Mend: lay the folder out as one of the trees, or say what its folders are: `'FOLDER[good=fine,bad=dent]'`.
    """

    def __init__(self, message: str, trees: str = "") -> None:
        super().__init__(message)
        self.line = message
        self.trees = trees

    def __str__(self) -> str:
        return f"{self.line}\n{self.trees}" if self.trees else self.line


class PictureError(DataError):
    """One picture (or its mask) cannot be used; the others go on.

    The path comes first in the message, so that a list of failures reads as a list of files.

    Mend: look at that file with another program, replace or remove it, and run the same command again: only what is
    missing is done.
    """

    exit_code = 3

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[PictureError], tuple[Path, str]]:
        return type(self), (self.path, self.reason)


class DamagedFile(StackclipError):
    """A file that is not as it was written; the path comes first in the message.

    Mend: files that stackclip derives are made anew by the same command. Of a file of your own, get a whole copy.
    """

    def why(self, path: Path) -> str:
        """The message without the path of the file."""
        return str(self).removeprefix(f"{path}: ")


class StoreError(StackclipError):
    """The feature store cannot be used.

    Mend: `stackclip doctor --store FOLDER` tries out whether the disk can hold one; the message says what was
    wanted of it.
    """


class CorruptStore(StoreError):
    """Bytes on disk are not those that were written.

    Mend: `stackclip verify` says which pictures are hit, `stackclip repair` drops them, and the next
    `cache-features` encodes them anew. Then look at the disk.
    """


class UnreadableStore(StoreError):
    """The system does not let us read a file of the store, which says nothing about its bytes.

    Mend: mend the right, the mount or the limit that the message names, and run the same command again. Nothing is
    lost.
    """


class FingerprintMismatch(StoreError):
    """The store (or head) was made with another tower, transform or option.

    Mend: name the tower that it was made with, or leave the place out: each tower has a store of its own.
    """


class StoreLocked(StoreError):
    """Another process writes to the store.

    Mend: wait for the process that is named, or let `cache-features --wait` do so. If it died, its lock died with
    it.
    """


class MissingParts(StoreError):
    """The store lacks features that a method needs; the message holds the command that makes them.

    Mend: run that command, or leave out `--cached-only`.
    """


class WeightsError(StackclipError):
    """Weights that cannot be read, or that belong to another architecture.

    Mend: name the backbone that the file is of (`--backbone`), or the right file. A pickle of a whole model is
    refused, since reading it would run it: save its `state_dict`, best as safetensors.
    """


class CategoryOverlap(StackclipError):
    """Training on a category that is tested is not zero-shot.

    Mend: train on another data set, restrict `--category`, or say `--allow-overlap`: the row then says that it is
    not zero-shot.
    """


class NotApplicable(StackclipError):
    """The method cannot do this here; its row carries the reason.

    Mend: the reason says what is lacking: shots, a text tower, a part that this tower does not have. The other
    methods of the bench are not touched.
    """


class NonFiniteScores(StackclipError):
    """A method gave NaN or infinity, or would be shown features with some; method and picture are named.

    Mend: half precision is the usual cause: try `--precision fp32`, a smaller `lr`, or weights that are whole.
    """
