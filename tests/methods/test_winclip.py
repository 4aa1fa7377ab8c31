"""WinCLIP against outputs of Accurate-WinCLIP, from pictures to maps, and its parts by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.clip import Tower
from stackclip.errors import NotApplicable, UsageError
from stackclip.methods import PHASES, Moment, Task, resolve
from stackclip.ops.windows import harmonic_map, window_patches
from stackclip.prompts.phrases import WINCLIP
from stackclip.types import ANOMALOUS, NORMAL, Features, Sample


@dataclass(frozen=True)
class Given:
    """A text tower that knows two raw text features."""

    sides: Tensor  # (2, D)
    context_length: int = 77

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        normal = set(WINCLIP.phrases("thing", NORMAL))
        return torch.stack([self.sides[NORMAL if phrase in normal else ANOMALOUS] for phrase in phrases])

    def class_means(self, categories: Sequence[str]) -> Tensor:
        return torch.zeros(len(categories), self.sides.shape[-1])

    def count_tokens(self, phrase: str) -> int:
        return 2 + len(phrase.split())


@dataclass(frozen=True)
class Released:
    """One case of the released code, our tower with its weights, pictures and shots."""

    stored: Any
    tower: Tower
    pictures: Tensor
    shots: Tensor
    encode: Given

    def features(self, pictures: Tensor, method: Any) -> Features:
        samples = tuple(
            Sample(f"{index}.png", "golden", "thing", "test", Path("x.png"), None, ANOMALOUS, "hole")
            for index in range(len(pictures))
        )
        parts = frozenset().union(*(method.needs(self.tower.spec, phase) for phase in PHASES))
        return Features(samples, self.tower.encode(pictures, parts))

    def begin(self, method: Any, *, shots: int = 0) -> Any:
        encode: Any = self.encode
        return method.begin(
            Task(
                tower=self.tower.spec,
                encode=encode,
                categories=("other",),
                train_on=("golden",),
                seed=0,
                device=torch.device("cpu"),
                shots=shots,
            )
        )

    def shown(self, method: Any) -> Any:
        """The method on the category, with its shots."""
        return self.begin(method, shots=2).on("thing", iter([self.features(self.shots, method)]), iter(()))


@pytest.fixture(params=["t12s_112", "t12m_112", "t12m_160"])
def released(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Released:
    given = golden(f"winclip_accurate_{request.param}")
    encode = Given(given.anchors[0] * torch.tensor([[1.7], [0.6]]))
    return Released(given.stored, given.tower(), given.images, given.shots, encode)


def close(found: Tensor, stored: Any) -> None:
    """Agreement at every fourth pixel, where the stored maps are."""
    agree(found[..., ::4, ::4], stored)


def agree(found: Tensor, stored: Any) -> None:
    """Agreement to 1e-3, and never so coarse that an array 2 % off would pass."""
    np.testing.assert_allclose(found, stored, rtol=0, atol=min(1e-3, np.abs(stored).max() / 100))


def test_without_shots_maps_and_scores_are_the_released_ones(released: Released) -> None:
    method = resolve("winclip")
    said = released.begin(method).predict(released.features(released.pictures, method))
    close(said.maps, released.stored["e2e_k0_maps"])
    agree(said.maps[0], released.stored["e2e_k0_maps_full0"])
    agree(said.scores, released.stored["e2e_k0_scores"])


def test_with_shots_maps_and_scores_are_the_released_ones(released: Released) -> None:
    method = resolve("winclip[fusion=sum]")
    said = released.shown(method).predict(released.features(released.pictures, method))
    close(said.maps, released.stored["e2e_k2_maps"])
    agree(said.scores, released.stored["e2e_k2_scores"])
    halved = released.shown(resolve("winclip"))
    torch.testing.assert_close(halved.predict(released.features(released.pictures, method)).maps, said.maps / 2)


def test_a_remembered_picture_is_at_no_distance_from_itself(released: Released) -> None:
    method = resolve("winclip[fusion=sum]")
    bare, knowing = released.begin(method), released.shown(method)
    features = released.features(released.shots, method)
    torch.testing.assert_close(knowing.predict(features).maps, bare.predict(features).maps, atol=1e-5, rtol=0)
    torch.testing.assert_close(knowing.predict(features).scores, bare.predict(features).scores / 2, atol=1e-5, rtol=0)


def test_crops_enter_the_picture_score_alone(released: Released) -> None:
    method = resolve("winclip[crops=true]")
    features = released.features(released.pictures, method)
    said, bare = (released.begin(each).predict(features) for each in (method, resolve("winclip")))
    assert torch.equal(said.maps, bare.maps)
    assert not torch.allclose(said.scores, bare.scores, atol=1e-6)


def test_it_does_not_train(released: Released, at: Callable[..., Moment]) -> None:
    method = resolve("winclip")
    detector = released.begin(method)
    assert detector.stages == ()
    with pytest.raises(NotApplicable, match="learns nothing"):
        detector.step(released.features(released.pictures, method), at(detector))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("winclip[temperature=0]", "temperature=0.0"),
        ("winclip[shots=-1]", "shots=-1"),
        ("winclip[select=meen]", "did you mean 'mean'"),
        ("winclip[class_names=folder]", "wanted raw, spaced"),
    ],
)
def test_an_option_that_cannot_be_is_told_before_anything_begins(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        resolve(spec)


@pytest.mark.parametrize(("grid", "side"), [(4, 2), (5, 3), (3, 3), (2, 2)])
def test_the_harmonic_mean_is_that_of_the_windows_that_hold_a_patch(grid: int, side: int) -> None:
    draws = torch.Generator().manual_seed(0)
    windows = window_patches(grid, side)
    values = torch.rand(2, len(windows), generator=draws, dtype=torch.float64) + 0.01
    values[1, 0] = 0
    found = harmonic_map(values, grid=grid, side=side).flatten(1)
    for picture in range(2):
        for patch in range(grid * grid):
            holding = [float(values[picture, w]) for w, held in enumerate(windows.tolist()) if patch in held]
            expected = 0.0 if 0 in holding else len(holding) / sum(1 / value for value in holding)
            assert float(found[picture, patch]) == pytest.approx(expected)
