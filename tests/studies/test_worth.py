"""What rows come to: against hand-made rows with known differences, and Student's t of scipy."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stackclip.metrics.inference import over_categories
from stackclip.metrics.uncertainty import DRAWS
from stackclip.studies.ablation import ADDED, AWAY, Ablation, Contrast
from stackclip.studies.worth import Worth, points, worths_of
from stackclip.types import Row

WAVE = np.linspace(-1, 1, DRAWS)  # what other pictures change
CATEGORIES = ("cap", "nut", "pin", "rod")


def row(method: str, category: str, value: float, seed: int = 0, wave: float = 0.0, **more: Any) -> Row:
    """A row of which other pictures change a metric by up to `wave`."""
    drawn = np.round((value + wave * WAVE).clip(0, 1) * 65534).astype("<u2")
    values = {"image_AUROC": b64encode(drawn.tobytes()).decode()}
    facts = {"draws": {"count": DRAWS, "pictures": category.encode().hex(), "values": values}, "tower": "toy"}
    return Row(method, ("here",), more.pop("test_on", "there"), category, 0, seed, {"image_AUROC": value}, facts=facts)


def rows_of(method: str, values: Sequence[float], wave: float = 0.0, **more: Any) -> list[Row]:
    return [row(method, name, value, wave=wave, **more) for name, value in zip(CATEGORIES, values, strict=False)]


ABLATION = Ablation(
    "m",
    "m[a=0]",
    (),
    (Contrast("a", "a=0", AWAY, "m", "m[a=0]"), Contrast("b", "b=0", ADDED, "m[b=1]", "m[a=0]")),
    {"m[b=1]": "b cannot be"},
)


def worth(rows: Sequence[Row]) -> Worth:
    return worths_of(ABLATION, rows, ["image_AUROC"])[0]


def test_differences_are_means_over_categories_and_seeds_by_hand() -> None:
    rows = [
        *rows_of("m", [0.9, 0.8]),
        *rows_of("m", [0.7, 0.8], seed=1),
        *rows_of("m[a=0]", [0.8, 0.6]),
        *rows_of("m[a=0]", [0.7, 0.6], seed=1),
    ]
    found = worth(rows)
    assert found.pictures is not None
    assert found.pictures.difference.value == pytest.approx((0.1 + 0.2 + 0.0 + 0.2) / 4)
    assert found.pictures.spread == pytest.approx(0.025)  # of 0.15 and 0.1
    assert {name: each.difference.value for name, each in found.of_category.items()} == {
        "cap": pytest.approx(0.05),
        "nut": pytest.approx(0.2),
    }
    assert found.categories == over_categories([each.difference.value for each in found.of_category.values()])


@pytest.mark.parametrize(
    ("full", "less", "wave", "said"),
    [
        ([0.9, 0.8, 0.9], [0.8, 0.71, 0.79], 0.01, "worth +10.0 [7.5, 12.5]"),
        ([0.8, 0.71, 0.79], [0.9, 0.8, 0.9], 0.01, "costs 10.0 [7.5, 12.5]"),
        ([0.8, 0.7, 0.9], [0.8, 0.7, 0.9], 0.0, "no digit changes"),
        ([0.8, 0.7, 0.9], [0.7, 0.7, 0.7], 0.01, "+10.0 on these categories, others may differ"),
        ([0.8, 0.7, 0.9], [0.75, 0.64, 0.86], 0.2, "+5.0 alike on all categories, other pictures may differ"),
        ([0.8, 0.7, 0.9], [0.7, 0.8, 0.8], 0.2, "no difference seen"),
        ([0.8], [0.7], 0.02, "worth +10.0 [8.1, 11.9]"),
        ([0.8], [0.7], 0.2, "no difference seen"),
    ],
)
def test_whether_zero_is_left_out_is_said_in_words(
    full: list[float], less: list[float], wave: float, said: str
) -> None:
    assert worth([*rows_of("m", full, wave), *rows_of("m[a=0]", less)]).verdict == said


def test_what_cannot_be_compared_says_why() -> None:
    full = rows_of("m", [0.8, 0.7])
    failed = [Row("m[a=0]", ("here",), "there", name, 0, 0, error="out of memory") for name in CATEGORIES[:2]]
    mapless = [
        Row("m[a=0]", ("here",), "there", name, 0, 0, {}, {"image_AUROC": "no scores"}) for name in CATEGORIES[:2]
    ]
    others = [row("m[a=0]", "rod", 0.5)]
    assert worth([*full, *failed]).verdict == "n/a: m[a=0]: out of memory"
    assert worth([*full, *mapless]).verdict == "n/a: m[a=0]: no scores"
    assert worth(full).verdict == "n/a: m[a=0] was not measured"
    assert worth([*full, *others]).verdict == "n/a: no rows of the same pictures have draws"
    assert [each.verdict for each in worths_of(ABLATION, full, ["image_AUROC"])][1] == "n/a: b cannot be"


def test_sets_stay_apart_though_their_categories_are_called_alike() -> None:
    there = [*rows_of("m", [0.9]), *rows_of("m[a=0]", [0.8])]
    here = [*rows_of("m", [0.5], test_on="other"), *rows_of("m[a=0]", [0.8], test_on="other")]
    found = [each for each in worths_of(ABLATION, [*there, *here], ["image_AUROC"]) if each.pictures]
    assert [(each.test_on, each.verdict) for each in found] == [
        ("there", "worth +10.0 [10.0, 10.0]"),
        ("other", "costs 30.0 [30.0, 30.0]"),
    ]


def test_nothing_is_never_negative() -> None:
    assert [points(value) for value in (-0.0001, 0.0, 0.0004, -0.0006)] == ["+0.0", "+0.0", "+0.0", "-0.1"]
