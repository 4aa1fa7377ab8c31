"""The random tower: the same everywhere, and sensitive to what it sees and reads."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import torch

from stackclip.clip import random_tower
from stackclip.registry import backbones
from stackclip.types import CLS, patch


def test_the_weights_are_the_same_in_every_process_and_with_any_number_of_threads() -> None:
    code = (
        "import torch; torch.set_num_threads(2); torch.manual_seed(9)\n"
        "from stackclip.clip import random_tower; print(random_tower(5).fingerprint['weights'])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert found == random_tower(5).fingerprint["weights"]


def test_no_global_random_state_is_read_or_changed() -> None:
    torch.manual_seed(1)
    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr] # numpy's own union
    first = random_tower(0).fingerprint["weights"]
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])  # type: ignore[index] # numpy's own union
    torch.manual_seed(2)
    assert random_tower(0).fingerprint["weights"] == first


def test_seeds_differ_and_sizes_share_their_weights() -> None:
    assert random_tower(0).fingerprint["weights"] != random_tower(1).fingerprint["weights"]
    small, large = random_tower(0, image_size=56), random_tower(0, image_size=160)
    assert small.fingerprint["weights"] == large.fingerprint["weights"]
    assert (small.spec.grid, large.spec.grid) == (7, 20)


def test_its_note_says_that_its_numbers_say_nothing() -> None:
    tower = backbones.create("random-vit-8[seed=4,image_size=64,activation=quick-gelu]").load(device="cpu")
    assert tower.spec.note == "random-vit-8 is a random tower: its numbers say nothing about CLIP"
    assert tower.spec.image_size == 64
    assert tower.fingerprint["activation"] == "quick-gelu"
    json.dumps([tower.fingerprint, tower.text_fingerprint, tower.recorded])


def test_a_changed_patch_changes_its_own_token_most() -> None:
    tower = random_tower()
    picture = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 0.1
    damaged = picture.clone()
    damaged[..., 40:48, 72:80] += 2.0  # patch row 5, column 9
    change = (tower.encode(damaged, [patch(4)])[patch(4)] - tower.encode(picture, [patch(4)])[patch(4)]).norm(dim=-1)
    assert change.argmax().item() == 5 * 14 + 9
    assert not torch.allclose(tower.encode(damaged, [CLS])[CLS], tower.encode(picture, [CLS])[CLS], atol=1e-3)


def test_different_phrases_have_different_features() -> None:
    features = torch.nn.functional.normalize(
        random_tower().encode_text(["a flawless bottle", "a broken bottle", "a nut"])
    )
    cosines = features @ features.T
    assert (cosines - torch.eye(3)).max() < 0.99
