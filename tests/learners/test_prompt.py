"""The pair of prompts: its words are the template's, its tokens go where they should."""

from __future__ import annotations

import pytest
import torch

from stackclip.clip import Tower, random_tower
from stackclip.errors import UsageError
from stackclip.learners import TEMPLATES, PromptPair
from stackclip.learners.prompt import SPREAD, prompt_length
from stackclip.ops.maps import unit

TEMPLATE_PAIRS = list(TEMPLATES.values())
SUBJECT = "metal nut bottle t-shirt"


def pair_of(tower: Tower, templates: tuple[str, str], **words: object) -> PromptPair:
    given = {"subject": SUBJECT, "context": None, "deep": 0, "layers": (), "placing": "insert", "seed": 0, **words}
    return PromptPair(tower.text, templates, **given)  # type: ignore[arg-type]  # words of a test


@pytest.mark.parametrize("templates", TEMPLATE_PAIRS)
@pytest.mark.parametrize("subject", [SUBJECT, "object"])
def test_a_pair_without_new_tokens_begins_as_its_template(small_tower, templates, subject):
    found = pair_of(small_tower, templates, subject=subject)()
    tokens = small_tower.text.tokenize([template.format(subject) for template in templates])
    torch.testing.assert_close(found, small_tower.text.encode_tokens(tokens), atol=1e-12, rtol=0)


def test_in_float32_it_begins_as_the_features_of_its_phrases():
    tower = random_tower(image_size=32)
    for templates in TEMPLATE_PAIRS:
        phrases = [template.format(SUBJECT) for template in templates]
        found = unit(pair_of(tower, templates)())
        torch.testing.assert_close(found, unit(tower.encode_text(phrases)), atol=1e-6, rtol=0)


@pytest.mark.parametrize("templates", TEMPLATE_PAIRS)
def test_what_is_learned_stands_where_the_templates_words_stand(small_tower, templates):
    pair = pair_of(small_tower, templates)
    for side, template in enumerate(templates):
        before, behind = template.split("{}")
        words_of = (small_tower.text.tokenize([words])[0, 1:-1] for words in (before, behind))
        ids = torch.tensor([token for tokens in words_of for token in tokens])
        torch.testing.assert_close(pair.context[side].data, small_tower.text.embed_tokens(ids))
    named = small_tower.text.embed_tokens(small_tower.text.tokenize([SUBJECT])[0, 1:-1])
    with torch.no_grad():
        for vectors in pair.context:
            vectors.zero_()
    embedded = pair.base.index_put(tuple(pair.places.T), torch.cat(tuple(pair.context)))
    for side in range(2):
        kept = [row for row in embedded[side, 1 : pair.ends[side]] if row.any()]
        torch.testing.assert_close(torch.stack(kept), named)


def test_more_vectors_than_words_begin_as_noise_in_front_of_them(small_tower):
    words, more = (pair_of(small_tower, TEMPLATES["photo-of"], context=count) for count in (None, 12))
    for side, count in enumerate((5, 5)):
        assert len(words.context[side]) == count
        assert torch.equal(more.context[side][-count:], words.context[side])
        assert more.context[side][:-count].std().item() == pytest.approx(SPREAD, rel=0.3)
        assert more.places[more.places[:, 0] == side, 1].tolist() == list(range(1, 13))
        assert more.ends[side] == words.ends[side] + 7


def test_fewer_vectors_than_words_leave_the_last_words_as_they_are(small_tower):
    few, words = (pair_of(small_tower, TEMPLATES["there-is"], context=count) for count in (3, None))
    torch.testing.assert_close(few(), words())
    assert [len(vectors) for vectors in few.context] == [3, 3]
    assert few.places.tolist() == [[0, 1], [0, 2], [0, 3], [1, 1], [1, 2], [1, 3]]


def test_the_noise_follows_from_the_seed(small_tower):
    one, same, other = (
        pair_of(small_tower, TEMPLATES["photo-of"], context=12, deep=4, layers=(2, 3), seed=seed).state_dict()
        for seed in (0, 0, 1)
    )
    assert list(one) == ["context.0", "context.1", "deep.0", "deep.1"]
    assert all(torch.equal(one[name], same[name]) and not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("context", [None, 4, 12, 30])
@pytest.mark.parametrize("template", [template for pair in TEMPLATE_PAIRS for template in pair])
def test_the_length_of_a_prompt_is_known_before_it_is_made(small_tower, template, context):
    pair = pair_of(small_tower, (template, template), context=context)
    length = prompt_length(small_tower.text, template, subject=SUBJECT, context=context)
    assert length == int(pair.ends[0]) + 1


def test_tokens_that_would_overwrite_the_end_of_text_are_refused(small_tower):
    words = {"subject": "object", "placing": "replace", "layers": (2,)}
    assert pair_of(small_tower, TEMPLATES["photo-of"], deep=6, **words)().isfinite().all()
    with pytest.raises(UsageError, match="7 deep tokens would overwrite a prompt that ends at place 7"):
        pair_of(small_tower, TEMPLATES["photo-of"], deep=7, **words)
