"""What `doctor` can say of backbones without loading any."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

from stackclip.clip import describe_backbones
from stackclip.registry import Shelf, backbones


def test_every_model_is_described_and_those_that_cannot_be_used_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repository, name: None)
    facts = {each.name: each for each in describe_backbones()}
    assert facts["random-vit-8"].origin == "registered"
    assert facts["ViT-L-14-336"].tags == ("openai",)
    assert facts["ViT-L-14-336"].why_not == ""
    assert facts["RN50"].why_not == ""
    assert "model of transformers" in facts["xlm-roberta-base-ViT-B-32"].why_not
    assert (facts["dinov2-vits14"].origin, facts["dinov2-vits14"].tags) == ("timm", ("lvd142m",))
    assert not any(each.cached for each in facts.values())


def test_weights_in_the_cache_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    held = "timm/vit_large_patch14_clip_336.openai"
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda repository, name: "file" if repository == held else None
    )
    facts = {each.name: each for each in describe_backbones()}
    assert facts["ViT-L-14-336"].cached == ("openai",)
    assert facts["ViT-L-14"].cached == ()


def test_a_backbone_is_added_in_one_file() -> None:
    assert isinstance(backbones, Shelf)
    assert "random-vit-8" in backbones.names()
    assert backbones.find("random-vit-8").source.startswith("stackclip/clip/doubles.py")


def test_importing_the_package_brings_neither_torch_nor_open_clip() -> None:
    code = (
        "import sys, stackclip, stackclip.types, stackclip.registry; print({'torch', 'open_clip'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.home())
    assert found.stdout.strip() == "set()"
