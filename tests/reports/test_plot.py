"""Training curves drawn: the numbers of the rows, alike each time, and one line where nothing can be drawn."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stackclip.benchmarks.curves import charts
from stackclip.errors import StackclipError, UsageError
from stackclip.reports.plot import LINE_COLOURS, Appearance, check_plot, draw_curves, plot_curves
from stackclip.types import Row

METRICS = ("pixel_AUPRO", "pixel_AP", "pixel_F1max")
needs_matplotlib = pytest.mark.usefixtures("matplotlib")


@pytest.fixture
def matplotlib() -> None:
    pytest.importorskip("matplotlib")


def row(method: str, *values: float, category: str = "c", seed: int = 0, note: str = "") -> Row:
    """A row whose curve has the same value of all metrics, a value each ten steps."""
    curve = [{"step": 10 * n, "epoch": n, "metrics": dict.fromkeys(METRICS, v)} for n, v in enumerate(values, 1)]
    facts = {"eval_every": "epoch", "curve": curve, "tower": "toy", "note": note}
    return Row(method, ("here",), "there", category, 0, seed, metrics=dict.fromkeys(METRICS, values[-1]), facts=facts)


ROWS = [row("fuzzy", 0.1, 0.3, 0.5), row("fuzzy", 0.3, 0.3, 0.9, seed=1), row("precise", 0.2, 0.2, 0.2)]


@needs_matplotlib
def test_lines_are_the_means_in_percent_and_bars_the_spreads() -> None:
    band = draw_curves(charts(ROWS)).subfigs[0]
    above, below = band.axes[:3], band.axes[3:]
    assert [axes.get_title() for axes in above] == ["AUPRO", "AP", "F1-max"]
    for axes in above:
        fuzzy, precise = axes.get_lines()
        assert fuzzy.get_xdata().tolist() == [10, 20, 30]
        np.testing.assert_allclose(fuzzy.get_ydata(), [20, 30, 70])
        np.testing.assert_allclose(precise.get_ydata(), [20, 20, 20])
        [shade] = axes.collections
        assert shade.get_paths()[0].get_extents().ymin == pytest.approx(10)
    for axes in below:
        assert [bar.get_width() for bar in axes.patches] == pytest.approx([100 * (0.1 + 0.3) / 2, 0])
        assert [text.get_text() for text in axes.texts] == [" 20.00", " 0.00"]


@needs_matplotlib
def test_the_title_says_data_sets_tower_and_its_note() -> None:
    band = draw_curves(charts([row("m", 0.1, 0.2, note="a toy's numbers say nothing")])).subfigs[0]
    assert band.get_suptitle().split("\n") == [
        "trained on here, tested on there",
        "mean over 1 category; tower: toy",
        "a toy's numbers say nothing",
    ]
    assert "lines: the mean over 2 seeds" in draw_curves(charts(ROWS)).subfigs[0].get_suptitle()


@needs_matplotlib
def test_a_method_that_does_not_train_is_a_level_line() -> None:
    level = replace(row("clip", 0.4), facts={**row("clip", 0.4).facts, "curve": []})
    band = draw_curves(charts([*ROWS, level])).subfigs[0]
    line = band.axes[0].get_lines()[-1]
    assert (list(line.get_ydata()), line.get_linestyle()) == ([40.0, 40.0], ":")


@needs_matplotlib
def test_a_method_looks_alike_in_all_charts_and_unlike_all_others() -> None:
    elsewhere = [replace(each, test_on="elsewhere") for each in reversed(ROWS)]
    first, second = draw_curves(charts([*ROWS, *elsewhere])).subfigs
    colours = [
        {text.get_text(): key.get_color() for text, key in zip(legend.get_texts(), legend.get_lines(), strict=True)}
        for legend in (first.legends[0], second.legends[0])
    ]
    assert colours[0] == colours[1] == {"fuzzy": LINE_COLOURS[0], "precise": LINE_COLOURS[1]}
    assert len({Appearance.of(number) for number in range(28)}) == 28


@needs_matplotlib
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_rows_are_the_same_file(tmp_path: Path, suffix: str) -> None:
    names = [f"stacked[learner=rpl[context={number}],clusters={number}]" for number in range(12)]
    rows = [*ROWS, *(row(name, 0.1, number / 20) for number, name in enumerate(names))]
    one, two = (tmp_path / folder / f"curves{suffix}" for folder in ("a", "b"))
    plot_curves(charts(rows), one)
    plot_curves(charts(rows), two)
    assert one.read_bytes() == two.read_bytes()
    if suffix == ".png":
        with Image.open(one) as picture:
            assert min(picture.size) > 500


@needs_matplotlib
def test_rows_without_curves_are_refused_with_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(StackclipError, match=r"no row has a training curve to plot.*--eval-every epoch"):
        plot_curves(charts([Row("m", (), "there", "c", 0, 0)]), tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_another_kind_of_picture_is_refused() -> None:
    for name in ("curves.jpg", "curves"):
        with pytest.raises(UsageError, match=r"wanted \.png, \.svg, \.pdf"):
            check_plot(Path(name))


def test_where_matplotlib_is_lacking_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(StackclipError, match=r"pip install matplotlib$"):
        check_plot(Path("curves.png"))
