"""Code from outside the package: files of a workspace and entry points of installed distributions."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stackclip.errors import BrokenPlugin, StackclipError
from stackclip.registry.component import Component
from stackclip.registry.folder import open_folder, read_module, without_package
from stackclip.registry.guard import guarded, reason, watched

__all__ = [
    "NotLoaded",
    "entry_points",
    "forget_plugins",
    "load_point",
    "load_workspace",
    "modules_beside",
    "problems",
    "stay_with",
    "use_workspace",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """A plugin that did not load: its name, where it is and why."""

    shelf: str
    name: str
    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.source}) did not load: {self.reason}"


_problems: dict[tuple[str, str], NotLoaded] = {}
_loaded_points: set[importlib.metadata.EntryPoint] = set()
_points: dict[str, dict[str, list[importlib.metadata.EntryPoint]]] | None = None
_workspace: Path | None = None
_package = ""  # of the workspace's files, once they were loaded
_workspace_loaded = True


def problems() -> tuple[NotLoaded, ...]:
    """What did not load so far, sorted by name."""
    return tuple(sorted(_problems.values(), key=lambda problem: problem.name))


def use_workspace(folder: Path | None) -> None:
    """Take components from the files of `folder` too, at the next look-up. Their code runs: name only your own."""
    global _workspace, _workspace_loaded, _package
    _workspace, _workspace_loaded, _package = folder, folder is None, ""


def stay_with(folder: Path | None) -> None:
    """As `use_workspace`, but files of the folder that is in use already are not read again."""
    if folder != _workspace:
        use_workspace(folder)


def load_workspace() -> str:
    """Import the files of the workspace, once; those that do not load are problems. Returns the name of its package."""
    global _workspace_loaded, _package
    if _workspace_loaded or _workspace is None:
        return _package
    _workspace_loaded, _package = True, open_folder(_workspace)
    for path in sorted(_workspace.glob("*.py")) if _workspace.is_dir() else ():
        if not path.name.startswith("_"):
            _load_file(_package, path)
    return _package


def _load_file(package: str, path: Path) -> None:
    if not path.is_file():  # reading a pipe would wait for ever
        _report(NotLoaded("", path.stem, str(path), "it is no regular file"))
        return
    try:
        with guarded(), watched(f"importing {path}"):
            read_module(package, path)
    except StackclipError as error:
        why = without_package(reason(error))
        _report(NotLoaded("", path.stem, str(path), f"{_neighbour(path, error.__cause__ or error)}{why}"))


def _neighbour(path: Path, error: BaseException) -> str:
    """`helper.py:3: ` where the error was raised in another file of the workspace, which `path` imports."""
    place, found = error.__traceback__, ""
    while place is not None:
        file = Path(place.tb_frame.f_code.co_filename)
        if file.is_relative_to(path.parent):
            found = "" if file == path else f"{file.relative_to(path.parent).as_posix()}:{place.tb_lineno}: "
        place = place.tb_next
    return found


def load_point(point: importlib.metadata.EntryPoint, kind: str) -> Component | None:
    """The component of an entry point, unless it was loaded before or does not load, which is a problem."""
    if point in _loaded_points:
        return None
    _loaded_points.add(point)
    source = f"{_distribution_name(point.dist)}, {point.value}"
    try:
        with guarded(), watched(f"importing {source}"):
            factory = point.load()
            if not callable(factory):
                raise BrokenPlugin(f"{point.value} is no class or function")
            file = getattr(sys.modules.get(str(getattr(factory, "__module__", ""))), "__file__", None)
            return Component(kind, point.name, factory, source, Path(file) if file else None, point.module)
    except StackclipError as error:
        _report(NotLoaded(kind, point.name, source, reason(error)))
        return None


def entry_points(kind: str) -> dict[str, list[importlib.metadata.EntryPoint]]:
    """The installed entry points of `stackclip.<kind>`, by name; read once, one distribution at a time."""
    global _points
    if _points is None:
        _points = {}
        for distribution in importlib.metadata.distributions():
            try:
                found = [point for point in distribution.entry_points if point.group.startswith("stackclip.")]
            except Exception as error:  # a corrupt entry point file must not hide the others
                name = _distribution_name(distribution)
                _report(NotLoaded("", name, "its entry_points.txt", reason(error)))
                continue
            for point in found:
                same = _points.setdefault(point.group.removeprefix("stackclip."), {}).setdefault(point.name, [])
                if point not in same:
                    same.append(point)
    return _points.get(kind, {})


def modules_beside(top: str) -> frozenset[str]:
    """The top-level modules of the distribution that a top-level module is from, if it has entry points of ours.

    Of any other module it is that module alone.
    """
    points = [point for kind in (_points or {}).values() for same in kind.values() for point in same]
    for point in points:
        names = _top_levels(point.dist) | {point.module.partition(".")[0]}
        if top in names:
            return names
    return frozenset({top})


def _top_levels(distribution: importlib.metadata.Distribution | None) -> frozenset[str]:
    """What a distribution says that it installs at the top."""
    with suppress(Exception):  # what it says is corrupt
        if distribution is not None:
            listed = distribution.read_text("top_level.txt") or ""
            files = (file.parts[0].removesuffix(".py") for file in distribution.files or () if file.suffix == ".py")
            return frozenset({*listed.split(), *files})
    return frozenset()


def _distribution_name(distribution: importlib.metadata.Distribution | None) -> str:
    try:
        return (distribution and distribution.metadata["Name"]) or "an unnamed distribution"
    except Exception:
        return "an unnamed distribution"


def _report(problem: NotLoaded) -> None:
    _problems[(problem.name, problem.source)] = problem
    logger.warning("%s", problem)


def forget_plugins() -> None:
    """Read workspaces and entry points anew at the next look-up."""
    global _points, _workspace_loaded
    _points = None
    _workspace_loaded = _workspace is None
    _problems.clear()
    _loaded_points.clear()
