"""A recipe holds all that a tower is loaded with, and goes where a name goes."""

from __future__ import annotations

import pickle
from dataclasses import fields

from stackclip.clip import TowerRecipe, load_tower
from stackclip.clip.assembly import Assembly, AssemblyOptions
from stackclip.clip.recipe import Build, BuildOptions, TowerOptions


def test_keyword_arguments_are_the_fields_that_they_fill() -> None:
    for noun, words, beside in (
        (Build, BuildOptions, set()),
        (TowerRecipe, TowerOptions, {"backbone"}),
        (Assembly, AssemblyOptions, set()),
    ):
        assert {field.name for field in fields(noun)} == {*words.__annotations__, *beside}


def test_what_a_recipe_hands_on_is_how_a_tower_is_built() -> None:
    assert set(TowerRecipe("random-vit-8").build) == {field.name for field in fields(Build)}


def test_a_recipe_that_was_sent_loads_the_tower_that_its_words_load() -> None:
    recipe = TowerRecipe("random-vit-8", image_size=64, layers=(3,), device="cpu", precision="fp32")
    sent = pickle.loads(pickle.dumps(recipe))
    assert sent == recipe
    spoken = load_tower("random-vit-8", image_size=64, layers=(3,), device="cpu", precision="fp32")
    assert (load_tower(sent).fingerprint, load_tower(sent).spec) == (spoken.fingerprint, spoken.spec)
    assert load_tower(sent, image_size=80).spec.image_size == 80
