"""Heat maps of grids: hand-worked means, spreads, the best point, what lacks, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from stackclip.errors import StackclipError, UsageError
from stackclip.reports.heat import HeatCell, HeatMap, check_axes, heat_maps
from stackclip.reports.heat_plot import BEST, draw_heat, plot_heat
from stackclip.reports.table import Figure, Summary, TableLine

METRICS = ("image_AUROC", "pixel_AUPRO")


def table(values: dict[str, float | None], seeds: Sequence[int] = (0,)) -> Summary:
    """A table whose methods have these image AUROCs, and no pixel metrics."""
    lines = []
    for method, value in values.items():
        spread = 0.02 if len(seeds) > 1 else None
        figure = Figure(value, spread, 0 if value is None else 2, 2, "out of memory" if value is None else "")
        lines.append(TableLine(method, None, (figure, Figure(None))))
    return Summary("visa", "mvtec", 0, tuple(seeds), ("a", "b"), METRICS, tuple(lines))


def grid(**given: float | None) -> dict[str, float | None]:
    """Values of 2 x 2 x 2 points by `k`, `t` and `s`, as `k1t10sx`."""
    points = product(("1", "2"), ("1", "10"), ("x", "y"))
    return {f"m[k={k},t={t},s={s}]": given.get(f"k{k}t{t}s{s}", 0.5) for k, t, s in points}


def test_cells_are_means_with_spread_over_the_other_options() -> None:
    [heat] = heat_maps(table(grid(k1t1sx=0.6, k1t1sy=0.8, k2t10sx=0.9)), ("k", "t"))
    assert (heat.down.name, heat.across.name) in {("k", "t"), ("t", "k")}
    place = ("1", "1")
    assert heat.cells[place] == HeatCell(pytest.approx(0.7), pytest.approx(0.1), 2, 2)
    assert [place for place, cell in heat.cells.items() if cell.is_best] in ([("2", "10")], [("10", "2")])
    assert heat.best == "m[k=2,t=10,s=x], 90.0"
    assert heat.about == "each cell: the mean over s, below it their standard deviation"
    assert heat.ends == (pytest.approx(0.5), pytest.approx(0.7))
    assert heat.cells[place].lines == ("70.0", "±10.0")


def test_the_two_options_whose_means_lie_farthest_apart_are_shown() -> None:
    values = {f"m[k={k},t={t},s={s}]": 0.1 * k + 0.01 * t + 0.05 * s for k, t, s in product((1, 2), (1, 2), (1, 2))}
    [heat] = heat_maps(table(dict(values)))
    assert {heat.down.name, heat.across.name} == {"k", "s"}


def test_pairs_with_a_point_in_each_cell_come_before_others() -> None:
    values = {"m[k=1,t=1,s=1]": 0.1, "m[k=1,t=1,s=2]": 0.11, "m[k=2,t=1,s=1]": 0.12, "m[k=2,t=1,s=2]": 0.13}
    values |= {"m[k=1,t=9,s=1]": 0.9, "m[k=1,t=9,s=2]": 0.91}
    [heat] = heat_maps(table(dict(values)))
    assert {heat.down.name, heat.across.name} == {"t", "s"}
    [named] = heat_maps(table(dict(values)), ("k", "t"))
    assert len(named.cells) == 3


def test_what_failed_is_no_value_and_what_is_no_point_is_no_cell() -> None:
    [heat] = heat_maps(table(grid(k1t1sx=None, k1t1sy=None, k2t1sx=None)), ("k", "t"))
    assert heat.cells["1", "1"].lines == ("n/a",)
    some = heat.cells["1", "2"] if heat.down.name == "t" else heat.cells["2", "1"]
    assert (some.counted, some.of, some.lines[-1]) == (1, 2, "1 of 2")
    assert some.spread is None


def test_one_option_is_a_strip_and_seeds_are_the_spread() -> None:
    values = {f"m[k={k}]": 0.5 + 0.01 * k for k in (16, 2, 1)} | {"m": 0.9}
    [heat] = heat_maps(table(dict(values), (0, 1)))
    assert heat.down.values == ("",)
    assert heat.across.values == ("1", "2", "16", "default")
    assert heat.about == "each cell: one point, below it the standard deviation over seeds"
    assert heat.cells["", "default"] == HeatCell(0.9, 0.02, 1, 1, is_best=True)


def test_options_of_named_components_are_axes_when_asked_for() -> None:
    values = {f"m[k={k},head=efa[temperature={t}]]": 0.1 * k for k, t in product((1, 2), (1, 10))}
    [plain] = heat_maps(table(dict(values)))
    assert {plain.down.name, plain.across.name} == {"k", "head"}
    assert "efa[temperature=10]" in (*plain.down.values, *plain.across.values)
    [inner] = heat_maps(table(dict(values)), ("head.temperature",))
    assert inner.across.values == ("1", "10")


@pytest.mark.parametrize(
    ("axes", "why"),
    [
        (("k", "nope"), "those with several values are k, t, s"),
        (("k", "t", "s"), "one or two different options"),
        (("k", "k"), "one or two different options"),
    ],
)
def test_axes_that_are_none_are_refused(axes: tuple[str, ...], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        list(heat_maps(table(grid()), axes))
    with pytest.raises(UsageError, match=why):
        check_axes(grid(), axes)


def test_where_there_is_no_grid_there_is_no_map(tmp_path: Path) -> None:
    assert list(heat_maps(table({"a": 0.5, "b[k=1]": 0.6, "b[k=2]": 0.7}))) == []
    with pytest.raises(StackclipError, match="no grid was measured"):
        plot_heat([], tmp_path / "grid.png")
    with pytest.raises(UsageError, match="no method stands there with several"):
        check_axes(["a", "b"], ("k",))


def texts(found: Sequence[HeatMap]) -> list[str]:
    figure = draw_heat(found)
    return [text.get_text() for band in figure.subfigs for axes in band.axes for text in axes.texts]


def test_a_drawing_holds_the_values_the_spread_and_the_best_point() -> None:
    said = texts(list(heat_maps(table(grid(k1t1sx=None, k1t1sy=None, k2t10sx=0.9)), ("k", "t"))))
    assert said.count("n/a") == 1
    assert f"±20.0\n{BEST}" in said
    assert "70.0" in said


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_drawing_is_written_alike_each_time(tmp_path: Path, suffix: str) -> None:
    long = {f"m[k={k},head=efa[temperature={t},weights_from=train-prompt]]": 0.5 for k, t in product((1, 2), "123")}
    found = list(heat_maps(table(dict(long))))  # all equal, which is no range
    plot_heat(found, tmp_path / f"a{suffix}")
    plot_heat(found, tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_levels_reach_from_the_lowest_to_the_highest() -> None:
    [heat] = heat_maps(table({f"m[k={k}]": 0.25 * k for k in (1, 2, 3)}))
    assert [heat.level(heat.cells["", value], 8) for value in "123"] == [0, 4, 7]
