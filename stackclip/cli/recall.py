"""Answers that are given again while all that they depend on is as it was: nothing heavy is loaded for them.

An answer depends on what was typed, on the code, and on the files and folders that the verb names. Their states are
compared, not their content, so that this takes milliseconds; whatever is younger than the clocks of file systems tell
apart, and whatever comes from a system without change times, is not relied on.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout, suppress
from functools import wraps
from pathlib import Path
from time import time_ns
from typing import Any, TextIO, cast

import click

from stackclip.cli.options import logger
from stackclip.cli.parsing import given_here
from stackclip.errors import DamagedFile
from stackclip.ops.files import canonical_json, content_hash, expanded, write_atomically
from stackclip.ops.seals import read_regular, sealed, unsealed
from stackclip.ops.states import HAS_CHANGE_TIME, FileState, were_settled
from stackclip.registry import SHELVES
from stackclip.registry.plugins import entry_points
from stackclip.version import VERSION
from stackclip.workspace import Workspace

__all__ = ["recalled", "recalls"]

_FORMAT = 1
_LARGEST = 1 << 24  # bytes of an answer
_MOST = 100  # answers that are kept
_DIGITS = 32  # of the digest that names a file
_ENVIRONMENT = re.compile(
    r"(STACKCLIP|HF|HUGGINGFACE|XDG|MLFLOW|DATABRICKS|WANDB|TENSORBOARD)_.*|CUDA_VISIBLE_DEVICES|HOME"
)
_PACKAGE = Path(__file__).resolve().parents[1]


def recalled(answer: Callable[[], Iterable[Path] | None]) -> None:
    """Print what a verb answered when it was asked the same, or have it answer.

    `answer` gives the files and folders (with all that lies below them) that what it printed and logged depends on; or
    None for what is not to be given again. STACKCLIP_RECALL=off has every verb answer.
    """
    context = click.get_current_context()
    workspace = cast(Workspace, context.obj)
    if os.environ.get("STACKCLIP_RECALL") == "off" or not HAS_CHANGE_TIME:
        answer()
        return
    asked = _asked(context)
    file = workspace.cache / "answers" / f"{content_hash(canonical_json(asked))[:_DIGITS]}.json"
    if (known := _known(file, asked)) is not None:
        for level, message in known["said"]:
            logger.log(int(level), "%s", message)
        sys.stdout.write(known["printed"])
        sys.stdout.flush()
        return
    printed, said = _Copied(sys.stdout), _Heard()
    moment = time_ns()
    logger.addHandler(said)
    try:
        with redirect_stdout(cast(TextIO, printed)):
            grounds = answer()
    finally:
        logger.removeHandler(said)
    if grounds is not None:
        code = (_PACKAGE, workspace.registry) if workspace.registry else (_PACKAGE,)
        named = _named([*context.params.values()])
        _keep(
            file, asked, moment, [*code, *grounds, *named], {"printed": "".join(printed.parts), "said": said.messages}
        )


def recalls(verb: Callable[..., Iterable[Path] | None]) -> Callable[..., None]:
    """A verb that is `recalled`; it gives what its answer depends on."""

    @wraps(verb)
    def answer(*given: Any, **words: Any) -> None:
        recalled(lambda: verb(*given, **words))

    return answer


def _asked(context: click.Context) -> dict[str, Any]:
    """What decides an answer, but for the state of files."""
    from stackclip.console import output

    return {
        "format": _FORMAT,
        "version": [VERSION, sys.version, sys.executable],
        "verb": context.info_name,
        "words": {name: _text(value) for name, value in context.params.items()},
        "typed": sorted(given_here([*context.params])),
        "level": logger.level,
        "place": str(Path.cwd()),
        "workspace": _text(context.obj),
        "terminal": [output.width, output.color_system, output.no_color, output.encoding, output.is_terminal],
        "environment": _environment(),
    }


def _environment() -> str:
    """A digest of the variables that decide an answer: some of them are keys, which are not written down."""
    found = {name: value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name)}
    return content_hash(canonical_json(found))


def _text(value: object) -> str:
    """A value that was typed, as text that another value does not have."""
    return repr(value).encode("utf-8", "backslashreplace").decode()


def _known(file: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The answer that was kept, if nothing that it depends on has changed."""
    try:
        content = unsealed(read_regular(file, largest=_LARGEST))
        as_it_was = content["asked"] == asked and content["beside"] == _imported_from()
        if not as_it_was or content["state"] != _state(content):
            return None
        return {"printed": str(content["printed"]), "said": [(level, text) for level, text in content["said"]]}
    except (DamagedFile, OSError, ValueError, KeyError, TypeError):
        return None


