"""Opens a data set by its name, by a folder's name or by a path, and says what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from stackclip.data.account import account_for
from stackclip.data.annotations import ANNOTATED
from stackclip.data.archives import packed_in
from stackclip.data.census import difference, is_published, part_of, published_categories
from stackclip.data.detection import LAYOUTS, check_folder, detect_file, detects, layout_with, unknown_layout
from stackclip.data.finding import counts_of, few_names
from stackclip.data.interpretation import Interpretation
from stackclip.data.listing import folders_in
from stackclip.data.naming import (
    absolute,
    given_name,
    place_name,
    places_of,
    registered_name,
    registered_spec,
    without_options,
)
from stackclip.data.picked import PICKED, Picked, picked_files, unlabelled_samples
from stackclip.errors import DataError, UsageError
from stackclip.registry import Spec, datasets, did_you_mean
from stackclip.types import Sample, Split

__all__ = ["Dataset", "Reader", "open_dataset"]

# These read anyone's folders: two of them have nothing but their layout in common.
_GENERAL = ("mvtec", *ANNOTATED.values(), "table", "folder")


class Reader(Protocol):
    """What stands on the shelf `datasets`; its keyword-only arguments are the options.

    It may also have `name` (of the data set; else its registered one and the protocol), `title` (the layout, for the
    finding), `source` (licence and origin), `size` (of what is downloaded, in words), `folders` (other names that its
    folder usually has), `recognises(root)`, `detects(root)` (where nobody named the layout, and more has to be sure),
    `named_by_folder` (the folder's name is the data set's), `fpr_limits` (of its own AU-PRO, `(0.05,)`), `published`
    (the one published data set that it reads) and `protocol` (which split or selection of it, empty for the usual one).
    `generate(folder)` writes the pictures unless they are there and returns their root; `prepare(root, folder)` does so
    for what must first be made of the pictures in `root`, and returns `root` where that is nothing. `spare(path, root)`
    tells files that are no sample's and yet the layout's: its lists, the masks of good pictures. `understand(root,
    name, folder)` gives an `Interpretation`, which says more than samples; what it draws it writes below `folder`.
    """

    tree: str

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples below `root`, in a fixed order."""
        ...


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples and where they come from.

    `layout` is the reader with its options, which is the protocol: `visa[split_csv=2cls_fewshot]`. `finding` is one
    line for a person: what was found below `root`. `published` is the published data set that this is (a part of),
    empty for any other (decision 0022), and `registered` the name by which it was opened, empty for a place; `remark`
    is one line on how the numbers differ from the published ones, empty where they do not. `warnings` are lines on what
    is odd about masks, splits and other files, and `left_out` says what below `root` was not read, by kind.
    """

    name: str
    root: Path
    layout: str
    samples: tuple[Sample, ...]
    finding: str
    published: str = ""
    remark: str = ""
    registered: str = ""
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

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
        """The published data set that this is (a part of), else its own name, which is then no published one's."""
        return self.published or (f"own-{self.name}" if is_published(self.name) else self.name)

    def shares_names_with(self, other: Dataset) -> bool:
        """Whether equal names of categories mean the same: in sets of one family or of one reader, and in one place."""
        own, others = self._names_from, other._names_from
        if own or others:
            return own == others
        roots = [dataset.root.resolve() for dataset in (self, other)]
        return roots[0].is_relative_to(roots[1]) or roots[1].is_relative_to(roots[0])

    @property
    def _names_from(self) -> str:
        """What gave the categories their names, if not whoever made the folder."""
        return self.published or ("" if self.registered in _GENERAL else self.registered)

    def select(self, split: Split | None = None, categories: Iterable[str] | None = None) -> Dataset:
        """The samples of a split and of some categories, in the data set's order.

        Raises UsageError for a category that the data set does not have.
        """
        known = self.categories
        wanted = known if categories is None else tuple(categories)
        for category in wanted:
            if category not in known:
                near = did_you_mean(category, known)
                raise UsageError(f"{self.name} has no category {category!r}{near}; it has {few_names(known)}")
        kept = (sample for sample in self.samples if sample.category in wanted and split in (None, sample.split))
        return replace(self, samples=tuple(kept))


