"""What the demo says of its table."""

from __future__ import annotations

from stackclip.cli.demo import DEMO_METHODS, _learned
from stackclip.methods import resolve
from stackclip.types import Row


def row(method: str, **facts: object) -> Row:
    return Row(method=method, train_on=("a",), test_on="b", category="c", shots=0, seed=0, facts=facts)


STEPS = {"first": {"rpl_ce": 0.7, "rpl_mse": 1e-4}, "last": {"rpl_ce": 0.4, "rpl_mse": 2e-4}}


def test_it_says_how_many_stacks_there_are_and_how_the_terms_of_the_prompts_moved():
    one = row("stackclip", learned={"epochs": 1}, stacks=[["nut", "pill"]], steps=STEPS)
    two = row("stackclip[clusters=2]", learned={"epochs": 1}, stacks=[["nut"], ["pill"]], steps=STEPS)
    other = row("visualad", learned={"epochs": 1}, steps={"first": {"bce": 0.7}, "last": {"bce": 0.4}})
    csp, rpl, order = _learned([row("clip", learned=None), other, one, two, two])
    assert csp.startswith("CSP and EFA: stackclip made 1 stack, stackclip[clusters=2] made 2 stacks of the training")
    assert "visualad" not in csp
    assert (
        rpl == "RPL, first step and last: cross-entropy 0.7 and 0.4; distance to the stacked prompts 0.0001 and 0.0002"
    )
    assert "as it was measured" in order


def test_without_stackclip_it_says_nothing_of_it():
    assert len(list(_learned([row("stackclip"), row("clip", learned=None)]))) == 1


def test_its_methods_exist():
    assert all(resolve(method) for method in DEMO_METHODS)
