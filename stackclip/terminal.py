"""What a person sees: progress with rate and time left, log lines, tables of components."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from stackclip.console import errors, line
from stackclip.errors import StackclipError, UsageError
from stackclip.ops.words import duration, legible
from stackclip.registry import Component, Shelf, reason

__all__ = ["Bars", "component_page", "set_up_logging", "shelf_table", "trees"]

logger = logging.getLogger("stackclip")
SECONDS_BETWEEN_LINES = 5.0
REPEATED = 3  # times that the same message is shown; the others are counted


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


class Bars:
    """One progress bar a stage on a terminal, and a line every few seconds where there is none."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._bars: dict[str, Any] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._reached: dict[str, int] = {}
        self._said: float | None = None

    @classmethod
    @contextmanager
    def shown(cls) -> Iterator[Bars]:
        """Bars for as long as the block runs; nothing is left of them afterwards."""
        if not errors.is_terminal:
            yield cls(None)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        progress = Progress(*columns, console=errors, transient=True, speed_estimate_period=10)
        try:
            yield cls(progress)
        finally:
            progress.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        if self._progress is None:
            self._say(stage, done, total)
            return
        self._progress.start()  # what is loaded before the first stage may draw bars of its own
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(escape(legible(stage)), total=total)
        self._progress.update(self._bars[stage], completed=done, total=total, visible=done < total)

    def _say(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < self._reached.get(stage, 0):  # a stage of this name has begun anew
            del self._started[stage]
        self._reached[stage] = done
        started, first = self._started.setdefault(stage, (now, done))
        if self._said is None:  # the time before the first stage is not the work's
            self._said = now
        if now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said = now
        rate = (done - first) / (now - started) if now > started else 0.0
        left = f", {rate:.1f}/s, {duration((total - done) / rate)} left" if rate else ""
        logger.info("%s: %d of %d%s", stage, done, total, left)


class _OneLine(logging.Formatter):
    """A record is one line whatever its message holds; of what went wrong below it, every line is indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return legible(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return "\n".join(f"    {legible(each)}" for each in super().formatException(ei).splitlines())


class _Lines(logging.Handler):
    """Lines on stderr, above the progress bars while there are some; the same one a few times, then it is counted."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            self._seen[text] += 1
            if self._seen[text] <= REPEATED:
                errors.print(Text(text))
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Say how often messages came that were held back."""
        held = {text: count - REPEATED for text, count in self._seen.items() if count > REPEATED}
        self._seen.clear()
        with suppress(OSError):  # where stderr is full or closed there is no place to say so
            for text, count in held.items():
                errors.print(Text(f"{text} ({count} more)"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Leave out a message that cannot be shown: there is no place to say so."""


class _LogFile(logging.FileHandler):
    """A file of messages; where it cannot be written, that is said once and the work goes on."""

    _given_up = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._given_up:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if not self._given_up:
            self._given_up = True
            _say_lost(Path(self.baseFilename), sys.exception() or OSError("unknown"))

    def close(self) -> None:
        with suppress(OSError):  # said before
            super().close()


def _say_lost(log_file: Path, error: BaseException) -> None:
    why = error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
    logger.error("--log-file %s cannot be written (%s); the work goes on without it", log_file, why)


def _log_file(path: Path) -> logging.Handler:
    """Raises UsageError for a pipe or a folder, OSError for what cannot be opened."""
    if path.exists() and not path.is_file() and not path.is_char_device():  # opening a pipe would wait for a reader
        raise UsageError(f"--log-file {path}: is no regular file; name one that may be written")
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning of Python or of a library as one message."""
    logger.warning("%s: %s (%s:%d)", category.__name__, message, filename, lineno)


def set_up_logging(verbosity: int, log_file: Path | None) -> Callable[[], None]:
    """Messages on stderr: errors at -1, progress lines too at 0, everything from 1 on; and everything in a file.

    Returns what says at the end how often messages came that were held back. Raises UsageError for a `log_file` that is
    no file.
    """
    level = {-1: logging.ERROR, 0: logging.INFO}.get(verbosity, logging.DEBUG)
    handlers: list[logging.Handler] = [_Lines()]
    handlers[0].setLevel(level)
    handlers[0].setFormatter(_OneLine("%(message)s"))
    lost: OSError | None = None
    try:
        handlers += [_log_file(log_file)] if log_file is not None else []
    except OSError as error:
        lost = error
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if log_file else level)
    logger.propagate = False
    logging.lastResort = handlers[0]  # what libraries and plugins say through loggers of their own
    warnings.showwarning = _log_warning
    if lost is not None and log_file is not None:
        _say_lost(log_file, lost)
    return handlers[0].flush


def shelf_table(shelf: Shelf) -> Table:
    """The components of a shelf, a line each; those that do not load say so."""
    table = Table(title=shelf.kind, title_justify="left", title_style="bold", box=None, header_style="dim")
    table.add_column("name", no_wrap=True)
    table.add_column("what it is")
    table.add_column("where", style="dim")
    for name in shelf.names():
        try:
            component = shelf.find(name)
            summary = component.summary
        except StackclipError as error:
            table.add_row(line(name, "red"), line(error, "red"), "")
        else:
            table.add_row(line(name), line(summary), line(component.source))
    return table


def component_page(component: Component, needs: str) -> Iterator[Any]:
    """Everything about one component: what it is, options with types and defaults, where it is, what it needs.

    Raises BrokenPlugin where its code cannot tell.
    """
    yield line(f"{component.name}  ", "bold") + line(f"({component.shelf}, {component.source})", "dim")
    yield Text(component.doc)
    if options := component.options:
        table = Table(box=None, header_style="dim")
        for column in ("option", "type", "default"):
            table.add_column(column)
        for option in options:
            table.add_row(*map(line, option.describe()))
        yield table
    if needs:
        yield Text("needs ", "dim") + line(needs)
    if tree := component.words("tree"):
        yield Text("expected in\n", "dim") + Text(tree.rstrip())
    if source := component.words("source"):
        yield Text("from ", "dim") + line(source)


def trees(shelf: Shelf) -> Iterator[Text]:
    """The folders in which each data set of the shelf is expected."""
    for name in shelf.names():
        with suppress(StackclipError):  # the table has named it
            yield line(name, "bold") + Text("\n") + Text(shelf.find(name).words("tree").rstrip())
