"""A shelf holds the components of one kind by name, and loads nothing before it is asked."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import logging
import pkgutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from stackclip.errors import BrokenPlugin, DuplicateComponent, StackclipError, UnknownComponent, UsageError
from stackclip.registry.spec import Option, Spec, bind, did_you_mean, options_of

__all__ = ["Component", "Problem", "Shelf", "use_workspace"]

logger = logging.getLogger(__name__)
Factory = TypeVar("Factory", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Component:
    """A named factory on a shelf: what it is called, what makes it and where that was written."""

    shelf: str
    name: str
    factory: Callable[..., Any]
    source: str
    file: Path | None = None

    @property
    def options(self) -> tuple[Option, ...]:
        """What can be typed in brackets behind the name."""
        return options_of(self.factory)

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]

    @property
    def doc(self) -> str:
        """The whole docstring."""
        return inspect.cleandoc(self.factory.__doc__ or "")

    def create(self, spec: Spec) -> Any:
        """Make the component with the options of `spec`, typed and checked."""
        return self.factory(**bind(self.name, self.options, dict(spec.options)))


@dataclass(frozen=True, slots=True)
class Problem:
    """A plugin that did not load: its name, where it is and why."""

    shelf: str
    name: str
    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.source}) did not load: {self.reason}"


class Shelf:
    """Components of one kind, from the package, the workspace's `registry/` folder and installed entry points."""

    def __init__(self, kind: str, home: str) -> None:
        self.kind = kind
        self.home = home
        self._components: dict[str, list[Component]] = {}
        self._home_loaded = False

    def register(self, name: str) -> Callable[[Factory], Factory]:
        """A decorator that puts a class or function on the shelf under `name` (lower-case, hyphens)."""
        if name != name.lower() or not name.replace("-", "").isalnum():
            raise UsageError(f"{name!r} is no component name: wanted lower-case letters, digits and hyphens")

        file, line = _caller()
        source = f"{_shown(file)}:{line}"

        def place(factory: Factory) -> Factory:
            self._place(Component(self.kind, name, factory, source, file))
            return factory

        return place

    def names(self) -> tuple[str, ...]:
        """The names of all components, sorted; entry points that were not loaded yet among them."""
        self._load()
        return tuple(sorted({*self._components, *_entry_points(self.kind)}))

    def __contains__(self, name: str) -> bool:
        self._load()
        return name in self._components or name in _entry_points(self.kind)

    def find(self, name: str) -> Component:
        """The component of that name.

        Raises UnknownComponent (with the nearest name), DuplicateComponent (with both places) or BrokenPlugin.
        """
        self._load()
        self._load_entry_points(name)
        found = self._components.get(name, [])
        if len(found) > 1:
            places = " and ".join(sorted(component.source for component in found))
            raise DuplicateComponent(f"{self._one} {name!r} is defined twice, in {places}: rename one of them")
        if found:
            return found[0]
        for problem in problems():
            if name in (problem.name, problem.name.replace("_", "-")) and problem.shelf in ("", self.kind):
                raise BrokenPlugin(f"{self._one} {problem}")
        raise UnknownComponent(
            f"no {self._one} is named {name!r}{did_you_mean(name, self.names())}; see: stackclip list {self.kind}"
        )

    def create(self, spec: Spec | str) -> Any:
        """Make the component that `name[option=value,...]` names."""
        spec = Spec.parse(spec) if isinstance(spec, str) else spec
        return self.find(spec.name).create(spec)

    @property
    def _one(self) -> str:
        return {"prompts": "prompt strategy", "datasets": "data set"}.get(self.kind, self.kind.removesuffix("s"))

    def _place(self, component: Component) -> None:
        there = self._components.setdefault(component.name, [])
        # The same code seen again replaces itself: an entry point whose class is decorated, a re-imported file.
        there[:] = [
            other for other in there if other.factory is not component.factory and other.source != component.source
        ]
        there.append(component)

    def _load(self) -> None:
        if not self._home_loaded:
            self._home_loaded = True  # before the import: what it imports may ask this shelf
            try:
                _import_tree(self.home)
            except BaseException:
                self._home_loaded = False
                raise
        _load_workspace()

    def _load_entry_points(self, name: str) -> None:
        for point in _entry_points(self.kind).get(name, ()):
            if point in _loaded_points:
                continue
            _loaded_points.add(point)
            source = f"{_distribution_name(point.dist)}, {point.value}"
            try:
                factory = point.load()
            except (Exception, SystemExit) as error:
                _report(Problem(self.kind, name, source, _reason(error)))
                continue
            if not callable(factory):
                _report(Problem(self.kind, name, source, f"{point.value} is no class or function"))
                continue
            module = sys.modules.get(getattr(factory, "__module__", ""))
            file = getattr(module, "__file__", None)
            self._place(Component(self.kind, name, factory, source, Path(file) if file else None))


