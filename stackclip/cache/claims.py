"""Whether a part is there: in the store, or brought by somebody who is writing to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from stackclip.types import Part

__all__ = ["Claims"]


class Claims:
    """The parts of contents that nobody has to bring any more, by the contents' digests.

    `held` tells what is there already, before any claim: the index of a store, or the claims of a writer to it.
    """

    def __init__(self, held: Callable[[str, Part], bool]) -> None:
        self._held = held
        self._taken: set[tuple[str, Part]] = set()

    def holds(self, digest: str, part: Part) -> bool:
        """Whether the part was there before, or was taken since."""
        return (digest, part) in self._taken or self._held(digest, part)

    def take(self, digest: str, parts: Iterable[Part]) -> frozenset[Part]:
        """Claim parts; gives those that nobody had before."""
        new = frozenset(part for part in parts if not self.holds(digest, part))
        self._taken.update((digest, part) for part in new)
        return new
