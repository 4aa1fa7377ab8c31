"""Diagrams of mean ranks: every method stands in them at its rank, and bars join what is not told apart."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.errors import StackclipError, UsageError
from stackclip.reports.rank_plot import draw_ranks, plot_ranks
from stackclip.studies.ranks import Ranking, RankQuestion, rankings
from stackclip.types import Row

pytest.importorskip("matplotlib")

NAME = "image_AUROC"
LONG = "stackclip[clusters={},head=efa[temperature=10,deep=true],learner=rpl[lambda=100,word=defective]]"


def ranked(*methods: str, spread: float = 0.01) -> list[Ranking]:
    draw = np.random.default_rng(3)
    rows = [
        Row(method, (), "mvtec", f"c{place}", 0, 0, {NAME: 0.5 + spread * number + 0.02 * draw.normal()}, facts=FACTS)
        for number, method in enumerate(methods)
        for place in range(12)
    ]
    return rankings(rows, [NAME], RankQuestion())


FACTS = {"tower": "stackclip-tiny", "note": "a small tower: its numbers say nothing about CLIP"}


@pytest.mark.parametrize("count", [2, 3, 8, 15])
def test_all_methods_stand_at_their_ranks_and_no_two_names_overlap(count: int) -> None:
    names = [LONG.format(number) if number % 2 else f"method-{number}" for number in range(count)]
    [found] = ranked(*names)
    figure = draw_ranks([found])
    figure.draw_without_rendering()
    [axes] = figure.axes
    texts = {text.get_text().replace("\n", ""): text for text in axes.texts}
    assert set(names) <= set(texts)
    places = [round(line.get_xdata()[0], 6) for line in axes.lines if len(line.get_xdata()) == 3]
    assert sorted(places) == sorted(round(rank, 6) for rank in found.found.ranks)
    boxes = [texts[name].get_window_extent() for name in names]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    width, height = figure.get_size_inches() * figure.dpi
    for box in [text.get_window_extent() for text in axes.texts]:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height


def test_a_bar_spans_the_ranks_of_its_group_and_the_critical_difference_its_length() -> None:
    [found] = ranked("a", "b", "c", "d", spread=0.012)
    assert found.groups
    assert found.distance is not None
    [axes] = draw_ranks([found]).axes
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() > 3]
    assert len(bars) == len(found.groups)
    for bar, group in zip(bars, found.groups, strict=True):
        ranks = [found.found.ranks[found.methods.index(name)] for name in group]
        assert (min(bar), max(bar)) == pytest.approx((min(ranks), max(ranks)), abs=0.05)
    spans = [np.ptp(line.get_xdata()) for line in axes.lines]
    assert any(span == pytest.approx(found.distance) for span in spans)
    assert axes.get_xlim() == (4, 1)  # the best is right


def test_every_diagram_says_its_tower_and_its_tests() -> None:
    [axes] = draw_ranks(ranked("a", "b", "c")).axes
    text = " ".join(" ".join(each.get_text() for each in axes.texts).split())
    assert "image AUROC: mean ranks over 12 categories" in text
    assert "stackclip-tiny; a small tower: its numbers say nothing about CLIP" in text
    assert "Friedman exact p" in text


def test_a_file_is_drawn_in_the_same_bytes(tmp_path: Path) -> None:
    found = ranked("a", "b[c=$x^2$]", "c\x1b[31m")
    for name in ("one.png", "two.png"):
        plot_ranks(found, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size[0] > 500


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    with pytest.raises(StackclipError, match="no ranks to draw: that takes two methods or more"):
        plot_ranks([], tmp_path / "none.png")
    with pytest.raises(UsageError, match=r"no plot is written as \.gif"):
        plot_ranks(ranked("a", "b"), tmp_path / "some.gif")
