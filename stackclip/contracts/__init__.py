"""What every component promises, tried out on it: by name, on any shelf, offline and in seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stackclip.contracts.backbones import BACKBONES, EXECUTORS
from stackclip.contracts.datasets import DATASETS
from stackclip.contracts.every import EVERY
from stackclip.contracts.heads import HEADS
from stackclip.contracts.learners import LEARNERS
from stackclip.contracts.methods import METHODS
from stackclip.contracts.prompts import PROMPTS
from stackclip.contracts.selectors import SCORERS, SELECTORS
from stackclip.contracts.taps import TAPS
from stackclip.contracts.trial import Promises, Subject, Unkept
from stackclip.errors import BrokenPlugin, StackclipError, UnknownComponent
from stackclip.ops.words import one_line
from stackclip.registry import SHELVES, Component, Spec, bind, did_you_mean, guarded, problems, reason

__all__ = ["Finding", "Verdict", "check", "find_components"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, whether the component kept it, and if not, the reason in one line."""

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


def check(name: str) -> tuple[Verdict, ...]:
    """Try a component's promises out: `check("halves")`, `check("stacked[clusters=2]")`; a report for each shelf.

    What the component raises is a finding. Raises UnknownComponent, DuplicateComponent or BrokenPlugin for a name that
    does not lead to a component, BadOption for options that it does not have.
    """
    spec = Spec.parse(name)
    return tuple(_check(Subject(component, spec)) for component in find_components(spec.name))


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
    findings = [_try(sentence, function, subject) for sentence, function in EVERY.items()]
    if findings[-1].passed:
        findings += [_try(*promise, subject) for promise in _OF_SHELF[subject.component.shelf].items()]
    return Verdict(subject.component, tuple(findings))


def _try(sentence: str, function: Callable[[Subject], None], subject: Subject) -> Finding:
    try:
        with guarded():
            function(subject)
    except Unkept as unkept:
        return Finding(sentence, False, one_line(unkept))
    except StackclipError as error:
        return Finding(sentence, False, reason(error))
    return Finding(sentence, True)


_OF_SHELF: Mapping[str, Promises] = {
    "backbones": BACKBONES,
    "datasets": DATASETS,
    "executors": EXECUTORS,
    "heads": HEADS,
    "learners": LEARNERS,
    "methods": METHODS,
    "prompts": PROMPTS,
    "scorers": SCORERS,
    "selectors": SELECTORS,
    "taps": TAPS,
}
