"""The step of an optimiser that methods share."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stackclip.contracts.methods import begun, needs_in_all
from stackclip.contracts.trial import CATEGORIES, features_of, task_of
from stackclip.errors import BrokenPlugin
from stackclip.methods import Moment, Terms, resolve, schedule
from stackclip.methods.schedule import adam, descend, descend_by, lower_products
from stackclip.types import CLS, Features, Sample


def test_one_step_goes_down_the_loss_and_tells_all_terms() -> None:
    weight = torch.nn.Parameter(torch.tensor(1.0))
    terms = descend(torch.optim.SGD([weight], lr=0.1), {"loss": weight**2, "other": -weight})
    assert terms == {"loss": 1.0, "other": -1.0}
    assert weight.item() == pytest.approx(0.8)


def test_terms_without_a_loss_are_refused_by_name() -> None:
    weight = torch.nn.Parameter(torch.tensor(1.0))
    with pytest.raises(BrokenPlugin, match=r"its terms are dice; wanted one called loss, which is descended"):
        descend(torch.optim.SGD([weight], lr=0.1), {"dice": weight**2})


@pytest.mark.parametrize(("term", "said"), [(1.0, "float"), (torch.ones(2), r"\(2,\)")])
def test_a_term_that_is_no_number_of_torch_is_named(term: object, said: str) -> None:
    weight = torch.nn.Parameter(torch.tensor(1.0))
    with pytest.raises(BrokenPlugin, match=f"its term dice is {said}; wanted a tensor of one number"):
        descend(torch.optim.SGD([weight], lr=0.1), {"loss": weight**2, "dice": term})  # type: ignore[dict-item]


def test_gradients_that_are_clipped_are_shortened_each_by_itself() -> None:
    long, short, free = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    loss = 3 * long[0] + 4 * long[1] + 0.5 * short[0] + 7 * free[1]
    descend(torch.optim.SGD([long, short, free], lr=1.0), {"loss": loss}, clipped=[long, short])
    for parameter, moved in ((long, [-0.6, -0.8]), (short, [-0.5, 0.0]), (free, [0.0, -7.0])):
        torch.testing.assert_close(parameter.detach(), torch.tensor(moved))


@pytest.mark.parametrize("at_once", [1, 2, 5, 8])
def test_micro_batches_take_the_step_of_the_whole_batch(at_once: int) -> None:
    samples = tuple(Sample(f"{index}.png", "x", "a", "test", Path("x"), None, 0, "good") for index in range(5))
    tokens = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    task = task_of(micro_batch=at_once)
    seen: list[int] = []

    def step(one: torch.nn.Parameter) -> Mapping[str, float]:
        def loss(features: Features) -> Mapping[str, Tensor]:
            seen.append(len(features))
            squared = (features[CLS] @ one).square().mean()
            return {"loss": squared + one.sum(), "squared": squared}

        optimiser = torch.optim.SGD([one], lr=0.1)
        return descend_by(loss, Features(samples, {CLS: tokens}), optimiser, task, clipped=[one])

    parameter, whole = (torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2))
    terms = step(parameter)
    assert seen == {1: [1] * 5, 2: [2, 2, 1], 5: [5], 8: [5]}[at_once]
    squared = (tokens @ whole).square().mean()
    assert terms == pytest.approx(
        descend(torch.optim.SGD([whole], lr=0.1), {"loss": squared + whole.sum(), "squared": squared}, clipped=[whole])
    )
    torch.testing.assert_close(parameter, whole)


def test_adam_at_once_moves_as_adam_one_by_one() -> None:
    draws = torch.Generator().manual_seed(0)
    values = [torch.randn(shape, generator=draws) for shape in ((3, 4), (5,))]
    ours, plain = ([torch.nn.Parameter(each.clone()) for each in values] for _ in range(2))
    steps = adam(ours, lr=0.1), torch.optim.Adam(plain, lr=0.1, betas=(0.5, 0.999))
    for step in range(4):
        for parameters, optimiser in zip((ours, plain), steps, strict=True):
            optimiser.zero_grad()
            sum(((each - step) ** 2).sum() for each in parameters[: 1 + step % 2]).backward()  # one rests in between
            optimiser.step()
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_heads_are_trained_in_the_numbers_of_the_task_or_it_is_said_that_they_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    task = replace(task_of(), precision="bf16")
    with caplog.at_level(logging.WARNING):
        for method, products in (("precise", torch.bfloat16), ("sdp-plus", torch.bfloat16)):
            assert resolve(method).begin(task).head.products == products
            assert resolve(method).begin(task_of()).head.products == torch.float32
        assert not caplog.text
        lower_products(torch.nn.Linear(1, 1), task)
    assert "Linear is trained in fp32: it has no products in bf16" in caplog.text


@pytest.mark.parametrize(
    "name", ["precise", "stackclip[clusters=2]", "anomalyclip", "aa-clip", "visualad", "mrad", "cocoop", "af-clip"]
)
def test_terms_stay_on_a_device_and_are_those_at_hand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = resolve(name)
    features = features_of(needs_in_all(method), CATEGORIES)

    def stepped() -> list[Terms]:
        detector = begun(method)
        found = [
            detector.step(features.in_view(stage.view(0)), Moment(stage, 0, number, last=True))
            for stage in detector.stages
            for number in range(2)
        ]
        return [terms for terms in found if terms]

    here = stepped()
    monkeypatch.setattr(schedule, "AT_HAND", frozenset())
    there = stepped()
    assert here
    assert all(isinstance(value, float) for terms in here for value in terms.values())
    assert any(isinstance(value, Tensor) for terms in there for value in terms.values())
    assert not any(value.requires_grad for terms in there for value in terms.values() if isinstance(value, Tensor))
    for one, other in zip(here, there, strict=True):
        assert {key: float(value) for key, value in other.items()} == pytest.approx(dict(one), rel=1e-6)
