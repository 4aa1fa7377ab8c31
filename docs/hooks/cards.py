"""A page for every method, made from the registry, its own code and the tables of published numbers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from worth import about, parts_section, worth_section

from stackclip.contracts.trial import task_of
from stackclip.errors import StackclipError
from stackclip.methods import PHASES, Method, component_of, method_names, resolve
from stackclip.ops.given import least_shots_of
from stackclip.ops.words import counted
from stackclip.papers.published import Reference, joined, published
from stackclip.registry import Component, Spec
from stackclip.types import Part, TowerSpec, is_live

__all__ = ["Card", "card_of", "method_index", "method_pages", "table"]

TOWER = TowerSpec(
    "ViT-L-14-336 at 518 pixels", image_size=518, grid=37, depth=24, width=1024, joint=768, layers=(6, 12, 18, 24)
)
"""The tower of most papers, for which parts and costs are said."""

_DECISIONS = Path(__file__).resolve().parents[1] / "decisions"
_LEGEND = (
    "In points, with the 95 % interval for other categories (of a set of one category: for other pictures); bold where "
    "that and the one for other pictures leave out 0, `=` where no digit changes. `make parts` measures it again."
)
_METRICS = ("image_AUROC", "image_AP", "image_F1max", "pixel_AUROC", "pixel_AP", "pixel_F1max", "pixel_AUPRO")
_READ = {
    "train": "of training pictures",
    "shots": "of normal pictures that it is shown",
    "calibrate": "of normal pictures to calibrate by",
    "survey": "of all tested pictures before the first score",
    "test": "of tested pictures",
}


@dataclass(frozen=True)
class Card:
    """What there is to say of a method: its component, what it reads in each phase, how it learns, what is printed."""

    name: str
    component: Component
    parts: Mapping[str, frozenset[Part]]
    stages: tuple[Any, ...]
    facts: Mapping[str, Any]
    least_shots: int
    takes_shots: bool
    printed: tuple[Reference, ...]

    @property
    def trained(self) -> bool:
        """Whether anything is learned, in a training or from the pictures that it is shown."""
        return bool(self.stages or self.facts.get("epochs"))

    @property
    def live(self) -> bool:
        """Whether it learns inside the image tower from the pictures themselves."""
        return any(is_live(part) for parts in self.parts.values() for part in parts)

    def megabytes(self, *phases: str) -> float:
        """What the store keeps of one picture for some phases, as float16."""
        wanted = {part for phase in phases for part in self.parts[phase] if not is_live(part)}
        return sum(2 * prod(TOWER.shape(part)) for part in wanted) / 1e6

    @property
    def kind(self) -> str:
        """Trained or not, shown pictures or not, in a few words."""
        if "transductive" in self.facts and self.parts["survey"]:
            seen = "sees all tested pictures"
        elif self.least_shots:
            seen = "few-shot"
        else:
            seen = "zero-shot, or few-shot" if self.takes_shots and self.parts["shots"] else "zero-shot"
        return f"{'trained' if self.trained else 'not trained'}, {seen}"


def card_of(name: str) -> Card:
    """The card of a method with its defaults, as it begins on a small task. Raises what making it raises."""
    method = resolve(name)
    begun = _begun(method)
    return Card(
        name,
        component_of(name),
        {phase: frozenset(method.needs(TOWER, phase)) for phase in PHASES},
        tuple(begun.stages),
        dict(begun.facts),
        least_shots_of(begun),
        bool(begun.takes_shots),
        tuple(joined(_printed(name))),
    )


def _begun(method: Method) -> Any:
    """The method at work on a small task, shown four pictures if it cannot do without."""
    try:
        return method.begin(task_of())
    except StackclipError:
        return method.begin(task_of(shots=4))


def _printed(name: str) -> Iterator[Any]:
    """The means that are printed of the method with any options, without settings that no option expresses."""
    for line in published():
        if not (line.category or line.setting):
            with suppress(StackclipError):
                if Spec.parse(line.method).name == name:
                    yield line


def method_pages() -> dict[str, str]:
    """The pages of all methods, and the one that lists them, by their places in the site."""
    cards = [card_of(name) for name in method_names() if component_of(name).is_own]
    pages = {f"methods/{card.name}.md": page_of(card) for card in cards}
    return {"methods/index.md": method_index(cards), **pages}


def method_index(cards: Iterable[Card]) -> str:
    """One line for each method."""
    rows = [
        (
            f"[{card.name}]({card.name}.md)",
            card.component.summary,
            card.kind,
            f"{card.megabytes('test', 'survey'):.2g} MB",
        )
        for card in cards
    ]
    return (
        "# Methods\n\nA name is typed behind `--methods`, with options in brackets. Every prompt strategy is a method "
        "too. Each has a card with its options, what it reads of the store, how it learns, and what papers print.\n\n"
        f"{table(('method', 'what it is', 'kind', 'a tested picture'), rows)}\n"
        f"The last column is what the store keeps of a tested picture for it, with {TOWER.name}; methods share parts.\n"
    )


def page_of(card: Card) -> str:
    """The card as Markdown."""
    blocks = [f"# {card.name}", card.component.doc, *_paper(card), *_facts(card), *_options(card)]
    blocks += [*_without(card), *_worth(card), *_reads(card), *_figures(card), *_decisions(card), *_try(card)]
    return "\n\n".join(blocks) + "\n"


def _paper(card: Card) -> Iterator[str]:
    """What its module says, where that is about it alone."""
    if sum(component_of(name).module == card.component.module for name in method_names()) > 1:
        return
    words = getattr(sys.modules.get(card.component.module), "__doc__", None) or ""
    if first := " ".join(words.partition("\n\n")[0].split()):
        yield f"*{first}*"


def _facts(card: Card) -> Iterator[str]:
    rows = [("kind", card.kind), ("written in", f"`{card.component.source.partition(':')[0]}`")]
    if card.least_shots:
        rows.append(("normal pictures it cannot do without", str(card.least_shots)))
    rows += [
        (name.replace("_", " "), str(card.facts[name]))
        for name in ("image_score", "transductive")
        if name in card.facts
    ]
    for stage in card.stages:
        rows.append((f"learns, stage `{stage.name}`", f"{counted(stage.epochs, 'epoch')}, batches of {stage.batch}"))
    if card.live:
        rows.append(
            ("inside the image tower", "yes: it learns from the pictures, and a step costs a pass forth and back")
        )
    stored = f"{card.megabytes('test', 'survey'):.2g} MB"
    if card.parts["train"]:
        stored += f"; {card.megabytes('train'):.2g} MB of a training picture"
    rows.append((f"in the store, a tested picture ({TOWER.name})", stored))
    yield f"## Facts\n\n{table(('fact', 'with its defaults'), rows)}"


def _options(card: Card) -> Iterator[str]:
    rows = [tuple(f"`{word}`" for word in option.describe()) for option in card.component.options]
    if rows:
        yield f"## Options\n\n{table(('option', 'type', 'default'), rows)}"


def _without(card: Card) -> Iterator[str]:
    """Which of its parts can be taken away, and how."""
    if rows := list(parts_section(card.component)):
        lead = f"`stackclip ablate {card.name}` tells what they are worth ([how](../ablation.md))."
        yield f"## What it can be without\n\n{lead}\n\n{table(('part', 'taken away by', 'by default'), rows)}"


def _worth(card: Card) -> Iterator[str]:
    """What its parts are worth on the small sets."""
    if sets := list(worth_section(card.name)):
        yield f"## What its parts are worth\n\n{about(card.name)}\n\n{_LEGEND}"
        yield from (f"{lead}\n\n{table(heads, lines)}" for lead, heads, lines in sets)


def _reads(card: Card) -> Iterator[str]:
    rows = [
        (_READ[phase], ", ".join(f"`{part}`" for part in sorted(parts)[:12]) + _more(parts))
        for phase, parts in card.parts.items()
        if parts
    ]
    yield f"## Parts\n\nOf {TOWER.name}; masks come with training pictures.\n\n{table(('it reads', 'parts'), rows)}"


def _more(parts: frozenset[Part]) -> str:
    return f" and {len(parts) - 12} more" if len(parts) > 12 else ""


def _figures(card: Card) -> Iterator[str]:
    if not card.printed:
        yield "## Published figures\n\nNo table of a paper that stackclip knows has this method in the mean."
        return
    held = [name for name in _METRICS if any(name in each.values for each in card.printed)]
    rows = []
    for each in card.printed:
        line = each.lines[0]
        where = (line.label, f"`{line.method}`", line.tower, "+".join(line.train_on) or "-", line.dataset, line.shots)
        rows.append((*where, *(f"{100 * each.values[name]:.1f}" if name in each.values else "" for name in held)))
    heads = (
        "printed in",
        "method",
        "tower",
        "trained on",
        "tested on",
        "shots",
        *(name.replace("_", " ") for name in held),
    )
    yield f"## Published figures\n\nIn percent, means over categories, as printed.\n\n{table(heads, rows)}"


def _decisions(card: Card) -> Iterator[str]:
    said = re.compile(rf"`\"?{re.escape(card.name)}[`\[]")
    every = sorted(_DECISIONS.glob("*.md"))
    found = [path for path in every if path.stem[5:] == card.name or said.search(path.read_text("utf-8"))]
    titles = [path.read_text("utf-8").partition("\n")[0].lstrip("# ") for path in found]
    if found:
        lines = (f"- [{title}](../decisions/{path.name})" for title, path in zip(titles, found, strict=True))
        yield "## Decisions that speak of it\n\n" + "\n".join(lines)


def _try(card: Card) -> Iterator[str]:
    shots = f"[shots={max(card.least_shots, 4)}]" if card.least_shots else ""
    words = f"stackclip bench --methods '{card.name}{shots}'"
    yield f"## Try it\n\n```console\nstackclip show {card.name}\n{words}\n```"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [list(heads)]
    lines += [["---"] * len(lines[0]), *map(list, rows)]
    return "".join(f"| {' | '.join(_cell(word) for word in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    """Text that stays in its cell; within backticks a bar is one as it is."""
    words = text.replace("\n", " ").split("`")
    return "`".join(word if number % 2 else word.replace("|", "\\|") for number, word in enumerate(words))
