"""Whether a part is there: in the store, or brought by somebody who is writing to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stackclip.types import Part

__all__ = ["Claims"]


class Claims:
    """The parts of contents that nobody has to bring any more, by the contents' digests.

    `before` tells what is there already, before any claim: the index of a store, or the claims of a writer to it.
    """

    def __init__(self, before: Callable[[str], frozenset[Part]]) -> None:
        self._before = before
        self._taken: dict[str, frozenset[Part]] = {}

    def held(self, digest: str) -> frozenset[Part]:
        """The parts that were there before, or were taken since."""
        return self._before(digest) | self._taken.get(digest, frozenset())

    def take(self, digest: str, parts: Iterable[Part]) -> frozenset[Part]:
        """Claim parts; gives those that nobody had before."""
        if new := frozenset(parts) - self.held(digest):
            self._taken[digest] = self._taken.get(digest, frozenset()) | new
        return new
