"""What tests of pages share: the pages, and their blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    def long(self) -> bool:
        """Whether it is run by `make docs-test` alone."""
        return self.mark == "long"


def blocks_of(text: str) -> Iterator[Block]:
    """The blocks of a page in their order."""
    for found in _BLOCK.finditer(text):
        yield Block(found["language"], found["code"], found["mark"] or "")
