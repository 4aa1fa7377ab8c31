"""The embedded tower: it is whole, it is open_clip's, it says what it is, and it has learned something."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

from stackclip.clip import Tower, load_tower
from stackclip.clip.tiny import CONFIG, NAME, WEIGHTS
from stackclip.errors import UsageError
from stackclip.synthetic import categories_of, draw_pair, kinds_of
from stackclip.types import CLS, patch


@pytest.fixture(scope="module")
def tower() -> Tower:
    return load_tower(NAME, device="cpu", precision="fp32")


def test_it_comes_with_the_package_and_is_small() -> None:
    assert WEIGHTS.stat().st_size <= 12_000_000
    assert {tensor.dtype for tensor in load_file(WEIGHTS).values()} == {torch.float16}


def test_it_says_what_it_is(tower: Tower) -> None:
    assert (tower.spec.image_size, tower.spec.grid, tower.spec.layers) == (112, 14, (2, 4, 6, 8))
    assert "generated pictures" in tower.spec.note
    assert "say nothing about CLIP" in tower.spec.note


def test_open_clip_builds_the_same_tower_from_the_same_files(tower: Tower) -> None:
    model = open_clip.CLIP(**CONFIG).eval()
    found = model.load_state_dict({name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}, strict=False)
    assert not found.unexpected_keys
    assert set(found.missing_keys) <= {"attn_mask"}
    pictures = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 112, 112)).astype(np.float32))
    phrases = ["a photo of a striped disc.", "a photo of the broken object."]
    with torch.no_grad():
        image = model.encode_image(pictures)
        text = model.encode_text(open_clip.SimpleTokenizer()(phrases))
    torch.testing.assert_close(tower.encode(pictures, [CLS])[CLS], image, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(tower.encode_text(phrases), text, atol=1e-4, rtol=1e-4)


def test_the_configuration_is_a_file_that_open_clip_takes() -> None:
    assert json.loads(WEIGHTS.with_suffix(".json").read_text("utf-8")) == CONFIG


def test_words_of_generated_products_are_known_and_others_are_zero() -> None:
    table = load_file(WEIGHTS)["token_embedding.weight"]
    encode = open_clip.SimpleTokenizer().encode
    assert all(table[token].abs().sum() > 0 for token in encode("a photo of a damaged striped bottle with a flaw"))
    assert all(table[token].abs().sum() == 0 for token in encode("hazelnut"))
    assert int((table.abs().sum(1) > 0).sum()) < 300


def test_other_picture_sizes_and_layers_work() -> None:
    tower = load_tower(NAME, image_size=168, layers=(3, 8), device="cpu", precision="fp32")
    found = tower.encode(torch.zeros(1, 3, 168, 168), [patch(3), CLS])
    assert found[patch(3)].shape == (1, 21 * 21, 128)
    with pytest.raises(UsageError, match="brings its own weights"):
        load_tower(NAME, pretrained="openai")


def test_a_damaged_product_is_told_from_its_good_twin_and_where_it_is_damaged(tower: Tower) -> None:
    categories, kinds = categories_of("combinations"), kinds_of("combinations")
    pairs = [draw_pair(categories[7 * n % 40], kinds[n % len(kinds)], seed=n) for n in range(30)]
    texts = F.normalize(tower.encode_text(["a photo of a flawless object.", "a photo of a damaged object."]), dim=-1)
    axis = texts[1] - texts[0]
    good, defective = (
        tower.encode(torch.from_numpy(np.stack([tower.prepare(Image.fromarray(one)) for one in side])), [CLS, patch(8)])
        for side in ([pair.good for pair in pairs], [pair.defective for pair in pairs])
    )
    above = F.normalize(defective[CLS], dim=-1) @ axis > F.normalize(good[CLS], dim=-1) @ axis
    assert above.float().mean() > 0.7
    visual = tower.model.visual
    with torch.no_grad():
        heat = F.normalize(visual.ln_post(defective[patch(8)]) @ visual.proj, dim=-1) @ axis  # type: ignore[operator]  # open_clip's module is untyped
    masks = torch.from_numpy(np.stack([pair.mask for pair in pairs])).float()
    shares = F.avg_pool2d(masks[:, None], 8).flatten(1)
    assert heat[shares > 0.5].mean() > heat[shares == 0].mean() + heat[shares == 0].std()
