"""The files in which a component from outside is written: its own, and those that they import from its own home.

Home is the workspace's `registry/`, the distribution, or the folder of a script. docs/decisions/0034 has what counts.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from stackclip.registry.component import Component
from stackclip.registry.folder import folder_of, is_elsewhere, module_file
from stackclip.registry.plugins import modules_beside

__all__ = ["code_of"]

_PACKAGE = Path(__file__).resolve().parents[1]
Name = tuple[str, ...]
"""A module's name, in its pieces."""

Home = Callable[[str, bool], tuple[Path | None, Sequence[Path]]]
"""Of a top-level name, and whether it was imported as a neighbour (`from . import name`): the module's file, and the
folders of the modules in it; nothing where it is not at home."""


def code_of(component: Component) -> dict[str, Path]:
    """The files by the names of their modules, sorted; none for a component of the package.

    Imports count wherever they stand in a file, whether they ran or not; what a file imports by a name that it computes
    does not.
    """
    if component.is_own:
        return {}
    home = _home(component)
    waiting = [each for module in _modules(component) for each in _found(home, module, neighbour=True)]
    if component.file is not None and not component.file.is_relative_to(_PACKAGE):
        at_home = {file.resolve() for _, file in waiting}
        waiting += [((component.file.stem,), component.file)] if component.file.resolve() not in at_home else []
    files: dict[str, Path] = {}
    while waiting:
        module, file = waiting.pop()
        if ".".join(module) in files:
            continue
        files[".".join(module)] = file
        for name, neighbour in _imports(file, module):
            waiting += _found(home, name, neighbour=neighbour)
    return dict(sorted(files.items()))


def _modules(component: Component) -> Iterator[Name]:
    """The modules that put it on the shelf and that hold its factory, as their own code names them."""
    for name in dict.fromkeys((component.module, str(getattr(component.factory, "__module__", "")))):
        pieces = tuple(name.split("."))
        yield pieces[1:] if folder_of(name) else pieces


def _home(component: Component) -> Home:
    folder = folder_of(component.module)
    if folder is not None:
        return partial(_in_folder, folder)
    top = component.module.partition(".")[0]
    script = Path(getattr(sys.modules["__main__"], "__file__", None) or "").resolve().parent
    beside = module_file(script, top)
    if component.file is not None and (top == "__main__" or (beside and component.file.is_relative_to(beside.parent))):
        return partial(_in_script, script)
    return partial(_in_distribution, modules_beside(top))


def _in_folder(folder: Path, top: str, neighbour: bool) -> tuple[Path | None, Sequence[Path]]:
    return _in_script(folder, top, neighbour) if neighbour or not is_elsewhere(top, folder) else (None, ())


def _in_script(folder: Path, top: str, neighbour: bool) -> tuple[Path | None, Sequence[Path]]:
    """Python looks there before it looks elsewhere."""
    return (None, ()) if top == _PACKAGE.name else (module_file(folder, top), (folder / top,))


def _in_distribution(tops: frozenset[str], top: str, neighbour: bool) -> tuple[Path | None, Sequence[Path]]:
    found = None
    with suppress(ImportError, ValueError):  # it is gone, or `__main__`
        found = find_spec(top) if top in tops else None
    if found is None:
        return None, ()
    file = Path(found.origin) if found.has_location and found.origin else None
    return file, tuple(map(Path, found.submodule_search_locations or ()))


def _found(home: Home, name: Name, *, neighbour: bool) -> Iterator[tuple[Name, Path]]:
    """The files that run when a module is imported: its own, and those of the packages that it lies in."""
    if not name:
        return
    file, folders = home(name[0], neighbour)
    for depth in range(1, len(name) + 1):
        if depth > 1:
            file = next(filter(None, (module_file(folder, name[depth - 1]) for folder in folders)), None)
            folders = [folder / name[depth - 1] for folder in folders]
        if file is not None:
            yield name[:depth], file


def _imports(file: Path, module: Name) -> Iterator[tuple[Name, bool]]:
    """What a file imports: names, each perhaps that of something in a module, and whether as a neighbour."""
    if file.suffix != ".py":
        return
    with suppress(SyntaxError, ValueError):  # it fails where it is imported, if it is
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                yield from ((tuple(alias.name.split(".")), False) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = module if file.name == "__init__.py" else module[:-1]
                above = package[: len(package) - node.level + 1] if node.level else ()
                base = (*above, *(node.module.split(".") if node.module else ()))
                yield from (((*base, alias.name), node.level > 0) for alias in node.names)
