"""Clustered stacked prompts: equation 4 on planted vectors, table 8's prompts, names joined in order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch import Tensor

from stackclip.errors import BadOption, NonFiniteScores, UnknownComponent
from stackclip.prompts import CPE, Clustering
from stackclip.prompts.stacked import Stacked
from stackclip.registry import prompts, scorers
from stackclip.types import NORMAL

VISA_OTHERS = ("candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2", "pipe_fryum")
PCBS = ("pcb1", "pcb2", "pcb3", "pcb4")
MVTEC = ("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut", "pill", "screw", "tile")
MVTEC = (*MVTEC, "toothbrush", "transistor", "wood", "zipper")


@dataclass(frozen=True)
class Planted:
    """A text tower that gives every phrase of a category the category's planted vector, at a length of its own."""

    vectors: Mapping[str, np.ndarray]
    images: Mapping[str, np.ndarray] | None = None
    context_length: int = 77

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        by_length = sorted(self.vectors, key=len, reverse=True)
        found = [next(name for name in by_length if name in phrase) for phrase in phrases]
        lengths = 2 + np.arange(len(phrases)) % 7
        return torch.from_numpy(np.stack([self.vectors[name] for name in found]) * lengths[:, None])

    def class_means(self, categories: Sequence[str]) -> Tensor:
        assert self.images is not None
        return torch.from_numpy(np.stack([self.images[category] for category in categories]))

    def count_tokens(self, phrase: str) -> int:
        return 2 + len(phrase.split())


def planted(
    names: Sequence[str], *, near: Sequence[str] = (), cosine: float = 0.75, twins: float = 0.97, seed: int = 0
):
    """Unit vectors with about `cosine` between any two categories, and `twins` between those in `near`."""
    draws = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(draws.standard_normal((256, len(names) + 2)))
    shared, twin = basis[:, 0], basis[:, 1]
    vectors = {}
    for index, name in enumerate(names):
        own = basis[:, index + 2]
        if name in near:
            own = math.sqrt((twins - cosine) / (1 - cosine)) * twin + math.sqrt((1 - twins) / (1 - cosine)) * own
        vectors[name] = math.sqrt(cosine) * shared + math.sqrt(1 - cosine) * own
    return vectors


@pytest.mark.parametrize("cosine", [0.65, 0.7, 0.75, 0.8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_four_near_identical_names_make_a_stack_of_their_own(cosine: float, seed: int):
    names = (*VISA_OTHERS, *PCBS)
    encode = Planted(planted(names, near=PCBS, cosine=cosine, seed=seed))
    assert Stacked().stacks(names, encode) == (VISA_OTHERS, PCBS)


@pytest.mark.parametrize("cosine", [0.65, 0.75, 0.85])
@pytest.mark.parametrize("names", [MVTEC, VISA_OTHERS], ids=["mvtec", "visa without pcb"])
def test_without_such_a_group_there_is_one_stack(cosine: float, names: Sequence[str]):
    encode = Planted(planted(names, cosine=cosine))
    assert Stacked().stacks(tuple(names), encode) == (tuple(names),)


def test_with_the_mean_of_squares_there_is_always_one_stack():
    names = (*VISA_OTHERS, *PCBS)
    encode = Planted(planted(names, near=PCBS, cosine=0.65))
    assert len(Stacked(sse="mean").stacks(names, encode)) == 1


def equation_4(points: np.ndarray, k: int, penalty: float) -> float:
    """Inertia of scikit-learn's own best split, plus lambda e^k."""
    fitted = KMeans(k, n_init=50, random_state=0).fit(points)
    total = 0.0
    for point, label in zip(points, fitted.labels_, strict=True):
        centre = points[fitted.labels_ == label].mean(0)
        total += sum((a - b) ** 2 for a, b in zip(point, centre, strict=True))
    assert total == pytest.approx(fitted.inertia_)
    return total + penalty * math.exp(k)


@pytest.mark.parametrize("penalty", [0.1, 0.02])
def test_the_curve_of_scores_is_equation_4(penalty: float):
    names = (*VISA_OTHERS[:3], *PCBS)
    vectors = planted(names, near=PCBS)
    clustering = Stacked(lambda_=penalty, max_clusters=5).cluster(names, Planted(vectors))
    points = np.stack([vectors[name] / np.linalg.norm(vectors[name]) for name in names])
    wanted = {k: equation_4(points, k, penalty) for k in range(1, 6)}
    assert clustering.scores == pytest.approx(wanted, rel=1e-5)
    assert len(clustering.stacks) == min(wanted, key=wanted.__getitem__)


def test_points_are_the_means_of_the_unit_features_of_the_normal_phrases():
    """Phrases of other lengths pull in proportion to their direction alone."""

    class Directions(Planted):
        def __call__(self, phrases: Sequence[str]) -> Tensor:
            draws = [np.random.default_rng(list(phrase.encode())) for phrase in phrases]
            return torch.from_numpy(np.stack([rng.uniform(0.1, 9) * rng.standard_normal(8) for rng in draws]))

    encode = Directions({})
    found = Stacked()._points(("bottle", "cable"), encode)
    for row, name in zip(found, ("bottle", "cable"), strict=True):
        features = encode(CPE.phrases(name, NORMAL)).numpy()
        mean = sum(vector / np.linalg.norm(vector) for vector in features)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-12)


def test_clusters_of_pictures_come_from_the_class_means():
    names = ("a", "b", "c", "d", "e", "f", "g", "h")
    apart = planted(names, near=("b", "d", "f", "h"), cosine=0.6, twins=0.99)
    encode = Planted(planted(names), images={name: 5 * vector for name, vector in apart.items()})
    assert Stacked(source="image").stacks(names, encode) == (("a", "c", "e", "g"), ("b", "d", "f", "h"))
    assert len(Stacked(source="text").stacks(names, encode)) == 1


def test_a_fixed_number_of_stacks_is_kept_and_the_curve_still_told():
    names = (*VISA_OTHERS, *PCBS)
    encode = Planted(planted(names, near=PCBS))
    for clusters in (1, 2, 3, 12):
        clustering = Stacked(clusters=clusters, max_clusters=2).cluster(names, encode)
        assert len(clustering.stacks) == clusters
        assert set(clustering.scores) == set(range(1, max(2, clusters) + 1))


def test_more_stacks_than_categories_are_refused():
    with pytest.raises(BadOption, match="clusters=3 of 2 categories; wanted 1 to 2"):
        Stacked(clusters=3).stacks(("a", "b"), Planted(planted(("a", "b"))))


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(8)))
def test_stacks_come_in_the_order_of_their_first_category(order: list[int]):
    names = (*VISA_OTHERS[:4], *PCBS)
    encode = Planted(planted(names, near=PCBS, cosine=0.6, twins=0.99))
    shuffled = tuple(names[index] for index in order)
    groups = Stacked(max_clusters=3, clusters=2).stacks(shuffled, encode)
    assert [group[0] for group in groups] == [name for name in shuffled if name in {group[0] for group in groups}]
    for group in groups:
        assert list(group) == [name for name in shuffled if name in group]
    assert {frozenset(group) for group in groups} == {frozenset(PCBS), frozenset(VISA_OTHERS[:4])}


