"""What every component promises."""

from __future__ import annotations

import re
from collections.abc import Mapping

from stackclip.contracts.trial import (
    Promises,
    Subject,
    global_randomness_untouched,
    require,
    require_all,
)
from stackclip.registry import heads, learners, scorers, selectors

__all__ = ["ASKED", "COMMON"]

ASKED: Mapping[str, tuple[str, ...]] = {
    "backbones": ("load",),
    "datasets": ("tree", "read"),
    "executors": ("workers", "apart", "hired"),
    "heads": ("weighting", "needs", "build"),
    "learners": ("epochs", "lr", "overflow", "needs", "fits", "build"),
    "methods": ("needs", "begin"),
    "prompts": ("stacks", "subject"),
    "scorers": ("__call__",),
    "selectors": ("__call__",),
    "trackers": ("destination", "log", "close"),
    "writers": ("write",),
}
"""What a component of a shelf has. docs of each: its Protocol, and `stackclip new`."""


def _documented(subject: Subject) -> None:
    require(bool(subject.component.summary.strip()), "it has no docstring")


def _options_documented(subject: Subject) -> None:
    factory = subject.component.factory
    if not isinstance(factory, type) and hasattr(factory, "options"):
        return  # composed of components that document their own
    words = set(re.findall(r"\w+", subject.component.doc))
    unsaid = [option.label for option in subject.component.options if option.label not in {*words, "seed"}]
    require(not unsaid, f"the docstring does not say what {', '.join(unsaid)} means")


def _well_named(subject: Subject) -> None:
    name = subject.component.name
    kept = name == name.lower() and name.replace("-", "").isalnum()
    require(kept, f"{name!r} has other characters than lower-case letters, digits and hyphens")


def _names_components(subject: Subject) -> None:
    """Rows are made anew where the code changes that an option names, so it must say that it names some."""
    for option in subject.component.options:
        shelf = next((each for each in (heads, learners, scorers, selectors) if option.default in each.names()), None)
        said = option.type is not str or shelf is None
        kind = shelf.kind if shelf else ""
        require(said, f"{option.label}={option.default_text} names one of {kind}: write Annotated[str, From({kind})]")


def _made(subject: Subject) -> None:
    with global_randomness_untouched():
        made = subject.make()
    require_all(made, *ASKED.get(subject.component.shelf, ()))


COMMON: Promises = {
    "its name is lower-case letters, digits and hyphens": _well_named,
    "its docstring says what it is": _documented,
    "its docstring names every option": _options_documented,
    "its options say so where they name components": _names_components,
    # the last: without it there is nothing to try
    "it can be made with all that its shelf asks for, and the global random state is left alone": _made,
}
