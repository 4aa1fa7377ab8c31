"""Equivalent words: one mapping a draw, the same whenever it is drawn, and nothing lost by it."""

from __future__ import annotations

import re
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackclip.clip import random_tower
from stackclip.data.names import NATURAL_NAMES
from stackclip.prompts import CPE
from stackclip.prompts.jitter import EQUIVALENTS, Wording
from stackclip.prompts.phrases import AA_CLIP, ADACLIP, CLIP_AD, PARTS_TEMPLATES, PROMPTAD, WINCLIP
from stackclip.types import ANOMALOUS, NORMAL

DRAWS = range(1, 9)
ENSEMBLES = (CPE, WINCLIP, ADACLIP, CLIP_AD, AA_CLIP, PROMPTAD)
NAMES = ("metal_nut", "bottle", "capsules", "printed circuit board", "pcb1", "leather", "01")
PHRASES = tuple(
    dict.fromkeys(
        phrase
        for ensemble in ENSEMBLES
        for name in (*NAMES, "object")
        for side in (NORMAL, ANOMALOUS)
        for phrase in ensemble.phrases(name, side)
    )
)


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_draw_0_is_the_words_as_they_are(phrase: str, names: list[str]) -> None:
    assert Wording(0, tuple(names))(phrase) == phrase


@given(st.integers(1, 2**31), st.sampled_from(PHRASES))
def test_a_draw_is_the_same_whoever_draws_it(draw: int, phrase: str) -> None:
    assert Wording(draw, NAMES)(phrase) == Wording(draw, NAMES)(phrase)


@given(st.integers(1, 99), st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_no_text_breaks_it_and_what_says_something_goes_on_saying_something(
    draw: int, phrase: str, names: list[str]
) -> None:
    assert bool(Wording(draw, tuple(names))(phrase)) == bool(phrase)


@given(st.integers(1, 99), st.text("xyz0 .,"))
def test_words_without_equivalents_stay(draw: int, phrase: str) -> None:
    assert Wording(draw, NAMES)(phrase) == phrase


def test_draws_differ_and_reach_every_word_of_the_lists() -> None:
    every = [Wording(draw).chosen for draw in range(1, 60)]
    said = {word: {chosen[word] for chosen in every} for word in EQUIVALENTS}
    assert said == {word: {word, *others} for word, others in EQUIVALENTS.items()}
    assert len({tuple(map(Wording(draw, NAMES), PHRASES)) for draw in DRAWS}) == len(DRAWS)


@pytest.mark.parametrize("draw", DRAWS)
def test_a_word_is_said_alike_in_all_phrases(draw: int) -> None:
    wording = Wording(draw, ("bottle",))
    for word in ("flawless", "perfect", "intact", "damaged", "broken"):
        said = {wording(f"a photo of the {word} bottle."), wording(f"a dark photo of the {word} bottle.")}
        assert all(wording.chosen[word] in phrase for phrase in said)


@pytest.mark.parametrize("draw", DRAWS)
def test_different_phrases_stay_different_so_that_no_ensemble_becomes_smaller(draw: int) -> None:
    wording = Wording(draw, NAMES)
    assert len({*map(wording, PHRASES)}) == len(PHRASES)
    parts = [template.format(name) for template in PARTS_TEMPLATES for name in ("pen", "ruler")]
    assert len({*map(wording, parts)}) == len(parts)


@pytest.mark.parametrize("draw", DRAWS)
def test_names_are_recognised_and_are_in_one_form(draw: int) -> None:
    names = tuple(dict.fromkeys([*NAMES, *NATURAL_NAMES, *NATURAL_NAMES.values()]))
    wording = Wording(draw, names)
    for name in names:
        for template in ("{}", "a photo of a {}.", "a photo of the damaged {} for inspection.", "{} with a flaw"):
            assert _bare(name) in _bare(wording(template.format(name)))


def _bare(text: str) -> str:
    return re.sub(r"[\s_-]", "", text.lower())


def test_nothing_in_a_name_is_taken_for_a_word_of_the_lists() -> None:
    for draw in DRAWS:
        assert "broken glass" in Wording(draw, ("broken glass",))("a photo of the damaged broken glass.")


def test_no_word_stands_for_two() -> None:
    others = [*chain(*EQUIVALENTS.values())]
    assert len({*others}) == len(others)
    assert not {*others} & EQUIVALENTS.keys()
    assert all(text.strip() == text and text.isascii() and text for text in (*others, *EQUIVALENTS))


def test_what_was_worked_by_hand() -> None:
    wording = Wording(1, ("metal_nut", "bottle", "capsules", "fly", "box", "leather"))
    words = {"flawless": "imperfect"}
    vars(wording).update(joint="spaced", plural=True, chosen={**dict.fromkeys(EQUIVALENTS), **_own(), **words})
    assert wording("a photo of a metal_nut.") == "a photo of metal nuts."
    assert wording("a photo of the metal_nut.") == "a photo of the metal nut."
    assert wording("a photo of a flawless bottle with a flaw.") == "a photo of imperfect bottles with a flaw."
    assert wording("This is a flawless metal_nut") == "This is an imperfect metal nut"
    assert wording("Flawless bottle") == "Imperfect bottle"
    assert [wording(f"a photo of a {name}") for name in ("fly", "box", "capsules", "leather")] == [
        "a photo of flies",
        "a photo of boxes",
        "a photo of a capsules",
        "a photo of a leather",
    ]
    assert wording("a photo of a bottle metal_nut.") == "a photo of a bottle metal nut."  # a stack of names
    assert wording("a part of a picture with a bottle") == "a part of a picture with a bottle"


def _own() -> dict[str, str]:
    return {word: word for word in EQUIVALENTS}


@pytest.mark.parametrize("draw", DRAWS)
def test_articles_follow_the_word_behind_them(draw: int) -> None:
    wording, wrong = Wording(draw, NAMES), re.compile(r"\ba [aeiou]|\ban [^aeiou]")
    right = [phrase for phrase in PHRASES if not wrong.search(phrase)]  # templates with "a" are not, of an object
    assert len(right) > len(PHRASES) / 2
    assert not [phrase for phrase in map(wording, right) if wrong.search(phrase)]


@pytest.mark.parametrize("draw", DRAWS)
def test_a_beginning_of_a_learned_prompt_keeps_its_tokens_and_nothing_is_too_long(draw: int) -> None:
    tower = random_tower(image_size=56)
    wording = Wording(draw, NAMES)
    assert tower.count_tokens(wording("a photo of a")) == tower.count_tokens("a photo of a")  # CoCoOp's
    assert max(map(tower.count_tokens, map(wording, PHRASES))) <= tower.context_length
    longer = [tower.count_tokens(wording(each)) - tower.count_tokens(each) for each in PHRASES]
    assert max(longer) <= 16


def test_one_draw_has_one_form_of_names_for_all() -> None:
    for draw in DRAWS:
        wording = Wording(draw, ("metal_nut", "pipe_fryum"))
        forms = [re.sub(r"[a-z]", "", wording.name(name)) for name in wording.names]
        assert all(one == other for one, other in combinations(forms, 2))
