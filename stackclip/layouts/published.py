"""Published data sets that are folders in the MVTec-AD layout, a row of `published.toml` each."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from stackclip.layouts.mvtec import PublishedLayout
from stackclip.registry import datasets
from stackclip.types import Sample

__all__ = ["Single"]

_ROWS = "published.toml"


class Single(PublishedLayout):
    """A published data set of one category, whose folder is told by one in it and not by its name."""

    single: str
    telling: str
    lists: tuple[str, ...] = ()

    def recognises(self, root: Path) -> bool:
        """Whether `root`, or the only folder of that layout in it, is the category."""
        return bool(self.categories_in(root)) and len(super().categories_in(root)) == 1

    def categories_in(self, root: Path) -> list[Path]:
        """The folder of the category: of those that have splits the one that the telling folder is in."""
        return [folder for folder in super().categories_in(root) if (folder / self.telling).is_dir()][:1]

    def samples_of(self, category: Path, root: Path, name: str) -> Iterator[Sample]:
        """The samples, in the order of `read`, under the category's own name; raises DataError."""
        return (replace(sample, category=self.single) for sample in super().samples_of(category, root, name))

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file is one of the lists beside the splits."""
        return path.name in self.lists and path.parent in self.categories_in(root)


def _tree(row: Mapping[str, Any]) -> str:
    """The tree of a data set that keeps the layout as it is."""
    good, defect, ending = row.get("good", "good"), row.get("defect", "bad"), row.get("ending", "png")
    return f"""\
ROOT/
  CATEGORY/                               {row["categories"]}
    train/{good}/NNN.{ending}
    test/{good}/NNN.{ending}
    test/{defect}/NNN.{ending}
    ground_truth/{defect}/NNN{row.get("suffix", "_mask")}.png
"""


def _reader(name: str, row: Mapping[str, Any]) -> type[PublishedLayout]:
    """The class of the readers of a row."""
    facts: dict[str, Any] = {"__doc__": row["summary"], "__module__": __name__, "published": name}
    facts |= {"source": row["source"], "folders": tuple(row.get("folders", ()))}
    facts["tree"] = str(row["tree"]).lstrip("\n") if "tree" in row else _tree(row)
    if "single" not in row:
        return type(name, (PublishedLayout,), facts)
    return type(name, (Single,), facts | {key: row[key] for key in ("single", "telling")} | {"lists": (*row["lists"],)})


for _name, _row in tomllib.loads((resources.files(__package__) / _ROWS).read_text(encoding="utf-8")).items():
    datasets.register(_name)(_reader(_name, _row))
