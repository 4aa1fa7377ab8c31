"""What a shell proposes for names of components; and the verb that tells it how to ask: completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib import resources
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from stackclip.cli.group import cli, echo
from stackclip.errors import StackclipError

__all__ = ["PROPOSED", "completion_verb", "propose"]

Words = Callable[[click.Context], Iterable[str]]


def _on_shelves(*kinds: str) -> Words:
    """The names of components of some shelves, those of the workspace among them."""

    def words(context: click.Context) -> Iterable[str]:
        from stackclip.registry import SHELVES
        from stackclip.registry.glance import glanced

        folder = _registry(context)
        return sorted(
            {name for shelf in SHELVES if not kinds or shelf.kind in kinds for name in glanced(shelf, folder)}
        )

    return words


def _shelves(context: click.Context) -> Iterable[str]:
    from stackclip.cli.components import OTHER_LISTS
    from stackclip.registry import SHELVES

    return (*(shelf.kind for shelf in SHELVES), *OTHER_LISTS)


def _examples(context: click.Context) -> Iterable[str]:
    from stackclip.registry import examples

    return examples()


def _suites(context: click.Context) -> Iterable[str]:
    folder = resources.files("stackclip.papers") / "tables"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


_METHODS, _DATASETS = _on_shelves("methods", "prompts"), _on_shelves("datasets")
PROPOSED: dict[str, Words] = {
    "--methods": _METHODS,
    "--method": _METHODS,
    "--dataset": _DATASETS,
    "--train-on": _DATASETS,
    "--test-on": _DATASETS,
    "--transfer": _DATASETS,
    "--backbone": _on_shelves("backbones"),
    "--executor": _on_shelves("executors"),
    "--tracker": _on_shelves("trackers"),
    "--suite": _suites,
    "ablate METHOD": _METHODS,
    "study FILE.toml|NAME...": _suites,
    "check NAME": _on_shelves(),
    "show NAME": _on_shelves(),
    "list SHELF": _shelves,
    "new KIND": _examples,
}
"""What is proposed for an option of any verb, or for an argument of one."""


def propose(group: click.Group) -> None:
    """Have the verbs of a group propose names where their options and arguments take some."""
    for verb, command in group.commands.items():
        for parameter in command.params:
            argument = f"{verb} {parameter.human_readable_name}"
            for words in filter(None, (PROPOSED.get(name) for name in (*parameter.opts, argument))):
                parameter.shell_complete = partial(_proposals, words)  # type: ignore[method-assign]  # one place knows all


def _proposals(words: Words, context: click.Context, typed: str) -> list[CompletionItem]:
    """What may stand for the last name of a list, else a file or folder; nothing within the brackets of options.

    A data set is a folder too: those that begin as the name does stand behind the names, and in a list by themselves.
    """
    if typed.count("[") > typed.count("]"):
        return []
    before, comma, last = typed.rpartition(",")
    names = [name for name in words(context) if name.startswith(last)]
    if words is _DATASETS and last and (names or comma):
        names += [folder for folder in _folders(last) if folder not in names]
    found = [CompletionItem(f"{before}{comma}{name}") for name in names]
    return found or [CompletionItem(typed, type="file")]


def _folders(typed: str) -> list[str]:
    """The folders whose places begin as what was typed; none with a comma or bracket, which would be read otherwise."""
    parent, slash, first = typed.rpartition("/")
    try:
        every = sorted(each.name for each in Path(f"{parent}{slash}" or ".").expanduser().iterdir() if each.is_dir())
    except (OSError, RuntimeError, ValueError):  # nothing is there, or it may not be looked at: nothing to propose
        return []
    fitting = (name for name in every if name.startswith(first) and (first or not name.startswith(".")))
    return [f"{parent}{slash}{name}" for name in fitting if not set(name) & set(",[]")]


def _registry(context: click.Context) -> Path | None:
    """The workspace's folder of components, as far as what was typed tells it."""
    from stackclip.workspace import Workspace

    root = context.find_root()
    typed = root.params.get("workspace") or root.lookup_default("workspace")
    try:
        return Workspace.find(Path(typed) if typed else None).registry
    except StackclipError:  # the command itself says what is wrong
        return None


@cli.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_verb(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete verbs, options and names of components.

    In bash: eval "$(stackclip completion bash)", best in ~/.bashrc. In zsh the same, in ~/.zshrc. In fish:
    stackclip completion fish > ~/.config/fish/completions/stackclip.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, shell  # all of the choice are click's own
    script = kind(context.find_root().command, {}, "stackclip", "_STACKCLIP_COMPLETE").source()
    for line in script.replace('string split "," $', 'string split --max 1 "," $').splitlines():
        echo(line)  # fish would cut a list at its first comma
