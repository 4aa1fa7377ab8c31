"""The specification of the store says of a tower what the code writes and takes."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from stackclip.cache.header import header_made, read_header
from stackclip.errors import CorruptStore, NotApplicable
from stackclip.ops.seals import sealed, unsealed
from stackclip.types import CLASS_TOKEN, GRID_POOL, OPEN_BLOCKS, SINGLE_PATCHES, Part, TowerSpec

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cache-format.md"
PLAIN = TowerSpec("vit", 32, 4, 12, 6, 4, (3, 6, 9, 12))
NEEDS = (CLASS_TOKEN, OPEN_BLOCKS, SINGLE_PATCHES, GRID_POOL)
NUMBERS = {"N": "8", "K": "2", "S": "3"}


def named(cell: str) -> set[Part]:
    """The parts of a cell of a table, with numbers that a tower of twelve blocks and 4 x 4 patches has."""
    names = re.findall(r"`([^`]+)`", cell)
    places = ("".join(NUMBERS.get(letter, letter) for letter in re.sub(r"(?<=std|rom)S", "3", name)) for name in names)
    return {Part.parse({"vv-stage/8": "vv-stage/3", "vv-pool/8": "vv-pool/12"}.get(each, each)) for each in places}


def gives(tower: TowerSpec, part: Part) -> bool:
    try:
        return bool(tower.shape(part))
    except NotApplicable:
        return False


@pytest.mark.parametrize("need", NEEDS)
def test_the_parts_that_a_tower_cannot_give_are_those_of_the_page(need: str) -> None:
    rows = [line.split("|")[1:3] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    (own,) = [parts for name, parts in rows if name.strip() == f"`{need}`"]
    every = {Part.parse(name) for name in ("cls", "patch/8", "crop/10")}.union(
        *(named(parts) for name, parts in rows if name.strip(" `") in NEEDS)
    )
    whole = dataclasses.replace(PLAIN, lacks=(CLASS_TOKEN,) if need == GRID_POOL else ())
    less = dataclasses.replace(whole, lacks=(*whole.lacks, need))
    assert {part for part in every if gives(whole, part) and not gives(less, part)} == named(own)


def test_the_fields_of_a_tower_are_those_of_the_page_and_lacks_is_there_where_something_is(tmp_path: Path) -> None:
    (row,) = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `tower` |")]
    fields = [field.name for field in dataclasses.fields(TowerSpec)]
    assert re.findall(r"`(\w+)`", row.split("|")[2]) == fields
    for place, lacks in (("plain", ()), ("other", (OPEN_BLOCKS,))):
        header_made(tmp_path / place, {"model": place}, dataclasses.replace(PLAIN, lacks=lacks), {})
        written = unsealed((tmp_path / place / "store.json").read_bytes())["tower"]
        assert list(written) == sorted(field for field in fields if lacks or field != "lacks")
        assert read_header(tmp_path / place).spec.lacks == lacks


def test_a_field_of_a_tower_that_is_not_on_the_page_is_no_store_of_this_format(tmp_path: Path) -> None:
    header_made(tmp_path, {"model": "plain"}, PLAIN, {})
    path = tmp_path / "store.json"
    content = unsealed(path.read_bytes())
    path.write_bytes(sealed(json.loads(json.dumps({**content, "tower": {**content["tower"], "more": 1}}))))
    with pytest.raises(CorruptStore, match="do not fit together"):
        read_header(tmp_path)


OBLONG = dataclasses.replace(PLAIN, image_size=(32, 64), grid=(4, 8))


@pytest.mark.parametrize("more", [{}, {"feature_dtype": "int8", "quantization": 1}])
def test_a_store_of_oblong_pictures_has_a_format_and_sizes_of_its_own(tmp_path: Path, more: dict[str, Any]) -> None:
    header_made(tmp_path, {"model": "vit", "image_size": "32x64", **more}, OBLONG, {})
    written = unsealed((tmp_path / "store.json").read_bytes())
    assert (written["format"], written["tower"]["image_size"], written["tower"]["grid"]) == (3, "32x64", "4x8")
    assert read_header(tmp_path).spec == OBLONG
    assert '(`"112x224"`, `"14x28"`)' in PAGE.read_text("utf-8")


@pytest.mark.parametrize(
    ("number", "size", "grid"), [(1, "32x64", "4x8"), (3, 32, 4), (3, "32x64", "4x"), (3, "32x64", 4.5)]
)
def test_a_format_that_does_not_fit_the_size_is_refused(
    tmp_path: Path, number: int, size: object, grid: object
) -> None:
    header_made(tmp_path, {"model": "vit", "image_size": "32x64"}, OBLONG, {})
    path = tmp_path / "store.json"
    content = unsealed(path.read_bytes())
    content["fingerprint"]["image_size"] = content["tower"]["image_size"] = size
    content |= {"format": number, "tower": {**content["tower"], "grid": grid}}
    path.write_bytes(sealed(content))
    with pytest.raises(CorruptStore, match=r"do not fit together|not that of its fingerprint"):
        read_header(tmp_path)
