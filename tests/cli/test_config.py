"""Config files and variables of every odd kind: one line that names the file and the key, exit code 2."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]

ODD = {
    "[bench]\nepochs = inf": ("[bench] epochs", "inf"),
    "[bench]\nepochs = nan": ("[bench] epochs", "nan"),
    "[bench]\nepochs = 1.5": ("[bench] epochs", "1.5"),
    "[bench]\nepochs = true": ("[bench] epochs", "true"),
    "[bench]\nepochs = 'two'": ("[bench] epochs", "'two'"),
    "[bench]\nepochs = -1": ("[bench] epochs", "-1"),
    "[bench]\nepochs = 99999999999999999999": ("[bench] epochs", "above 2^63"),
    "[bench]\nepochs = [1, 2]": ("[bench] epochs", "a list; wanted one value"),
    "[bench]\nepochs = 2020-01-01": ("[bench] epochs", "2020-01-01"),
    "[bench.epochs]\na = 1": ("[bench] epochs", "a table"),
    "[bench]\nmethods = [['a']]": ("[bench] methods", "a list"),
    "[bench]\nmethods = {a = 1}": ("[bench] methods", "a table"),
    "[bench]\nmethods = 12:00:00": ("[bench] methods", "12:00:00"),
    "[bench]\nseeds = nan": ("[bench] seeds", "nan"),
    "[bench]\nseeds = 'x'": ("[bench] seeds", "'x'"),
    "[bench]\nmetrics = 'bogus'": ("[bench] metrics", "'bogus'"),
    "[bench]\njson = 'yes'": ("[bench] json", "'yes'; wanted true or false"),
    "[bench]\njson = 1": ("[bench] json", "1; wanted true or false"),
    '[bench]\ndata_root = "a\\u0000b"': ("[bench] data_root", "NUL"),
    "[bench]\ndata-root = 3.5e400": ("[bench] data-root", "inf"),
    "verbose = 'loud'": ("stackclip verbose", "'loud'; wanted a whole number"),
    "workspace = [1]": ("stackclip workspace", "a list"),
    "bench = 3": ("bench", "3; wanted a table [bench]"),
    "bench = [1]": ("bench", "a list; wanted a table [bench]"),
    "[bench]\nepoch = 3": ("[bench]", "'epoch' (did you mean 'epochs'?)"),
    "[bench]\n'\\u001b[2J' = 3": ("[bench]", "has no"),
    "x = " + "[" * 5000: ("", "nested too deeply"),
    "x = " + "1" * 5000: ("", "Exceeds the limit"),
}


def one_line(result: Result) -> str:
    """The only line that says what is wrong, below click's usage."""
    assert result.exit_code == 2, result.output
    [line] = [line for line in result.stderr.splitlines() if line and not line.startswith(("Usage:", "Try "))]
    return line


@pytest.mark.parametrize("text", ODD, ids=[text[:30] for text in ODD])
def test_a_value_of_another_type_is_named_with_its_file_and_key(stackclip: Run, text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    said = one_line(stackclip(tmp_path, "--config", str(path), "bench"))
    for words in (str(path), *ODD[text]):
        assert words in said


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xfe[\x00b\x00", "wanted TOML in UTF-8"),
        (b"[bench]\nmethods = '\xff'", "wanted TOML in UTF-8"),
        (b"\0", "wanted TOML in UTF-8"),
        (b"#" * (1 << 21), "no regular file of at most"),
    ],
)
def test_a_file_that_is_no_text_or_too_large_is_one_line(
    stackclip: Run, data: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(data)
    said = one_line(stackclip(tmp_path, "--config", str(path), "list"))
    assert str(path) in said
    assert reason in said


def test_a_pipe_is_not_waited_for_and_a_folder_is_none(stackclip: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert str(tmp_path / "pipe") in one_line(stackclip(tmp_path, "--config", str(tmp_path / "pipe"), "list"))
    assert str(tmp_path) in one_line(stackclip(tmp_path, "--config", str(tmp_path), "list"))


def test_what_fits_is_taken(stackclip: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    text = "quiet = true\n[bench]\nseeds = [0, 1]\nlayers = 6\nmethods = ['clip']\njson = true\noutput = ['a.xls']\n"
    path.write_text("\ufeff" + text, "utf-8")
    done = stackclip(tmp_path, "--config", str(path), "bench")
    assert "a.xls: no table is written as .xls" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("STACKCLIP_BENCH_EPOCHS", "nan", "nan"),
        ("STACKCLIP_BENCH_JSON", "perhaps", "perhaps"),
        ("STACKCLIP_BENCH_METRICS", "\x1b[2J", "\\x1b[2J"),
        ("STACKCLIP_VERBOSE", "loud", "loud"),
        ("STACKCLIP_CONFIG", "/nowhere/at/all", "does not exist"),
    ],
)
def test_a_variable_that_does_not_fit_is_named(
    stackclip: Run, name: str, value: str, reason: str, tmp_path: Path
) -> None:
    said = one_line(stackclip(tmp_path, "bench", env={name: value}))
    assert name in said
    assert reason in said


def test_a_variable_named_almost_like_an_option_is_said_to_do_nothing(stackclip: Run, tmp_path: Path) -> None:
    done = stackclip(tmp_path, "list", "prompts", env={"STACKCLIP_BENCH_EPOCH": "3", "STACKCLIP_ZZZ": "x"})
    assert done.exit_code == 0
    assert "STACKCLIP_BENCH_EPOCH in the environment is no option" in done.stderr
    assert "did you mean STACKCLIP_BENCH_EPOCHS?" in done.stderr
    assert "ZZZ" not in done.stderr


def test_the_home_of_somebody_who_is_not_there_is_one_line(stackclip: Run) -> None:
    done = stackclip(None, "list", env={"STACKCLIP_CACHE": "~no-such-user/cache"})
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: STACKCLIP_CACHE=~no-such-user/cache: ")
