"""Worked examples: a component of each shelf in one file, copied under a name of the user's when it is asked for."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from stackclip.errors import UsageError
from stackclip.registry.options import noun
from stackclip.registry.spec import did_you_mean

__all__ = ["EXAMPLES", "Example", "examples"]

EXAMPLES = Path(str(resources.files("stackclip") / "examples"))
"""A file a kind, `head.py`; each registers a component first and says in its docstring how to try it."""
_WORDS = ("auto", "none")  # which stand for components where one is named


@dataclass(frozen=True, slots=True)
class Example:
    """The worked example of a kind of component (`head`), with the name that it has itself."""

    kind: str
    name: str
    text: str

    @classmethod
    def of(cls, kind: str) -> Example:
        """The example of `head`, which may be typed `heads` too. Raises UsageError where there is none."""
        known = examples()
        plain = kind.lower().replace("-", "").replace("_", "").removesuffix("s")
        if plain not in known:
            raise UsageError(
                f"no example is there for {kind!r}{did_you_mean(plain, known)}; there are {', '.join(known)}"
            )
        text = (EXAMPLES / f"{plain}.py").read_text("utf-8")
        name, *_ = re.findall(r'^@\w+\.register\("([a-z0-9-]+)"\)', text, re.MULTILINE)
        return cls(plain, name, text)

    @property
    def shelf(self) -> str:
        """The shelf on which it stands."""
        return f"{self.kind}s"

    @property
    def commands(self) -> tuple[str, ...]:
        """How to try it: the indented lines of the docstring, without the word `stackclip`."""
        doc = ast.get_docstring(ast.parse(self.text)) or ""
        return tuple(re.findall(r"^    stackclip (.*)$", doc, re.MULTILINE))

    def under(self, name: str) -> Example:
        """The same under another name: component, class, commands. Raises UsageError for one that cannot be given."""
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or name in _WORDS:
            wanted = f"small letters, digits and hyphens, as in my-{self.kind}"
            raise UsageError(f"{name!r} is no name for a {noun(self.shelf)}; wanted {wanted}")
        text = self.text.replace(self.name, name)
        ours = theirs = _class_name(name)
        while theirs in ("None", "True", "False") or re.search(rf"\b{theirs}", text):  # it means something else there
            theirs = f"{theirs}{self.kind.capitalize()}" if theirs == ours else f"{theirs}X"
        return Example(self.kind, name, text.replace(_class_name(self.name), theirs))

    def write(self, folder: Path) -> Path:
        """Write the file into a folder, which is made, and return its path. Raises UsageError where it is there."""
        path = folder / f"{self.name.replace('-', '_')}.py"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(self.text)
        except FileExistsError:
            raise UsageError(f"{path} is there already and stays as it is: choose another name, or move it") from None
        return path


def examples() -> tuple[str, ...]:
    """The kinds of which there is an example."""
    return tuple(sorted(path.stem for path in EXAMPLES.glob("*.py")))


def _class_name(name: str) -> str:
    return "".join(piece.capitalize() for piece in name.split("-"))
