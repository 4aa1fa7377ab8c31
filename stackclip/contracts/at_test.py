"""What components promise of the options that they say act at test alone: what is learned does not depend on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import torch
from torch import Tensor

from stackclip.contracts.methods import batch_of, begun
from stackclip.contracts.trial import Promises, Subject, require
from stackclip.errors import BadOption, BrokenPlugin, NotApplicable
from stackclip.methods import Moment, component_of, resolve
from stackclip.registry import Component, Option, Spec, named_by

__all__ = ["AT_TEST_OF_HEADS", "AT_TEST_OF_LEARNERS", "AT_TEST_OF_METHODS", "other_specs"]

_SENTENCE = "what is learned is the same at all values of its options at test"
_STEPS = 2


def other_specs(component: Component, spec: Spec) -> Iterator[tuple[str, Spec]]:
    """A spec with each option at test at other values, those of the components that it names among them.

    Each comes with the option's name.
    """
    given = dict(spec.options)
    for option in component.options:
        text = given.get(option.label, option.default_text)
        for name, value in _others(option, text):
            yield name, Spec(spec.name, tuple({**given, option.label: value}.items()))


def _others(option: Option, text: str) -> Iterator[tuple[str, str]]:
    if option.is_at_test:
        yield from ((option.label, value) for value in _values(option.type, option.default) if value != text)
    with suppress(BrokenPlugin):  # what does not load is another promise's
        if option.source is not None and text not in option.source.words:
            for component, named in named_by(option, text):
                yield from ((f"{option.label}.{name}", str(each)) for name, each in other_specs(component, named))


def _values(wanted: Any, default: Any) -> list[str]:
    """Some values of a type as they would be typed."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _values(arguments[0], default)
    if origin is Literal:
        return list(map(str, arguments))
    if wanted is bool:
        return ["true", "false"]
    if wanted in (int, float):
        return [str(wanted((default or 2) / 2)), str(wanted((default or 2) * 2))]
    if origin in (Union, type(int | str)):
        return [value for each in arguments if each is not type(None) for value in _values(each, default)]
    return []


def _promise(called: Callable[[str], str]) -> Callable[[Subject], str | None]:
    """The promise of components that take part in a method of this name."""

    def keeps(subject: Subject) -> str | None:
        component = subject.component
        if component.shelf in ("methods", "prompts"):
            component = component_of(component.name)
        wanted = None
        for name, other in other_specs(component, subject.spec):
            wanted = _learned(called(str(subject.spec))) if wanted is None else wanted
            with suppress(BadOption, NotApplicable):  # a value of the type that this method does not take
                alike = _equal(_learned(called(str(other))), wanted)
                require(alike, f"{name} is said to act at test alone, and {other} learns something else")
        return None if wanted is not None else "it has none"

    return keeps


def _learned(text: str) -> dict[str, Tensor]:
    """What a method has learned after a few steps of each of its stages."""
    method = resolve(text)
    detector, features = begun(method), batch_of(method)
    for stage in detector.stages:
        for step in range(_STEPS):
            detector.step(features.in_view(stage.view(0)), Moment(stage, 0, step, last=True))
    return detector.state_dict()


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


AT_TEST_OF_METHODS: Promises = {_SENTENCE: _promise(lambda text: text)}
AT_TEST_OF_HEADS: Promises = {_SENTENCE: _promise(lambda text: f"stacked[clusters=2,head={text}]")}
AT_TEST_OF_LEARNERS: Promises = {_SENTENCE: _promise(lambda text: f"clip[learner={text}]")}
