"""Weights by a plain address: the hash in it, and where they are kept; `tests/hub` downloads some."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest

from stackclip.clip.addresses import file_by_address, hash_in_address
from stackclip.clip.hub import fetch_weights

LONG = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("address", "named"),
    [
        (f"https://host/clip/models/{LONG}/ViT-B-16.pt", LONG),
        ("https://host/download/v0.2-weights/vit_b_16-laion400m_e32-55e67d44.pt", "55e67d44"),
        ("https://host/metaclip/b16_400m.pt", ""),
        (f"https://host/{LONG[1:]}/b16.pt", ""),
        ("https://host/a-short.pt", ""),
    ],
)
def test_the_hash_in_an_address(address: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda model, tag: {"url": address})
    assert hash_in_address("ViT-B-16", "made") == named
    assert file_by_address("ViT-B-16", "made").name == address.rpartition("/")[2]


def test_weights_on_a_hub_have_no_address() -> None:
    assert not any(hash_in_address(model, tag) for model, tag in open_clip.list_pretrained())


@pytest.mark.parametrize("again", [False, True])
def test_a_file_that_a_program_names_for_a_tag_is_taken_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    (tmp_path / "own.pt").write_bytes(b"own")
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda model, tag: {"file": str(tmp_path / "own.pt")})
    assert fetch_weights("ViT-B-16", "made", again=again).read_bytes() == b"own"
