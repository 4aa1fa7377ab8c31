"""What goes wrong in one method's own code, which is that method's error while the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from stackclip.errors import BrokenPlugin, StackclipError
from stackclip.registry import guarded, placed

__all__ = ["Failures", "Owner"]

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
Item = TypeVar("Item")


class Owner(Protocol):
    """Whose error it is: a method at training, when all its cells are lost, or one cell's evaluation at test."""

    error: str


@dataclass(frozen=True, slots=True)
class Failures:
    """Turns what is raised into errors of its owners; with `fail_fast` the first of them is raised."""

    fail_fast: bool = False

    def attempt(self, owner: Owner, function: Callable[..., Result], *arguments: Any) -> Result | None:
        """Run a method's own code for an owner without an error; None where it fails."""
        if owner.error:
            return None
        try:
            with guarded():
                return function(*arguments)
        except StackclipError as error:
            self.blame([owner], error)
            return None

    def reading(self, owners: Iterable[Owner], items: Callable[[], Iterator[Item]]) -> Generator[Item]:
        """The items of a scan; where the store fails, that is the error of all who take part in it."""
        try:
            yield from items()
        except StackclipError as error:
            self.blame(owners, error)

    def blame(self, owners: Iterable[Owner], error: BaseException) -> None:
        """Make an error, in one line, that of its owners."""
        line = placed(error)
        if self.fail_fast:
            named = [spec for owner in owners if (spec := getattr(owner, "spec", ""))]
            if named and isinstance(error, BrokenPlugin):
                raise BrokenPlugin(f"{', '.join(named)}: {line}") from error
            raise error if isinstance(error, StackclipError) else StackclipError(line) from error
        logger.debug("what went wrong", exc_info=error)
        for owner in owners:
            owner.error = owner.error or line
