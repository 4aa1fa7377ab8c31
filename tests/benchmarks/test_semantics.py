"""Figures of a small bench of all methods stand beside SEMANTICS: whoever changes the ones must raise the other.

STACKCLIP_KEEP_FIGURES=1 python -m pytest tests/benchmarks/test_semantics.py    # keeps what is measured now
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from stackclip.benchmarks.identity import SEMANTICS
from stackclip.registry import methods, prompts

PARTS = ("training", "combinations")
Figures = Mapping[str, Mapping[str, float]]
ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).with_name("semantics.json")
TRAINING, TESTED = (f"synthetic[part={part},categories=3,per_category=12,train_good=2,size=56]" for part in PARTS)
TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--device", "cpu")
WITH_OPTIONS = (
    *("stackclip[head=efa[batches=mixed]]", "stackclip[clusters=2]", "precise[image_score=text+map]"),
    *("winclip[shots=2]", "april-gan[shots=2]", "sdp[select=pca,taps=released]", "sdp-plus[layers=3]"),
    *(f"winclip[select={name}]" for name in ("kde", "mean-of-unit", "mean-shift")),
    *(f"stacked[scorer={name}]" for name in ("bic", "silhouette")),
)
SHOWN = {
    name: f"{name}[shots=2]" for name in ("anomaly-dino", "clip-lad", "patchcore-clip", "promptad")
}  # what cannot do without shots
TOLERANCE = {"image": 0.06, "pixel": 0.002, "loss": 0.0005}
"""How far a figure may be off on another machine: two pairs of pictures in another order, some pixels, rounding (a loss
relative to itself). Weights that are 3e-7 off move none of these by a tenth of it."""
JUMPS = {"adaclip": 0.15}
"""Image figures of methods that choose a cluster in each picture: of noise another processor may choose another."""


def figures(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """What a row says of a category, and the losses of its method, by name."""
    for name in ("image_AUROC", "pixel_AUROC", "pixel_AUPRO"):
        if row["metrics"].get(name) is not None:
            yield f"{name} {row['category']}", round(row["metrics"][name], 4)
    for epoch, losses in enumerate(row["facts"]["losses"], 1):
        yield from ((f"loss {term}, epoch {epoch}", round(value, 5)) for term, value in losses.items())


def apart(found: Figures, kept: Figures) -> list[str]:
    """What is no longer as it was, a line each."""
    lines = [f"{name}: {'is new' if name in found else 'is gone'}" for name in sorted(found.keys() ^ kept.keys())]
    for method in sorted(found.keys() & kept.keys()):
        ours, theirs = found[method], kept[method]
        for name in sorted(ours.keys() | theirs.keys()):
            one, other = ours.get(name, float("inf")), theirs.get(name, float("-inf"))
            kind = name.replace(" ", "_").partition("_")[0]
            allowed = JUMPS.get(method, 0.0) if kind == "image" else 0.0
            if abs(one - other) > max(allowed, TOLERANCE[kind] * (abs(other) if kind == "loss" else 1)):
                lines.append(f"{method}, {name}: {one}, was {other}")
    return lines


def verdict(found: Figures, kept: Mapping[str, Any]) -> str:
    """What is wrong with figures that were measured under SEMANTICS, and what to do; nothing where all is well."""
    again = f"STACKCLIP_KEEP_FIGURES=1 python -m pytest {Path(__file__).resolve().relative_to(ROOT).as_posix()}"
    if kept["semantics"] != SEMANTICS:
        old = kept["semantics"]
        return f"SEMANTICS is {SEMANTICS}, the kept figures are those of {old}: keep them anew with\n  {again}"
    lines = apart(found, kept["figures"])
    if not lines:
        return ""
    return "\n".join(
        [
            f"{len(lines)} figures of a small bench are no longer those of SEMANTICS {SEMANTICS}:",
            *(f"  {line}" for line in lines[:10]),
            "If you did not mean to change figures, something did: find it.",
            "If you did: raise SEMANTICS in stackclip/benchmarks/identity.py, so that old rows are made anew,",
            "say in CHANGELOG.md which figures change, and keep the new ones with",
            f"  {again}",
            "Methods that are new or gone ask for the last alone.",
        ]
    )


@pytest.fixture(scope="module")
def measured(stackclip: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """The figures of every method of the package, and of some with options."""
    own = [name for shelf in (methods, prompts) for name in shelf.names() if shelf.find(name).is_own]
    ours = [SHOWN.get(name, name) for name in own]
    words = ("--methods", ",".join((*ours, *WITH_OPTIONS)), "--train-on", TRAINING, "--test-on", TESTED)
    done = stackclip(tmp_path_factory.mktemp("semantics"), "bench", *words, "--epochs", "2", *TOWER, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, dict[str, float]] = {}
    for row in map(json.loads, done.stdout.splitlines()):
        found.setdefault(row["method"], {}).update(figures(row))
    return found


def test_the_figures_of_a_small_bench_are_those_kept_for_semantics(measured: Figures) -> None:
    if os.environ.get("STACKCLIP_KEEP_FIGURES"):
        KEPT.write_text(json.dumps({"semantics": SEMANTICS, "figures": measured}, indent=1) + "\n", "utf-8")
    if wrong := verdict(measured, json.loads(KEPT.read_text("utf-8"))):
        pytest.fail(wrong, pytrace=False)


def test_figures_that_move_are_found_and_rounding_is_not() -> None:
    kept = {"a": {"image_AUROC x": 0.5, "pixel_AUPRO x": 0.5, "loss ce, epoch 1": 4.0}, "gone": {}}
    assert apart(kept, kept) == []
    rounding = {"image_AUROC x": 0.528, "pixel_AUPRO x": 0.5005, "loss ce, epoch 1": 4.0001}
    assert apart({**kept, "a": rounding}, kept) == []
    for name, value in {"image_AUROC x": 0.6, "pixel_AUPRO x": 0.497, "loss ce, epoch 1": 4.004}.items():
        assert apart({**kept, "a": {**rounding, name: value}}, kept) == [f"a, {name}: {value}, was {kept['a'][name]}"]
    assert apart({"a": rounding, "new": {}}, kept) == ["gone: is gone", "new: is new"]
    assert len(apart({**kept, "a": {}}, kept)) == 3


def test_the_verdict_says_what_to_do() -> None:
    kept = {"a": {"pixel_AUPRO x": 0.5}}
    assert verdict(kept, {"semantics": SEMANTICS, "figures": kept}) == ""
    moved = verdict({"a": {"pixel_AUPRO x": 0.4}}, {"semantics": SEMANTICS, "figures": kept})
    assert "a, pixel_AUPRO x: 0.4, was 0.5" in moved
    for words in ("raise SEMANTICS in stackclip/benchmarks/identity.py", "CHANGELOG.md", "STACKCLIP_KEEP_FIGURES=1"):
        assert words in moved
    raised = verdict(kept, {"semantics": SEMANTICS - 1, "figures": kept})
    assert raised.startswith(f"SEMANTICS is {SEMANTICS}, the kept figures are those of {SEMANTICS - 1}: keep them anew")