def open_dataset(text: str, *, data_root: Path | None = None, generated: Path) -> Dataset:
    """Open a registered data set (`visa[split_csv=1cls]`), else a folder below `data_root`, else the folder at a path.

    A registered data set is looked for in `data_root` itself and in the folder of its name there; one that is
    generated is written below `generated`. The layout of any other folder is detected, and its name is the
    folder's, in lower case with hyphens for spaces. `visa/`, `./visa`, `~/visa` and `/data/visa` are folders, whatever
    is registered. `NAME=` before any of these gives the data set another name; a folder whose whole name has `=` in it
    is a folder. Options may stand behind a place, `shots[good=fine]`: those of the layout that is detected, else of
    `folder`. A picture, or a pattern of pictures (`shots/*.png`), is unlabelled. Nothing is downloaded.
    Raises DataError where nothing is found, UnknownLayout, with the trees expected, where it is laid out otherwise, and
    UsageError for a name that cannot be given.
    """
    given, place = given_name(text, data_root)
    spec = registered_spec(place)
    if spec is None:
        if (picked := picked_files(place, data_root)) is not None:
            return _read_picked(picked, place, given)
        folder, options = without_options(place, data_root)
        there = _folder(folder, data_root)
        if there.is_file():
            root, spec = detect_file(there, options)
            return _read(spec, datasets.create(spec), root, given or place_name(there), generated=generated)
        spec = layout_with(there, options)
        return _read(spec, datasets.create(spec), there, given, generated=generated)
    reader = datasets.create(spec)
    with datasets.find(spec.name).guard_foreign("cannot be opened"):
        root = _root_of(spec, reader, data_root, generated)
        if hasattr(reader, "prepare"):
            root = Path(reader.prepare(root, generated))
        return _read(spec, reader, root, given, generated=generated, registered=spec.name)


def _read(spec: Spec, reader: Any, root: Path, given: str, *, generated: Path, registered: str = "") -> Dataset:
    """What a reader finds, under the name `given` or its own; `registered` is the name that was typed, if one was."""
    by_folder = not registered or getattr(reader, "named_by_folder", False)
    name = given or (place_name(root) if by_folder else registered_name(spec, reader))
    reading = _reading(reader, root, name, generated)
    samples, root = reading.samples, reading.root
    if not samples:
        raise unknown_layout(root, (spec.name,))
    published = _published(spec, reader, root, samples, registered)
    if not registered and not given and is_published(name) and name != published:
        name = f"own-{name}"  # a folder that only has the name of a published data set
        samples = tuple(replace(sample, dataset=name) for sample in samples)
    _check_given(given, root, published, registered)
    if published:
        samples = tuple(replace(sample, published=published) for sample in samples)
    title = getattr(reader, "title", f"{spec.name} layout") + reading.how
    account = account_for(root, samples, getattr(reader, "spare", None), reading.files)
    finding = ", ".join((f"{name}: {title}", counts_of(samples), *account.left_out))
    remark = difference(name, published or registered, getattr(reader, "protocol", ""), samples)
    warnings = tuple(f"{name}: {line}" for line in (*reading.notes, *account.warnings))
    return Dataset(name, root, str(spec), samples, finding, published, remark, registered, warnings, account.left_out)


def _read_picked(picked: Picked, text: str, given: str) -> Dataset:
    """Pictures that were named by themselves or by a pattern."""
    _check_given(given, picked.root)
    name = given or place_name(picked.root)
    name = f"own-{name}" if is_published(name) else name
    samples = unlabelled_samples(picked, name)
    finding = ", ".join((f"{name}: {Path(text).name}", counts_of(samples), *picked.left_out))
    return Dataset(name, picked.root, PICKED, samples, finding, left_out=picked.left_out)


