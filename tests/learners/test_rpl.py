"""Regulating prompt learning: equation 12, its limits, its gradients and its options."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stackclip.clip import Tower
from stackclip.errors import BadOption
from stackclip.learners import TEMPLATES, Lesson, Regulated, Rpl
from stackclip.registry import learners
from stackclip.types import CLS, Features

SUBJECT = "bottle metal nut"


def target_of(tower: Tower) -> Tensor:
    """Frozen features of the stack."""
    tokens = tower.text.tokenize([f"a perfect {SUBJECT}", f"a broken {SUBJECT}"])
    return F.normalize(tower.text.encode_tokens(tokens), dim=-1)


def built(tower: Tower, spec: str = "rpl", *, seed: int = 0) -> Regulated:
    learner: Regulated = learners.create(spec).build(Lesson(tower.text, SUBJECT, target_of(tower), seed))
    return learner


def learn(learner: Regulated, pictures: Features, *, steps: int, lr: float = 1e-2) -> dict[str, float]:
    """The terms after so many steps of Adam on one batch."""
    optimiser = torch.optim.Adam(learner.parameters(), lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        learner.loss(pictures)["loss"].backward()
        optimiser.step()
    return {name: term.item() for name, term in learner.loss(pictures).items()}


def test_the_terms_are_equation_12(small_tower, pictures):
    learner = built(small_tower, "rpl[lambda=3,temperature=0.5]")
    terms = learner.loss(pictures)
    anchors = learner.anchors()
    right, apart = [], 0.0
    for token, label in zip(pictures[CLS], pictures.labels, strict=True):
        cosines = F.cosine_similarity(token, anchors, dim=-1)
        right.append((cosines / 0.5).softmax(0)[label])
    for learned, frozen in zip(anchors, target_of(small_tower), strict=True):
        apart += ((frozen - learned) ** 2).sum() / len(frozen) / 2  # the mean over the two prompts
    torch.testing.assert_close(terms["rpl_ce"], -torch.stack(right).log().mean())
    torch.testing.assert_close(terms["rpl_mse"], apart)
    torch.testing.assert_close(terms["loss"], terms["rpl_ce"] + 3 * terms["rpl_mse"])


@pytest.mark.parametrize(
    "spec",
    ["rpl", "rpl[deep=3,placing=replace]", "rpl[context=none,deep=2,counting=layers]", "rpl[deep=0,lambda=50]"],
)
def test_gradients_agree_with_finite_differences(small_tower, pictures, spec: str):
    learner = built(small_tower, spec)
    learner.loss(pictures)["loss"].backward()
    draws = torch.Generator().manual_seed(1)
    for name, parameter in learner.named_parameters():
        assert parameter.dtype == torch.float64
        direction = torch.randn(parameter.shape, generator=draws, dtype=torch.float64)
        sides = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                parameter += step * direction
                sides.append(learner.loss(pictures)["loss"].item())
                parameter -= step * direction
        slope = (sides[0] - sides[1]) / 2e-5
        assert (parameter.grad * direction).sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-9), name


def test_gradients_reach_the_learned_tokens_alone(small_tower, pictures):
    learner = built(small_tower)
    learner.loss(pictures)["loss"].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in learner.parameters())
    assert all(weight.grad is None for weight in small_tower.model.parameters())
    assert {name.split(".")[1] for name, _ in learner.named_parameters()} == {"context", "deep"}


def test_a_large_lambda_keeps_the_pair_at_the_stacked_features(small_tower, pictures):
    apart = {
        weight: learn(built(small_tower, f"rpl[lambda={weight}]"), pictures, steps=150) for weight in (0, 1e2, 1e6)
    }
    begun = built(small_tower).loss(pictures)["rpl_mse"].item()
    assert apart[1e6]["rpl_mse"] < 1e-4 < apart[1e2]["rpl_mse"] < apart[0]["rpl_mse"]
    assert apart[1e6]["rpl_mse"] < begun / 100
    assert apart[0]["rpl_ce"] < apart[1e2]["rpl_ce"] < apart[1e6]["rpl_ce"]


def test_at_the_stacked_features_an_infinite_lambda_moves_nothing(small_tower, pictures):
    """Where the pair is its own target, the distance has no gradient: only cross-entropy could move it."""
    learner = built(small_tower, "rpl[lambda=1000]")
    learner.target = learner.anchors().detach()
    terms = learner.loss(pictures)
    assert terms["rpl_mse"] == 0
    terms["rpl_mse"].backward()
    assert all(parameter.grad.abs().max() < 1e-12 for parameter in learner.parameters())


def test_scores_are_probabilities_of_the_pair_as_it_is_now(small_tower, pictures):
    learner = built(small_tower)
    for _ in range(2):
        cosines = F.cosine_similarity(pictures[CLS][:, None], learner.anchors(), dim=-1)
        torch.testing.assert_close(learner.scores(pictures), (cosines / 0.07).softmax(1)[:, 1].detach())
        learn(learner, pictures, steps=3)


def test_the_text_tower_reads_two_prompts_a_step_and_none_to_score_again(small_tower, pictures, monkeypatch):
    read: list[int] = []
    encode = small_tower.text.encode_embedded

    def counted(embedded: Tensor, *rest: object, **words: object) -> Tensor:
        read.append(len(embedded))
        return encode(embedded, *rest, **words)

    learner = built(small_tower)
    monkeypatch.setattr(small_tower.text, "encode_embedded", counted)
    learner.loss(pictures)
    assert read == [2]
    for _ in range(3):
        learner.scores(pictures)
    assert read == [2, 2]


def test_it_learns_what_plain_prompts_do_not_know(small_tower, pictures):
    learner = built(small_tower)
    learn(learner, pictures, steps=200)
    scores = learner.scores(pictures)
    assert [score > 0.5 for score in scores] == [bool(label) for label in pictures.labels]


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ("", {2: 20, 3: 20, 4: 20}),  # nine of four layers, the input being the first
        ("[depth=3]", {2: 20, 3: 20}),
        ("[depth=3,counting=layers,deep=29]", {1: 29, 2: 29, 3: 29}),
        ("[depth=1]", {}),
        ("[deep=0]", {}),
    ],
)
def test_depth_counts_the_input_or_not(small_tower, options: str, layers: dict[int, int]):
    learner = built(small_tower, f"rpl{options}")
    assert learner.facts["deep"] == {str(layer): count for layer, count in layers.items()}
    assert dict(zip(learner.prompts.layers, map(len, learner.prompts.deep), strict=True)) == layers


def test_the_ten_templates_of_table_9(small_tower):
    prompts = []
    for template in TEMPLATES:
        for subject, called in (("cluster", SUBJECT), ("object", "object")):
            said = built(small_tower, f"rpl[template={template},subject={subject}]").facts["prompts"]
            assert all(phrase.count(called) == 1 for phrase in said)
            prompts.append(tuple(said))
    assert len(set(prompts)) == 10
    assert ("There is not a damaged object in the photo", "There is a damaged object in the photo") in prompts


def test_the_defaults_are_those_of_the_decision():
    recipe = Rpl()
    assert (recipe.context, recipe.deep, recipe.depth, recipe.counting) == (12, 20, 9, "input")
    assert (recipe.epochs, recipe.lr, recipe.temperature, recipe.lambda_) == (1, 1e-3, 0.07, 1.0)
    assert TEMPLATES[recipe.template][0].startswith("There is not")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("context=-1", "context=-1; wanted 0 or more"),
        ("lambda=-2", "lambda=-2.0; wanted 0 or more"),
        ("lr=0", "lr=0.0; wanted a number above 0"),
        ("depth=0", "depth=0; wanted 1 or more"),
        ("context=0,deep=0", "nothing to learn"),
        ("template=best", "is not of type photo-of|"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: str, said: str):
    with pytest.raises(BadOption) as refused:
        learners.create(f"rpl[{options}]")
    assert said in str(refused.value)


@pytest.mark.parametrize("words", [3, 60, 61, 62, 63, 64, 90])
def test_a_subject_fits_if_both_prompts_do(small_tower, words: int):
    subject = " ".join(["bottle"] * words)
    recipe = Rpl(context=None)
    longest = max(small_tower.count_tokens(template.format(subject)) for template in TEMPLATES["there-is"])
    assert recipe.fits(small_tower, subject) == (longest <= 77)
    assert Rpl(context=12).fits(small_tower, subject) == (2 + 12 + words <= 77)
    assert Rpl(subject="object").fits(small_tower, subject)


def test_lambda_may_be_as_large_as_wanted_but_a_number():
    with pytest.raises(BadOption):
        Rpl(lambda_=math.inf)
