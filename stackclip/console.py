"""Where answers and messages are printed; nothing in their text acts on the terminal that shows them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.control import Control
from rich.segment import Segment
from rich.text import Text

from stackclip.ops.words import legible

__all__ = ["errors", "line", "names_stdout", "output", "say", "say_text"]

WIDTH_ELSEWHERE = 160  # of a table that goes into a file or a pipe


class _Legible:
    """What is printed, with nothing in its text that acts on a terminal; its own lines stay."""

    def __init__(self, content: ConsoleRenderable) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self._content, options):
            yield Segment(text if control else "\n".join(map(legible, text.split("\n"))), style, control)


class _Escape(RenderHook):
    """The net below all that is printed: names that were not made one line before cannot act either."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [each if isinstance(each, Control) else _Legible(each) for each in renderables]


@contextmanager
def names_stdout() -> Iterator[None]:
    """Where an answer cannot be written, the error says that it was stdout."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or "stdout"
        raise


class _Answers(Console):
    """The answer of a command on stdout."""

    def print(self, *objects: Any, **options: Any) -> None:
        with names_stdout():
            super().print(*objects, **options)


class _Messages(Console):
    """Messages on stderr; where nobody reads them any more, the work goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


if os.environ.get("COLUMNS", "1").strip("0") == "":  # a terminal without a size says so; 0 columns show nothing
    del os.environ["COLUMNS"]
_is_terminal = sys.stdout is not None and sys.stdout.isatty()
output = _Answers(width=None if _is_terminal or "COLUMNS" in os.environ else WIDTH_ELSEWHERE)
errors = _Messages(stderr=True, soft_wrap=True)
for _console in (output, errors):
    _console.push_render_hook(_Escape())


def line(text: object, style: str = "") -> Text:
    """Text from anywhere as one line that does nothing, neither as markup nor as control characters."""
    return Text(legible(text), style)


def say(text: object, style: str = "", *, soft_wrap: bool = False) -> None:
    """Print one line of an answer."""
    output.print(line(text, style), soft_wrap=soft_wrap)


def say_text(text: str) -> None:
    """Print text that is whole and harmless as it is, as JSON lines are."""
    with names_stdout():
        sys.stdout.write(text)
        sys.stdout.flush()
