"""A shelf holds the components of one kind by name, and loads nothing before it is asked."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from stackclip.errors import BrokenPlugin, DuplicateComponent, UnknownComponent, UsageError
from stackclip.registry.component import Component
from stackclip.registry.folder import folder_of
from stackclip.registry.options import noun
from stackclip.registry.plugins import entry_points, forget_plugins, load_point, load_workspace, problems
from stackclip.registry.spec import Spec, did_you_mean

__all__ = ["Shelf", "forget"]

Factory = TypeVar("Factory", bound=Callable[..., Any])


class Shelf:
    """Components of one kind, from the package, the workspace's `registry/` folder and installed entry points."""

    def __init__(self, kind: str, home: str) -> None:
        self.kind = kind
        self.home = home
        self._components: dict[str, list[Component]] = {}
        self._home_loaded = False
        self._package = ""  # of the workspace whose components stand here

    def register(self, name: str) -> Callable[[Factory], Factory]:
        """A decorator that puts a class or function on the shelf under `name` (lower-case, hyphens)."""
        if not isinstance(name, str) or name != name.lower() or not name.replace("-", "").isalnum():
            raise UsageError(f"{name!r} is no component name: wanted lower-case letters, digits and hyphens")

        file, line, module = _caller()
        source = f"{_shown(file)}:{line}"

        def place(factory: Factory) -> Factory:
            self._place(Component(self.kind, name, factory, source, file, module))
            return factory

        return place

    def names(self) -> tuple[str, ...]:
        """The names of all components, sorted; entry points that were not loaded yet among them."""
        self._load()
        return tuple(sorted({*self._components, *entry_points(self.kind)}))

    def __contains__(self, name: str) -> bool:
        self._load()
        return name in self._components or name in entry_points(self.kind)

    def find(self, name: str) -> Component:
        """The component of that name.

        Raises UnknownComponent (with the nearest name), DuplicateComponent (with both places) or BrokenPlugin.
        """
        self._load()
        self._load_entry_points(name)
        found = self._components.get(name, [])
        if len(found) > 1:
            places = " and ".join(sorted(component.source for component in found))
            raise DuplicateComponent(f"{noun(self.kind)} {name!r} is defined twice, in {places}: rename one of them")
        if found:
            return found[0]
        for problem in problems():
            if name in (problem.name, problem.name.replace("_", "-")) and problem.shelf in ("", self.kind):
                raise BrokenPlugin(f"{noun(self.kind)} {problem}")
        raise UnknownComponent(
            f"no {noun(self.kind)} is named {name!r}{did_you_mean(name, self.names())}; see: stackclip list {self.kind}"
        )

    def create(self, spec: Spec | str) -> Any:
        """Make the component that `name[option=value,...]` names."""
        spec = Spec.parse(spec) if isinstance(spec, str) else spec
        return self.find(spec.name).create(spec)

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
        package = load_workspace()
        if package != self._package:
            self._package = package
            self._keep(lambda each: folder_of(each.module) is None or each.module.partition(".")[0] == package)

    def _keep(self, kept: Callable[[Component], bool]) -> None:
        self._components = {
            name: stay for name, every in self._components.items() if (stay := [each for each in every if kept(each)])
        }

    def _load_entry_points(self, name: str) -> None:
        for point in entry_points(self.kind).get(name, ()):
            if component := load_point(point, self.kind):
                self._place(component)


def _import_tree(home: str) -> None:
    """Import a module and, if it is a package, the public modules directly in it."""
    module = importlib.import_module(home)
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not found.name.startswith("_"):
            importlib.import_module(f"{home}.{found.name}")


def _caller() -> tuple[Path, int, str]:
    """File, line and module from which a shelf's `register` was called."""
    frame = sys._getframe(2)
    return Path(frame.f_code.co_filename).resolve(), frame.f_lineno, str(frame.f_globals.get("__name__", ""))


def _shown(file: Path) -> str:
    """A path as people should see it: below the package's own folder if it is in there."""
    package = Path(__file__).resolve().parents[1]
    return file.relative_to(package.parent).as_posix() if file.is_relative_to(package) else str(file)


def forget(shelves: Iterable[Shelf]) -> None:
    """Drop what came from workspaces and entry points, and read them anew at the next look-up (for tests)."""
    forget_plugins()
    for shelf in shelves:
        shelf._keep(lambda component: component.is_own)
