"""Opens a data set by its name, by a folder's name or by a path, and says what was found."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from stackclip.data.detection import LAYOUTS, check_folder, detect_layout, unknown_layout
from stackclip.data.folder import UNLABELLED
from stackclip.data.listing import folders_in
from stackclip.data.published import difference, family_of, published_categories
from stackclip.errors import DataError, UsageError
from stackclip.registry import Spec, datasets, did_you_mean
from stackclip.types import ANOMALOUS, Sample

__all__ = ["Dataset", "Reader", "open_dataset"]

_NAMES_SHOWN = 20


class Reader(Protocol):
    """What stands on the shelf `datasets`; its keyword-only arguments are the options.

    It may also have `name` (of the data set; else its registered one and the protocol), `title` (the layout, for the
    finding), `source` (licence and origin), `folders` (other names that its folder usually has), `recognises(root)`,
    `named_by_folder` (the folder's name is the data set's), `published` (the one published data set that it reads) and
    `protocol` (which split or selection of it, empty for the usual one). `generate(folder)` writes the pictures unless
    they are there and returns their root; `prepare(root, folder)` does so for what must first be made of the pictures
    in `root`, and returns `root` where that is nothing.
    """

    tree: str

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples below `root`, in a fixed order."""
        ...


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples and where they come from.

    `layout` is the reader with its options, which is the protocol: `visa[split_csv=2cls_fewshot]`. `finding` is one
    line for a person: what was found below `root`. `published` is the data set whose own layout that is, if one's;
    `remark` is one line on how the numbers differ from the published ones, empty where they do not.
    """

    name: str
    root: Path
    layout: str
    samples: tuple[Sample, ...]
    finding: str
    published: str = ""
    remark: str = ""

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that occur, in the data set's order."""
        return tuple(dict.fromkeys(sample.category for sample in self.samples))

    @property
    def family(self) -> str:
        """The published data set that this is (a part of), where its categories or its layout tell; else its name."""
        return family_of(self.categories, self.published or self.name)

    def select(self, split: Literal["train", "test"] | None = None, categories: Iterable[str] | None = None) -> Dataset:
        """The samples of a split and of some categories, in the data set's order.

        Raises UsageError for a category that the data set does not have.
        """
        wanted = self.categories if categories is None else tuple(categories)
        for category in wanted:
            if category not in self.categories:
                near = did_you_mean(category, self.categories)
                raise UsageError(f"{self.name} has no category {category!r}{near}; it has {_names(self.categories)}")
        kept = (sample for sample in self.samples if sample.category in wanted and split in (None, sample.split))
        return replace(self, samples=tuple(kept))


def open_dataset(text: str, *, data_root: Path | None = None, generated: Path) -> Dataset:
    """Open a registered data set (`visa[split_csv=1cls]`), else a folder below `data_root`, else the folder at a path.

    A registered data set is looked for in `data_root` itself and in the folder of its name there; one that is
    generated is written below `generated`. The layout of any other folder is detected, and its name is the
    folder's, in lower case with hyphens for spaces. Nothing is downloaded.
    Raises DataError where nothing is found, and UnknownLayout, with the trees expected, where it is laid out
    otherwise.
    """
    spec = _registered(text)
    if spec is None:
        root = _folder(text, data_root)
        spec = Spec(detect_layout(root))
        return _read(spec, datasets.create(spec), root, _name_of(root))
    reader = datasets.create(spec)
    with datasets.find(spec.name).guard_foreign("cannot be opened"):
        return _open_registered(spec, reader, data_root, generated)


def _open_registered(spec: Spec, reader: Any, data_root: Path | None, generated: Path) -> Dataset:
    root = _root_of(spec, reader, data_root, generated)
    if hasattr(reader, "prepare"):
        root = Path(reader.prepare(root, generated))
    if getattr(reader, "named_by_folder", False):
        return _read(spec, reader, root, _name_of(root))
    registered = "-".join(word for word in (spec.name, getattr(reader, "protocol", "")) if word)
    return _read(spec, reader, root, getattr(reader, "name", registered))


def _registered(text: str) -> Spec | None:
    try:
        spec = Spec.parse(text)
    except UsageError:  # a path with brackets in it
        return None
    return spec if spec.name in datasets else None


def _read(spec: Spec, reader: Any, root: Path, name: str) -> Dataset:
    samples = reader.read(root, name)
    if not samples:
        raise unknown_layout(root, (spec.name,))
    title = getattr(reader, "title", f"{spec.name} layout")
    found = Dataset(
        name, root, str(spec), samples, f"{name}: {title}, {_counts(samples)}", getattr(reader, "published", "")
    )
    return replace(found, remark=difference(name, found.family, getattr(reader, "protocol", ""), samples))


