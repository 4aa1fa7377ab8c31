"""What every component promises."""

from __future__ import annotations

import re

from stackclip.contracts.trial import (
    Promises,
    Subject,
    global_randomness_untouched,
    require,
)

__all__ = ["EVERY"]


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


def _made(subject: Subject) -> None:
    with global_randomness_untouched():
        subject.make()


EVERY: Promises = {
    "its name is lower-case letters, digits and hyphens": _well_named,
    "its docstring says what it is": _documented,
    "its docstring names every option": _options_documented,
    "it can be made, and the global random state is left alone": _made,  # the last: without it there is nothing to try
}