def _keep(file: Path, asked: dict[str, Any], moment: int, grounds: list[Path], answer: dict[str, Any]) -> None:
    """Keep an answer for the next time, where that can be."""
    if any(entry_points(shelf.kind) for shelf in SHELVES):  # whose code may lie anywhere
        return
    whole = dict.fromkeys(str(each.absolute()) for each in grounds)
    content = {"asked": asked, "moment": moment, "whole": [*whole], "beside": _imported_from(), **answer}
    try:
        content["state"] = _state(content)
        if content["state"] is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, sealed(content))
        _make_room(file.parent)
    except (OSError, UnicodeEncodeError) as error:
        logger.debug("the answer is not kept: %s", error)


def _make_room(folder: Path) -> None:
    """Let go of the oldest answers."""
    kept = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in kept[_MOST:]:
        path.unlink(missing_ok=True)


def _imported_from() -> list[str]:
    """The folders in which modules are looked for: what is installed, or no longer, changes one of them."""
    folders = dict.fromkeys((*sys.path, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    return [each for each in folders if each and (Path(each) != _PACKAGE.parent or "-packages" in each)]


def _named(value: object) -> Iterator[Path]:
    """Files that words name, whole or in the options of a method."""
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from _named(each)
    elif isinstance(value, (str, Path)):
        for text in dict.fromkeys((str(value), *re.split(r"[\[\]{}()'\",=+]+", str(value)))):
            with suppress(OSError, ValueError):
                if (path := expanded(text)).is_file():
                    yield path


def _state(content: dict[str, Any]) -> str | None:
    """A digest of the states of all that an answer depends on; None where something is too young to be relied on."""
    found = [(each, _of(Path(each))) for each in content["beside"]]
    seen = set[str]()
    found += [pair for each in content["whole"] for pair in _below(Path(each), seen)]
    if not were_settled((state for _, state in found if state), content["moment"]):
        return None
    lines = [f"{place} {state and tuple(state)}" for place, state in found]
    return content_hash("\n".join(lines).encode("utf-8", "surrogateescape"))


def _of(place: Path) -> FileState | None:
    """The state of a file or folder; None where there is none."""
    with suppress(OSError):
        return FileState.of(place.stat())
    return None


def _below(place: Path, seen: set[str]) -> Iterator[tuple[str, FileState | None]]:
    """The states of a place and, of a folder, of all that lies below it or behind its links, in a fixed order.

    A folder that was `seen` before, by whatever way, is not gone through again.
    """
    yield str(place), _of(place)
    real = os.path.realpath(place)
    if real in seen or not place.is_dir():
        return
    seen.add(real)
    with os.scandir(place) as entries:
        inside = sorted(entries, key=lambda entry: entry.name)
    for entry in inside:
        if not entry.is_dir():
            yield entry.path, _of(Path(entry.path))
        elif entry.name != "__pycache__":
            yield from _below(Path(entry.path), seen)


class _Copied:
    """A stream that remembers what was written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.parts: list[str] = []

    def write(self, text: str) -> int:
        self.parts.append(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Heard(logging.Handler):
    """Remembers what was logged, as it was said."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append((record.levelno, record.getMessage()))
