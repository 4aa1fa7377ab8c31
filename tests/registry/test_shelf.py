"""Shelves: one decorator, one look-up, and a clear word where a name leads nowhere or to two places."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stackclip.errors import BadOption, DuplicateComponent, UnknownComponent, UsageError
from stackclip.registry import SHELVES, Shelf, Spec, prompts, scorers, selectors


@pytest.fixture
def shelf() -> Shelf:
    """A shelf of its own, without components of the package."""
    return Shelf("prompts", "stackclip.errors")


def test_a_decorator_puts_a_class_on_the_shelf_and_a_name_finds_it(shelf: Shelf):
    @shelf.register("halves")
    class Halves:
        """Two stacks.

        And more about them.
        """

        def __init__(self, *, first: int = 2) -> None:
            self.first = first

    found = shelf.find("halves")
    assert found.factory is Halves
    assert found.summary == "Two stacks."
    assert found.doc == "Two stacks.\n\nAnd more about them."
    assert [option.label for option in found.options] == ["first"]
    assert shelf.create("halves").first == 2
    assert shelf.create("halves[first=3]").first == 3
    assert shelf.create(Spec("halves", (("first", "4"),))).first == 4
    assert "halves" in shelf
    assert "halves" in shelf.names()


def test_a_function_can_stand_on_a_shelf_too(shelf: Shelf):
    @shelf.register("pair")
    def pair(*, left: int = 1, right: int = 2) -> tuple[int, int]:
        """Two numbers."""
        return left, right

    assert shelf.create("pair[right=5]") == (1, 5)


@pytest.mark.parametrize("name", ["Halves", "two halves", "halves!", "", "-", "under_score", "a[b]", "a/b"])
def test_a_name_of_other_characters_is_refused(shelf: Shelf, name: str):
    with pytest.raises(UsageError, match="is no component name: wanted lower-case letters, digits and hyphens"):
        shelf.register(name)


def test_a_component_knows_the_line_where_it_was_written(shelf: Shelf):
    @shelf.register("here")
    class Here:
        """Here."""

    source, _, line = shelf.find("here").source.rpartition(":")
    assert source == __file__
    assert int(line) == Here.__init__.__code__.co_firstlineno if hasattr(Here.__init__, "__code__") else int(line) > 0
    assert str(shelf.find("here").file) == __file__


def test_a_component_of_the_package_is_shown_below_the_package():
    assert prompts.find("fuzzy").source.startswith("stackclip/prompts/fuzzy.py:")


def test_a_name_defined_twice_names_both_places(shelf: Shelf):
    @shelf.register("same")
    class One:
        """The first."""

    @shelf.register("same")
    class Two:
        """The second."""

    with pytest.raises(DuplicateComponent) as raised:
        shelf.find("same")
    message = str(raised.value)
    assert message.startswith("prompt strategy 'same' is defined twice, in ")
    assert message.count(f"{__file__}:") == 2
    assert message.endswith("rename one of them")
    assert shelf.names() == ("same",)


def test_one_class_under_one_name_twice_is_not_a_duplicate(shelf: Shelf):
    class Same:
        """Once."""

    for _ in range(2):
        shelf.register("same")(Same)
    assert shelf.find("same").factory is Same


def test_an_unknown_name_gets_the_nearest_and_where_to_look():
    with pytest.raises(UnknownComponent, match=r"no prompt strategy is named 'stakced' \(did you mean 'stacked'\?\)"):
        prompts.find("stakced")
    with pytest.raises(UnknownComponent, match=r"no scorer is named 'zzz'; see: stackclip list scorers"):
        scorers.create("zzz")
    assert "stakced" not in prompts


def test_an_option_that_it_does_not_have_is_told_with_the_component():
    with pytest.raises(BadOption, match=r"fuzzy has no option 'words' \(did you mean 'word'\?\); it has word"):
        prompts.create("fuzzy[words=thing]")


def test_options_reach_parameters_that_python_reserves():
    assert scorers.create("penalty[lambda=0.25]").lambda_ == 0.25


def test_every_shelf_lists_its_components_sorted_and_finds_each():
    for shelf in SHELVES:
        names = shelf.names()
        assert names == tuple(sorted(set(names)))
        for name in names:
            assert shelf.find(name).name == name
            assert shelf.find(name).shelf == shelf.kind


def test_no_two_shelves_are_of_one_kind():
    assert len({shelf.kind for shelf in SHELVES}) == len(SHELVES)


def test_a_shelf_whose_home_does_not_import_says_so_every_time():
    shelf = Shelf("prompts", "stackclip.no_such_home")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_home"):
            shelf.names()


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import stackclip",
        "import stackclip.registry, stackclip.types, stackclip.errors",
        "from stackclip.registry import prompts, Spec; Spec.parse('stacked[clusters=2]')",
    ],
)
def test_importing_the_registry_brings_no_heavy_library(statement: str):
    heavy = {"torch", "numpy", "open_clip", "scipy", "sklearn", "h5py", "PIL", "rich", "click"}
    assert not _modules_after(statement) & heavy


def test_making_prompt_strategies_and_selectors_brings_no_torch():
    made = "from stackclip.registry import prompts, scorers, selectors\n"
    made += "prompts.create('stacked[clusters=2]'); prompts.create('fuzzy'); selectors.create('mean'); scorers.names()"
    assert "torch" not in _modules_after(made)
    assert {"mean", "mean-of-unit"} <= set(selectors.names())
