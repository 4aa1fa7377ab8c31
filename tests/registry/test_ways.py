"""The shelf by which parts are named: ours first and without code from outside, theirs with a digest of their code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from stackclip.clip import random_tower
from stackclip.errors import BrokenPlugin, DuplicateComponent, NotApplicable
from stackclip.registry import SHELVES, forget, problems, taps, use_workspace
from stackclip.types import Part

pytestmark = pytest.mark.usefixtures("registry_as_it_was")

CODE = """
from stackclip.clip.tap import Tap
from stackclip.registry import taps

@taps.register("{name}")
class Mine(Tap):
    "The patches times {factor}."
    source = "me"
    numbered = {numbered}

    def shape(self, tower, part):
        {shape}
        return (tower.grid**2, tower.width) if 1 <= part.index <= tower.depth else None

    def read(self, sight, part, carried):
        return {factor} * sight.after[:, 1:]
"""


@pytest.fixture
def write(tmp_path: Path):
    """Write a file of the workspace, whose components are then those that there are."""

    def to(name: str = "mine", file: str = "", *, factor: int = 2, numbered: bool = False, shape: str = "") -> None:
        code = CODE.format(name=name, factor=factor, numbered=numbered, shape=shape)
        (tmp_path / f"{file or name}.py").write_text(code)
        use_workspace(tmp_path)
        forget(SHELVES)

    return to


def test_ours_are_found_without_code_from_outside(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text("raise RuntimeError('it was loaded')\n")
    use_workspace(tmp_path)
    for kind in ("cls", "patch", "vv-from6", "vv-from2", "hidden"):
        assert taps.way(kind).component.is_own
        assert Part(kind, 1).exact() == Part(kind, 1)
    assert str(Part("cls")) == "cls"
    assert problems() == ()
    assert taps.way("mine") is None
    assert [problem.name for problem in problems()] == ["loud"]


def test_a_number_behind_the_name_is_for_numbered_ways_alone() -> None:
    assert taps.way("vv-from6").component.name == "vv-from6"
    assert taps.way("vv-from7").component.name == "vv-from"
    assert taps.way("vv-from") is taps.way("patch3") is taps.way("7") is taps.way("") is None


def test_a_way_from_outside_has_the_digest_of_its_code_in_its_name(write) -> None:
    write(factor=2)
    exact = Part("mine", 3).exact()
    assert re.fullmatch(r"mine~[0-9a-f]{8}/3", str(exact))
    assert exact.exact() == exact
    write(factor=3)
    changed = Part("mine", 3).exact()
    assert changed != exact
    spec = random_tower(image_size=32).spec
    assert spec.shape(changed) == spec.shape(Part("mine", 3)) == (16, 128)
    with pytest.raises(NotApplicable, match=f"no part {exact}"):
        spec.shape(exact)
    write(factor=2)
    assert Part("mine", 3, "rot90").exact() == Part(exact.kind, 3, "rot90")


def test_a_numbered_way_from_outside_has_parts_of_every_number(write) -> None:
    write(numbered=True)
    assert str(Part("mine12", 3).exact()).startswith("mine12~")
    assert taps.way("mine") is None


def test_none_from_outside_takes_the_place_of_ours(write) -> None:
    write("patch")
    assert taps.way("patch").component.is_own
    with pytest.raises(DuplicateComponent, match="'patch' is defined twice"):
        taps.find("patch")


def test_two_from_outside_of_one_name_are_refused_with_both_places(write) -> None:
    write(file="one")
    write(file="two")
    with pytest.raises(DuplicateComponent, match=r"one\.py.*two\.py"):
        taps.way("mine")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit(3)", "cannot tell the shape of mine/3: it ends"),
        ("return (0,)", r"gives mine/3 the shape \(0"),
    ],
)
def test_one_that_cannot_tell_its_shape_is_named(write, code: str, words: str) -> None:
    write(shape=code)
    with pytest.raises(BrokenPlugin, match=words):
        random_tower(image_size=32).spec.shape(Part("mine", 3))


def test_what_is_no_tap_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(CODE.replace("(Tap)", "").format(name="mine", factor=2, numbered=False, shape=""))
    use_workspace(tmp_path)
    with pytest.raises(BrokenPlugin, match=r"tap 'mine' .* cannot give mine/3: wanted a stackclip\.clip\.Tap"):
        random_tower(image_size=32).encode(torch.zeros(1, 3, 32, 32), [Part("mine", 3)])


def test_a_way_that_counts_with_the_side_of_a_square_is_not_there_for_other_pictures(write) -> None:
    write()
    part = Part("mine", 3)
    assert random_tower(image_size=24).spec.shape(part) == (9, 128)
    with pytest.raises(NotApplicable, match="3x5 is no side of a square, which this code counts with"):
        random_tower(image_size=(24, 40)).spec.shape(part)
