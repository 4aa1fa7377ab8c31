"""Which methods say what parts are worth: those of every method of the package can be made, and hand-written cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest

from stackclip.errors import BrokenPlugin, NotApplicable, UnknownComponent, UsageError
from stackclip.methods import Method, component_of, method_names, resolve
from stackclip.registry import From, Removable, Spec, heads, learners, methods
from stackclip.studies.ablation import ADDED, ALL, AWAY, Ablation, ablation_of, removable_parts

WITH_PARTS = [name for name in method_names() if removable_parts(component_of(name), Spec(name), absent=True)]


def pairs(found: Ablation) -> dict[tuple[str, str], tuple[str, str]]:
    return {(each.name, each.way): (each.having, each.lacking) for each in found.contrasts}


class Nothing(Method):
    """A method that is only made."""

    def needs(self, tower: object, phase: object) -> frozenset[object]:  # type: ignore[override]
        raise NotApplicable("it is only made")


@pytest.fixture
def put(registry_as_it_was: None) -> Callable[..., None]:
    """`put(name, factory)` puts a method on its shelf."""
    return lambda name, factory: methods.register(name)(factory)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", WITH_PARTS)
def test_every_declared_part_can_be_taken_away_by_itself(name: str) -> None:
    component = component_of(name)
    for part in removable_parts(component, Spec(name), absent=True):
        given = f"{name}[shots=4]" if part.path == ("shots",) else name
        if part.path and part not in removable_parts(component_of(name), Spec.parse(given)):
            continue  # its default is without it
        lacking = pairs(ablation_of(given))[part.name, AWAY][1]
        resolve(lacking)
        assert lacking != given
        assert part not in removable_parts(component_of(Spec.parse(lacking).name), Spec.parse(lacking))


def test_methods_of_the_papers_say_their_parts() -> None:
    assert {"stackclip", "stacked", "sdp", "sdp-plus", "clip-lad", "aa-clip", "anomalyclip", "musc"} <= {*WITH_PARTS}
    assert not {"fuzzy", "precise", "clip", "clip-direct"} & {name for name in WITH_PARTS if _has(name)}


def _has(name: str) -> bool:
    """Whether a method has a part as it is by default; the diagnostic has RVS and the map in its score."""
    return bool(removable_parts(component_of(name), Spec(name))) and name != "clip-direct"


def test_parts_within_heads_and_learners_are_added_beside_what_holds_them() -> None:
    found = pairs(ablation_of("fuzzy[learner=rpl]"))
    rpl, tokens = "regulating prompt learning (RPL)", "learned tokens in text layers"
    assert found[rpl, AWAY] == ("fuzzy[learner=rpl]", "fuzzy[learner=none]")
    assert found[tokens, AWAY] == ("fuzzy[learner=rpl]", "fuzzy[learner=rpl[deep=0]]")
    assert found[tokens, ADDED] == ("fuzzy[learner=rpl[lambda=0]]", "fuzzy[learner=rpl[deep=0,lambda=0]]")


def test_a_whole_method_is_replaced_with_all_that_both_can_be_told() -> None:
    found = ablation_of("stackclip[epochs=3,joiner=comma]")
    assert found.bare == "fuzzy[epochs=3]"
    assert pairs(found)["stacked prompts", AWAY][1] == "fuzzy[epochs=3,head=efa,learner=rpl]"
    assert pairs(found)["stacked prompts", ADDED][0] == "stackclip[epochs=3,head=linear,joiner=comma,learner=none]"
    assert pairs(found)[ALL, AWAY] == (found.full, found.bare)
    assert len(found.methods) == len({*found.methods}) == 20
    assert found.methods[0] == found.full == "stackclip[epochs=3,joiner=comma]"


def test_what_coincides_is_said_once() -> None:
    found = ablation_of("precise[head=efa[temperature=0]]")
    efa = "ensemble feature alignment (EFA)"
    assert pairs(found) == {(efa, AWAY): ("precise[head=efa[temperature=0]]", "precise[head=linear]")}
    assert found.remarks == (
        f"{efa} added is the same as {efa} taken away",
        f"{ALL} taken away is the same as {efa} taken away",
    )


def test_parts_that_one_option_takes_away_never_lack_together() -> None:
    found = pairs(ablation_of("clip-lad"))
    bare = "clip-lad[classes=clusters,scores=logical]"
    both = "clip-lad[classes=clusters]"
    assert found[ALL, AWAY] == ("clip-lad", bare)
    assert found["structural score (equation 3)", ADDED] == (both, bare)
    assert found["logical score (equation 2)", ADDED] == (both, "clip-lad[classes=clusters,scores=structural]")


def test_an_option_that_must_be_typed_is_no_part_before_it_is() -> None:
    with pytest.raises(UsageError, match=r"april-gan has no part that says how it is taken away; .*Removable"):
        ablation_of("april-gan")
    assert ablation_of("april-gan[shots=2]").bare == "april-gan[shots=0]"
    with pytest.raises(UsageError, match="no part"):
        ablation_of("april-gan[shots=0]")


def test_values_are_compared_by_what_they_mean() -> None:
    names = [part.taken_away_by for part in ablation_of("anomalyclip[lambda=0.0]").parts]
    assert names == ["deep=0"]
    assert [part.taken_away_by for part in ablation_of("musc[interval=0+1,k=0]").parts] == ["sides=1"]


def test_a_condition_that_overrules_a_value_is_said() -> None:
    found = ablation_of("aa-clip", given={"epochs", "seeds"})
    assert [part.taken_away_by for part in found.parts] == ["image_score=map"]
    assert found.remarks[0] == "text adapters (first stage): text_epochs=0 counts for nothing beside --epochs"
    with pytest.raises(UsageError, match=r"and aa-clip has no other part: leave out --epochs"):
        ablation_of("aa-clip[image_score=map]", given={"epochs"})


def test_grids_and_wrong_names_are_refused() -> None:
    with pytest.raises(UsageError, match="wanted one method; a grid is compared with"):
        ablation_of("stacked[clusters=1|2]")
    with pytest.raises(UnknownComponent, match="did you mean 'stackclip'"):
        ablation_of("stackclp")


def test_what_cannot_be_made_is_refused_and_the_rest_stands(put: Callable[..., None]) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Twin(Nothing):
        left: Annotated[bool, Removable("left", off="false")] = True
        right: Annotated[bool, Removable("right", off="false")] = True

        def __post_init__(self) -> None:
            if not (self.left or self.right):
                raise NotApplicable("nothing is left of it")

    put("twin", Twin)
    found = ablation_of("twin")
    assert found.methods == ("twin", "twin[left=false]", "twin[right=false]")
    assert found.refused == {"twin[left=false,right=false]": "nothing is left of it"}


def test_a_part_whose_value_cannot_be_is_the_fault_of_who_declares_it(put: Callable[..., None]) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wrong(Nothing):
        count: Annotated[int, Removable("counting", off="never")] = 1

    put("wrong", Wrong)
    with pytest.raises(BrokenPlugin, match=r"count=never takes counting away, and it cannot be int"):
        ablation_of("wrong")


def test_what_takes_the_place_of_a_method_must_be_there(put: Callable[..., None]) -> None:
    class Whole(Nothing):
        without: ClassVar[Removable] = Removable("its heart", off="fuzy")

    put("whole", Whole)
    with pytest.raises(BrokenPlugin, match=r"fuzy is what it is without its heart: no method .*did you mean 'fuzzy'"):
        ablation_of("whole")


def test_parts_of_one_name_are_told_apart(put: Callable[..., None]) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Pair(Nothing):
        left: Annotated[bool, Removable("hand", off="false")] = True
        right: Annotated[bool, Removable("hand", off="false")] = True

    put("pair", Pair)
    assert [part.name for part in ablation_of("pair").parts] == ["hand (left=false)", "hand (right=false)"]


def test_any_shelf_may_declare_parts(put: Callable[..., None]) -> None:
    @heads.register("sharp")
    @dataclass(frozen=True, kw_only=True)
    class Sharp:
        without: ClassVar[Removable] = Removable("sharpness", off="linear")

        power: Annotated[float, Removable("power", off="1")] = 2.0

    found = pairs(ablation_of("fuzzy[head=sharp[power=3]]"))
    assert found["sharpness", AWAY] == ("fuzzy[head=sharp[power=3]]", "fuzzy[head=linear]")
    assert found["power", AWAY] == ("fuzzy[head=sharp[power=3]]", "fuzzy[head=sharp[power=1]]")
    assert [part.name for part in removable_parts(heads.find("sharp"), Spec("sharp"))] == ["power"]
    assert [part.path for part in removable_parts(learners.find("rpl"), Spec("rpl"))] == [("deep",), ("lambda",)]


def test_a_marker_leaves_an_option_as_it_is_typed() -> None:
    options = {each.label: each for each in component_of("stackclip").options}
    assert options["clusters"].describe() == ("clusters", "int | none", "none")
    assert options["clusters"].source is None
    marked = Annotated[str, From(heads), Removable("head", off="linear")]
    assert [type(each) for each in marked.__metadata__] == [From, Removable]  # type: ignore[attr-defined]
