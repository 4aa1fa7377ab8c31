"""Numbers in words, messages where they belong, progress with and without a terminal."""

from __future__ import annotations

import errno
import io
import logging
import os
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

import stackclip.terminal
from stackclip.console import output, say
from stackclip.errors import UsageError
from stackclip.registry import datasets
from stackclip.terminal import Bars, component_page, set_up_logging, trees

LOGGER = logging.getLogger("stackclip")
pytestmark = pytest.mark.usefixtures("logging_as_it_was")


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


ACTS = "a\x1b[2J\x9b31m\nERROR forged\r\u202e\u2028größe 日本"
HARMLESS = r"a\x1b[2J\x9b31m\nERROR forged\r\u202e\u2028größe 日本"


def test_a_message_is_one_line_whatever_it_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(0, tmp_path / "log")
    LOGGER.warning("%s", ACTS)
    LOGGER.warning(ACTS)
    assert capsys.readouterr().err == f"{HARMLESS}\n" * 2
    assert [line.partition(": ")[2] for line in (tmp_path / "log").read_text("utf-8").splitlines()] == [HARMLESS] * 2


def test_what_went_wrong_is_indented_below_its_message(tmp_path: Path) -> None:
    set_up_logging(-1, tmp_path / "log")
    try:
        raise ValueError(ACTS)
    except ValueError:
        LOGGER.debug("wrong", exc_info=True)
    first, *rest = (tmp_path / "log").read_text("utf-8").splitlines()
    assert first.endswith("DEBUG stackclip: wrong")
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_the_same_message_is_shown_a_few_times_and_then_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end = set_up_logging(0, tmp_path / "log")
    for index in range(100):
        LOGGER.warning("again")
        LOGGER.info("picture %d", index % 50)
    end()
    lines = capsys.readouterr().err.splitlines()
    assert lines.count("again") == 3
    assert lines[-1] == "again (97 more)"
    assert len(lines) == 3 + 100 + 1
    assert len((tmp_path / "log").read_text().splitlines()) == 200
    end()
    assert capsys.readouterr().err == ""


class _Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_log_file_that_is_full_is_said_once_and_the_work_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(0, tmp_path / "log")
    file = LOGGER.handlers[1]
    assert isinstance(file, logging.FileHandler)
    file.stream.close()
    file.stream = _Full()  # type: ignore[assignment]  # a disk that is full
    for index in range(3):
        LOGGER.info("message %d", index)
    assert capsys.readouterr().err.splitlines() == [
        "message 0",
        f"--log-file {tmp_path / 'log'} cannot be written (No space left on device); the work goes on without it",
        "message 1",
        "message 2",
    ]


def test_a_log_file_that_cannot_be_opened_is_said_once_and_the_work_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "file" / "log", tmp_path / "loop"):
        set_up_logging(0, path)
        LOGGER.info("on")
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith(f"--log-file {path} cannot be written (")
        assert second == "on"


def test_a_log_file_that_is_a_pipe_or_a_folder_is_refused_and_a_link_is_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(UsageError, match="is no regular file"):
            set_up_logging(0, path)
    (tmp_path / "link").symlink_to("real")
    set_up_logging(0, tmp_path / "link")
    LOGGER.info("here")
    assert (tmp_path / "real").read_text().endswith(": here\n")
    set_up_logging(0, Path(os.devnull))


def test_what_is_printed_neither_acts_nor_is_markup_and_its_own_lines_stay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print(Text("one\n\x1b[2Jtwo\u202e"))
    say("[red]a[/red]\nb :smile:")
    assert capsys.readouterr().out == "one\n\\x1b[2Jtwo\\u202e\n[red]a[/red]\\nb :smile:\n"


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
        "encode: 4 of 20, 0.5/s, 32 s left",
        "encode: 7 of 20, 0.5/s, 26 s left",
        "encode: 10 of 20, 0.5/s, 20 s left",
    ]


def test_a_stage_that_begins_anew_has_a_rate_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("stackclip.terminal.time.monotonic", lambda: now[0])
    set_up_logging(0, None)
    with Bars.shown() as bars:
        for done, total in ((2, 10), (10, 10), (1, 3), (2, 3)):
            now[0] += 6.0
            bars("scale", done, total)
    assert capsys.readouterr().err.splitlines() == [
        "scale: 10 of 10, 1.3/s, 0.0 s left",
        "scale: 1 of 3",
        "scale: 2 of 3, 0.2/s, 6.0 s left",
    ]


def test_on_a_terminal_a_bar_shows_rate_and_time_left_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(stackclip.terminal, "errors", terminal)
    set_up_logging(0, None)
    with Bars.shown() as bars:
        bars("test [red]x", 1, 3)
        LOGGER.warning("a line above the bar")
        bars("test [red]x", 2, 3)
        bars("\x1b[2J\nx", 1, 3)
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "test [red]x" in shown
    assert "2/3" in shown
    assert r"\x1b[2J\nx" in shown
    assert "\x1b[2J" not in shown
    assert "a line above the bar" in shown


def test_on_a_terminal_nothing_is_drawn_before_the_first_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(stackclip.terminal, "errors", terminal)
    with Bars.shown() as bars:
        assert terminal.file.getvalue() == ""  # type: ignore[attr-defined]
        bars("encode", 1, 3)
        assert "encode" in terminal.file.getvalue()  # type: ignore[attr-defined]


def test_the_page_of_a_data_set_and_the_list_of_all_show_the_trees_expected() -> None:
    page = "\n".join(str(block) for block in component_page(datasets.find("ksdd"), ""))
    assert "kos01/Part0_label.bmp" in page
    assert "from CC BY-NC-SA 4.0" in page
    shown = {str(tree).partition("\n")[0]: str(tree) for tree in trees(datasets)}
    assert set(shown) == set(datasets.names())
    assert all("ROOT/" in tree for tree in shown.values())
