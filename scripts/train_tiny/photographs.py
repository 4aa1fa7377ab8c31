"""`python -m scripts.train_tiny.photographs PACKAGES FOLDER`: put the photographs of photographs.toml into a folder.

PACKAGES is a folder into which the packages were unpacked, below which each file is looked for by the end of its path.
FOLDER gets `learn` and `held`: pictures as PNG, their longer side at most 1536 pixels.
"""

from __future__ import annotations

import argparse
import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from stackclip.data import read_picture
from stackclip.errors import UsageError

__all__ = ["Source", "collect", "main", "sources"]

LONGEST = 1536
"""Pixels of a photograph's longer side."""
_LIST = Path(__file__).with_name("photographs.toml")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a photograph is from: the end of its path in a package, its licence and author, and how its hash begins."""

    file: str
    package: str
    licence: str
    by: str
    sha256: str
    held: bool = False

    @property
    def name(self) -> str:
        """What it is called in a folder."""
        return Path(self.file.split("/contents/")[0]).stem + ".png"


def sources() -> tuple[Source, ...]:
    """All photographs, in the order of the list."""
    return tuple(Source(**entry) for entry in tomllib.loads(_LIST.read_text("utf-8"))["photograph"])


def collect(packages: Path, folder: Path) -> None:
    """Put every photograph into `folder/learn` or `folder/held`.

    Raises UsageError for those that are nowhere below `packages`, or have other bytes than the list says.
    """
    found = {source: _found(source, packages) for source in sources()}
    if missing := [f"{source.file} of {source.package}" for source, path in found.items() if path is None]:
        raise UsageError(f"not below {packages}, with the bytes that {_LIST.name} names: {', '.join(missing)}")
    for source, path in found.items():
        assert path is not None
        place = folder / ("held" if source.held else "learn") / source.name
        place.parent.mkdir(parents=True, exist_ok=True)
        picture = read_picture(path)
        picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        picture.save(place)


def _found(source: Source, packages: Path) -> Path | None:
    for path in sorted(packages.rglob(Path(source.file).name)):
        fits = path.as_posix().endswith(f"/{source.file}")
        if fits and hashlib.sha256(path.read_bytes()).hexdigest().startswith(source.sha256):
            return path
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect, and say how many there are."""
    parser = argparse.ArgumentParser(prog="python -m scripts.train_tiny.photographs", description=__doc__)
    parser.add_argument("packages", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    try:
        collect(given.packages, given.folder)
    except UsageError as error:
        parser.error(str(error))
    for name in ("learn", "held"):
        print(f"{given.folder / name}: {len(list((given.folder / name).glob('*.png')))} photographs")


if __name__ == "__main__":
    main()
