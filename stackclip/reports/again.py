"""The command line that measures rows again, from what they say of themselves."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from stackclip.benchmarks.breakdown import has_kinds
from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.intervals import has_draws
from stackclip.clip.positions import DEFAULT_POSITIONS
from stackclip.defaults import BACKBONE
from stackclip.ops.typed import typed_again
from stackclip.ops.words import legible
from stackclip.types import Row

__all__ = ["command_of"]

_GENERATED = "synthetic"


def command_of(rows: Sequence[Row], *, again: bool = False) -> str:
    """The command that measures the rows of one table, or those of them that are given; `again` computes all anew.

    Weights and lists of training pictures that were files are named as far as rows know them, by the name alone.
    """
    first, facts = rows[0], facts_of(rows[0])
    trained = [
        _typed(name, layout, place)
        for name, layout, place in zip(first.train_on, facts.trained_layouts, facts.trained.places, strict=False)
    ]
    words = ["stackclip", "bench", "--methods", typed_again(dict.fromkeys(row.method for row in rows))]
    words += ["--train-on", typed_again(trained)] if trained else []
    words += ["--test-on", typed_again([_typed(first.test_on, facts.tested_layout, facts.tested.place)])]
    words += ["--category", typed_again(dict.fromkeys(row.category for row in rows))]
    words += ["--seeds", ",".join(str(seed) for seed in dict.fromkeys(row.seed for row in rows))]
    words += [str(word) for pair in _asked(first) for word in pair]
    words += _selected(rows)
    words += ["--ci"] if all(map(has_draws, rows)) else []
    words += ["--per-defect"] if all(map(has_kinds, rows)) else []
    return legible(shlex.join([*words, *(["--overwrite", "always"] if again else [])]))


def _selected(rows: Sequence[Row]) -> list[str]:
    """How points of grids were selected, if any were."""
    found = next((selected for row in rows if (selected := facts_of(row).selected)), None)
    if found is None:
        return []
    epochs = ["--eval-every", "epoch"] if any(each.epoch for each in found.points) else []
    return ["--select", found.scheme, "--select-by", found.metric, "--select-rule", found.rule, *epochs]


def _typed(name: str, layout: str, place: str) -> str:
    """A data set as it is typed: generated ones by their options, others by name and place."""
    return layout if layout.startswith(_GENERATED) or not place else f"{name}={place}"


def _asked(row: Row) -> Iterator[tuple[str, object]]:
    """What was asked of all methods that they would not have by default."""
    facts = facts_of(row)
    said: dict[str, object] = {
        "--shots": row.shots or None,
        "--epochs": facts.asked_epochs,
        "--stop-after": facts.stop_after,
        "--batch-size": facts.batch_size,
        "--class-names": facts.asked_class_names,
        "--train-shots": facts.train_shots,
        "--train-list": "FILE" if facts.train_list else None,
        "--tiles": facts.tiles or None,
        "--eval-every": facts.eval_every,
        "--feature-dtype": facts.feature_dtype if facts.feature_dtype not in ("", "float16") else None,
        "--train-precision": facts.live_precision if facts.live_precision != "fp32" else None,
    }
    yield from ((name, value) for name, value in said.items() if value is not None)
    yield from _tower(row)


def _tower(row: Row) -> Iterator[tuple[str, object]]:
    """The tower; of the one that comes with the package only how it was built."""
    facts = facts_of(row)
    said: dict[str, object] = {"--image-size": facts.image_size, "--layers": ",".join(map(str, facts.layers)) or None}
    if facts.tower not in ("", BACKBONE):
        file = facts.recorded.get("weights_file")  # of open_clip's; registered ones bring theirs, and their activation
        found = {"--backbone": facts.tower, "--pretrained": facts.pretrained}
        found |= {"--weights": file} if file and not facts.pretrained else {}
        said = {**found, **said, "--activation": facts.fingerprint.get("activation") if file else None}
    dtype, positions = facts.fingerprint.get("dtype", "fp32"), facts.position_embedding
    said["--position-embedding"] = positions if positions != DEFAULT_POSITIONS else None
    said["--precision"] = dtype if dtype != "fp32" else None
    yield from ((name, value) for name, value in said.items() if value is not None)
