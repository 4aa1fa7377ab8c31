"""Tiles: those that are typed, where they lie, and what they are called."""

from __future__ import annotations

import itertools

import pytest

from stackclip.errors import BadOption, UsageError
from stackclip.ops.tiling import Tiling, by_tiles, parts_in_words, spans_of, tiling_of
from stackclip.types import CLS, Part, patch
from stackclip.viewnames import read_view

LARGEST = (3000, 4000)


def tiles(text: str) -> Tiling:
    return tiling_of(text, lambda: LARGEST)


@pytest.mark.parametrize("length", [7, 31, 518, 1000, 4001])
@pytest.mark.parametrize(("count", "overlap"), [(1, 25), (2, 10), (3, 25), (5, 50), (7, 75), (4, 0)])
def test_tiles_cover_a_side_and_share_what_was_asked(length: int, count: int, overlap: int) -> None:
    spans = spans_of(length, count, overlap)
    assert {pixel for span in spans for pixel in range(span.start, span.stop)} == set(range(length))
    assert (spans[0].start, spans[-1].stop, len(spans)) == (0, length, count)
    sizes = {span.stop - span.start for span in spans}
    assert max(sizes) - min(sizes) <= (0 if overlap else 1)
    for one, other in itertools.pairwise(spans):
        assert one.stop - other.start >= max(sizes) * overlap / 100 - 1.5  # both ends lie on whole pixels


def test_a_side_that_is_shorter_than_its_tiles_gives_each_a_pixel() -> None:
    for overlap in (0, 25):
        assert all(span.stop - span.start == 1 and span.start < 2 for span in spans_of(2, 5, overlap))


@pytest.mark.parametrize("size", [100, 518, 900, 2999, 3000, 3999, 4000, 9999])
@pytest.mark.parametrize("overlap", [0, 10, 25, 60])
def test_a_size_gives_the_fewest_tiles_that_are_no_longer(size: int, overlap: int) -> None:
    found = tiles(f"{size}[overlap={overlap}]")
    for length, count in zip(LARGEST, (found.rows, found.columns), strict=True):
        longest = max(span.stop - span.start for span in spans_of(length, count, overlap))
        assert longest <= size
        if count > 1:
            fewer = max(span.stop - span.start for span in spans_of(length, count - 1, overlap))
            assert fewer > size or count == 2


def test_a_picture_that_is_no_larger_than_a_tile_is_seen_as_it_is() -> None:
    found = tiling_of("518", lambda: (300, 518))
    assert (found.grid, found.views, found.parts({CLS})) == ("1x1", ("",), frozenset({CLS}))


def test_views_are_names_that_parts_carry() -> None:
    found = tiles("2x3[overlap=10,whole=yes]")
    assert found.tiles[:2] == ("tile2x3o10-1", "tile2x3o10-2")
    assert found.views == (*found.tiles, "")
    assert {view and read_view(view) for view in found.views} == {"", *(("tile", (2, 3, 10, k)) for k in range(1, 7))}
    turned = Part("patch", 6, "rot45")
    seen = found.parts({CLS, turned})
    assert len(seen) == 14
    assert {CLS, turned, Part("cls", view="tile2x3o10-6"), Part("patch", 6, "tile2x3o10-1+rot45")} <= seen
    assert all(Part.parse(str(part)) == part for part in seen)


def test_without_overlap_the_names_are_those_of_plain_tiles() -> None:
    assert tiles("1x2[overlap=0]").tiles == ("tile1x2-1", "tile1x2-2")


@pytest.mark.parametrize("text", ["4x4", "2x2[whole=yes]", "3x1[overlap=0,score=whole,side=100,whole=yes]"])
def test_what_is_typed_is_typed_again(text: str) -> None:
    assert str(tiles(text)) == text
    assert tiles(str(tiles(text))) == tiles(text)


def test_maps_have_as_many_pixels_as_the_tower_sees_unless_said() -> None:
    assert tiles("4x4").map_side(112) == 364  # 112 * (4 - 3 / 4)
    assert tiles("2x4[overlap=0]").map_side(112) == 448
    assert tiles("1x1").map_side(112) == 112
    assert tiles("1x1[side=364]").map_side(112) == 364


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo", "wanted ROWSxCOLUMNS, such as 2x2, or the side of a tile"),
        ("0", "wanted ROWSxCOLUMNS"),
        ("2x", "wanted ROWSxCOLUMNS"),
        ("x2", "wanted ROWSxCOLUMNS"),
        ("-3", "wanted ROWSxCOLUMNS"),
        ("²x2", "wanted ROWSxCOLUMNS"),
        ("9" * 5000, "wanted ROWSxCOLUMNS"),
        ("", "cannot read ''"),
        ("0x2", "wanted ROWSxCOLUMNS"),
        ("2x0", "tiles 2x0: wanted from 1 to 99 along a side"),
        ("100x1", "tiles 100x1: wanted from 1 to 99 along a side"),
        ("5", "tiles 800x1067: wanted from 1 to 99 along a side"),
        ("2x2[overlap=76]", "overlap=76; wanted 0 to 75 percent"),
        ("2x2[overlap=a]", "overlap='a' is not of type"),
        ("518[overlap=-1]", "overlap=-1; wanted 0 to 75 percent"),
        ("2x2[score=whole]", "score=whole wants the whole picture too: add whole=yes"),
        ("2x2[score=min]", "score='min' is not of type"),
        ("2x2[side=0]", "side=0; wanted 1 pixel or more"),
        ("2x2[rows=3]", "tiles 2x2 has no option 'rows'"),
    ],
)
def test_what_is_no_tiling_is_said(text: str, words: str) -> None:
    with pytest.raises((BadOption, UsageError)) as raised:
        tiles(text)
    assert words in str(raised.value)


def test_parts_of_tiles_are_named_together_and_told_apart() -> None:
    parts = tiles("4x4").parts({patch(6), Part("patch", 6, "rot90")}) | {CLS} | tiles("2x2[overlap=0]").parts({CLS})
    assert parts_in_words(parts) == ("cls, cls@tile2x2-*, patch/6@tile4x4o25-*, patch/6@tile4x4o25-*+rot90")
    assert by_tiles(parts) == {
        "": {CLS},
        "2x2[overlap=0]": {CLS},
        "4x4": {patch(6), Part("patch", 6, "rot90")},
    }
