"""Named methods that are a prompt strategy with other defaults."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property
from typing import Any

from stackclip.methods.pipeline import Pipeline
from stackclip.methods.prompted import PromptedMethod
from stackclip.registry import Component, Option, Spec, bind, options_of, prompts

__all__ = ["Composition"]


class Composition:
    """A named method: a prompt strategy, and what it changes in the pipeline's and the strategy's defaults.

    It is a factory as the registry wants one: its `options` are the strategy's and the pipeline's together.
    """

    def __init__(self, strategy: str, doc: str, *, pipeline: type[Pipeline] = Pipeline, **defaults: object) -> None:
        self.strategy = strategy
        self.pipeline = pipeline
        self.defaults = defaults
        self.__doc__ = doc

    @cached_property
    def component(self) -> Component:
        """The prompt strategy."""
        return prompts.find(self.strategy)

    @property
    def options(self) -> tuple[Option, ...]:
        """The strategy's options, then the pipeline's, with this method's defaults."""
        every = {option.name: option for option in (*self.component.options, *options_of(self.pipeline))}
        return tuple(
            Option(name, option.type, self.defaults.get(name, option.default)) for name, option in every.items()
        )

    def __call__(self, **values: Any) -> PromptedMethod:
        """Make the method; `values` are options that were typed and checked."""
        values = {**self.defaults, **values}
        of_pipeline = {field.name for field in fields(self.pipeline)}
        return PromptedMethod(
            self.component.factory(**{name: value for name, value in values.items() if name not in of_pipeline}),
            self.pipeline(**{name: value for name, value in values.items() if name in of_pipeline}),
        )

    def create(self, spec: Spec) -> PromptedMethod:
        """Make the method with the options of `spec`, typed and checked."""
        return self(**bind(spec.name, self.options, dict(spec.options)))
