"""Code from outside the package: files of a workspace and entry points of installed distributions."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from stackclip.errors import BrokenPlugin, StackclipError
from stackclip.registry.component import Component
from stackclip.registry.guard import guarded, reason, watched

__all__ = ["NotLoaded", "entry_points", "forget_plugins", "load_point", "load_workspace", "problems", "use_workspace"]

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
_workspace_loaded = True


def problems() -> tuple[NotLoaded, ...]:
    """What did not load so far, sorted by name."""
    return tuple(sorted(_problems.values(), key=lambda problem: problem.name))


def use_workspace(folder: Path | None) -> None:
    """Take components from the files of `folder` too, at the next look-up. Their code runs: name only your own."""
    global _workspace, _workspace_loaded
    _workspace, _workspace_loaded = folder, folder is None


def load_workspace() -> None:
    """Import the files of the workspace, once; those that do not load are problems."""
    global _workspace_loaded
    if _workspace_loaded or _workspace is None:
        return
    _workspace_loaded = True
    for path in sorted(_workspace.glob("*.py")) if _workspace.is_dir() else ():
        if not path.name.startswith("_"):
            _load_file(path)


def _load_file(path: Path) -> None:
    module_name = f"stackclip_workspace_{path.stem}"
    if not path.is_file():  # reading a pipe would wait for ever
        _report(NotLoaded("", path.stem, str(path), "it is no regular file"))
        return
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        _report(NotLoaded("", path.stem, str(path), "Python cannot import this file"))
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and type hints look their module up
    try:
        with guarded(), watched(f"importing {path}"):
            spec.loader.exec_module(module)
    except StackclipError as error:
        sys.modules.pop(module_name, None)
        _report(NotLoaded("", path.stem, str(path), reason(error)))


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
            return Component(kind, point.name, factory, source, Path(file) if file else None)
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
