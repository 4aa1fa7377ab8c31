"""The pipeline with a learner: one pair of prompts for all stacks, learned beside the head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from stackclip.clip import TextEncoder, random_tower
from stackclip.contracts.trial import CATEGORIES, features_of, task_of, trial_encode, trial_tower
from stackclip.errors import NotApplicable, UsageError
from stackclip.learners import Regulated, Rpl
from stackclip.methods import Moment, PromptedDetector, resolve
from stackclip.prompts import CPE
from stackclip.types import CLS, MASK, NORMAL, Features

At = Callable[..., Moment]
NAMES = "bottle metal nut t shirt"  # as class_names=spaced calls the categories of the trial


def begin(spec: str, **changes: object) -> PromptedDetector:
    detector = resolve(spec).begin(task_of(**changes))
    assert isinstance(detector, PromptedDetector)
    return detector


@pytest.fixture(scope="module")
def features() -> Features:
    return features_of(frozenset({*trial_tower().spec.taps, CLS, MASK}), CATEGORIES)


@pytest.mark.parametrize("spec", ["stackclip", "stackclip[clusters=2,source=image]", "precise[learner=rpl]"])
def test_the_pair_names_all_training_categories_and_is_held_to_their_ensemble(spec: str):
    detector = begin(spec)
    normal, anomalous = detector.facts["learned"]["prompts"]
    assert normal.startswith("There is not a damaged ")
    assert anomalous.startswith("There is a damaged ")
    assert sorted(normal.removeprefix("There is not a damaged ").removesuffix(" in the photo").split()) == sorted(
        NAMES.split()
    )
    if len(detector.texts.stacks) == 1:
        phrases = [trial_encode()(CPE.phrases(NAMES, side)) for side in (0, 1)]
        wanted = torch.stack([F.normalize(F.normalize(each, dim=-1).mean(0), dim=-1) for each in phrases])
        torch.testing.assert_close(detector.learner.target, wanted, atol=1e-5, rtol=0)


def test_under_fuzzy_prompts_the_pair_names_an_object():
    assert begin("fuzzy[learner=rpl]").facts["learned"]["prompts"][NORMAL].count("object") == 1


def test_the_image_score_is_the_learners_and_the_map_the_heads(features, at: At):
    learned, plain, bare = (begin(spec) for spec in ("stackclip", "stackclip[learner=none]", "stackclip[head=none]"))
    for step in range(3):
        terms = learned.step(features, at(learned, 0, step))
        assert terms["map"] == plain.step(features, at(plain, 0, step))["loss"]
        alone = bare.step(features, at(bare, 0, step))
        assert {name: terms[name] for name in ("rpl_ce", "rpl_mse")} == {n: alone[n] for n in ("rpl_ce", "rpl_mse")}
        assert terms["loss"] == pytest.approx(terms["map"] + terms["rpl_ce"] + terms["rpl_mse"])
    one, other, third = (detector.predict(features) for detector in (learned, plain, bare))
    assert torch.equal(one.maps, other.maps)
    assert torch.equal(one.scores, third.scores)
    assert not torch.allclose(one.scores, other.scores)


def test_head_and_learner_each_stop_after_their_own_epochs(features, at: At):
    detector = begin("stackclip[epochs=3,learner=rpl[epochs=2]]", pictures=2 * len(features))
    assert [stage.epochs for stage in detector.stages] == [3]
    for epoch in range(3):
        for step in range(2):
            before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
            terms = detector.step(features, at(detector, 0, 2 * epoch + step, epoch))
            moved = {
                name.split(".")[0] for name, old in before.items() if not torch.equal(detector.state_dict()[name], old)
            }
            assert moved == ({"head", "learner"} if epoch < 2 else {"head"})
            assert ("rpl_ce" in terms) == (epoch < 2)
    longer = begin("stackclip[epochs=1,learner=rpl[epochs=2]]", pictures=len(features))
    assert [sorted(longer.step(features, at(longer, 0, epoch, epoch))) for epoch in range(2)] == [
        ["loss", "map", "rpl_ce", "rpl_mse"],
        ["loss", "rpl_ce", "rpl_mse"],
    ]


def test_the_number_of_epochs_of_the_bench_is_that_of_both():
    detector = begin("stackclip", epochs=5)
    assert ([stage.epochs for stage in detector.stages], detector.facts["learned"]["epochs"]) == ([5], 5)
    assert [stage.epochs for stage in begin("stackclip[learner=rpl[epochs=4]]").stages] == [4]
    assert [stage.epochs for stage in begin("clip[learner=rpl]").stages] == [1]
    assert begin("stackclip", epochs=0).stages == ()


class Broken(Exception):
    """What a learner of somebody else's may raise."""


