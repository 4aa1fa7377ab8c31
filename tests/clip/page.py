"""docs/towers.md, from what a run of all towers found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stackclip.clip.architecture import build_model, why_not
from stackclip.clip.catalogue import config_of, published
from stackclip.clip.makes import make_of, timm_sizes
from stackclip.types import CLASS_TOKEN, GRID_POOL, OPEN_BLOCKS, SINGLE_PATCHES

from .small import family_of

__all__ = ["write_page"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "towers.md"
_LETTERS = {
    CLASS_TOKEN: "c",
    OPEN_BLOCKS: "b",
    GRID_POOL: "",
    "four stages": "d",
    SINGLE_PATCHES: "p",
    "no text tower": "t",
    "the text tower": "t",
    "both towers": "t",
    "inside a causal text tower": "l",
    "last norm": "n",
    "blocks": "d",
    "tap": "d",
    "layers": "d",
}
_HEAD = """# Towers

Which models can be named with `--backbone`, what they give and what runs on them. `make towers` builds every one of
them with random weights, made small, compares what it gives with what open_clip or timm itself gives, runs all methods
over one of each family, and writes this page.

`cls` is the image feature, however the model pools it ([0069](decisions/0069-cls-however-pooled.md)); `patch/N` are
the patch tokens behind block N, without class token and registers; `joint/N` each of them read as though the picture
were that patch alone. Of towers whose stages have grids of their own the last one counts
([0070](decisions/0070-stages.md)).
"""
_BEHIND = """
**ways**: all, or all without c, those that want a class token that is the image feature, b, open_clip's own attention
blocks, p, a reading of single patches. **text**: learned, prompts can be learned in it; read, it is read as a whole;
hub, so too, with a tokenizer that is downloaded (`pip install transformers`); none. `--image-size` may be any multiple
of the patch, and so may height and width each (`336x672`): a family resizes its positions to that in its own way.

## What runs

`+` it ran; else what it wants and the tower lacks: c, b and p as above, t text, l a text tower that prompts are
learned in, n a last norm that reads patches, d more blocks or taps (of 8, where a tower is a ViT).
"""


def write_page(names: Iterable[str], found: Mapping[str, Mapping[str, str]]) -> None:
    """Write the page: of each family its models, and by method whether it ran or what it lacks."""
    reasons = {name: why_not(config_of(name) or {}) for name in names}
    usable = sorted((name for name, reason in reasons.items() if not reason), key=lambda name: (family_of(name), name))
    refused = [f"- {name}: {reason}" for name, reason in reasons.items() if reason]
    tags = sum(len(published(name)) for name in usable)
    counts = f"{len(usable)} names with {tags} tags of weights are accepted, {len(refused)} names are not."
    head = ("family", "name", "blocks", "width", "joint", "side", "patch", "ways", "text")
    methods = next(iter(found.values()))
    rows = [(f"`{method}`", *(_mark(each[method]) for each in found.values())) for method in methods]
    towers = _table(head, map(_line, usable))
    parts = [
        _HEAD,
        counts,
        "",
        *towers,
        _BEHIND,
        *_table(("method", *found), rows),
        "",
        "## Not accepted",
        "",
        *refused,
    ]
    PAGE.write_text("\n".join([*parts, ""]), "utf-8")


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    names = list(head)
    return [f"| {' | '.join(map(str, row))} |" for row in (names, ["---"] * len(names), *rows)]


def _mark(error: str) -> str:
    return next((letter for words, letter in _LETTERS.items() if words in error), "?") if error else "+"


def _line(name: str) -> tuple[object, ...]:
    config = config_of(name) or {}
    visual: Any = build_model(config, image_size=None, quick_gelu=False).visual
    make, side = make_of(visual), int(config["vision_cfg"].get("image_size", 224))
    side, patch = timm_sizes(visual) if hasattr(visual, "trunk") else (side, side // make.grid.height)
    ways = "".join(_LETTERS[need] for need in make.lacks)
    sizes = (make.depth, make.width, make.joint, side, patch)
    return (family_of(name), name, *sizes, f"without {ways}" if ways else "all", _text(config.get("text_cfg")))


def _text(text: Mapping[str, object] | None) -> str:
    if text is None:
        return "none"
    if text.get("hf_tokenizer_name"):
        return "hub"
    whole = text.get("no_causal_mask") or text.get("embed_cls")
    return "read" if whole else "learned"
