"""Sizes: what is one, how it is written, and that nothing takes an oblong for a square."""

from __future__ import annotations

import itertools
import math
import operator
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stackclip.clip.recipe import TowerRecipe
from stackclip.errors import NotApplicable, UsageError
from stackclip.papers.runs import PaperTower
from stackclip.session.recipe import words_of
from stackclip.sizes import Frame, Size, frame_of, said_size, side_of, size_of
from stackclip.types import TowerSpec

OBLONG = TowerSpec("toy", image_size=Size(56, 112), grid=Size(7, 14), depth=4, width=8, joint=6, layers=(1, 4))


@pytest.mark.parametrize("given", [112, "112", "112x112", (112, 112), [112, 112], np.int64(112), Size(112, 112)])
def test_every_spelling_of_a_square_is_its_side(given: Any) -> None:
    assert side_of(given) == 112
    assert type(side_of(given)) is int
    assert said_size(given) == 112
    assert size_of(given) == (112, 112)
    assert TowerRecipe(image_size=given) == TowerRecipe(image_size=112)


@pytest.mark.parametrize("given", ["112x224", (112, 224), [112, 224], Size(112, 224), np.array([112, 224]).tolist()])
def test_every_spelling_of_an_oblong_has_its_height_first(given: Any) -> None:
    assert (size_of(given).height, size_of(given).width, size_of(given).area) == (112, 224, 25088)
    assert said_size(given) == str(side_of(given)) == "112x224"
    recipe = TowerRecipe(image_size=given)
    assert pickle.loads(pickle.dumps(recipe)) == recipe == replace(recipe, image_size="112x224")
    assert [*words_of(recipe)][-2:] == ["--image-size", "112x224"]


@pytest.mark.parametrize(
    "given",
    [
        *("", "x", "5x", "x5", "0x5", "5x0", "axb", "-3", "-3x4", "1e3", "3.5", "112X224", "1x2x3", "٣", "9" * 400),
        *(0, -1, True, 3.5, None, (112,), (1, 2, 3), (112, "224"), (0, 5), ("a", "b"), (True, True), {"a": 1}),
    ],
)
def test_what_is_no_size_is_refused_in_one_short_line(given: Any) -> None:
    with pytest.raises(UsageError, match="is no size of a picture: wanted a whole number") as error:
        size_of(given)
    assert len(str(error.value)) < 180
    assert "\n" not in str(error.value)


def test_the_tower_of_a_run_says_its_size_as_a_command_does() -> None:
    assert str(PaperTower(backbone="vit", image_size="336x672")) == "vit 336x672"
    assert PaperTower(backbone="vit", image_size="336x336") == PaperTower(backbone="vit", image_size=336)
    with pytest.raises(UsageError, match="is no size of a picture"):
        PaperTower(backbone="vit", image_size="big")


@pytest.mark.parametrize("given", [(h, w, p) for h, w, p in itertools.product(range(1, 7), range(1, 7), (1, 8))])
def test_square_patches_fill_a_picture_in_one_way(given: tuple[int, int, int]) -> None:
    rows, columns, patch = given
    frame = Frame(Size(rows, columns), Size(rows * patch, columns * patch))
    assert frame_of(frame.size, rows * columns) == frame == frame_of(frame, rows * columns)


@pytest.mark.parametrize(
    ("size", "patches"), [(56, 48), (Size(56, 112), 49), (Size(3, 100), 2), (Size(3, 5), 0), (56, -1)]
)
def test_patches_that_fill_no_picture_as_squares_are_refused(size: Any, patches: int) -> None:
    with pytest.raises(RuntimeError, match="as squares"):
        frame_of(size, patches)


def test_a_tower_has_both_sides_and_those_of_a_square_in_short() -> None:
    assert OBLONG.frame == Frame(Size(7, 14), Size(56, 112))
    assert OBLONG.patches == 98
    square = replace(OBLONG, image_size=(56, 56), grid="7x7")  # type: ignore[arg-type]
    assert (square.image_size, square.grid, square.frame) == (56, 7, Frame(Size(7, 7), Size(56, 56)))


NO_SIDE = r"(7x14|56x112) is no side of a square, .*: take tower\.frame\.grid or tower\.frame\.size$"


@pytest.mark.parametrize("count", [lambda side: side**2, lambda side: 2 * side, lambda side: side * side])
@pytest.mark.parametrize("sort", [operator.floordiv, operator.sub, operator.mod, divmod, operator.rshift])
def test_code_that_counts_with_the_side_of_a_square_says_that_it_wants_one(
    count: Callable[[Any], Any], sort: Callable[[Any, Any], Any]
) -> None:
    for wrong in (lambda: count(OBLONG.grid), lambda: sort(OBLONG.image_size, 2), lambda: sort(2, OBLONG.grid)):
        with pytest.raises(NotApplicable, match=NO_SIDE):
            wrong()


@pytest.mark.parametrize(
    "count",
    [
        *(operator.neg, abs, round, int, float, range, operator.index, math.isqrt, math.floor, np.eye),
        *(lambda side: pow(side, 2, 5), lambda side: np.zeros(98).reshape(-1, side, side), lambda side: "abc"[:side]),
        *(lambda side: side > 3, lambda side: max(side, 7), lambda side: np.float64(3) < side),
        *(lambda side: np.float64(0.5) * side, lambda side: np.int64(98) // side, lambda side: np.ones(2) * side),
        *(lambda side: side * np.ones(2), lambda side: torch.ones(2) * side),
    ],
)
def test_so_does_code_that_takes_it_for_a_number(count: Callable[[Any], Any]) -> None:
    with pytest.raises(NotApplicable, match=NO_SIDE):
        count(OBLONG.grid)


def test_a_size_is_a_tuple_where_a_tuple_is_wanted() -> None:
    size = Size(3, 5)
    assert sorted([size, Size(3, 4), (1, 9)]) == [(1, 9), (3, 4), (3, 5)]
    assert (size <= size, size < (4, 0), size < (3, 4), size == 3, size != 3) == (True, True, False, False, True)
    assert {size: 1}[3, 5] == 1  # type: ignore[index]  # a tuple of the same hash
    assert np.array(size).tolist() == [*size] == torch.tensor(size).tolist()
    assert np.zeros(size).shape == np.zeros(15).reshape(size).shape == (3, 5)
    assert torch.zeros(size).shape == torch.zeros(15).reshape(*size).shape == torch.Size(size)
    assert F.interpolate(torch.zeros(1, 1, 2, 2), size=size).shape == (1, 1, 3, 5)
    assert np.arange(20).reshape(4, 5)[Size(3, 4)] == 19


@pytest.mark.parametrize("size", [Size(0, 5), Size(5, 0), Size(-1, 5), Size(1, True), Size(2.5, 5)])  # type: ignore[arg-type]  # one of each kind
def test_a_size_without_a_pixel_is_none_either(size: Size) -> None:
    for ask in (size_of, side_of, said_size, lambda wrong: frame_of(wrong, 15)):
        with pytest.raises(UsageError, match="is no size of a picture"):
            ask(size)
