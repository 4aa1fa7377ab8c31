"""Specs that come to the same, in one spelling: what a method learns does not depend on how it was typed."""

from __future__ import annotations

from collections.abc import Iterator

from stackclip.errors import StackclipError
from stackclip.registry.component import Component
from stackclip.registry.options import Option, bind, named_by, typed
from stackclip.registry.spec import Spec

__all__ = ["as_learned"]


def as_learned(component: Component, spec: Spec) -> Spec:
    """A component's spec as far as what is learned goes, in the one spelling of all that learn the same.

    Options that act at test alone are left out, of the components that it names too, and so are those that have the
    value that they have anyhow. A spec that cannot be read stays as it is.
    """
    try:
        return Spec(component.name, tuple(_told(component, spec)))
    except StackclipError:  # whoever makes it says what is wrong
        return spec


def _told(component: Component, spec: Spec) -> Iterator[tuple[str, str]]:
    """The options of a spec that tell it from the same component without any."""
    options = {option.label: option for option in component.options}
    values = bind(spec.name, component.options, dict(spec.options))
    for label, text in spec.options:
        option = options[label]
        if option.is_at_test:
            continue
        own = _spelling(option, text, values[option.name])
        default = option.default_text
        if option.default is Option.REQUIRED or own != _spelling(option, default, option.default):
            yield label, own


def _spelling(option: Option, text: str, value: object) -> str:
    """A value in one spelling; where it names a component, by what of that is learned."""
    if option.source is not None and text not in option.source.words:
        return "+".join(str(as_learned(each, named)) for each, named in named_by(option, text)) or typed(value)
    return typed(value)
