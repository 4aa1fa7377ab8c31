"""What fails around a command ends it in one line: a full or closed stdout, a terminal of few letters, no memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell's redirections are tried")


def shell(redirected: str, workspace: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `list prompts` with its streams redirected."""
    line = f"'{sys.executable}' -c 'from stackclip.cli import main; main()' --workspace '{workspace}' list prompts"
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(["sh", "-c", f"{line} {redirected}"], capture_output=True, text=True, env=env, check=False)


def test_a_full_or_closed_stdout_is_one_line_and_exit_1(tmp_path: Path) -> None:
    if Path("/dev/full").exists():
        full = shell("> /dev/full", tmp_path)
        assert (full.returncode, full.stderr) == (1, "Error: stdout: No space left on device\n")
    closed = shell(">&-", tmp_path)
    assert (closed.returncode, closed.stderr) == (1, "Error: stdout is closed, so no answer could be given\n")


def test_a_generated_picture_that_finds_no_room_is_named(tmp_path: Path) -> None:
    """A file may have 512 bytes: nothing else is written before the pictures are drawn."""
    words = "cache-features --dataset 'synthetic[categories=1,per_category=2,size=112]' --backbone random-vit-8"
    line = (
        f"ulimit -f 1; '{sys.executable}' -c 'from stackclip.cli import main; main()' --workspace '{tmp_path}' {words}"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"Error: \S*/000\.png: File too large\n", done.stderr.replace("_mask", "")), done.stderr


@pytest.mark.parametrize("columns", ["0", "00"])
def test_a_terminal_of_0_columns_is_one_of_unknown_size(tmp_path: Path, columns: str) -> None:
    listed = shell("", tmp_path, COLUMNS=columns)
    assert (listed.returncode, "precise" in listed.stdout) == (0, True)
    wrong = shell("nosuch", tmp_path, COLUMNS=columns)
    assert wrong.returncode == 2
    assert "nosuch" in wrong.stderr


def test_a_working_directory_that_is_gone_is_said(tmp_path: Path) -> None:
    line = (
        f"mkdir '{tmp_path}/gone'; cd '{tmp_path}/gone'; rmdir '{tmp_path}/gone'; '{sys.executable}' -m stackclip list"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the working directory cannot be used (No such file or directory)")
    assert "Traceback" not in done.stderr


def test_who_reads_only_the_beginning_gets_no_words(tmp_path: Path) -> None:
    done = shell("| head -c 1", tmp_path)
    assert done.stderr == ""


def test_without_stderr_the_answer_is_given(tmp_path: Path) -> None:
    for redirected in ("2>&-", "2> /dev/full"):
        done = shell(redirected, tmp_path)
        assert (done.returncode, "precise" in done.stdout) == (0, True)


def test_a_terminal_that_knows_only_ascii_is_given_escapes(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "größe.py").write_text("raise ValueError('日本 ±')", "utf-8")
    done = shell("", tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert (done.stdout + done.stderr).isascii()
    assert r"ValueError: \u65e5\u672c \xb1" in done.stderr


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "Error: a file without a name: No space left on device"),
        (OSError("odd"), "Error: a file without a name: OSError: odd"),
        (PermissionError(13, "Permission denied", "a\x1b"), r"Error: a\x1b: Permission denied"),
        (MemoryError(), "Error: there is not enough memory (MemoryError)"),
        (RecursionError("too deep"), "Error: RecursionError: too deep"),
        (UnicodeEncodeError("ascii", "ä", 0, 1, "no"), "Error: UnicodeEncodeError: "),
        (BrokenPipeError(32, "Broken pipe"), ""),
    ],
)
def test_what_the_system_cannot_do_is_one_line(
    stackclip: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, line: str
) -> None:
    def fails(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("stackclip.doctor.findings", fails)
    done = stackclip(tmp_path, "doctor")
    assert done.exit_code == 1
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == bool(line)


def test_answers_are_printed_by_what_escapes_them() -> None:
    for path in (ROOT / "stackclip").rglob("*.py"):
        if path.name != "group.py":
            assert "click.echo(" not in path.read_text("utf-8"), f"{path}: use echo of cli/group.py"
