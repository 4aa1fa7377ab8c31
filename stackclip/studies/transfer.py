"""Who teaches whom: every data set trained on and every other tested, and each tested by who learned all others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from stackclip.benchmarks.plan import Plan
from stackclip.data import Dataset
from stackclip.errors import CategoryOverlap, UsageError
from stackclip.ops.words import counted

__all__ = ["Refused", "Transfer", "check_names", "transfer_of", "transfer_plans"]

WhyNot = Callable[[Dataset, Dataset], str]
"""Why one set must not be trained on where another is tested; empty where it may."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A pair that would not be zero-shot, and why."""

    trained: str
    tested: str
    why: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """The data sets of a transfer matrix by their names, in order, and the pairs that cannot be measured."""

    names: tuple[str, ...]
    refused: tuple[Refused, ...] = ()

    def why_not(self, trained: str, tested: str) -> str:
        """Why a pair is not measured; empty where it is."""
        return next((each.why for each in self.refused if (each.trained, each.tested) == (trained, tested)), "")

    def others(self, tested: str) -> tuple[str, ...]:
        """All other sets that may be trained on where one is tested."""
        return tuple(name for name in self.names if name != tested and not self.why_not(name, tested))


def check_names(texts: Sequence[str]) -> None:
    """Raise UsageError for data sets as typed that make no matrix: fewer than two, or one of them twice."""
    for text in texts:
        if texts.count(text) > 1:
            raise UsageError(f"a transfer between {', '.join(texts)}: {text} is named twice; name each set once")
    if len(texts) < 2:
        found = texts[0] if texts else "none"
        raise UsageError(
            f"a transfer is between data sets, and {counted(len(texts), 'set')} came ({found}): name two or more"
        )


def transfer_of(trained: Sequence[Dataset], tested: Sequence[Dataset], why_not: WhyNot) -> Transfer:
    """The matrix of data sets, with what forbids a pair; `tested` are the same sets, or some categories of some.

    Raises UsageError for two sets of one name, which the lines of a matrix could not tell apart.
    """
    names = tuple(dataset.name for dataset in trained)
    for name in names:
        if names.count(name) > 1:
            places = ", ".join(str(dataset.root) for dataset in trained if dataset.name == name)
            raise UsageError(f"two data sets are named {name} ({places}): give one another name, other=PATH")
    pairs = ((one, other) for one in trained for other in tested if one.name != other.name)
    refused = (Refused(one.name, other.name, why) for one, other in pairs if (why := why_not(one, other)))
    return Transfer(names, tuple(refused))


def transfer_plans(
    transfer: Transfer, plan: Plan, trained: Sequence[Dataset], learning: Collection[str]
) -> Iterator[Plan]:
    """The benches of a matrix, from a plan of all methods that tests all sets and trains on none.

    Those that are `learning` learn each set, and are tested on all that it may teach; then they learn all that may be
    learned for each tested set, unless that is one set, which they learned before. The others are tested once.
    Raises CategoryOverlap where they could learn nothing.
    """
    taught = tuple(spec for spec in plan.resolved if spec in learning)
    if taught and not any(map(transfer.others, (dataset.name for dataset in plan.test_on))):
        raise CategoryOverlap(f"no set of {', '.join(transfer.names)} can teach another: {transfer.refused[0].why}")
    for one in trained if taught else ():
        if tested := tuple(other for other in plan.test_on if one.name in transfer.others(other.name)):
            yield replace(plan, methods=taught, train_on=(one,), test_on=tested)
    for other in plan.test_on if taught else ():
        names = transfer.others(other.name)
        if len(names) > 1:
            sets = tuple(dataset for dataset in trained if dataset.name in names)
            yield replace(plan, methods=taught, train_on=sets, test_on=(other,))
    if still := tuple(spec for spec in plan.resolved if spec not in learning):
        yield replace(plan, methods=still)
