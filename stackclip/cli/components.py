"""The verbs about what there is: list, show."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackclip.cli.group import cli
from stackclip.cli.recall import recalled
from stackclip.defaults import BACKBONE
from stackclip.errors import BadOption, BrokenPlugin, NotApplicable, StackclipError, UsageError

if TYPE_CHECKING:
    from stackclip.registry import Component, Shelf

__all__ = ["list_verb", "show_verb"]

OTHER_LISTS = ("suites", "papers")


@cli.command("list")
@click.argument("shelf", required=False)
def list_verb(shelf: str | None) -> None:
    """Tell what there is: all shelves, or one; or the suites, or the papers whose numbers are known."""
    recalled(lambda: _list(shelf))


def _list(shelf: str | None) -> tuple[Path, ...]:
    from stackclip.cli.suites import papers_table, suites_table
    from stackclip.console import output, say
    from stackclip.registry import SHELVES, did_you_mean, problems
    from stackclip.terminal import shelf_table, trees

    shelves = {each.kind: each for each in SHELVES}
    if shelf in OTHER_LISTS:
        output.print(suites_table() if shelf == "suites" else papers_table())
        return ()
    if shelf is not None and shelf not in shelves:
        known = (*shelves, *OTHER_LISTS)
        raise UsageError(f"no shelf is named {shelf!r}{did_you_mean(shelf, known)}; there are {', '.join(known)}")
    for kind in [shelf] if shelf else shelves:
        output.print(shelf_table(shelves[kind]))
        if kind == "methods":
            output.print("  every prompt strategy is a method too, by its own name", style="dim")
        output.print()
    for tree in trees(shelves["datasets"]) if shelf == "datasets" else ():
        output.print(tree, end="\n\n")
    for problem in problems():
        say(problem, "red", soft_wrap=True)
    return ()


@cli.command("show")
@click.argument("name")
@click.option("--backbone", default=BACKBONE, show_default=True, help="The tower whose parts are named.")
def show_verb(name: str, backbone: str) -> None:
    """Tell what a component is: its options and defaults, where it is written, the parts it needs; or a suite."""
    recalled(lambda: _show(name, backbone))


def _show(name: str, backbone: str) -> tuple[Path, ...]:
    from stackclip.cli.suites import suite_page
    from stackclip.console import output, say
    from stackclip.papers.suites import find_suites, suites
    from stackclip.terminal import component_page

    if name in suites() or name.endswith(".toml"):
        for block in suite_page(*find_suites(name)):
            output.print(block)
        return ()
    from stackclip.contracts import find_components
    from stackclip.methods import component_of, method_names

    components = list(find_components(name))
    if name in method_names():
        components = [c for c in components if c.shelf not in ("methods", "prompts")] + [component_of(name)]
    broken = False
    for component in components:
        try:
            needs = _needs(name, backbone) if component.shelf in ("methods", "prompts") else ""
        except (BrokenPlugin, BadOption, NotApplicable) as error:
            broken |= isinstance(error, BrokenPlugin)
            needs = f"cannot be told: {error}"
        for block in component_page(component, needs):
            output.print(block)
            output.print()
        _say_parts(component)
        for option, choices in _nested(component):
            output.print(f"{option} is one of", style="dim")
            for choice in choices:
                say(f"  {choice}")
            output.print()
    if broken:
        sys.exit(1)
    return ()


def _say_parts(component: Component) -> None:
    """Tell the parts that a component can be without, and what takes each away."""
    from stackclip.console import output, say
    from stackclip.registry import Spec
    from stackclip.studies.ablation import removable_parts

    there = removable_parts(component, Spec(component.name))
    if every := removable_parts(component, Spec(component.name), absent=True):
        output.print("parts, and what takes them away", style="dim")
        for part in every:
            say(f"  {part.name}: {part.taken_away_by}{'' if part in there else ' (by default it is not there)'}")
        output.print()


def _needs(name: str, backbone: str) -> str:
    """The parts that a method with its defaults reads. Raises what making it or asking it raises."""
    from stackclip.benchmarks.entrant import needs_of
    from stackclip.clip import load_tower
    from stackclip.methods import resolve
    from stackclip.types import MASK

    parts = needs_of(resolve(name), load_tower(backbone).spec, name=name) - {MASK}
    return f"{', '.join(map(str, sorted(parts)))}  (of {backbone})"


def _nested(component: Component) -> Iterator[tuple[str, list[str]]]:
    """The options that name a component of a shelf, with all that they may name, as it would be typed with defaults."""
    from stackclip.registry import Spec

    for option in component.options:
        if (source := option.source) is not None:
            words = [f"{word} ({' or '.join(specs)})" if specs else word for word, specs in source.words.items()]
            yield option.label, [*words, *(str(Spec(name, given)) for name, given in _defaults(source.shelf))]


def _defaults(shelf: Shelf) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """The components of a shelf with their options' defaults as text; those that do not load are named by `list`."""
    for name in shelf.names():
        with suppress(StackclipError):
            yield name, tuple((option.label, option.default_text) for option in shelf.find(name).options)