_problems: dict[tuple[str, str], Problem] = {}
_loaded_points: set[importlib.metadata.EntryPoint] = set()
_points: dict[str, dict[str, list[importlib.metadata.EntryPoint]]] | None = None
_workspace: Path | None = None
_workspace_loaded = True


def problems() -> tuple[Problem, ...]:
    """What did not load so far, sorted by name."""
    return tuple(sorted(_problems.values(), key=lambda problem: problem.name))


def use_workspace(folder: Path | None) -> None:
    """Take components from the files of `folder` too, at the next look-up. Their code runs: name only your own."""
    global _workspace, _workspace_loaded
    _workspace, _workspace_loaded = folder, folder is None


def _load_workspace() -> None:
    global _workspace_loaded
    if _workspace_loaded or _workspace is None:
        return
    _workspace_loaded = True
    for path in sorted(_workspace.glob("*.py")) if _workspace.is_dir() else ():
        if path.name.startswith("_"):
            continue
        module_name = f"stackclip_workspace_{path.stem}"
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            _report(Problem("", path.stem, str(path), "Python cannot import this file"))
            continue
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # dataclasses and type hints look their module up
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[module_name]
            _report(Problem("", path.stem, str(path), _reason(error)))


def _entry_points(kind: str) -> dict[str, list[importlib.metadata.EntryPoint]]:
    """The installed entry points of `stackclip.<kind>`, by name; read once, one distribution at a time."""
    global _points
    if _points is None:
        _points = {}
        for distribution in importlib.metadata.distributions():
            try:
                found = [point for point in distribution.entry_points if point.group.startswith("stackclip.")]
            except Exception as error:  # a corrupt entry point file must not hide the others
                name = _distribution_name(distribution)
                _report(Problem("", name, "its entry_points.txt", _reason(error)))
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


def _report(problem: Problem) -> None:
    _problems[(problem.name, problem.source)] = problem
    logger.warning("%s", problem)


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it ends the program (SystemExit {error.code})"
    if isinstance(error, StackclipError):
        return str(error)
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _import_tree(home: str) -> None:
    """Import a module and, if it is a package, the public modules directly in it."""
    module = importlib.import_module(home)
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not found.name.startswith("_"):
            importlib.import_module(f"{home}.{found.name}")


def _caller() -> tuple[Path, int]:
    """File and line from which a shelf's `register` was called."""
    frame = sys._getframe(2)
    return Path(frame.f_code.co_filename).resolve(), frame.f_lineno


def _shown(file: Path) -> str:
    """A path as people should see it: below the package's own folder if it is in there."""
    package = Path(__file__).resolve().parents[1]
    return file.relative_to(package.parent).as_posix() if file.is_relative_to(package) else str(file)


def forget(shelves: Iterable[Shelf]) -> None:
    """Drop what came from workspaces and entry points, and read them anew at the next look-up (for tests)."""
    global _points, _workspace_loaded
    _points = None
    _workspace_loaded = _workspace is None
    _problems.clear()
    _loaded_points.clear()
    for shelf in shelves:
        for name, components in list(shelf._components.items()):
            kept = [component for component in components if component.source.startswith("stackclip/")]
            if kept:
                shelf._components[name] = kept
            else:
                del shelf._components[name]
