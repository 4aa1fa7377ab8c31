"""A workspace's `registry/` as a package of its own: its files import each other, and nobody else meets them."""

from __future__ import annotations

import builtins
import hashlib
import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from stackclip.errors import BrokenPlugin
from stackclip.registry.guard import reason

__all__ = [
    "PREFIX",
    "folder_of",
    "is_elsewhere",
    "module_file",
    "open_folder",
    "placed",
    "read_module",
    "without_package",
]

PREFIX = "stackclip_workspace_"
_folders: dict[str, Path] = {}  # by package


def open_folder(folder: Path) -> str:
    """Make an empty package of a folder, whose files are imported when they are asked for; return its name.

    What was imported from the same folder before is forgotten: files may have changed.
    """
    package = PREFIX + hashlib.sha256(str(folder.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
    spec = ModuleSpec(package, None, origin=str(folder), is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules[package] = module_from_spec(spec)
    _folders[package] = folder
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    return package


def folder_of(module: str) -> Path | None:
    """The folder whose package a module is in; None for any other module."""
    return _folders.get(module.partition(".")[0])


def placed(error: BaseException) -> str:
    """An error in one line; of what a file of a workspace raised, with its innermost line there: `(mine.py:12)`."""
    place, step = "", error.__cause__.__traceback__ if isinstance(error, BrokenPlugin) and error.__cause__ else None
    while step is not None:
        if folder_of(str(step.tb_frame.f_globals.get("__name__", ""))):
            place = f" ({Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno})"
        step = step.tb_next
    return f"{reason(error)}{place}"


def read_module(package: str, path: Path) -> None:
    """Import a file of the folder, unless one of the others has; raises what its code raises."""
    name = f"{package}.{path.stem.replace('.', '_')}"
    if name in sys.modules:
        return
    spec = _spec(name, path)
    module = sys.modules[name] = module_from_spec(spec)  # dataclasses and type hints look their module up
    try:
        assert spec.loader is not None
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise


def module_file(folder: Path, name: str) -> Path | None:
    """The file of the module `name` in a folder of modules."""
    for path in (folder / name / "__init__.py", folder / f"{name}.py"):
        if path.is_file():
            return path
    return None


def is_elsewhere(name: str, folder: Path) -> bool:
    """Whether Python finds a top-level module of this name outside the folder: then no file of the folder is meant."""
    try:
        found = find_spec(name)
    except ValueError:  # a module that does not say where it is from
        return True
    return found is not None and not Path(found.origin or "").absolute().is_relative_to(folder.absolute())


def without_package(text: str) -> str:
    """A message of Python's in the names that the files themselves use."""
    return re.sub(rf"{PREFIX}[0-9a-f]{{8}}\.", "", text)


class _Finder(MetaPathFinder):
    """Finds the modules in packages of folders, and no others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PREFIX) or not path:
            return None
        file = module_file(Path(path[0]), fullname.rpartition(".")[2])
        return None if file is None else _spec(fullname, file)


def _spec(name: str, file: Path) -> ModuleSpec:
    inside = file.name == "__init__.py"
    spec = ModuleSpec(name, _Loader(name, str(file)), origin=str(file), is_package=inside)
    spec.has_location = True
    if inside:
        spec.submodule_search_locations = [str(file.parent)]
    return spec


class _Loader(SourceFileLoader):
    """Runs a file as it is now, without `__pycache__`, with an `import` that knows the files beside it."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _importer(package, _folders[package])}
        super().exec_module(module)


def _importer(package: str, folder: Path) -> Callable[..., Any]:
    """`__import__` for the files of a folder: `import helper` is the file `helper.py` there, if nothing else is."""

    def imported(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - Python's names
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        top = name.partition(".")[0]
        if level or is_elsewhere(top, folder) or module_file(folder, top) is None:
            return builtins.__import__(name, globals, locals, fromlist, level)
        if fromlist:
            return builtins.__import__(f"{package}.{name}", globals, locals, fromlist, 0)
        importlib.import_module(f"{package}.{name}")
        return sys.modules[f"{package}.{top}"]

    return imported
