"""From a typed name to a method."""

from __future__ import annotations

from dataclasses import replace

from stackclip.errors import BrokenPlugin, DuplicateComponent, UnknownComponent
from stackclip.methods.composition import Composition
from stackclip.methods.method import Method
from stackclip.registry import Component, Spec, did_you_mean, methods, problems, prompts

__all__ = ["component_of", "method_names", "resolve"]


def resolve(spec: Spec | str) -> Method:
    """The method of a spec: one of that name, else the prompt strategy of that name run through the pipeline.

    Raises UnknownComponent with the nearest name, DuplicateComponent, BrokenPlugin or BadOption.
    """
    spec = Spec.parse(spec) if isinstance(spec, str) else spec
    method: Method = component_of(spec.name).create(spec)
    return method


def component_of(name: str) -> Component:
    """The component behind a method's or a prompt strategy's name."""
    if name in methods and name in prompts:
        places = f"{methods.find(name).source} and {prompts.find(name).source}"
        raise DuplicateComponent(f"{name!r} is a method and a prompt strategy, in {places}: rename one of them")
    if name in methods:
        return methods.find(name)
    if name in prompts:
        strategy = prompts.find(name)
        return replace(strategy, factory=Composition(name, strategy.doc))
    for problem in problems():
        if problem.name == name:
            raise BrokenPlugin(str(problem))
    known = method_names()
    raise UnknownComponent(f"no method is named {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}")


def method_names() -> tuple[str, ...]:
    """All names that `resolve` takes."""
    return tuple(sorted({*methods.names(), *prompts.names()}))
