"""The digest that names a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackclip.cache import Store, differences, find_store, fingerprint_digest, store_name
from stackclip.errors import FingerprintMismatch
from stackclip.types import TowerSpec

INPUTS: dict[str, Any] = {
    "model": "ViT-L-14-336",
    "weights": "1" * 64,
    "activation": "quick-gelu",
    "picture_size": 518,
    "resize": "squash",
    "interpolation": "bicubic",
    "antialias": True,
    "mean": (0.48, 0.45, 0.40),
    "std": (0.26, 0.26, 0.27),
    "position_embedding": "bicubic-antialias",
    "attention": "plain",
    "dtype": "fp32",
    "semantics": 1,
}
CHANGES: dict[str, Any] = {
    "model": "ViT-B-16",
    "weights": "2" * 64,
    "activation": "gelu",
    "picture_size": 336,
    "resize": "crop",
    "interpolation": "bilinear",
    "antialias": False,
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "position_embedding": "bilinear",
    "attention": "v-v",
    "dtype": "bf16",
    "semantics": 2,
}


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_every_input_of_the_fingerprint_leads_to_another_store(name: str, tmp_path: Path, spec: TowerSpec) -> None:
    changed = {**INPUTS, name: CHANGES[name]}
    store = Store.create(tmp_path, INPUTS, spec=spec, recorded={})
    assert find_store(tmp_path, changed) is None
    assert Store.create(tmp_path, changed, spec=spec, recorded={}).folder != store.folder
    with pytest.raises(FingerprintMismatch, match=f"{name} is .*, wanted ") as raised:
        Store.open(store.folder, fingerprint=changed)
    assert "; " not in str(raised.value)  # the one that differs, and no other


def test_an_input_more_or_fewer_leads_to_another_store() -> None:
    assert differences(INPUTS, {**INPUTS, "windows": 2}) == ("windows is absent, wanted 2",)
    assert differences({**INPUTS, "windows": None}, INPUTS) == ("windows is null, wanted absent",)
    assert fingerprint_digest(INPUTS) != fingerprint_digest({**INPUTS, "windows": None})


def test_the_order_of_the_inputs_and_the_kind_of_a_list_do_not_matter() -> None:
    reordered = dict(reversed(INPUTS.items())) | {"mean": list(INPUTS["mean"])}
    assert fingerprint_digest(reordered) == fingerprint_digest(INPUTS)
    assert differences(reordered, INPUTS) == ()


def test_what_is_recorded_does_not_decide_which_store_it_is(tmp_path: Path, spec: TowerSpec) -> None:
    first = Store.create(tmp_path, INPUTS, spec=spec, recorded={"torch": "2.4", "device": "cpu"})
    second = Store.create(tmp_path, INPUTS, spec=spec, recorded={"torch": "3.0", "device": "cuda"})
    assert first.folder == second.folder
    assert second.recorded == {"torch": "2.4", "device": "cpu"}


def test_a_folder_is_named_in_plain_characters() -> None:
    assert store_name({"model": "hf-hub:some/One é.."}).startswith("hf-hub-some-One-")
    assert store_name({}).startswith("tower-")
