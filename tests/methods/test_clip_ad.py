"""SDP, SDP+ and CLIP Surgery against outputs of their released code, from pictures to maps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.clip import TextEncoder, Tower, random_tower
from stackclip.errors import NotApplicable, UsageError
from stackclip.methods import Moment, Task, refuse_shots, resolve
from stackclip.ops.maps import smooth, upsample
from stackclip.ops.surgery import surgery
from stackclip.prompts.phrases import CLIP_AD
from stackclip.types import ANOMALOUS, MASK, NORMAL, Features, Part, Sample

CATEGORIES = ("zeroth", "first", "second")  # picture b is of the b-th category
CASES = ("t12s_112", "t12m_112", "t12m_160")
Case = Callable[[str], Any]
At = Callable[..., Moment]


@dataclass(frozen=True)
class Released:
    """One case of the released code, our tower with its weights, and the pictures."""

    stored: Any
    tower: Tower
    pictures: Tensor  # (3, 3, S, S)
    anchors: Tensor  # (3, 2, D)
    masks: Tensor  # (3, S, S)

    def features(self, method: Any) -> Features:
        """What the method needs of the pictures."""
        samples = tuple(
            Sample(f"{name}.png", "golden", name, "test", Path("x.png"), None, ANOMALOUS, "hole") for name in CATEGORIES
        )
        parts = self.tower.encode(self.pictures, method.needs(self.tower.spec, "test") - {MASK})
        return Features(samples, {**parts, MASK: self.masks})

    def begin(self, method: Any, text: Given | None = None) -> Any:
        """The method at work, with the given anchors for text."""
        encode: Any = text or Given(self.anchors)
        return method.begin(
            Task(
                tower=self.tower.spec,
                encode=encode,
                categories=CATEGORIES,
                train_on=("golden",),
                seed=0,
                device=torch.device("cpu"),
            )
        )


@dataclass(frozen=True)
class Given:
    """A text tower that knows the given anchors and nothing else."""

    anchors: Tensor
    context_length: int = 77

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        return torch.stack([self._feature(phrase) for phrase in phrases])

    def _feature(self, phrase: str) -> Tensor:
        index, name = next((i, name) for i, name in enumerate(CATEGORIES) if name in phrase)
        return self.anchors[index, NORMAL if phrase in CLIP_AD.phrases(name, NORMAL) else ANOMALOUS]

    def class_means(self, categories: Sequence[str]) -> Tensor:
        return torch.zeros(len(categories), self.anchors.shape[-1])

    def count_tokens(self, phrase: str) -> int:
        return 2 + len(phrase.split())


def case(given: Any, positions: str = "bicubic-antialias") -> Released:
    return Released(given.stored, given.tower(positions), given.images, given.anchors, given.masks)


@pytest.fixture(params=CASES)
def released(request: pytest.FixtureRequest, golden: Case) -> Released:
    return case(golden(f"clipad_{request.param}_gelu"))


def close(found: Tensor, stored: Any, *, atol: float = 1e-3) -> None:
    """Agreement at every fourth pixel, where the stored maps are."""
    coarse = np.abs(stored).max() / 100  # an array 2 % off must not pass
    np.testing.assert_allclose(found.detach()[..., ::4, ::4], stored, rtol=0, atol=min(atol, coarse))


@pytest.mark.parametrize(("taps", "prefix"), [("clean", "clean"), ("released", "rel")])
def test_sdp_is_the_released_one_with_its_taps_and_with_clean_ones(released: Released, taps: str, prefix: str) -> None:
    for sigma, name in ((0, "raw"), (2, "sigma2"), (8, "sigma8")):
        method = resolve(f"sdp[taps={taps},sigma={sigma},image_score=text]")
        said = released.begin(method).predict(released.features(method))
        close(said.maps, released.stored[f"{prefix}_sdp_map_{name}"])
        np.testing.assert_allclose(said.scores, released.stored[f"{prefix}_text_prob"][:, ANOMALOUS], atol=1e-3)


def test_the_released_test_loop_of_sdp_is_reproduced_to_the_image_score(released: Released) -> None:
    method = resolve("sdp[taps=released]")
    detector = released.begin(method)
    said = detector.predict(released.features(method))
    close(said.maps, released.stored["e2e_sdp_maps"])
    np.testing.assert_allclose(said.maps[0], released.stored["e2e_sdp_maps_full0"], atol=1e-3)
    peaks = said.maps.amax((1, 2))
    np.testing.assert_allclose(peaks, released.stored["e2e_sdp_max"], atol=1e-3)
    text, most = released.stored["e2e_sdp_text_prob"], released.stored["e2e_sdp_max"]
    np.testing.assert_allclose(said.scores, text, atol=1e-3)
    expected = (text - text.min()) / np.ptp(text) + (most - most.min()) / np.ptp(most)
    np.testing.assert_allclose(detector.settle(said.scores, peaks), expected, atol=5e-3)


def with_given_heads(released: Released, spec: str) -> tuple[Any, Features]:
    method = resolve(spec)
    detector = released.begin(method)
    for name, parameter in detector.head.named_parameters():  # fc.<set>.<layer>.weight
        _, _, layer, kind = name.split(".")
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(released.stored.given(f"head.fc.{layer}.{kind}").astype(np.float32)))
    return detector, released.features(method)


@pytest.mark.parametrize(("taps", "prefix"), [("clean", "clean"), ("released", "rel")])
def test_sdp_plus_adds_the_maps_of_its_linear_layers(released: Released, taps: str, prefix: str) -> None:
    detector, features = with_given_heads(released, f"sdp-plus[taps={taps},sigma=8]")
    close(detector.predict(features).maps, released.stored[f"{prefix}_sdp_plus_sigma8"])


def test_sdp_plus_learns_by_the_released_loss_and_gradients(released: Released, at: At) -> None:
    detector, features = with_given_heads(released, "sdp-plus[taps=released]")
    before = [parameter.detach().clone() for parameter in detector.head.parameters()]
    loss = detector.head.loss(features, released.anchors, torch.zeros(3, dtype=torch.long))
    np.testing.assert_allclose(loss.item(), released.stored["rel_train_loss"], rtol=1e-4)
    assert detector.step(features, at(detector))["loss"] == pytest.approx(loss.item())
    for (name, parameter), old in zip(detector.head.named_parameters(), before, strict=True):
        _, _, layer, kind = name.split(".")
        expected = released.stored[f"rel_grad.fc.{layer}.{kind}"]
        np.testing.assert_allclose(parameter.grad, expected, atol=1e-3 * np.abs(expected).max())
        assert float((parameter.detach() - old).abs().max()) == pytest.approx(
            1e-4, rel=0.05
        )  # Adam's first step is the rate


def test_sigma_of_sdp_plus_follows_what_it_was_trained_on(released: Released) -> None:
    for trained, sigma in ((("mvtec",), 2.0), (("visa",), 8.0)):
        task = Task(
            tower=released.tower.spec,
            encode=Given(released.anchors),  # type: ignore[arg-type]
            categories=CATEGORIES,
            train_on=trained,
            seed=0,
            device=torch.device("cpu"),
        )
        assert resolve("sdp-plus").begin(task).facts["sigma"] == sigma


@pytest.mark.parametrize("name", ["clip_surgery_t12s_112", "clip_surgery_t12m_160"])
def test_clip_surgery_is_the_released_one_before_it_scales_each_picture(golden: Case, name: str) -> None:
    found = case(golden(name), "bilinear")
    last = "vv-last6"
    method = resolve("clip-surgery[sigma=0]")
    features = found.features(method)
    tokens = next(features[part] for part in features.parts if part.kind == last)
    cls = torch.from_numpy(found.stored.given("out_lnpost_proj")[:, 0].astype(np.float32))
    for index in range(3):
        sims = surgery(tokens[index : index + 1], cls[index : index + 1], found.anchors[:1], factor=2.0)
        np.testing.assert_allclose(sims, found.stored[f"sim2_img{index}"][:, 1:, ANOMALOUS], atol=1e-4)
    maps = found.begin(method).predict(features).maps
    by_hand = [
        surgery(tokens[b : b + 1], cls[b : b + 1], found.anchors[b : b + 1], factor=2.0).unflatten(
            1, (found.tower.spec.grid,) * 2
        )
        for b in range(3)
    ]
    side = found.tower.spec.image_size
    torch.testing.assert_close(maps, upsample(torch.cat(by_hand), side, align_corners=False), atol=1e-5, rtol=0)


def test_maps_do_not_depend_on_the_batch(released: Released) -> None:
    method = resolve("sdp[image_score=inductive]")
    detector, features = released.begin(method), released.features(method)
    together = detector.predict(features)
    for index in range(3):
        alone = detector.predict(
            Features(
                features.samples[index : index + 1],
                {part: tensor[index : index + 1] for part, tensor in features.parts.items()},
            )
        )
        torch.testing.assert_close(alone.maps[0], together.maps[index], atol=1e-6, rtol=0)
        torch.testing.assert_close(alone.scores[0], together.scores[index], atol=1e-6, rtol=0)


def test_shots_change_nothing_and_there_is_no_training_without_a_head(released: Released, at: At) -> None:
    method = resolve("sdp")
    detector = released.begin(method)
    assert detector.on("zeroth", iter([released.features(method)]), iter(())) is detector
    assert detector.stages == ()
    with pytest.raises(NotApplicable, match="learns nothing"):
        detector.step(released.features(method), at(detector))


@pytest.mark.parametrize("name", ["sdp", "sdp-plus", "clip-surgery"])
def test_a_detector_says_before_it_is_trained_that_it_takes_no_shots(name: str) -> None:
    tower = random_tower(image_size=32)
    task = Task(
        tower=tower.spec,
        encode=TextEncoder(tower),  # type: ignore[arg-type]  # nothing is asked of it
        categories=("cup",),
        train_on=("toy",),
        seed=0,
        device=torch.device("cpu"),
        shots=2,
    )
    assert not resolve(name).begin(task).takes_shots
    with pytest.raises(NotApplicable, match="learns nothing from 2 shots"):
        refuse_shots(task.shots)


@pytest.mark.parametrize("name", ["sdp", "sdp-plus"])
@pytest.mark.parametrize("taps", ["clean", "released"])
def test_the_maps_of_stages_add_up_to_that_of_all(released: Released, name: str, taps: str) -> None:
    every = resolve(f"{name}[taps={taps},sigma=8]")
    whole = released.begin(every)
    features = released.features(every)
    total = torch.zeros_like(whole.predict(features).maps)
    for stages in ("1", "2+3", "4"):
        method = resolve(f"{name}[taps={taps},sigma=8,stages={stages}]")
        assert method.needs(released.tower.spec, "test") < every.needs(released.tower.spec, "test")
        detector = released.begin(method)
        if detector.head is not None:
            for own, stage in zip(detector.head.fc[0], method.stages, strict=True):
                own.load_state_dict(whole.head.fc[0][stage - 1].state_dict())
        total += detector.predict(released.features(method)).maps
    torch.testing.assert_close(total, whole.predict(features).maps, atol=2e-5, rtol=0)


def test_the_score_of_some_stages_is_that_of_the_class_token_behind_the_last(released: Released) -> None:
    method = resolve("sdp[stages=1+2,image_score=text]")
    features = released.features(method)
    cls = torch.nn.functional.normalize(features[Part("cls", 6)], dim=-1)
    expected = torch.softmax(100 * torch.einsum("bd,bsd->bs", cls, released.anchors), dim=1)[:, ANOMALOUS]
    torch.testing.assert_close(released.begin(method).predict(features).scores, expected, atol=1e-4, rtol=0)


def test_deeper_mappings_learn_and_are_kept(released: Released, at: At) -> None:
    method = resolve("sdp-plus[layers=3,relu=true,stages=3+4,lr=1e-3]")
    detector, features = released.begin(method), released.features(method)
    losses = [detector.step(features, at(detector, 0, step))["loss"] for step in range(8)]
    assert losses[-1] < losses[0]
    again = released.begin(method)
    again.load_state_dict(detector.state_dict())
    assert torch.equal(again.predict(features).maps, detector.predict(features).maps)


@dataclass(frozen=True)
class Listening(Given):
    """A text tower that says anything, and keeps what it was asked."""

    asked: list[str] = field(default_factory=list)

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        self.asked.extend(phrases)
        return torch.randn(len(phrases), self.anchors.shape[-1], generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["sdp", "clip-surgery"])
def test_medical_data_sets_have_their_own_words_though_their_category_is_the_same(
    released: Released, name: str
) -> None:
    method = resolve(f"{name}[select=mean]")
    features, encode = released.features(method), Listening(released.anchors)
    detector = released.begin(method, encode)
    for dataset, own in {
        "headct": {"hemorrhage"},
        "brainmri": {"tumor"},
        "cvc-clinicdb": {"polypus", "polyp"},
        "isic": {"scratch", "crack"},
    }.items():
        encode.asked.clear()
        samples = tuple(replace(sample, dataset=dataset, category="brain") for sample in features.samples)
        detector.predict(Features(samples, features.parts))
        said = {word for phrase in encode.asked for word in phrase.rstrip(".").split()}
        assert said & {"hemorrhage", "tumor", "polypus", "polyp", "scratch", "crack"} == own
        assert len(encode.asked) == len(set(encode.asked)) == 22 * (15 + 2 * len(own))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("sdp[stages=4+3]", "wanted some of 1"),
        ("sdp[stages=5]", "wanted some of 1"),
        ("sdp-plus[relu=true]", "add layers=3"),
        ("sdp-plus[layers=2]", "1|3|5"),
        ("sdp-plus[lr=0]", "lr=0.0"),
        ("sdp-plus[epochs=-1]", "epochs=-1"),
        ("clip-surgery[sigma=-1]", "sigma=-1.0"),
        ("sdp[select=dbsacn]", "did you mean 'dbscan'"),
        ("sdp[class_names=folder]", "wanted raw, spaced"),
    ],
)
def test_an_option_that_cannot_be_is_told_before_anything_begins(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        resolve(spec)


def test_smoothing_is_scipys() -> None:
    from scipy.ndimage import gaussian_filter

    maps = torch.randn(2, 21, 21, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for sigma in (0.7, 2.0, 8.0):
        expected = np.stack([gaussian_filter(one, sigma) for one in maps.numpy()])
        np.testing.assert_allclose(smooth(maps, sigma), expected, atol=1e-12)
