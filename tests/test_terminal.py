"""Numbers in words, messages where they belong, progress with and without a terminal."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

import stackclip.terminal
from stackclip.registry import datasets
from stackclip.terminal import Bars, component_page, duration, set_up_logging, size, trees

LOGGER = logging.getLogger("stackclip")
pytestmark = pytest.mark.usefixtures("logging_as_it_was")


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (820_200, "820.2 kB"), (19_400_000_000, "19.4 GB")],
)
def test_bytes_in_words(count: int, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "0.2 s"), (12.4, "12 s"), (59.4, "59 s"), (200, "3 min 20 s"), (119.6, "2 min 0 s"), (7260, "2 h 1 min")],
)
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("verbosity", "seen"),
    [(-1, ["wrong"]), (0, ["said", "warned", "wrong"]), (1, ["detail", "said", "warned", "wrong"])],
)
def test_messages_are_seen_by_how_much_was_asked_for(
    verbosity: int, seen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(verbosity, None)
    LOGGER.debug("detail")
    LOGGER.info("said")
    LOGGER.warning("warned")
    LOGGER.error("wrong")
    captured = capsys.readouterr()
    assert captured.err.split() == seen
    assert captured.out == ""


def test_a_log_file_keeps_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(-1, tmp_path / "new" / "log")
    LOGGER.debug("detail")
    assert capsys.readouterr().err == ""
    assert (tmp_path / "new" / "log").read_text().endswith("DEBUG stackclip: detail\n")


def test_names_in_messages_are_neither_markup_nor_emoji_nor_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(0, None)
    message = f"failed: C:/a [bold]b[/bold] :smile: {'x' * 300}"
    LOGGER.error("%s", message)
    assert capsys.readouterr().err == f"{message}\n"


def test_without_a_terminal_a_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("stackclip.terminal.time.monotonic", lambda: now[0])
    set_up_logging(0, None)
    with Bars.shown() as bars:
        for done in range(1, 11):
            now[0] += 2.0
            bars("encode", done, 20)
    assert capsys.readouterr().err.splitlines() == [
        "encode: 3 of 20, 0.5/s, 34 s left",
        "encode: 6 of 20, 0.5/s, 28 s left",
        "encode: 9 of 20, 0.5/s, 22 s left",
    ]


def test_on_a_terminal_a_bar_shows_rate_and_time_left_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(stackclip.terminal, "errors", terminal)
    set_up_logging(0, None)
    with Bars.shown() as bars:
        bars("test [red]x", 1, 3)
        LOGGER.warning("a line above the bar")
        bars("test [red]x", 2, 3)
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "test [red]x" in shown
    assert "2/3" in shown
    assert "a line above the bar" in shown


def test_the_page_of_a_data_set_and_the_list_of_all_show_the_trees_expected() -> None:
    page = "\n".join(str(block) for block in component_page(datasets.find("ksdd"), ""))
    assert "kos01/Part0_label.bmp" in page
    assert "from CC BY-NC-SA 4.0" in page
    shown = {str(tree).partition("\n")[0]: str(tree) for tree in trees(datasets)}
    assert set(shown) == set(datasets.names())
    assert all("ROOT/" in tree for tree in shown.values())
