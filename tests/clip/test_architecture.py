"""What a configuration says of its image tower."""

from __future__ import annotations

from typing import Any

import pytest

from stackclip.clip.architecture import build_model, find_architecture, is_resnet


@pytest.mark.parametrize(("name", "wanted"), [("RN50", True), ("ViT-B-32", False), ("ViT-B-16-SigLIP", False)])
def test_a_resnet_is_what_open_clip_builds_as_one(name: str, wanted: bool) -> None:
    config = find_architecture(name)
    model = build_model(config, image_size=None, quick_gelu=False)
    assert (type(model.visual).__name__ == "ModifiedResNet") is is_resnet(config["vision_cfg"]) is wanted


@pytest.mark.parametrize(
    ("vision", "wanted"),
    [
        ({"layers": [1, 1]}, True),
        ({"layers": (1, 1)}, True),
        ({"layers": 12}, False),
        ({"timm_model_name": "x"}, False),
    ],
)
def test_the_blocks_of_a_resnet_may_be_counted_in_a_list_or_a_tuple(vision: dict[str, Any], wanted: bool) -> None:
    assert is_resnet(vision) is wanted
