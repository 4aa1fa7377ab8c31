"""What every component promises, tried out on it: by name, on any shelf, offline and in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stackclip.contracts.at_test import AT_TEST_OF_HEADS, AT_TEST_OF_LEARNERS, AT_TEST_OF_METHODS
from stackclip.contracts.backbones import BACKBONES, EXECUTORS
from stackclip.contracts.common import COMMON
from stackclip.contracts.datasets import DATASETS, PICTURES
from stackclip.contracts.heads import HEADS
from stackclip.contracts.learners import LEARNERS
from stackclip.contracts.methods import METHODS
from stackclip.contracts.prompts import PROMPTS
from stackclip.contracts.selectors import SCORERS, SELECTORS
from stackclip.contracts.taps import TAPS
from stackclip.contracts.trackers import TRACKERS
from stackclip.contracts.trial import GATES, Promise, Promises, Subject, Unkept
from stackclip.contracts.writers import WRITERS
from stackclip.errors import BrokenPlugin, StackclipError, UnknownComponent, UsageError
from stackclip.ops.words import one_line
from stackclip.registry import SHELVES, Component, Spec, bind, did_you_mean, guarded, noun, placed, problems

__all__ = ["Finding", "Verdict", "check", "find_components"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, whether the component kept it, and the reason in one line, or what there is to say of it."""

    sentence: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A component, and what was found of it."""

    component: Component
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return all(finding.passed for finding in self.findings)


def check(name: str, *, data_root: Path | None = None) -> tuple[Verdict, ...]:
    """Try a component's promises out: `check("halves")`, `check("stacked[clusters=2]")`; a report for each shelf.

    A data set is tried on its own pictures too, if they lie below `data_root`. What the component raises is a finding.
    Raises UnknownComponent, DuplicateComponent or BrokenPlugin for a name that does not lead to a component, BadOption
    for options that it does not have, UsageError for a `data_root` that it does not read.
    """
    spec = Spec.parse(name)
    found = find_components(spec.name)
    if data_root is not None and not any(component.shelf == "datasets" for component in found):
        raise UsageError(f"{spec.name} is a {noun(found[0].shelf)} and reads no --data-root; leave it out")
    return tuple(_check(Subject(component, spec, data_root)) for component in found)


def find_components(name: str) -> tuple[Component, ...]:
    """The components of that name on all shelves, at least one.

    Raises UnknownComponent (with the nearest name), DuplicateComponent or BrokenPlugin.
    """
    found = tuple(shelf.find(name) for shelf in SHELVES if name in shelf)
    if found:
        return found
    for problem in problems():
        if problem.name == name:
            raise BrokenPlugin(str(problem))
    known = sorted({other for shelf in SHELVES for other in shelf.names()})
    raise UnknownComponent(f"no component is named {name!r}{did_you_mean(name, known)}; see: stackclip list")


def _check(subject: Subject) -> Verdict:
    bind(subject.spec.name, subject.component.options, dict(subject.spec.options))
    findings = [_try(sentence, promise, subject) for sentence, promise in COMMON.items()]
    if findings[-1].passed:
        findings += _tried(subject, _OF_SHELF.get(subject.component.shelf, {}))
        if subject.component.shelf == "datasets" and subject.data_root is not None:
            findings += _tried(subject, PICTURES)
    return Verdict(subject.component, tuple(findings))


def _tried(subject: Subject, promises: Promises) -> Iterator[Finding]:
    """What is found of promises, until one without which the others cannot be kept is not."""
    lost = False
    for sentence, promise in promises.items():
        if lost and promise not in GATES:
            return
        finding = _try(sentence, promise, subject)
        lost |= promise in GATES and not finding.passed
        yield finding


def _try(sentence: str, promise: Promise, subject: Subject) -> Finding:
    try:
        with guarded():
            said = promise(subject)
    except Unkept as unkept:
        return Finding(sentence, False, one_line(unkept))
    except StackclipError as error:
        return Finding(sentence, False, placed(error))
    return Finding(sentence, True, one_line(said or ""))


_OF_SHELF: Mapping[str, Promises] = {
    "backbones": BACKBONES,
    "datasets": DATASETS,
    "executors": EXECUTORS,
    "heads": {**HEADS, **AT_TEST_OF_HEADS},
    "learners": {**LEARNERS, **AT_TEST_OF_LEARNERS},
    "methods": {**METHODS, **AT_TEST_OF_METHODS},
    "prompts": {**PROMPTS, **AT_TEST_OF_METHODS},
    "scorers": SCORERS,
    "selectors": SELECTORS,
    "taps": TAPS,
    "trackers": TRACKERS,
    "writers": WRITERS,
}
