"""Curves lie where their numbers say, and stay within their panel."""

from __future__ import annotations

import numpy as np
import pytest

from stackclip.benchmarks.curves import charts
from stackclip.reports.lines import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Panel, drawings
from stackclip.reports.shots import shot_curves
from stackclip.types import Row


def row(method: str, values: list[float], seed: int = 0) -> Row:
    points = [{"step": 5 * n, "metrics": {"pixel_AUPRO": v}} for n, v in enumerate(values, 1)]
    facts = {"eval_every": 5, "curve": points}
    return Row(method, ("a",), "b", "c", 0, seed, {"pixel_AUPRO": values[-1] if values else 0.5}, facts=facts)


def places(points: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, _, y in (each.partition(",") for each in points.split())]


def training_panel(rows: list[Row]) -> Panel:
    [(title, panels)] = drawings(rows, charts(rows), [])
    assert title.startswith("Training curves: trained on a")
    return panels[0]


def test_a_curve_goes_through_its_means_and_its_band_around_them() -> None:
    panel = training_panel([row("m", [0.2, 0.4, 0.9]), row("m", [0.4, 0.6, 0.9], seed=1)])
    [curve] = panel.curves
    found, (low, high) = places(curve.points), (float(text) for _, text in (panel.y_ticks[0], panel.y_ticks[-1]))
    assert (low, high) == (20, 90)  # the lowest mean less its deviation, and the highest
    wanted = [HEIGHT - BOTTOM - (mean - low) / (high - low) * (HEIGHT - BOTTOM - TOP) for mean in (30, 50, 90)]
    assert [y for _, y in found] == pytest.approx(wanted, abs=0.06)
    assert [x for x, _ in found] == pytest.approx([LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT], abs=0.06)
    assert len(places(curve.band)) == 6
    every = np.array([*found, *places(curve.band)])
    assert (every >= (LEFT, TOP)).all()
    assert (every <= (WIDTH - RIGHT + 0.05, HEIGHT - BOTTOM + 0.05)).all()


def test_no_method_is_told_by_its_colour_alone() -> None:
    rows = [row("trains", [0.2, 0.4]), *(row(f"level{number}", []) for number in range(9))]
    looks = {curve.look for curve in training_panel(rows).curves}
    assert len(looks) == 10
    assert all(curve.marks for curve in training_panel(rows).curves)
    long = training_panel([row("long", [0.5 + n / 1000 for n in range(80)])])
    assert len(long.curves[0].marks) == 1


def test_numbers_of_shots_and_of_stacks_have_curves_of_their_own() -> None:
    shots = [Row("m", (), "b", "c", n, 0, {"image_AUROC": v}) for n, v in ((1, 0.5), (4, 0.7), ("all", 0.9))]
    scores = [Row("p", ("a",), "b", "c", 0, seed, facts={"scores": {"1": 0.3, "2": 0.7}}) for seed in (0, 1)]
    titles = dict(drawings([*shots, *scores], [], shot_curves(shots)))
    [panel] = titles["With more normal pictures: not trained, tested on b"]
    assert [text for _, text in panel.x_ticks] == ["1", "4", "all"]
    [stacks] = titles["Score by number of stacks"]
    assert stacks.title == "p, seed 0, 1"
    assert [text for _, text in stacks.x_ticks] == ["1", "2"]
    assert len(stacks.curves) == 1


def test_one_point_alone_has_a_panel_too() -> None:
    panel = training_panel([row("m", [0.5])])
    assert len(places(panel.curves[0].points)) == 1