def test_a_single_category_is_a_stack():
    assert Stacked().stacks(("bottle",), Planted(planted(("bottle",)))) == (("bottle",),)


def test_equal_names_in_vectors_make_no_noise():
    same = dict.fromkeys(("a", "b", "c"), np.ones(4))
    assert Stacked().stacks(("a", "b", "c"), Planted(same)) == (("a", "b", "c"),)


@pytest.mark.parametrize(
    ("test", "called"),
    [
        ("object", "zipper"),
        ("cluster", "bottle cable"),
        ("object+cluster", "zipper bottle cable"),
        ("object+cluster+object", "zipper bottle cable zipper"),
    ],
)
def test_the_four_test_prompts_of_table_8(test: str, called: str):
    strategy = prompts.create(f"stacked[test={test}]")
    assert strategy.subject("zipper", ("bottle", "cable"), seen=False) == called
    assert strategy.subject("bottle", ("bottle", "cable"), seen=True) == "bottle cable"


@pytest.mark.parametrize(
    ("options", "called"),
    [
        ("", "screw bottle metal nut"),
        ("joiner=comma", "screw, bottle, metal nut"),
        ("joiner=and", "screw and bottle and metal nut"),
        ("order=alphabetical", "bottle metal nut screw"),
        ("joiner=comma,order=alphabetical", "bottle, metal nut, screw"),
    ],
)
def test_names_are_joined_in_order(options: str, called: str):
    strategy = prompts.create(f"stacked[{options}]")
    assert strategy.subject("screw", ("screw", "bottle", "metal nut"), seen=True) == called


def test_another_scorer_can_be_named_with_options_of_its_own():
    names = (*VISA_OTHERS, *PCBS)
    encode = Planted(planted(names, near=PCBS))
    own = prompts.create("stacked[scorer=penalty[lambda=0.3]]").cluster(names, encode)
    outer = prompts.create("stacked[lambda=0.3]").cluster(names, encode)
    both = prompts.create("stacked[scorer=penalty[lambda=0.3],lambda=7]").cluster(names, encode)
    assert own == outer == both
    with pytest.raises(UnknownComponent):
        prompts.create("stacked[scorer=no-such]").stacks(names, encode)


def test_the_choice_is_told_as_json_can_hold_it():
    facts = Clustering((("a", "b"), ("c",)), {2: 0.5, 1: 0.75}).facts()
    assert facts == {"stacks": [["a", "b"], ["c"]], "scores": {"1": 0.75, "2": 0.5}}
    names = ("bottle", "cable")
    encode = Planted(planted(names))
    assert Stacked().explain(names, encode) == Stacked().cluster(names, encode).facts()


@pytest.mark.parametrize(("scorer", "clusters"), [("silhouette", 2), ("bic", 2), ("fixed[clusters=3]", 3)])
def test_every_scorer_can_choose_the_stacks(scorer: str, clusters: int):
    names = (*VISA_OTHERS, *PCBS)
    encode = Planted(planted(names, near=PCBS))
    groups = prompts.create(f"stacked[scorer={scorer},max-clusters=4]").stacks(names, encode)
    assert len(groups) == clusters
    assert PCBS in groups


@pytest.mark.parametrize("price", [math.inf, -math.inf, math.nan])
@pytest.mark.usefixtures("registry_as_it_was")
def test_a_scorer_that_gives_no_number_is_named(price: float) -> None:
    names = ("bottle", "cable", "screw")

    @scorers.register("odd")
    def odd():
        """It has no price for two."""
        return lambda points, labels: price if labels.max() == 1 else 1.0

    with pytest.raises(NonFiniteScores, match=rf"the scorer odd prices 2 of 3 categories' clusters at {price}$"):
        prompts.create("stacked[scorer=odd]").stacks(names, Planted(planted(names)))
