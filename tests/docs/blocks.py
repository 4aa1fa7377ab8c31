"""The pages, their blocks of code, and how one is run."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import Result

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/README.md"), *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A block of code of a page; `mark` is the remark before it: `long`, or `not run: WHY`."""

    language: str
    code: str
    mark: str = ""

    @property
    def why_not(self) -> str:
        """Why it is not run; empty where it is."""
        return self.mark.removeprefix("not run: ") if self.mark.startswith("not run") else ""

    @property
    def file(self) -> str:
        """The file that a block of TOML is, where it says so in its first line."""
        found = re.match(r"# ([\w-]+\.toml)\n", self.code) if self.language == "toml" else None
        return found[1] if found else ""

    @property
    def long(self) -> bool:
        """Whether it is run by `make docs-test` alone."""
        return self.mark == "long"


def blocks_of(text: str) -> Iterator[Block]:
    """The blocks of a page in their order."""
    for found in _BLOCK.finditer(text):
        yield Block(found["language"], found["code"], found["mark"] or "")


def commands_of(block: Block) -> Iterator[list[str]]:
    """The words of each command of a block."""
    for line in block.code.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def run_block(block: Block, here: Path, stackclip: Run, names: dict[str, Any]) -> None:
    """Run a block; one of Python that names a file of `registry/` is put there, one of TOML that names its file too."""
    if block.file:
        (here / block.file).write_text(block.code, "utf-8")
        return
    if block.language == "python":
        _, found, place = block.code.partition("\n")[0].partition("# registry/")
        if found or "prompts.register" in block.code:
            (here / "registry").mkdir(exist_ok=True)
            (here / "registry" / (place or "mine.py")).write_text(block.code, "utf-8")
        else:
            exec(compile(block.code, "<block>", "exec"), names)
        return
    for words in commands_of(block):
        run_command(words, here, stackclip)


def run_command(words: list[str], here: Path, stackclip: Run) -> None:
    """Run a command of stackclip; of others, make sure that there is what they name."""
    if words[0] == "make":
        assert set(words[1:]) <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    elif words[:2] == ["pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        assert set(re.findall(r"\[(\w+)\]", words[2])) <= set(extras)
    else:
        words = words[1:] if words[0] == "stackclip" else words[2:] if words[:2] == ["python", "cli.py"] else words
        result = stackclip(None if words[0] == "--workspace" else here, *words)
        assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"
