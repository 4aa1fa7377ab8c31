"""Files of the hub's local cache: which one a tag is, whether it is what the hub has, and what its card says."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import open_clip
import pytest
from huggingface_hub import constants

from stackclip.clip.hub import _telling, cached_weights, check_content, fetch_weights, hub_place, read_card
from stackclip.errors import WeightsError

REPOSITORY = "timm/vit_base_patch16_clip_224.openai"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty local cache of the hub, which is not asked."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def kept(cache: Path, name: str, data: bytes, *, said: bytes | None = None, linked: bool = True) -> Path:
    """A file as the hub's client keeps it: a link to what is named by its sha256 (of what the hub `said` it is)."""
    folder = cache / f"models--{REPOSITORY.replace('/', '--')}"
    for each in ("blobs", "refs", "snapshots/c0ffee"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text("c0ffee")
    blob = folder / "blobs" / hashlib.sha256(data if said is None else said).hexdigest()
    file = folder / "snapshots" / "c0ffee" / name
    if linked:
        blob.write_bytes(data)
        file.symlink_to(Path("../../blobs") / blob.name)
    else:
        file.write_bytes(data)
    return file


def test_every_tag_of_open_clip_has_a_place_on_the_hub_and_files_that_may_be_there() -> None:
    for model, tag in open_clip.list_pretrained():
        repository, names = hub_place(model, tag)
        assert repository.count("/") == 1
        assert names[0].endswith(".safetensors")
        assert len(set(names)) == len(names)


def test_the_best_file_of_the_cache_is_taken_without_the_network(cache: Path) -> None:
    assert cached_weights("ViT-B-16", "openai") is None
    checkpoint = kept(cache, "open_clip_pytorch_model.bin", b"old")
    assert fetch_weights("ViT-B-16", "openai") == checkpoint
    best = kept(cache, "open_clip_model.safetensors", b"new")
    assert fetch_weights("ViT-B-16", "openai") == best
    best.unlink()
    best.symlink_to("../../blobs/nowhere")
    assert fetch_weights("ViT-B-16", "openai") == checkpoint


def test_content_is_what_its_name_says_or_nothing_is_known_of_it(cache: Path) -> None:
    check_content(kept(cache, "a", b"as the hub has it"), "ViT-B-16", "openai")
    check_content(kept(cache, "b", b"a copy, where links cannot be made", linked=False), "ViT-B-16", "openai")
    with pytest.raises(WeightsError, match=r"not what the hub has as openai of ViT-B-16 .*ViT-B-16:openai --again"):
        check_content(kept(cache, "c", b"changed", said=b"as it was"), "ViT-B-16", "openai")


def test_a_cache_that_cannot_be_read_is_told_and_is_no_cache(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = kept(cache, "open_clip_model.safetensors", b"there")
    (file.parents[2] / "refs" / "main").write_bytes(b"\xff\xfe")
    with caplog.at_level(logging.WARNING):
        assert cached_weights("ViT-B-16", "openai") is None
    assert f"the local cache of {REPOSITORY} cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("card", "head"),
    [
        (b"---\nlicense: mit\n---\n# A model\n", {"license": "mit"}),
        (b"# A model without a head\n", {}),
        (b"---\n- a list\n---\n", {}),
        (b"---\nlicense: [\n---\n", {}),
        (b"\xff\xfe", {}),
        (b"", {}),
    ],
)
def test_a_model_card_is_read_as_far_as_it_can_be(cache: Path, card: bytes, head: dict[str, Any]) -> None:
    assert read_card("ViT-B-16", "openai") == {}
    kept(cache, "README.md", card)
    assert read_card("ViT-B-16", "openai") == head


def test_what_the_hubs_client_raises_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("several\nlines of the hub")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", fail)
    with pytest.raises(
        WeightsError, match=r"openai of ViT-B-16 .*ValueError: several lines .* HF_HOME .* --weights FILE"
    ):
        fetch_weights("ViT-B-16", "openai")


def test_a_client_that_fetches_in_pieces_tells_how_far_it_is_too() -> None:
    reporting = pytest.importorskip("huggingface_hub.utils._xet_progress_reporting")
    told: list[tuple[int, int]] = []
    bars = _telling(lambda done, whole: told.append((done, whole)))
    how = {"reconstruction_desc": "whole", "transfer_desc": "came", "log_level": logging.WARNING, "tqdm_class": bars}
    with reporting.XetDownloadProgressReporter(total=100, **how) as progress:
        for came, whole in ((40, 0), (70, 40), (100, 100)):
            rates = {"total_bytes_completion_rate": 1.0, "total_transfer_bytes_completion_rate": 1.0}
            counts = {"total_bytes_completed": whole, "total_transfer_bytes_completed": came, "total_bytes": 100}
            progress.update_progress(SimpleNamespace(**counts, **rates))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[0][0] == 40
    assert told[-1] == (100, 100)
