"""`bench` of all methods over a tower of each family, made small: every cell is a figure or a reason.

`STACKCLIP_TOWERS=full` does it for all families and writes docs/towers.md.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import open_clip
import pytest
from safetensors.torch import save_file

from stackclip.clip import catalogue
from stackclip.clip import phrases as phrases_module
from stackclip.clip.catalogue import listed_models
from stackclip.methods import method_names
from stackclip.session import Session, TowerRecipe
from stackclip.types import Row

from .page import write_page
from .small import FAMILIES, AutoTokenizer, small_timm, small_weights

BLOCKS = 8
FULL = os.environ.get("STACKCLIP_TOWERS") == "full"
SHOWN = ("anomaly-dino", "clip-lad", "patchcore-clip", "promptad", "winclip")
REST = (
    "clip-surgery",
    "cocoop",
    "mrad",
    "musc",
    "sdp",
    "sdp-plus",
    "stackclip",
    "visualad",
    "fuzzy",
    "precise",
    "stacked",
)
METHODS = tuple(f"{name}[shots=2]" if name in SHOWN else name for name in method_names())
WORDS = {
    "train_on": "synthetic[categories=1,per_category=4,train_good=3,size=56]",
    "test_on": "synthetic[part=combinations,categories=1,per_category=4,train_good=3,size=56]",
    "epochs": 1,
}
PICTURES_ALONE = {"anomaly-dino[shots=2]", "musc", "patchcore-clip[shots=2]"}
RUNS = {"DINOv2": PICTURES_ALONE, "EVA02": {"clip", "clip-direct", "april-gan", "cocoop", "stackclip", *PICTURES_ALONE}}
FINE = re.compile("1[46]")  # the side of a patch, of which 112 pixels hold a whole number


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder; what is listed, and a double of transformers, last as long as the test."""
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(AutoTokenizer=AutoTokenizer))
    monkeypatch.setattr(catalogue, "_WITHOUT_TEXT", dict(catalogue._WITHOUT_TEXT))
    phrases_module._hub_tokenizer.cache_clear()
    return tmp_path


def rows_of(name: str, place: Path) -> dict[str, Row]:
    """The row of each method over a model that is listed, made small."""
    config, weights = small_weights(name, BLOCKS)
    small = f"small-{name}"
    if "text_cfg" in config:
        (place / f"{small}.json").write_text(json.dumps(config), "utf-8")
        open_clip.add_model_config(place / f"{small}.json")
    else:
        catalogue._WITHOUT_TEXT[small] = (config["vision_cfg"]["timm_model_name"], config["embed_dim"], 112)
    save_file(weights, place / f"{small}.safetensors")
    with small_timm(BLOCKS):
        side = 112 if FINE.search(name) else None
        file = place / f"{small}.safetensors"
        recipe = TowerRecipe(small, weights=file, image_size=side, device="cpu", precision="fp32")
        rows = Session(place, recipe).bench(METHODS, **WORDS)  # type: ignore[arg-type]
    return {row.method: row for row in rows}


def _settled(row: Row) -> bool:
    """Whether a row has a figure, or one line that says why not."""
    return bool(row.metrics) if not row.error else "\n" not in row.error and len(row.error) < 400


@pytest.mark.parametrize("family", FAMILIES if FULL else RUNS)
def test_every_cell_is_a_figure_or_a_reason(family: str, place: Path) -> None:
    rows = rows_of(FAMILIES[family], place)
    assert rows.keys() == set(METHODS)
    assert all(map(_settled, rows.values())), [row.error for row in rows.values()]
    assert {method for method, row in rows.items() if not row.error} >= RUNS.get(family, set())
    FOUND[family] = {method: str(row.error or "") for method, row in rows.items()}
    if family == "DINOv2":
        assert "small-dinov2-vits14-reg has no text tower" in str(rows["clip"].error)


FOUND: dict[str, Mapping[str, str]] = {}


@pytest.mark.skipif(not FULL, reason="the page: STACKCLIP_TOWERS=full")
def test_the_page_is_written_of_what_was_found() -> None:
    if FOUND.keys() != FAMILIES.keys():
        pytest.skip("some families did not run")
    write_page(listed_models(), FOUND)
