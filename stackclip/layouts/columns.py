"""Which column of a table says what, by the names that people give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from stackclip.errors import BadOption
from stackclip.registry import did_you_mean

__all__ = ["Columns"]

_USUAL: Mapping[str, tuple[str, ...]] = {
    "image": (
        *("image", "image_path", "image_file", "img", "img_path", "picture", "path", "file", "file_path", "filepath"),
        *("filename", "file_name", "image_name"),
    ),
    "label": (
        *("label", "label_index", "is_anomaly", "is_anomalous", "is_defect", "is_defective", "anomaly", "anomalous"),
        *("defective", "class", "class_name", "target", "y", "verdict", "status"),
    ),
    "mask": ("mask", "mask_path", "mask_file", "ground_truth", "gt", "gt_path", "segmentation", "mask_image"),
    "split": ("split", "subset", "set", "partition", "phase"),
    "category": ("category", "object", "product", "cls_name", "clsname", "item"),
    "defect": ("defect", "defect_type", "defect_name", "anomaly_class", "anomaly_type", "specie_name", "defect_class"),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns in a table; empty for what it does not say."""

    image: str = ""
    label: str = ""
    mask: str = ""
    split: str = ""
    category: str = ""
    defect: str = ""

    @classmethod
    def of(cls, names: Sequence[str], asked: Mapping[str, str | None], where: Path) -> Columns:
        """The columns that were asked for, and the others by their usual names, in any case, each for one thing.

        Raises BadOption for one that was asked for and is not there.
        """
        chosen = {role: name for role, name in asked.items() if name is not None}
        for role, name in chosen.items():
            if name and name not in names:
                near = did_you_mean(name, names)
                raise BadOption(f"table: {role}={name}: {where} has no such column{near}; it has {', '.join(names)}")
        free = {_plain(name): name for name in reversed(names) if name not in chosen.values()}
        for role, usual in _USUAL.items():
            if role not in chosen:
                chosen[role] = next((free.pop(word) for word in map(_plain, usual) if word in free), "")
        return cls(**chosen)

    def __str__(self) -> str:
        """Each column that is there, as it would be typed: `image=path, label=class`."""
        return ", ".join(f"{role}={name}" for role, name in self._named() if name)

    def _named(self) -> Iterator[tuple[str, str]]:
        return ((each.name, getattr(self, each.name)) for each in fields(self))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
