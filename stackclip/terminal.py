"""What a person sees: progress with rate and time left, log lines, tables of components, sizes in words."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from stackclip.registry import Component, Shelf, problems

__all__ = ["Bars", "component_page", "duration", "errors", "output", "set_up_logging", "shelf_table", "size", "trees"]

WIDTH_ELSEWHERE = 160  # of a table that goes into a file or a pipe
output = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_ELSEWHERE)
errors = Console(stderr=True, soft_wrap=True)
logger = logging.getLogger("stackclip")
SECONDS_BETWEEN_LINES = 5.0


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


class Bars:
    """One progress bar a stage on a terminal, and a line every few seconds where there is none."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._bars: dict[str, Any] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._said = time.monotonic()

    @classmethod
    @contextmanager
    def shown(cls) -> Iterator[Bars]:
        """Bars for as long as the block runs; nothing is left of them afterwards."""
        if not errors.is_terminal:
            yield cls(None)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        with Progress(*columns, console=errors, transient=True, speed_estimate_period=10) as progress:
            yield cls(progress)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done."""
        if self._progress is None:
            self._say(stage, done, total)
            return
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(escape(stage), total=total)
        self._progress.update(self._bars[stage], completed=done, total=total, visible=done < total)

    def _say(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        started, first = self._started.setdefault(stage, (now, done))
        if now - self._said < SECONDS_BETWEEN_LINES:
            return
        self._said = now
        rate = (done - first) / (now - started) if now > started else 0.0
        left = f", {rate:.1f}/s, {duration((total - done) / rate)} left" if rate else ""
        logger.info("%s: %d of %d%s", stage, done, total, left)


class _Lines(logging.Handler):
    """Lines on stderr, above the progress bars while there are some."""

    def emit(self, record: logging.LogRecord) -> None:
        errors.print(Text(self.format(record)))


def set_up_logging(verbosity: int, log_file: Path | None) -> None:
    """Messages on stderr: errors at -1, progress lines too at 0, everything from 1 on; and everything in a file."""
    level = {-1: logging.ERROR, 0: logging.INFO}.get(verbosity, logging.DEBUG)
    handlers: list[logging.Handler] = [_Lines()]
    handlers[0].setLevel(level)
    handlers[0].setFormatter(logging.Formatter("%(message)s"))
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, encoding="utf-8"))
        handlers[1].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if log_file else level)
    logger.propagate = False


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


def shelf_table(shelf: Shelf) -> Table:
    """The components of a shelf, a line each; those that do not load say so."""
    from stackclip.errors import StackclipError

    table = Table(title=shelf.kind, title_justify="left", title_style="bold", box=None, header_style="dim")
    table.add_column("name", no_wrap=True)
    table.add_column("what it is")
    table.add_column("where", style="dim")
    for name in shelf.names():
        try:
            component = shelf.find(name)
        except StackclipError as error:
            table.add_row(Text(name, "red"), Text(str(error), "red"), "")
        else:
            table.add_row(name, Text(component.summary), Text(component.source))
    return table


def plugin_problems() -> list[str]:
    """What did not load, a line each."""
    return [str(problem) for problem in problems()]


def component_page(component: Component, needs: str) -> Iterator[Any]:
    """Everything about one component: what it is, options with types and defaults, where it is, what it needs."""
    yield Text(f"{component.name}  ", "bold") + Text(f"({component.shelf}, {component.source})", "dim")
    yield Text(component.doc)
    if component.options:
        table = Table(box=None, header_style="dim")
        for column in ("option", "type", "default"):
            table.add_column(column)
        for option in component.options:
            table.add_row(option.label, Text(option.type_name), Text(option.default_text))
        yield table
    if needs:
        yield Text("needs ", "dim") + Text(needs)
    if tree := getattr(component.factory, "tree", ""):
        yield Text("expected in\n", "dim") + Text(tree.rstrip())
    if source := getattr(component.factory, "source", ""):
        yield Text("from ", "dim") + Text(source)


def trees(shelf: Shelf) -> Iterator[Text]:
    """The folders in which each data set of the shelf is expected."""
    from stackclip.errors import StackclipError

    for name in shelf.names():
        with suppress(StackclipError):  # the table has named it
            yield Text(f"{name}\n", "bold") + Text(getattr(shelf.find(name).factory, "tree", "").rstrip())
