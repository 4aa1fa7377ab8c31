"""What code from outside gave stays in the store, whatever becomes of that code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stackclip.cache import Store, extract, part_shape, plan
from stackclip.cache.shapes import stored_form
from stackclip.errors import StoreError
from stackclip.registry import SHELVES, forget, use_workspace
from stackclip.types import CLS, Part

pytestmark = pytest.mark.usefixtures("registry_as_it_was")

CODE = """
from stackclip.clip.tap import Tap
from stackclip.registry import taps

@taps.register("mine")
class Mine(Tap):
    "Nothing of use."
    source = "me"

    def shape(self, tower, part):
        return (tower.grid**2, tower.width + {more})

    def read(self, sight, part, carried):
        return sight.after[:, 1:]
"""


@pytest.fixture
def write(tmp_path: Path):
    """Write the code into the workspace, `more` numbers wider; or take it away."""

    def to(more: int | None) -> None:
        path = tmp_path / "registry" / "mine.py"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        if more is not None:
            path.write_text(CODE.format(more=more))
        use_workspace(path.parent)
        forget(SHELVES)

    return to


def test_it_is_asked_for_by_its_exact_name_alone(write, store, samples, tower, spec) -> None:
    write(0)
    exact = Part("mine", 2).exact()
    with pytest.raises(StoreError, match=f"a store holds mine/2 as {exact}: ask for that"):
        part_shape(Part("mine", 2), spec)
    assert plan(store, samples, {exact}, spec).bytes == 6 * 2 * 16 * 8
    with pytest.raises(StoreError, match="ask for that"):
        extract(store, tower, samples, {Part("mine", 2)})
    assert extract(store, tower, samples, {exact}).encoded == 6


def test_other_code_makes_it_anew_and_what_was_made_before_stays(write, store, samples, tower) -> None:
    write(0)
    first = Part("mine", 2).exact()
    extract(store, tower, samples, {CLS, first})
    kept = store.read(samples, first)
    write(0)  # the same
    assert not Store.open(store.folder).lacking(samples, {Part("mine", 2).exact()})
    for more in (1, None):
        write(more)
        opened = Store.open(store.folder)
        assert (opened.problems, opened.verify(), opened.repair()) == ((), [], [])
        assert opened.parts == {CLS, first}
        assert not opened.lacking(samples, {CLS})
        if more:
            second = Part("mine", 2).exact()
            assert len(opened.lacking(samples, {second})) == 6
    write(0)
    np.testing.assert_array_equal(Store.open(store.folder).read(samples, first), kept)


def test_its_shape_is_believed_where_its_code_is_not_there_and_nothing_elses(write, spec) -> None:
    write(None)
    assert stored_form(Part("mine~0123abcd", 2), spec, "int8", found=(5, 7)) == (np.dtype("<f2"), (5, 7))
    for part in (Part("mine", 2), Part("patch", 9)):
        with pytest.raises(StoreError, match=f"no store holds {part}"):
            stored_form(part, spec, "float16", found=(5, 7))
    assert stored_form(Part("patch", 2), spec, "float16", found=(5, 7)).shape == (16, 8)
    write(0)
    now = Part("mine", 2).exact()
    assert stored_form(now, spec, "float16", found=(5, 7)).shape == (16, 8)