def _check_given(given: str, root: Path, *own: str) -> None:
    """Raise UsageError for a name that is that of a known data set, and none of a data set's own."""
    if given and (given in datasets or is_published(given)) and given not in own:
        raise UsageError(f"{given}={root}: {given} is the name of another data set, and this is not it: choose another")


def _reading(reader: Any, root: Path, name: str, generated: Path) -> Interpretation:
    if hasattr(reader, "understand"):
        understood: Interpretation = reader.understand(root, name, generated)
        return understood
    return Interpretation(reader.read(root, name), root)


def _published(spec: Spec, reader: Any, root: Path, samples: tuple[Sample, ...], registered: str) -> str:
    """The published data set that was read: by what was typed or by its own layout, where the categories are its.

    One of the layout that others have too is known by its content, or by what was typed and its folder's name.
    """
    whose = str(getattr(reader, "published", ""))
    if not whose and spec.name not in _GENERAL:
        return registered if is_published(registered) else ""
    known = set(published_categories(whose or registered))
    own = {sample.category for sample in samples}
    if whose:
        return whose if registered or own <= known else ""
    named = registered and root in _named_folders(registered, reader, root.parent)
    return registered if named and own <= known else part_of(samples) if spec.name == "mvtec" else ""


def _root_of(spec: Spec, reader: Any, data_root: Path | None, generated: Path) -> Path:
    """Where a registered data set lies."""
    if hasattr(reader, "generate"):
        options = (f"-{key}-{value}" for key, value in sorted(spec.options))
        return Path(reader.generate(generated / _file_name(spec.name + "".join(options))))
    parent = absolute(data_root or Path())
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
    source = f"get it from its authors ({reader.source}) and " if hasattr(reader, "source") else ""
    near = [(place, packed_in(place)) for place in dict.fromkeys((parent, *places)) if place.is_dir()]
    packed = "".join(f"; {place} holds {said}" for place, said in near if said)
    raise DataError(
        f"{spec.name}: not found at {looked}; nothing is downloaded: {source}name its folder with --data-root{packed}"
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
        if layout != name and detects(datasets.create(layout), root):
            if isinstance(reader, type(datasets.create(layout))):
                held = few_names(tuple(folder.name for folder in folders_in(root)))
                wanted = few_names(published_categories(reader.published))
                return DataError(f"{root}: holds {held}, no category of {name} ({wanted}): open it by its path")
            return DataError(f"{root}: this is the layout of {layout}, not of {name}: open it by its path")
    return unknown_layout(root, (name,))


def _sibling(path: Path) -> str:
    """The folder beside a missing one that is called nearly so."""
    near = did_you_mean(path.name, [folder.name for folder in folders_in(path.parent)] if path.parent.is_dir() else ())
    return f" in {path.parent}{near}" if near else ""


def _folder(text: str, data_root: Path | None) -> Path:
    """The folder, or the file, that `text` names, below `data_root` or as a path."""
    places = places_of(text, data_root)
    for place in places:
        if place.is_dir() or place.is_file():
            return place
    path = places[-1]
    if path.exists():
        check_folder(path)
    if len(places) == 1 and path.name != text:  # it is a path and no name
        raise DataError(f"{text}: no such folder{_sibling(path)}; nothing is downloaded")
    looked = " or ".join(str(place) for place in dict.fromkeys(places))
    known = datasets.names()
    near = did_you_mean(text.partition("[")[0].strip(), known)
    raise DataError(f"no data set {text!r}{near}: no folder {looked}, and none of the registered: {few_names(known)}")


def _file_name(text: str) -> str:
    """Letters, digits, dots and hyphens only: a file name on any system."""
    return "".join(character if character.isalnum() or character in ".-_" else "-" for character in text)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")
