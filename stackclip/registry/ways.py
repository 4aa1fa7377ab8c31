"""The shelf of ways through the image tower, by which parts are named: each is found by the kind of a part."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from stackclip.registry.closure import code_of
from stackclip.registry.component import Component
from stackclip.registry.shelf import Shelf
from stackclip.registry.spec import Spec

__all__ = ["EDITION", "Way", "Ways"]

EDITION = "~"
"""What stands between a name and the digest of the code from outside that it named: `my-way~1a2b3c4d/6`."""

_DIGITS = "0123456789"


@dataclass(frozen=True, slots=True)
class Way:
    """A way that was found: its component, what that made, and its edition, a digest of its code if that is not ours.

    Our own code stands under the tower's fingerprint.
    """

    component: Component
    tap: Any
    edition: str

    def guard(self, what: str) -> AbstractContextManager[None]:
        """Run its code: of one from outside, what it raises is a BrokenPlugin that names it."""
        return self.component.guard_foreign(what) if self.edition else nullcontext()


class Ways(Shelf):
    """A shelf whose components give parts; those of the package are found without loading code from outside."""

    def __init__(self, kind: str, home: str) -> None:
        super().__init__(kind, home)
        self._own: dict[str, Way] = {}
        self._made: dict[Component, Way] = {}

    def way(self, kind: str) -> Way | None:
        """The way that gives parts of this kind; None where there is none, or where its code is another by now.

        A way of the package is never replaced by one from outside. Raises DuplicateComponent and BrokenPlugin.
        """
        name, _, edition = kind.partition(EDITION)
        found = self._find_own(name) or self._find_outside(name)
        return found if found is not None and edition in ("", found.edition) else None

    def counts_from_0(self, kind: str) -> bool:
        """Whether the parts of this kind are numbered from 0, as a way of the package may say."""
        way = self._find_own(kind)
        return way is not None and bool(way.tap.from_0)

    def _find_own(self, name: str) -> Way | None:
        if name in self._own:
            return self._own[name]
        for word in _words(name):
            component = self.own(word)
            if component is not None and (way := self._way(component)).tap.numbered == (word != name):
                self._own[name] = way
                return way
        return None

    def _find_outside(self, name: str) -> Way | None:
        for word in _words(name):
            if word in self and getattr((way := self._way(self.find(word))).tap, "numbered", False) == (word != name):
                return way
        return None

    def _way(self, component: Component) -> Way:
        if component not in self._made:
            self._made[component] = Way(component, component.create(Spec(component.name)), _edition(component))
        return self._made[component]


def _words(name: str) -> tuple[str, ...]:
    """What a kind may be registered as: its own name, or that without the number behind it."""
    bare = name.rstrip(_DIGITS)
    return (name,) if bare in ("", name) else (name, bare)


def _edition(component: Component) -> str:
    """A digest of the files that a component from outside is written in, those that they import among them."""
    if component.is_own:
        return ""
    files = code_of(component).values()
    code = b"".join(file.read_bytes() for file in files) or component.source.encode()
    return hashlib.blake2b(code, digest_size=4).hexdigest()
