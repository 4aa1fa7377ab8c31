"""Which versions to install: the lowest that pyproject.toml promises, or those that an environment holds.

    python scripts/versions.py lowest              # a constraint for every requirement, extras and build included
    pip freeze --all | python scripts/versions.py frozen    # constraints that hold on other machines too

Both print lines `name==version` for `pip install --constraint`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["frozen", "lowest", "main"]

HEADER = """\
# What `make` installs: the newest versions when `make constraints` last ran, with which all tests passed.
# torch brings the packages of its GPU libraries by itself, and not the same ones everywhere.
"""
_BOUND = re.compile(r"(?P<name>[\w.-]+)\s*(\[[^]]*\])?\s*>=\s*(?P<version>[^\s,;]+)")
_PINNED = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s+;]+)(\+\S+)?")  # a build such as +cpu is a machine's own
_OF_TORCH = ("nvidia-", "cuda-", "triton")


def lowest(project: Mapping[str, Any]) -> Iterator[str]:
    """The lowest version of each requirement of a pyproject.toml, of the highest where several are stated.

    Raises SystemExit for a requirement that states none.
    """
    stated = project["project"]
    extras = [line for extra in stated["optional-dependencies"].values() for line in extra]
    found: dict[str, str] = {}
    for line in [*project["build-system"]["requires"], *stated["dependencies"], *extras]:
        bound = _BOUND.match(line)
        if bound is None:
            raise SystemExit(f"pyproject.toml: {line!r} promises no lowest version, wanted name>=version")
        name, version = bound["name"].lower(), bound["version"]
        found[name] = max(found.get(name, version), version, key=_order)
    yield from (f"{name}=={version}" for name, version in found.items())


def frozen(lines: Iterable[str]) -> Iterator[str]:
    """What `pip freeze` prints as constraints: names and versions alone, without the packages that torch chooses."""
    for line in lines:
        pinned = _PINNED.fullmatch(line.strip())
        if pinned is None:
            raise SystemExit(f"pip freeze: {line.strip()!r} is no released version, wanted name==version")
        if not pinned["name"].startswith(_OF_TORCH):
            yield f"{pinned['name']}=={pinned['version']}"


def main(words: list[str]) -> None:
    """Print the lines that the one word asks for."""
    if words == ["lowest"]:
        project = Path(__file__).resolve().parents[1] / "pyproject.toml"
        print(*lowest(tomllib.loads(project.read_text("utf-8"))), sep="\n")
    elif words == ["frozen"]:
        print(HEADER, end="")
        print(*frozen(sys.stdin), sep="\n")
    else:
        raise SystemExit("wanted one word: lowest or frozen")


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


if __name__ == "__main__":
    main(sys.argv[1:])
