"""The verbs about published weights: weights, weights fetch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import click

from stackclip.cli.group import cli, echo
from stackclip.errors import UsageError
from stackclip.ops.words import few_of, legible, size

if TYPE_CHECKING:
    from stackclip.clip import WeightsFacts
    from stackclip.terminal import Bars
    from stackclip.workspace import Workspace

__all__ = ["weights_verb"]


class _NameOrVerb(click.Group):
    """A group whose first word may be the name of weights, which are then shown."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that is named, else `show`."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


@cli.group(
    "weights", cls=_NameOrVerb, invoke_without_command=True, subcommand_metavar="[NAME | show NAME | fetch NAME]"
)
@click.pass_context
def weights_verb(context: click.Context) -> None:
    """Tell which published weights lie in the hub's local cache; of those that are named, all that is known.

    NAME is MODEL:TAG, a model for all its tags, or a tag for all its models. The network is not asked.
    """
    if context.invoked_subcommand is not None:
        return
    from stackclip.clip import cached_names, describe_weights

    names = cached_names()
    for model, tag in names:
        echo(_in_short(describe_weights(model, tag)))
    if not names:
        from stackclip.clip.hub import cache_folder

        echo(f"no weights in {cache_folder()}; get some with: stackclip weights fetch MODEL:TAG")


@weights_verb.command("show")
@click.argument("name")
@click.pass_obj
def show_weights_verb(workspace: Workspace, name: str) -> None:
    """Tell what is known of published weights: size, place, licence, transform, whether here, fingerprint."""
    from stackclip.clip import describe_weights, named_weights

    every = [describe_weights(model, tag) for model, tag in named_weights(name)]
    for line in list(_page(every[0], workspace)) if len(every) == 1 else map(_in_short, every):
        echo(line)


@weights_verb.command("fetch")
@click.argument("name")
@click.option("--again", is_flag=True, help="Download them even if they are here.")
@click.pass_obj
def fetch_weights_verb(workspace: Workspace, name: str, again: bool) -> None:
    """Download published weights ahead of a run without a network, load them once, and tell what is known of them."""
    from stackclip.clip import describe_weights, fetch_weights, named_weights
    from stackclip.terminal import Bars

    named = named_weights(name)
    if len(named) > 1:
        raise UsageError(f"{name} names {len(named)} weights ({few_of(map(':'.join, named))}): name one as MODEL:TAG")
    ((model, tag),) = named
    with Bars.shown() as bars:
        fetch_weights(model, tag, again=again, progress=partial(_tell, bars, f"{model}:{tag}, kB"))
    for line in list(_page(describe_weights(model, tag), workspace)):
        echo(line)


def _tell(bars: Bars, stage: str, done: int, whole: int) -> None:
    bars(stage, done // 1000, whole // 1000)


def _in_short(facts: WeightsFacts) -> str:
    where = f"{size(facts.size)} in {facts.file}" if facts.file else f"about {size(facts.size)}, not here"
    return f"{facts.model}:{facts.tag}  {where}"


def _page(facts: WeightsFacts, workspace: Workspace) -> Iterator[str]:
    """All that is known of weights, a fact a line; those that are here are loaded for their fingerprint."""
    name, transform = f"{facts.model}:{facts.tag}", facts.transform
    from stackclip.sizes import size_of

    height, width = size_of(transform.size)
    yield f"{name}: --backbone {facts.model} --pretrained {facts.tag}"
    about = "" if facts.file else "about "
    yield f"  size         {about}{size(facts.size)}, {facts.parameters / 1e6:.1f} million parameters"
    yield f"  place        {facts.repository or 'not on the hub'}"
    yield f"  licence      {legible(facts.licence) or 'not known: its model card is not here, or does not say'}"
    yield f"  transform    {height} x {width} pixels, {transform.resize}, {transform.interpolation}"
    yield f"  mean         {', '.join(map(str, transform.mean))}"
    yield f"  std          {', '.join(map(str, transform.std))}"
    yield f"  activation   {facts.activation}"
    yield f"  here         {facts.file or f'no; get them with: stackclip weights fetch {name}'}"
    if facts.unfinished:
        yield f"  unfinished   {size(facts.unfinished)} of downloads that were killed, or run now"
    if facts.file:
        yield f"  fingerprint  {_fingerprint(facts, workspace)}"


def _fingerprint(facts: WeightsFacts, workspace: Workspace) -> str:
    """The hash of the weights as it stands in the fingerprints of stores."""
    from stackclip.clip import TowerRecipe
    from stackclip.clip.known import find_tower

    known = find_tower(TowerRecipe(backbone=facts.model, pretrained=facts.tag, device="cpu"), workspace.towers)
    known.keep()
    return str(known.tower.fingerprint["weights"])