def failing_at(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the learner fail where it is built, in its second loss, by a loss that is no number, or in its scores."""

    def fail(*_: object, **__: object) -> object:
        raise Broken("out of order")

    if place == "build":
        monkeypatch.setattr(Rpl, "build", fail)
    elif place == "scores":
        monkeypatch.setattr(Regulated, "scores", fail)
    elif place == "nan scores":
        monkeypatch.setattr(Regulated, "scores", lambda self, features: torch.full((len(features),), torch.nan))
    else:
        loss, seen = Regulated.loss, []

        def second(self: Regulated, features: Features) -> object:
            seen.append(1)
            if len(seen) < 2:
                return loss(self, features)
            return {"loss": loss(self, features)["loss"] * torch.nan} if place == "nan loss" else fail()

        monkeypatch.setattr(Regulated, "loss", second)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("build", "learner: Broken: out of order"),
        ("loss", "learner, epoch 1 of training: Broken: out of order"),
        ("nan loss", "learner, epoch 1 of training: loss is nan"),
        ("scores", "learner: Broken: out of order"),
        ("nan scores", "learner: scores hold NaN or infinity"),
    ],
)
def test_whatever_goes_wrong_with_a_learner_the_maps_are_those_without_it(features, at: At, monkeypatch, place, why):
    failing_at(place, monkeypatch)
    learned, plain = begin("stackclip[image_score=text+map]"), begin("stackclip[learner=none]")
    for step in range(3):
        learned.step(features, at(learned, 0, step))
        plain.step(features, at(plain, 0, step))
    found, wanted = learned.predict(features), plain.predict(features)
    assert torch.equal(found.maps, wanted.maps)
    assert found.scores is None
    assert found.why_no_scores == why


@pytest.mark.parametrize(
    "changes", [{"text": None}, {"categories": tuple(" ".join([f"nut{i}", *["bottle"] * 43]) for i in range(2))}]
)
def test_a_learner_that_cannot_begin_leaves_the_maps_too(features, at: At, changes):
    detector = begin("stackclip[overflow=chunk-mean]", **changes)
    if "text" in changes:
        detector.step(features, at(detector))
    found = detector.predict(features)
    assert found.maps is not None
    assert found.scores is None
    assert found.why_no_scores.startswith(("learner: rpl learns through", "learner: the subject"))


@pytest.mark.parametrize("place", ["build", "loss", "scores"])
def test_without_a_head_there_is_nothing_to_go_on_with(features, at: At, monkeypatch, place):
    failing_at(place, monkeypatch)

    def run() -> None:
        detector = begin("stackclip[head=none]")
        for step in range(2):
            detector.step(features, at(detector, 0, step))
        detector.predict(features)

    with pytest.raises(Broken):
        run()


def test_what_is_learned_is_in_the_state_with_the_head(features, at: At):
    detector = begin("stackclip")
    detector.step(features, at(detector))
    state = detector.state_dict()
    assert {name.split(".")[0] for name in state} == {"head", "learner"}
    other = begin("stackclip", seed=1)
    other.load_state_dict(state)
    one, same = detector.predict(features), other.predict(features)
    assert torch.equal(one.scores, same.scores)
    assert torch.equal(one.maps, same.maps)


def test_the_text_score_may_be_averaged_with_the_top_of_the_map(features):
    text, both = (begin(f"stackclip[image_score={score}]") for score in ("text", "text+map"))
    one, other = text.predict(features), both.predict(features)
    layers = len(trial_tower().spec.taps)
    torch.testing.assert_close(other.scores, (one.scores + one.maps.amax((1, 2)) / layers) / 2)
    with pytest.raises(NotApplicable, match=r"image_score=text\+map, but no map"):
        begin("clip[image_score=text+map]")


def test_without_a_live_text_tower_nothing_can_be_learned_through_it():
    with pytest.raises(NotApplicable, match="learns through the text tower"):
        begin("stackclip[head=none]", text=None)


TWO_LONG = tuple(" ".join([f"nut{index}", *["bottle"] * 43]) for index in range(2))  # 45 tokens each


def test_a_stack_of_90_tokens_is_refused_truncated_by_name_or_chunked_as_asked():
    assert trial_tower().count_tokens(" ".join(TWO_LONG)) - 2 == 90
    given = {"categories": TWO_LONG}
    with pytest.raises(UsageError, match="does not fit the text tower's context; use the option overflow="):
        begin("stackclip[learner=none,head=none]", **given).anchors("pill")
    with pytest.raises(UsageError, match=r"learner: the subject .* of 2 names does not fit"):
        begin("stackclip[overflow=truncate-names,head=none]", **given)
    cut = begin("stackclip[head=none,learner=rpl[overflow=truncate-names]]", **given)
    assert cut.facts["learned"]["prompts"][NORMAL].count("nut") == 1
    chunked = begin("stackclip[head=none,learner=rpl[overflow=chunk-mean]]", **given)
    assert chunked.facts["learned"]["prompts"] == cut.facts["learned"]["prompts"]
    pieces = [[CPE.phrases(name, side) for name in TWO_LONG] for side in (0, 1)]
    wanted = [F.normalize(trial_encode()([p for piece in side for p in piece]), dim=-1).mean(0) for side in pieces]
    torch.testing.assert_close(chunked.learner.target, F.normalize(torch.stack(wanted), dim=-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("overflow", ["truncate-names", "chunk-mean"])
def test_stacks_that_are_cut_or_chunked_have_anchors_for_maps(overflow: str):
    detector = begin(f"stacked[clusters=1,overflow={overflow}]", categories=TWO_LONG)
    kept = TWO_LONG[:1] if overflow == "truncate-names" else TWO_LONG
    for side in (0, 1):
        features = trial_encode()([phrase for name in kept for phrase in CPE.phrases(name, side)])
        wanted = F.normalize(F.normalize(features, dim=-1).mean(0), dim=-1)
        torch.testing.assert_close(detector.anchors("pill")[0, side], wanted, atol=1e-5, rtol=0)


def test_one_cluster_has_weight_1(features):
    for weights_from in ("test-prompt", "train-prompt", "category"):
        detector = begin(f"stackclip[clusters=1,head=efa[weights_from={weights_from},temperature=50]]")
        anchors = torch.stack([detector.anchors(category) for category in features.categories])
        assert torch.equal(detector._maps.weights(features, anchors), torch.ones(len(features), 1))


def test_the_four_test_prompts_give_the_four_strings_of_table_8():
    """What the text tower is asked to read when an unseen category is tested."""
    asked: list[str] = []
    tower = trial_tower()
    encoder = TextEncoder(tower)

    class Listening:
        context_length = tower.context_length
        count_tokens = staticmethod(tower.count_tokens)

        def __call__(self, phrases):
            asked.extend(phrases)
            return encoder(phrases)

    called = {
        "object": "zipper",
        "cluster": "bottle cable",
        "object+cluster": "zipper bottle cable",
        "object+cluster+object": "zipper bottle cable zipper",
    }
    for test, words in called.items():
        task = replace(task_of(("bottle", "cable")), encode=Listening())
        detector = resolve(f"stackclip[clusters=1,test={test},learner=none]").begin(task)
        asked.clear()
        detector.anchors("zipper")
        assert f"a photo of a {words}." in asked
        assert f"a photo of a damaged {words}." in asked


def test_a_tower_elsewhere_learns_the_same(features, at: At):
    """The pair follows from the seed and the tower alone, not from what was made before it."""
    random_tower(seed=3, image_size=32)
    one, same = begin("stackclip"), begin("stackclip")
    assert one.step(features, at(one)) == same.step(features, at(same))
