"""Pages that list what the code says of itself: errors with their mends, components, and the modules of the API."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from cards import table

from stackclip import errors
from stackclip.registry import SHELVES

__all__ = ["API", "api_pages", "components_page", "errors_page"]

API = {
    "session": ("The session", ("stackclip.session",)),
    "types": ("Types", ("stackclip.types",)),
    "methods": ("Methods and prompt strategies", ("stackclip.methods.method", "stackclip.prompts.strategy")),
    "registry": ("The registry", ("stackclip.registry.shelf", "stackclip.registry.options", "stackclip.registry.spec")),
    "pieces": ("Pieces of methods", ("stackclip.heads.projections", "stackclip.heads.adapters", "stackclip.selectors")),
    "data": ("Data sets and pictures", ("stackclip.data.dataset", "stackclip.data.images")),
    "store": ("The store", ("stackclip.cache.store", "stackclip.cache.extract")),
    "tower": ("Towers", ("stackclip.clip.tower", "stackclip.clip.recipe", "stackclip.clip.tap")),
    "metrics": ("Metrics", ("stackclip.metrics.exact", "stackclip.metrics.names")),
    "studies": ("Studies", ("stackclip.studies.ablation", "stackclip.studies.worth")),
    "reports": ("Reports", ("stackclip.reports.document",)),
}
"""The pages of the API: their titles and modules."""


def errors_page() -> str:
    """Every error class below the one that all are of: what it means, its exit code, its mend."""
    tree = (inspect.getdoc(errors) or "").split("\n\n")[1]
    shown = "\n".join(line for line in inspect.cleandoc(tree).splitlines())
    head = (
        "# Errors and their mends\n\nWhat goes wrong on purpose is one line: what was found, what was wanted, what to "
        "do next. From Python it is one of these classes of `stackclip.errors`; a command ends with its exit code.\n\n"
        f"```text\n{shown}\n```\n"
    )
    return head + "".join(_error(found) for found in _below(errors.StackclipError))


def _below(kind: type[errors.StackclipError]) -> Iterator[type[errors.StackclipError]]:
    """A class, then those below it that the module names, in the order of their code."""
    yield kind
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from _below(each)


def _error(kind: type[errors.StackclipError]) -> str:
    text, _, mend = (inspect.getdoc(kind) or "").rpartition("\n\nMend: ")
    above = f", a `{kind.__mro__[1].__name__}`" if kind is not errors.StackclipError else ""
    return f"\n## {kind.__name__}\n\nExit code {kind.exit_code}{above}. {text}\n\n**Mend:** {mend}\n"


def components_page() -> str:
    """All components of the package by shelf, with a line each."""
    blocks = ["# Components\n\nWhat stands on the shelves; `stackclip show NAME` prints options and defaults.\n"]
    for shelf in SHELVES:
        own = [shelf.find(name) for name in shelf.names()]
        rows = [(f"`{each.name}`", each.summary) for each in own if each.is_own]
        blocks.append(f"\n## {shelf.kind}\n\n{table(('name', 'what it is'), rows)}")
    return "".join(blocks)


def api_pages() -> dict[str, str]:
    """A page for each group of modules, from their docstrings."""
    return {
        f"api/{name}.md": f"# {title}\n\n" + "\n\n".join(f"::: {module}" for module in modules) + "\n"
        for name, (title, modules) in API.items()
    }
