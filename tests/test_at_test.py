"""Options that act at test alone: of all our components what is learned does not feel them, and a lie is noticed."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from stackclip.contracts.at_test import AT_TEST_OF_HEADS, other_specs
from stackclip.contracts.trial import Subject, Unkept
from stackclip.heads import Linear, Projections
from stackclip.methods import component_of, method_names
from stackclip.registry import SHELVES, AtTest, Spec, heads

pytestmark = pytest.mark.usefixtures("registry_as_it_was")


def tried(name: str) -> None:
    """Have the promise of a head tried. Raises Unkept."""
    [promise] = AT_TEST_OF_HEADS.values()
    promise(Subject(heads.find(name), Spec(name)))


def test_what_acts_at_test_is_tried_at_other_values_in_what_it_names_too() -> None:
    tried = {name for name, _ in other_specs(component_of("stackclip"), Spec.parse("stackclip[clusters=2]"))}
    assert tried == {"test", "image_score", "head.temperature", "head.weights_from"}
    assert {str(each) for name, each in other_specs(component_of("sdp-plus"), Spec("sdp-plus")) if name == "sigma"} == {
        "sdp-plus[sigma=1.0]",
        "sdp-plus[sigma=4.0]",
    }


def test_every_option_of_ours_that_is_marked_is_tried_by_the_contract_of_its_method() -> None:
    for name in method_names():
        component = component_of(name)
        tried = {each for each, _ in other_specs(component, Spec(name))}
        assert {option.label for option in component.options if option.is_at_test} <= tried


def test_an_option_that_a_class_of_ours_states_anew_still_says_that_it_acts_at_test() -> None:
    for component in (shelf.find(name) for shelf in SHELVES for name in shelf.names()):
        for option in component.options:
            stated = [inspect.get_annotations(each).get(option.name, "") for each in mro_of(component.factory)]
            assert option.is_at_test or not any("AtTest" in str(each) for each in stated), (component, option.label)


def mro_of(factory: Any) -> tuple[type, ...]:
    return getattr(factory, "__mro__", ())


class Warm(Projections):
    """Learns by its temperature, which its recipe denies."""

    def loss(self, features: Any, anchors: Any, stacks: Any) -> Any:
        return super().loss(features, anchors, stacks) * (1 + self.temperature) + sum(
            self.temperature * each.square().sum() for each in self.parameters()
        )


@dataclass(frozen=True, kw_only=True)
class WarmHead(Linear):
    """A head that lies."""

    temperature: Annotated[float, AtTest] = 1.0

    def build(self, tower: Any, stacks: int, *, seed: int) -> Any:
        return Warm(tower, 1, seed=seed, temperature=self.temperature)


def test_a_component_that_lies_is_noticed() -> None:
    heads.register("warm")(WarmHead)
    tried("linear")
    with pytest.raises(Unkept, match=r"temperature is said to act at test alone, and warm\[temperature=0.5\] learns"):
        tried("warm")
