"""What was asked of all methods of a table, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stackclip.benchmarks.facts import Facts, facts_of
from stackclip.ops.words import counted
from stackclip.types import Row

__all__ = ["conditions_of", "protocols", "towers_of"]


def protocols(rows: Sequence[Row]) -> list[str]:
    """What was asked of the methods of each table of the same places, in words; `rows` are the first of each.

    What is not the methods' own is always said; all of it where there are several tables to tell apart, and where the
    words are the same (they name no categories), the protocol's hash, which rows carry.
    """
    if len(rows) == 1:
        return [", ".join(conditions_of(row)) for row in rows]
    facts = [facts_of(row) for row in rows]
    layouts = ["+".join(each.trained_layouts) for each in facts]
    words = [
        ", ".join(
            [
                f"{each.tower or 'unknown tower'} at {each.image_size or '?'} pixels",
                f"features {each.features[:8] or '?'}",
                f"batches of {each.batch_size}" if each.batch_size else "each method's own batches",
                *([f"training set {layout}"] if len(set(layouts)) > 1 else []),
                *conditions_of(row),
            ]
        )
        for row, each, layout in zip(rows, facts, layouts, strict=True)
    ]
    alike = {said for said in words if words.count(said) > 1}
    return [
        f"{said}, protocol {each.protocol or '?'}" if said in alike else said
        for each, said in zip(facts, words, strict=True)
    ]


def towers_of(rows: Iterable[Row]) -> list[str]:
    """The towers of rows in words, with their weights and the size of pictures; none where rows say none."""
    return [*dict.fromkeys(said for row in rows if (said := _tower(facts_of(row))))]


def _tower(facts: Facts) -> str:
    weights = f" ({facts.pretrained})" if facts.pretrained else ""
    size = f" at {facts.image_size} pixels" if facts.image_size else ""
    return f"{facts.tower}{weights}{size}" if facts.tower else ""


def conditions_of(row: Row) -> Iterator[str]:
    """What was asked of all methods alike that they or the features would have otherwise."""
    facts = facts_of(row)
    if facts.tiles:
        yield f"in tiles {facts.tiles}, compared at {facts.map_side} pixels"
    if facts.feature_dtype == "int8":
        yield "features kept as int8"
    if facts.live_precision != "fp32":
        yield f"trained in {facts.live_precision}"
    if facts.train_list:
        yield f"trained on {facts.train_list}"
    if facts.train_shots is not None:
        yield f"{facts.train_shots} training pictures a category"
    if facts.asked_epochs is not None:
        yield counted(facts.asked_epochs, "epoch")
    yield from [] if facts.stop_after is None else [f"stopped after {counted(facts.stop_after, 'epoch')}"]
    if facts.asked_class_names is not None:
        yield f"{facts.asked_class_names} class names"
