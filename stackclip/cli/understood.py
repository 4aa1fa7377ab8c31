"""How the verb `data` answers: what was understood of a data set, or lies in a folder that no layout fits."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich.table import Table

from stackclip.console import line
from stackclip.ops.words import counted, few_of, legible
from stackclip.types import GOOD

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stackclip.data.understood import MaskFacts, PictureFacts, Understood
    from stackclip.types import Sample

__all__ = ["page", "page_of_published", "page_of_unread"]

_DEFECTS, _FOLDERS, _SIZES = 12, 20, 4


def page(found: Understood, text: str, words: str) -> Iterator[RenderableType]:
    """Layout and place, the table of counts, what pictures and masks are, what was left out, and the words."""
    dataset = found.dataset
    title = dataset.finding.partition(":")[2].partition(", 1 categor")[0].partition(f", {len(dataset.categories)} ")[0]
    yield line(f"{dataset.name}:{title}", "bold")
    yield line(f"  {dataset.root}, read as {dataset.layout}", "dim")
    yield _counts(found)
    yield line(f"  pictures: {_of_pictures(found.pictures)}")
    if any(tally.defects for tally in found.tallies):
        yield line(f"  masks: {_of_masks(found.masks)}")
    for remark in (dataset.remark, *dataset.warnings, *map(str, (*found.pictures.unreadable, *found.masks.unusable))):
        if remark:
            yield line(f"  ! {remark}", "yellow")
    for left in dataset.left_out:
        yield line(f"  not read: {left}", "yellow")
    yield from _typed(found.words)
    own = len(dataset.categories) == 1 and Path(text.partition("[")[0]).exists()
    if own or any(tally.unlabelled for tally in found.tallies):
        yield line(f"  next: {_next(dataset.samples, text, words)}", "dim")


def page_of_published(text: str, *, wanted: bool = False) -> Iterator[RenderableType]:
    """What is known of the data set that a name stands for: terms and origin, size, and the tree where it is `wanted`.

    Nothing for a place.
    """
    from stackclip.data.census import published_size
    from stackclip.data.naming import given_name, registered_spec
    from stackclip.registry import datasets

    spec = registered_spec(given_name(text, None)[1])
    if spec is None or not hasattr(reader := datasets.create(spec), "source"):
        return
    yield line(datasets.find(spec.name).summary, "bold")
    yield line(f"  from {reader.source}")
    known = published_size(getattr(reader, "published", spec.name), getattr(reader, "protocol", ""))
    own = vars(type(reader)).get("size", "")  # that of another data set, which its reader is made of, is not its own
    if sizes := [each for each in (known, own) if each]:
        yield line(f"  published: {'; '.join(sizes)}")
    if wanted:
        folders = ", ".join((spec.name, *getattr(reader, "folders", ())))
        yield line(f"  looked for below --data-root in folders called {folders}, in any case, or in it itself")
        yield from (line(f"  {each}", "dim") for each in reader.tree.rstrip().splitlines())


def page_of_unread(text: str, data_root: Path | None) -> Iterator[RenderableType]:
    """The folders with pictures at a place that could not be read, what they look like, and words that may help."""
    from stackclip.data.hints import label_words, picture_folders
    from stackclip.data.look import majority
    from stackclip.data.naming import given_name, places_of, without_options

    place = without_options(given_name(text, data_root)[1], data_root)[0]
    root = next((each for each in places_of(place, data_root) if each.is_dir()), None)
    if root is None:
        return
    held = picture_folders(root)
    table = Table("folder", "pictures", "look like", title=line(f"what lies in {root}"), title_justify="left")
    for folder, files in list(held.items())[:_FOLDERS]:
        look = {"photograph": "photographs", "mask": "masks", "flat": "one value"}.get(majority(files), "?")
        table.add_row(legible(folder.relative_to(root).as_posix()), str(len(files)), look)
    if held:
        yield table
    if len(held) > _FOLDERS:
        yield line(f"  and {len(held) - _FOLDERS} folders more", "dim")
    yield from _typed([(label_words(root), "would say what is what")])
    yield line("  the trees that are known: stackclip list datasets", "dim")


def _next(samples: Sequence[Sample], text: str, words: str) -> str:
    """The command that finds defects, with the folder that has the good pictures and no others, or a place for one."""
    normal = [sample for sample in samples if sample.defect == GOOD]
    shown = [sample for sample in normal if sample.split == "train"] or normal
    good = {sample.image.parent for sample in shown}
    others = {sample.image.parent for sample in samples if sample.defect != GOOD}
    place = shlex.quote(str(min(good))) if len(good) == 1 and not good & others else "FOLDER"
    why = "   (a folder of good pictures: without it there are no verdicts)" if place == "FOLDER" else ""
    return f"stackclip inspect {shlex.quote(text)} --object {shlex.quote(words)} --good {place}{why}"


def _counts(found: Understood) -> Table:
    any_labels = any(tally.good or tally.defects for tally in found.tallies)
    any_unlabelled = any(tally.unlabelled for tally in found.tallies)
    table = Table("category", "split")
    for name in (
        *(("good", "defective", "defects") if any_labels else ()),
        *(("unlabelled",) if any_unlabelled else ()),
    ):
        table.add_column(name, justify="left" if name == "defects" else "right")
    for tally in found.tallies:
        kinds = few_of((f"{name} {count}" for name, count in tally.defects.items()), _DEFECTS)
        labels = (str(tally.good or ""), str(sum(tally.defects.values()) or ""), line(kinds)) if any_labels else ()
        table.add_row(
            line(tally.category), tally.split, *labels, *([str(tally.unlabelled or "")] if any_unlabelled else [])
        )
    return table


def _of_pictures(facts: PictureFacts) -> str:
    sizes = {f"{width} x {height}": count for (height, width), count in facts.sizes.items()}
    unreadable = [f"{len(facts.unreadable)} cannot be read"] if facts.unreadable else []
    return "; ".join([*unreadable, *filter(None, (_most(sizes), _most(facts.kinds)))]) + f" (of {facts.looked_at})"


def _of_masks(facts: MaskFacts) -> str:
    shares = [share for share in facts.shares if share]
    covered = f"covering {min(shares):.2%} to {max(shares):.2%}, median {median(shares):.2%}" if shares else ""
    parts = [f"{facts.paired} paired", covered]
    parts += [f"{counted(len(facts.missing), 'mask')} missing ({_files(facts.missing)})"] if facts.missing else []
    parts += [f"{facts.not_localised} defective pictures without a mask"] if facts.not_localised else []
    parts += [f"{len(facts.empty)} empty ({_files(facts.empty)})"] if facts.empty else []
    parts += [f"{len(facts.unusable)} cannot be used"] if facts.unusable else []
    return ", ".join(filter(None, parts)) + (f" (of {facts.looked_at} looked at)" if facts.looked_at else "")


def _typed(words: Sequence[tuple[str, str]]) -> Iterator[RenderableType]:
    if words:
        yield line("  words that change it:", "dim")
    for typed, why in words:
        yield line(f"    {typed}   {why}")


def _files(paths: Sequence[Path]) -> str:
    return few_of(path.name for path in paths)


def _most(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts, key=lambda each: -counts[each])
    return few_of((f"{each} ({counts[each]})" if len(ranked) > 1 else each for each in ranked), _SIZES)