def _root_of(spec: Spec, reader: Any, data_root: Path | None, generated: Path) -> Path:
    """Where a registered data set lies."""
    if hasattr(reader, "generate"):
        options = (f"-{key}-{value}" for key, value in sorted(spec.options))
        return Path(reader.generate(generated / _file_name(spec.name + "".join(options))))
    parent = _absolute(data_root or Path())
    if data_root is not None:
        check_folder(parent)
    named = _named_folders(spec.name, reader, parent)
    places = named if data_root is None else [parent, *named]
    if not hasattr(reader, "recognises"):  # it cannot tell, and a folder of its name is the better guess
        places = [*named, *places]
    for place in places:
        if place.is_dir() and _recognised(reader, place):
            return place
    for place in named:
        if place.is_dir():
            raise _other_layout(spec.name, reader, place)
    looked = " and ".join(str(place) for place in places)
    source = f" ({reader.source})" if hasattr(reader, "source") else ""
    raise DataError(
        f"{spec.name}: not found at {looked}; nothing is downloaded: get it from its authors{source}"
        " and name its folder with --data-root"
    )


def _named_folders(name: str, reader: Any, parent: Path) -> list[Path]:
    """`parent/name`, and the folders there that have one of the reader's other names, in any case."""
    others = {_plain(other) for other in (name, *getattr(reader, "folders", ()))}
    found = [folder for folder in folders_in(parent) if _plain(folder.name) in others] if parent.is_dir() else []
    return list(dict.fromkeys([parent / name, *found]))


def _recognised(reader: Any, root: Path) -> bool:
    if not hasattr(reader, "recognises"):
        return True
    return bool(reader.recognises(root))


def _other_layout(name: str, reader: Any, root: Path) -> DataError:
    for layout in LAYOUTS[:-1]:
        if layout != name and _recognised(datasets.create(layout), root):
            if isinstance(reader, type(datasets.create(layout))):
                held = _names(tuple(folder.name for folder in folders_in(root)))
                wanted = _names(published_categories(reader.published))
                return DataError(f"{root}: holds {held}, no category of {name} ({wanted}): open it by its path")
            return DataError(f"{root}: this is the layout of {layout}, not of {name}: open it by its path")
    return unknown_layout(root, (name,))


def _folder(text: str, data_root: Path | None) -> Path:
    """The folder that `text` names, below `data_root` or as a path."""
    below = [_absolute(data_root / text)] if data_root is not None else []
    path = _absolute(Path(text).expanduser())
    for place in (*below, path):
        if place.is_dir():
            return place
    if path.exists():
        check_folder(path)
    looked = " or ".join(str(place) for place in dict.fromkeys((*below, path)))
    known = datasets.names()
    near = did_you_mean(text.partition("[")[0].strip(), known)
    raise DataError(f"no data set {text!r}{near}: no folder {looked}, and none of the registered: {_names(known)}")


def _counts(samples: tuple[Sample, ...]) -> str:
    categories = tuple(dict.fromkeys(sample.category for sample in samples))
    noun = "category" if len(categories) == 1 else "categories"
    parts = [f"{len(categories)} {noun} ({_names(categories)})"]
    for split in ("train", "test"):
        of_split = [sample for sample in samples if sample.split == split]
        unlabelled = sum(sample.defect == UNLABELLED for sample in of_split)
        defective = sum(sample.label == ANOMALOUS for sample in of_split)
        numbers = ((len(of_split) - unlabelled - defective, "good"), (defective, "defective"), (unlabelled, UNLABELLED))
        if said := " + ".join(f"{number} {what}" for number, what in numbers if number):
            parts.append(f"{split} {said}")
    return ", ".join([*parts, *_mask_counts(samples)])


def _mask_counts(samples: tuple[Sample, ...]) -> list[str]:
    defective = [sample for sample in samples if sample.label == ANOMALOUS]
    masks = [sample.mask for sample in defective if sample.mask is not None]
    lacking = sum(not mask.exists() for mask in masks)
    if not masks:
        return ["no masks"] if defective else []
    return [
        f"{len(masks) - lacking} masks",
        *([f"{lacking} masks missing"] if lacking else []),
        *([f"{len(defective) - len(masks)} not localised"] if len(defective) > len(masks) else []),
    ]


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")


def _name_of(root: Path) -> str:
    return "-".join(root.name.lower().split()) or "root"


def _file_name(text: str) -> str:
    """Letters, digits, dots and hyphens only: a file name on any system."""
    return "".join(character if character.isalnum() or character in ".-_" else "-" for character in text)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")


def _absolute(path: Path) -> Path:
    """The path without `.` and `..`, but with its links, whose names are the user's."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links, absolute() keeps `..`
