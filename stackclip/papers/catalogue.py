"""The data sets and methods that suites name, each opened or made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stackclip.benchmarks.plan import resolved
from stackclip.data import Dataset
from stackclip.errors import StackclipError
from stackclip.methods import Method

__all__ = ["Catalogue"]

_OTHER_LAYOUTS = {"visa": "visa-prepared"}


class Catalogue:
    """What there is of what suites name; a data set that cannot be had is remembered too.

    `texts` are the data sets that were opened as they are typed, by their names; `methods` those that were made, by
    their specs.
    """

    def __init__(self, open_dataset: Callable[[str], Dataset]) -> None:
        self.texts: dict[str, str] = {}
        self.methods: dict[str, Method] = {}
        self._open_dataset = open_dataset
        self._datasets: dict[str, Dataset | StackclipError] = {}

    def make(self, names: Sequence[str]) -> None:
        """Make methods that were not made yet. Raises what `resolved` raises."""
        self.methods |= resolved(names, self.methods)

    def dataset(self, name: str) -> Dataset:
        """A data set as a suite names it. Raises what opening it raised."""
        if name not in self._datasets:
            self._datasets[name] = self._open(name)
        found = self._datasets[name]
        if isinstance(found, StackclipError):
            raise found
        return found

    def _open(self, name: str) -> Dataset | StackclipError:
        first: StackclipError | None = None
        for text in filter(None, (name, _OTHER_LAYOUTS.get(name))):
            try:
                opened = self._open_dataset(text)
            except StackclipError as error:
                first = first or error
            else:
                self.texts[opened.name] = text
                return opened
        return first or StackclipError(name)
