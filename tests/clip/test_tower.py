"""The tower against the released APRIL-GAN code, against open_clip itself, and against its own promises."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import ascii_letters, punctuation
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from stackclip.clip import Tower, assemble_tower, load_tower, random_tower
from stackclip.clip.recipe import TowerRecipe
from stackclip.clip.transformer import TextTransformer
from stackclip.data.images import read_picture
from stackclip.errors import NotApplicable, UsageError
from stackclip.types import CLS, MASK, Part, patch

CASES = ("t12s_112_gelu", "t12m_112_quick_gelu", "t12m_160_gelu", "t12s_160_quick_gelu")
Case = Callable[[str], Any]


@pytest.mark.parametrize("case", CASES)
def test_the_parts_are_those_of_the_released_code(golden: Case, case: str) -> None:
    released = golden(f"aprilgan_{case}")
    tower, stored = released.tower(), released.stored
    assert tower.spec.layers == (3, 6, 9, 12)
    for prefix, pictures in (("", released.images), ("shot_", released.shots)):
        parts = tower.encode(pictures, [CLS, *tower.spec.taps] if not prefix else tower.spec.taps)
        for layer in tower.spec.layers:
            np.testing.assert_allclose(parts[patch(layer)], stored[f"{prefix}tap{layer}"][:, 1:], atol=1e-4)
        if not prefix:
            np.testing.assert_allclose(parts[CLS], stored["cls"], atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_the_position_embedding_is_resized_as_in_the_released_code(golden: Case, case: str) -> None:
    released = golden(f"aprilgan_{case}")
    embedding = released.tower().model.visual.positional_embedding
    np.testing.assert_allclose(embedding, released.stored["pos_embed_used"], atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_text_features_are_those_of_the_released_code(golden: Case, case: str) -> None:
    released = golden(f"aprilgan_{case}")
    features = released.tower().text.encode_tokens(released.tokens)
    np.testing.assert_allclose(features, released.stored["text_features_tokens"], atol=1e-4)


def test_the_tower_is_open_clips_own_model_at_that_size(
    tiny: str, tiny_config: dict[str, Any], tiny_weights: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "tiny.safetensors"
    save_file(tiny_weights, path)
    theirs = open_clip.create_model(tiny, pretrained=str(path), force_image_size=64, force_quick_gelu=True).eval()
    ours = assemble_tower(
        tiny_config, tiny_weights, name=tiny, image_size=64, activation="quick-gelu", device="cpu", precision="fp32"
    )
    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    phrases = ["a photo of a bottle", "a photo of a metal nut with a scratch on its left side", ""]
    with torch.no_grad():
        torch.testing.assert_close(ours.encode(pictures, [CLS])[CLS], theirs.encode_image(pictures), atol=1e-5, rtol=0)
        tokens = open_clip.get_tokenizer(tiny)(phrases)
        torch.testing.assert_close(ours.encode_text(phrases), theirs.encode_text(tokens), atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.model.encode_text(tokens), theirs.encode_text(tokens), atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def tower() -> Tower:
    return random_tower()


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return torch.randn(5, 3, 112, 112, generator=torch.Generator().manual_seed(1))


def test_a_pictures_features_do_not_depend_on_its_batch(tower: Tower, pictures: Tensor) -> None:
    together = tower.encode(pictures, [CLS, patch(8)])
    for index in range(len(pictures)):
        alone = tower.encode(pictures[index : index + 1], [CLS, patch(8)])
        for part, values in alone.items():
            assert torch.equal(values[0], together[part][index])  # to the last bit, on a CPU


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_place_and_no_neighbour_changes_a_bit(precision: str) -> None:
    tower = load_tower(TowerRecipe("random-vit-8", image_size=56, precision=precision))
    draws = torch.Generator().manual_seed(2)
    some = torch.randn(7, 3, 56, 56, generator=draws)
    wanted = tower.encode(some, [CLS, patch(8)])
    for count in (7, 3, 1):
        for _ in range(4):
            chosen = torch.randperm(7, generator=draws)[:count]
            found = tower.encode(some[chosen], [CLS, patch(8)])
            for part, values in found.items():
                assert torch.equal(values, wanted[part][chosen])


def test_weights_of_a_lower_precision_are_held_in_it() -> None:
    exact, tower = (load_tower(TowerRecipe("random-vit-8", image_size=56, precision=each)) for each in ("fp32", "bf16"))
    some = torch.randn(4, 3, 56, 56, generator=torch.Generator().manual_seed(3))
    wanted, found = (each.encode(some, [patch(8)])[patch(8)] for each in (exact, tower))
    assert torch.cosine_similarity(wanted, found, dim=-1).min() > 1 - 1e-3
    assert not torch.equal(wanted, found)
    held = {weight.dtype for name, weight in tower._visual().named_parameters() if "ln_" not in name}
    assert torch.bfloat16 in held
    assert {weight.dtype for weight in tower.model.parameters()} == {torch.float32}


def test_a_part_is_the_same_whichever_others_are_asked_for(tower: Tower, pictures: Tensor) -> None:
    everything = tower.encode(pictures[:2], [patch(8), CLS, patch(3), patch(2), patch(3)])
    assert list(everything) == [patch(8), CLS, patch(3), patch(2)]
    for part, values in everything.items():
        torch.testing.assert_close(tower.encode(pictures[:2], [part])[part], values, atol=1e-6, rtol=0)


def test_blocks_behind_the_last_one_needed_are_not_run(tower: Tower, pictures: Tensor) -> None:
    ran: list[int] = []
    handles = [
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, block in enumerate(tower.model.visual.transformer.resblocks, start=1)
    ]
    tower.encode(pictures[:1], [patch(2), patch(3)])
    for handle in handles:
        handle.remove()
    assert ran == [1, 2, 3]


def test_parts_have_the_shapes_that_the_spec_says_and_carry_no_gradient(tower: Tower, pictures: Tensor) -> None:
    spec = tower.spec
    parts = tower.encode(pictures[:2], [CLS, *spec.taps])
    assert parts[CLS].shape == (2, spec.joint)
    for part in spec.taps:
        assert parts[part].shape == (2, spec.grid**2, spec.width)
        assert parts[part].dtype == torch.float32
        assert parts[part].is_contiguous()
        assert not parts[part].requires_grad


@pytest.mark.parametrize("part", [MASK, patch(0), patch(9), Part("vv", 4)])
def test_a_part_that_the_tower_lacks_is_named_with_those_it_has(tower: Tower, pictures: Tensor, part: Part) -> None:
    with pytest.raises(NotApplicable, match=f"has no part {part}: it gives cls, patch/1 to patch/8, "):
        tower.encode(pictures[:1], [part])


def test_pictures_of_another_size_are_refused(tower: Tower) -> None:
    with pytest.raises(UsageError, match=r"shape \(1, 3, 96, 96\) came, random-vit-8 takes \(B, 3, 112, 112\)"):
        tower.encode(torch.zeros(1, 3, 96, 96), [CLS])
    with pytest.raises(UsageError, match=r"shape \(0, 3, 112, 112\) came"):
        tower.encode(torch.zeros(0, 3, 112, 112), [CLS])


def test_encoding_leaves_the_process_as_it_was(tower: Tower, pictures: Tensor) -> None:
    state = torch.random.get_rng_state()
    assert torch.backends.mha.get_fastpath_enabled()
    tower.encode(pictures[:1], [CLS])
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.is_grad_enabled()
    assert torch.equal(state, torch.random.get_rng_state())


def test_autocast_outside_does_not_reach_an_fp32_tower(tower: Tower, pictures: Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = tower.encode(pictures[:1], [CLS])[CLS], tower.encode_text(["a bottle"])
    outside = tower.encode(pictures[:1], [CLS])[CLS], tower.encode_text(["a bottle"])
    torch.testing.assert_close(inside, outside)


def test_bf16_gives_float32_features_near_those_of_fp32(tower: Tower, pictures: Tensor) -> None:
    half = random_tower(precision="bf16").encode(pictures[:2], [CLS, patch(4)])
    full = tower.encode(pictures[:2], [CLS, patch(4)])
    for part, values in half.items():
        assert values.dtype == torch.float32
        cosine = torch.nn.functional.cosine_similarity(values, full[part], dim=-1)
        assert cosine.min() > 0.999
        assert not torch.equal(values, full[part])


def test_padding_is_trimmed_without_a_trace(tower: Tower) -> None:
    phrases = ["a crack", "a close-up photo of a damaged printed circuit board with a missing part", "x"]
    padded = torch.zeros(3, tower.context_length, dtype=torch.long)
    tokens = tower.text.tokenize(phrases)
    padded[:, : tokens.shape[1]] = tokens
    assert torch.equal(padded, open_clip.get_tokenizer("ViT-B-32")(phrases))
    with torch.no_grad():
        theirs = tower.model.encode_text(padded)
    torch.testing.assert_close(tower.text.encode_tokens(padded), theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(tower.encode_text(phrases), theirs, atol=1e-5, rtol=0)


def test_phrases_come_back_in_their_order_however_many_batches_they_need(tower: Tower) -> None:
    phrases = [" ".join(["long"] * (1 + index * 7 % 40) + [str(index)]) for index in range(150)]
    together = tower.encode_text(phrases)
    for index in (0, 1, 77, 149):
        torch.testing.assert_close(together[index], tower.encode_text([phrases[index]])[0], atol=1e-5, rtol=0)


def test_no_phrases_have_no_features(tower: Tower) -> None:
    assert tower.encode_text([]).shape == (0, 96)
    assert tower.text.encode_tokens(torch.zeros(0, 77)).shape == (0, 96)


def test_a_phrase_that_is_too_long_is_refused_with_its_length(tower: Tower) -> None:
    fits = " ".join(["nut"] * 75)
    assert tower.count_tokens(fits) == 77
    assert tower.encode_text([fits]).shape == (1, 96)
    with pytest.raises(UsageError, match=r"'nut nut .*' has 78 tokens, the text tower of random-vit-8 reads 77"):
        tower.encode_text(["short", f"{fits} nut"])


def test_one_phrase_instead_of_a_list_is_refused(tower: Tower) -> None:
    with pytest.raises(UsageError, match=r"wanted a list of phrases: \['bottle'\]"):
        tower.encode_text("bottle")


def test_gradients_reach_learned_token_embeddings(tower: Tower) -> None:
    tokens = tower.text.tokenize(["a photo of a bottle"])
    embedded = tower.text.embed_tokens(tokens).requires_grad_()
    features = tower.text.encode_embedded(embedded, tokens.argmax(dim=-1))
    torch.testing.assert_close(features, tower.text.encode_tokens(tokens), atol=1e-6, rtol=0)
    features.sum().backward()
    assert embedded.grad is not None
    assert embedded.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in tower.model.parameters())


def test_no_deep_tokens_change_nothing(tower: Tower) -> None:
    tokens = tower.text.tokenize(["a photo of a bottle", "a nut"])
    embedded, ends = tower.text.embed_tokens(tokens), tokens.argmax(dim=-1)
    plain = tower.encode_text(["a photo of a bottle", "a nut"])
    for placing in ("insert", "replace"):
        for deep in ({}, {layer: torch.zeros(0, 64) for layer in (1, 2, 4)}):
            found = tower.text.encode_embedded(embedded, ends, deep=deep, placing=placing)
            torch.testing.assert_close(found, plain, atol=1e-6 * float(plain.abs().max()), rtol=0)


def layer_by_layer(tower: Tower, embedded: Tensor, deep: dict[int, Tensor], *, insert: bool) -> Tensor:
    """The feature (D,) of one prompt (L, W), whose last token is the end of text; nothing is masked that need not be.

    The first token sees itself alone, so what stands behind it can be cut off and replaced before each layer.
    """
    text: Any = tower.model
    rows = list(embedded + text.positional_embedding[: len(embedded)])
    own = 0
    for layer, block in enumerate(text.transformer.resblocks, start=1):
        if layer in deep:
            behind = rows[1 + own :] if insert else rows[1 + len(deep[layer]) :]
            rows, own = [rows[0], *deep[layer], *behind], len(deep[layer]) if insert else 0
        read = torch.stack([block(torch.stack(rows[: end + 1])[None])[0, -1] for end in range(len(rows))])
        rows = list(read)
    return text.ln_final(rows[-1]) @ text.text_projection


@pytest.mark.parametrize("insert", [True, False])
@pytest.mark.parametrize("layers", [{1: 2}, {2: 3, 3: 3}, {2: 4, 3: 1, 4: 2}])
@torch.no_grad()
def test_deep_tokens_stand_behind_the_start_in_their_own_layers(tower: Tower, layers, insert: bool) -> None:
    draws = torch.Generator().manual_seed(0)
    deep = {layer: torch.randn(count, 64, generator=draws) for layer, count in layers.items()}
    phrases = ["a photo of a small bottle", "a metal nut with a flaw"]
    tokens = tower.text.tokenize(phrases)
    ends = tokens.argmax(dim=-1)
    embedded = tower.text.embed_tokens(tokens)
    placing = "insert" if insert else "replace"
    found = tower.text.encode_embedded(embedded, ends, deep=deep, placing=placing)
    for row, end in enumerate(ends.tolist()):
        wanted = layer_by_layer(tower, embedded[row, : end + 1], deep, insert=insert)
        torch.testing.assert_close(found[row], wanted, atol=2e-5, rtol=0)


def test_inserted_tokens_need_no_place_in_the_context(tower: Tower) -> None:
    phrase = " ".join(["nut"] * 75)
    tokens = tower.text.tokenize([phrase])
    deep = {2: torch.randn(30, 64, generator=torch.Generator().manual_seed(0))}
    found = tower.text.encode_embedded(tower.text.embed_tokens(tokens), tokens.argmax(dim=-1), deep=deep)
    wanted = layer_by_layer(tower, tower.text.embed_tokens(tokens)[0], deep, insert=True)
    torch.testing.assert_close(found[0], wanted, atol=5e-5, rtol=0)
    assert not torch.allclose(found, tower.encode_text([phrase]), atol=1e-2)


def test_threads_prepare_the_same_pictures(tower: Tower) -> None:
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (40 + i, 60, 3), dtype=np.uint8)) for i in range(16)]
    one_by_one = [tower.prepare(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        for alone, threaded in zip(one_by_one, pool.map(tower.prepare, images), strict=True):
            np.testing.assert_array_equal(alone, threaded)


def test_the_fingerprint_notices_everything_that_changes_the_features(
    tiny_config: dict[str, Any], tiny_weights: dict[str, Tensor]
) -> None:
    def fingerprint(config: dict[str, Any] = tiny_config, **changed: Any) -> str:
        arguments = {"name": "tiny", "device": "cpu", "precision": "fp32", "weights": tiny_weights, **changed}
        weights = arguments.pop("weights")
        return json.dumps(assemble_tower(config, weights, **arguments).fingerprint, sort_keys=True)

    nudged = {**tiny_weights, "visual.proj": torch.nextafter(tiny_weights["visual.proj"], torch.tensor(9.0))}
    more_heads = {**tiny_config, "vision_cfg": {**tiny_config["vision_cfg"], "head_width": 8}}
    different = [
        fingerprint(),
        fingerprint(name="other"),
        fingerprint(weights=nudged),
        fingerprint(more_heads),
        fingerprint(activation="quick-gelu"),
        fingerprint(image_size=64),
        fingerprint(precision="bf16"),
        fingerprint(normalisation={"mean": (0.5, 0.5, 0.5)}),
        fingerprint(normalisation={"std": (0.5, 0.5, 0.5)}),
        fingerprint(normalisation={"interpolation": "bilinear"}),
    ]
    assert len(set(different)) == len(different)
    assert fingerprint(layers=(1, 2)) == fingerprint(activation="gelu") == fingerprint(image_size=48) == fingerprint()


def test_the_text_fingerprint_leaves_out_what_only_pictures_see(
    tiny_config: dict[str, Any], tiny_weights: dict[str, Tensor]
) -> None:
    def build(**changed: Any) -> dict[str, Any]:
        return assemble_tower(
            tiny_config, tiny_weights, **{"name": "tiny", "device": "cpu", **changed}
        ).text_fingerprint

    assert build() == build(image_size=64) == build(precision="bf16") == build(name="other")
    assert build() != build(activation="quick-gelu")
    assert build()["context_length"] == 77


def test_libraries_and_device_are_recorded_but_not_keyed(tower: Tower) -> None:
    assert tower.recorded["torch"] == torch.__version__
    assert tower.recorded["device"] == "cpu"
    assert not set(tower.recorded) & set(tower.fingerprint)


def test_a_range_that_is_named_is_read_and_is_part_of_the_fingerprint_and_others_are_as_before(tmp_path: Path) -> None:
    tower = random_tower(image_size=56)
    for word in ("auto", "file"):
        same = tower.with_range(word)
        assert (same.fingerprint, same.picture_range) == (tower.fingerprint, word)
    named = tower.with_range("0:4095")
    assert named.fingerprint == {**tower.fingerprint, "picture_range": "0:4095"}
    assert named.with_range("auto").fingerprint == tower.fingerprint
    assert tower.picture_range == "auto"
    levels = np.random.default_rng(0).integers(0, 4096, (56, 56))
    Image.fromarray(levels.astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.round(levels * (255 / 4095)).astype(np.uint8)).save(tmp_path / "plain.png")
    deep, plain = read_picture(tmp_path / "deep.png", "0:4095"), read_picture(tmp_path / "plain.png")
    np.testing.assert_array_equal(named.prepare(deep), tower.prepare(plain))
    with pytest.raises(UsageError, match="range"):
        tower.with_range("4095:0")


@pytest.mark.parametrize("clean", ["lower", "canonicalize", "whitespace"])
def test_a_phrase_has_the_tokens_that_open_clip_gives_it_whole(tower: Tower, clean: str) -> None:
    tokenizer = open_clip.SimpleTokenizer(clean=clean)
    text = TextTransformer(tower.model, tokenizer, name="it", joint=tower.spec.joint, device=tower.device)
    odd = (
        *(
            "<start_of_text>",
            "<end_of_text>",
            "it's",
            "DON'T",
            "''s",
            "a_b",
            "&amp;",
            "&amp",
            ";",
            "<_of",
            "\u00e2\u20ac\u2122",
        ),
        *("\ufb01", "\u2018x\u2019", "1/2", "...", "", "\t", "\x1b[31m", "a\nb", "\xa0", "''", "(c)", "--"),
    )
    draw = random.Random(0)
    for _ in range(2000):
        words = [
            draw.choice(odd) if draw.random() < 0.3 else draw.choice(ascii_letters + punctuation) for _ in range(5)
        ]
        phrase = " ".join(words)
        ids = (tokenizer.sot_token_id, *tokenizer.encode(phrase), tokenizer.eot_token_id)
        assert tuple(text.tokenize([phrase])[0].tolist()) == ids, phrase
