"""A component: a named factory, whose code is only run under guard."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackclip.errors import BrokenPlugin
from stackclip.registry.guard import guarded, watched
from stackclip.registry.options import Option, bind, noun, options_of
from stackclip.registry.spec import Spec

__all__ = ["Component"]


@dataclass(frozen=True, slots=True)
class Component:
    """A named factory on a shelf: what it is called, what makes it and where that was written.

    `module` is the name of the module that put it there.
    """

    shelf: str
    name: str
    factory: Callable[..., Any]
    source: str
    file: Path | None = None
    module: str = ""

    @property
    def options(self) -> tuple[Option, ...]:
        """What can be typed in brackets behind the name. Raises BrokenPlugin where it cannot be told."""
        with self.guard("cannot tell its options"):
            options = options_of(self.factory)
            for option in options:
                option.describe()
            return options

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]

    @property
    def doc(self) -> str:
        """The whole docstring; empty where it is no text. Raises BrokenPlugin where reading it does."""
        return inspect.cleandoc(self.words("__doc__"))

    def words(self, attribute: str) -> str:
        """A text that stands at the factory, empty where there is none. Raises BrokenPlugin where reading it does."""
        with self.guard(f"cannot tell its {attribute.strip('_')}"):
            text = getattr(self.factory, attribute, "")
            return str(text) if isinstance(text, str) else ""

    def create(self, spec: Spec) -> Any:
        """Make the component with the options of `spec`, typed and checked. Raises BrokenPlugin where it cannot."""
        values = bind(self.name, self.options, dict(spec.options))
        with self.guard("cannot be made"):
            made = self.factory(**values)
        if made is None:
            raise BrokenPlugin(f"{self} cannot be made: its code gives None")
        return made

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Run code of the component: what it raises is a BrokenPlugin that names it, `what` failed, and the reason."""
        with guarded(f"{self} {what}"), self._watched():
            yield

    def guard_foreign(self, what: str) -> AbstractContextManager[None]:
        """The same around much code of ours that calls some of the component's, unless that is ours too."""
        return nullcontext() if self.is_own else guarded(f"{self} {what}")

    def __str__(self) -> str:
        return f"{noun(self.shelf)} {self.name!r} ({self.source})"

    @property
    def is_own(self) -> bool:
        """Whether it is written in the package."""
        return self.source.startswith("stackclip/")

    def _watched(self) -> AbstractContextManager[None]:
        return nullcontext() if self.is_own else watched(f"running code of {self}")
