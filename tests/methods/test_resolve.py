"""From names to methods."""

from __future__ import annotations

import pytest

from stackclip.errors import BadOption, DuplicateComponent, UnknownComponent, UsageError
from stackclip.methods import Composition, PromptedMethod, component_of, method_names, resolve
from stackclip.prompts.fuzzy import Fuzzy
from stackclip.prompts.stacked import Stacked
from stackclip.registry import methods, prompts

pytestmark = pytest.mark.usefixtures("registry_as_it_was")


def test_every_name_resolves_to_a_method():
    assert {"april-gan", "clip", "fuzzy", "precise", "stackclip", "stacked"} <= set(method_names())
    for name in method_names():
        assert resolve(name) is not None
        assert component_of(name).name == name
        assert component_of(name).summary


def test_a_prompt_strategy_is_run_through_the_pipeline_by_its_name():
    method = resolve("fuzzy[word=thing,head=efa[temperature=4],select=mean,class-names=natural,epochs=3,lr=0.01]")
    assert isinstance(method, PromptedMethod)
    assert isinstance(method.strategy, Fuzzy)
    assert method.strategy.word == "thing"
    assert method.recipe.temperature == 4.0
    assert method.pipeline.select == "mean"
    assert method.pipeline.class_names == "natural"
    assert (method.pipeline.epochs, method.pipeline.lr) == (3, 0.01)


def test_a_named_method_changes_defaults_which_can_still_be_typed():
    method = resolve("stackclip")
    assert isinstance(method.strategy, Stacked)
    assert (method.strategy.test, method.pipeline.head) == ("object+cluster", "efa")
    typed = resolve("stackclip[test=object,head=linear,clusters=2]")
    assert (typed.strategy.test, typed.pipeline.head, typed.strategy.clusters) == ("object", "linear", 2)
    assert resolve("stacked").strategy.test == "cluster"
    assert resolve("clip").recipe is None
    assert resolve("april-gan").pipeline.takes_shots


def test_the_options_of_a_method_are_those_of_strategy_and_pipeline_with_its_own_defaults():
    shown = {option.label: option.default_text for option in component_of("stackclip").options}
    assert shown["test"] == "object+cluster"
    assert shown["head"] == "efa"
    assert shown["clusters"] == "none"
    assert shown["epochs"] == "none"
    assert "few_shot" not in shown


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ("stakced", UnknownComponent, r"no method is named 'stakced' \(did you mean 'stacked'\?\); known are "),
        ("april-gann", UnknownComponent, "did you mean 'april-gan'"),
        ("fuzzy[words=x]", BadOption, r"fuzzy has no option 'words' \(did you mean 'word'\?\)"),
        ("stacked[clusters=two]", BadOption, "stacked: clusters='two' is not of type int | none"),
        ("stacked[head=lineal]", UnknownComponent, r"no head is named 'lineal' \(did you mean 'linear'\?\)"),
        ("stacked[select=median]", UnknownComponent, "no selector is named 'median'"),
        ("stacked[head=efa[temp=1]]", BadOption, "efa has no option 'temp'"),
        ("april-gan[few-shot=true]", BadOption, "april-gan has no option 'few_shot'"),
        ("stacked[", UsageError, "cannot read"),
    ],
)
def test_what_does_not_resolve_is_told_with_what_would(spec: str, error: type[UsageError], said: str):
    with pytest.raises(error, match=said):
        resolve(spec)


def test_a_name_that_is_a_method_and_a_strategy_is_refused_with_both_places():
    prompts.register("twin")(Fuzzy)
    methods.register("twin")(Composition("fuzzy", "A method."))
    with pytest.raises(DuplicateComponent, match=r"'twin' is a method and a prompt strategy, in .*: rename one"):
        resolve("twin")
