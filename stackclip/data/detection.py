"""Tells which layout a folder has, or shows the layouts that it could have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stackclip.data.annotations import ANNOTATED, annotation_format
from stackclip.data.archives import packed_in
from stackclip.data.finding import few_names
from stackclip.data.listing import folders_in, pictures_below
from stackclip.data.manifests import MANIFESTS
from stackclip.errors import DataError, UnknownLayout
from stackclip.ops.outputs import is_output
from stackclip.ops.words import counted
from stackclip.registry import Spec, datasets

__all__ = ["LAYOUTS", "check_folder", "detect_file", "detect_layout", "detects", "layout_with", "unknown_layout"]

_SHOWN = 4  # names of folders and of files

LAYOUTS = (
    *("visa", "ksdd", "dagm", "headct", "isic", "mvtec-ad2", "real-iad-variety", "real-iad", "bmad", "ksdd2", "manta"),
    *ANNOTATED.values(),
    *("mvtec", "table", "folder"),
)  # in this order; the last takes any


def detect_layout(root: Path) -> str:
    """The name of the reader for `root`: one of LAYOUTS.

    Raises DataError for what is no folder, and UnknownLayout, which says what was found and shows the trees known.
    """
    check_folder(root)
    for layout in LAYOUTS[:-1]:
        if detects(datasets.create(layout), root):
            return layout
    if held := [folder.name for folder in folders_in(root) if _is_published(folder)]:
        raise UnknownLayout(f"{root}: holds data sets ({few_names(held, _SHOWN)}) and is none itself: name one of them")
    if detects(datasets.create(LAYOUTS[-1]), root):
        return LAYOUTS[-1]
    raise unknown_layout(root, LAYOUTS)


def detect_file(path: Path, options: Sequence[tuple[str, str]] = ()) -> tuple[Path, Spec]:
    """The root and the reader, with options, for one file: a table, or annotations of pictures in or beside its folder.

    Raises DataError for any other.
    """
    if path.suffix.lower() in MANIFESTS:
        return path.parent, Spec("table", (("file", path.name), *options))
    layout = ANNOTATED.get(annotation_format(path), "")
    if not layout or "file" not in {option.label for option in datasets.find(layout).options}:
        check_folder(path)
    near = (path.parent, path.parent.parent)
    root = next((place for place in near if next(pictures_below(place), None) is not None), path.parent)
    return root, Spec(layout, (("file", path.relative_to(root).as_posix()), *options))


def layout_with(root: Path, options: Sequence[tuple[str, str]]) -> Spec:
    """The reader for `root` with options: the one that is detected if it has them, else the last of LAYOUTS.

    Raises what `detect_layout` raises.
    """
    layout = detect_layout(root)
    known = {option.label for option in datasets.find(layout).options}
    return Spec(layout if all(key in known for key, _ in options) else LAYOUTS[-1], tuple(options))


def unknown_layout(root: Path, wanted: tuple[str, ...]) -> UnknownLayout:
    """What `root` holds, in one line, and then the trees of the readers `wanted`."""
    if not any(root.iterdir()):
        return UnknownLayout(f"{root}: an empty folder; wanted pictures in it")
    trees = "\n".join(f"{name}:\n{datasets.create(name).tree.rstrip()}\n" for name in wanted)
    unpack = f"{said}: unpack them first; " if (said := packed_in(root, inner=True)) else ""
    return UnknownLayout(f"{root}: {_contents(root)}; {unpack}wanted {' or '.join(wanted)}, as below", f"\n{trees}")


def check_folder(root: Path) -> None:
    """Raises DataError where `root` is missing or no folder, or one that stackclip filled."""
    if is_output(root):
        raise DataError(f"{root}: stackclip wrote the scores and heat maps in it; name a folder of pictures")
    if root.is_dir():
        return
    reason = "is a file; name the folder that holds it" if root.exists() else "no such folder; nothing is downloaded"
    raise DataError(f"{root}: {reason}")


def detects(reader: Any, root: Path) -> bool:
    """Whether a reader takes a root that was not opened by its name: some want to know more then."""
    return bool(reader.detects(root) if hasattr(reader, "detects") else reader.recognises(root))


def _is_published(folder: Path) -> bool:
    own = (*ANNOTATED.values(), "table", "folder")
    return any(detects(datasets.create(layout), folder) for layout in LAYOUTS if layout not in own)


def _contents(root: Path) -> str:
    folders = [folder.name for folder in folders_in(root)]
    files = sorted(path.name for path in root.iterdir() if not path.is_dir())
    pictures = sum(1 for _ in pictures_below(root))
    parts = [f"{counted(len(folders), 'folder')} ({few_names(folders, _SHOWN)})"] if folders else []
    parts += [f"{counted(len(files), 'file')} ({few_names(files, _SHOWN)})"] if files else []
    return f"{' and '.join(parts)}, {counted(pictures, 'picture') if pictures else 'no picture'} in all"
