"""Learned prompts in a bench: trained, saved, loaded and resumed to the same rows, whoever else takes part."""

from __future__ import annotations

from collections.abc import Mapping

from safetensors import safe_open

METHODS = ("stackclip", "clip[learner=rpl[context=4,deep=2]]", "fuzzy[head=none,learner=rpl]", "clip")


def figures(outcome, *names: str) -> Mapping[tuple[str, str, int], object]:
    """Everything in the rows of some methods that must not depend on circumstances."""
    return {
        (row.method, row.category, row.seed): (row.metrics, {**row.facts, "train_seconds": 0})
        for row in outcome.rows
        if row.method in (names or {row.method})
    }


def test_methods_that_learn_together_give_the_rows_they_give_alone(small, bench):
    together = bench(small.plan(*METHODS, seeds=(0, 1)), "together").run()
    assert not [row.error for row in together.rows if row.error]
    for name in METHODS:
        alone = bench(small.plan(name, seeds=(0, 1)), f"alone-{name[:5]}-{len(name)}", alone=True).run()
        assert figures(alone) == figures(together, name)


def test_rows_hold_both_terms_for_each_epoch_that_it_learned(small, bench):
    (row, *_) = bench(small.plan("stackclip", epochs=None)).run().rows
    first, second = row.facts["losses"]
    assert set(first) == {"loss", "map", "rpl_ce", "rpl_mse"}
    assert set(second) == {"loss", "map"}
    steps = row.facts["steps"]
    assert set(steps["first"]) == set(steps["last"]) == set(first)
    assert steps["last"]["loss"] == steps["last"]["map"] < second["loss"] < steps["first"]["map"]  # rpl has ended
    assert row.facts["learned"]["epochs"] == 1
    assert row.facts["options"]["learner"] == "rpl"


def test_what_was_learned_is_read_from_disk_and_gives_the_same_rows(small, bench, monkeypatch):
    plan = small.plan("stackclip")
    run = bench(plan)
    first = run.run()
    (path,) = run.heads.glob("*.safetensors")
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
    assert {"learner.prompts.context.0", "learner.prompts.context.1", "learner.prompts.deep.0"} < names
    for row in run.rows.folder.rglob("*.json"):
        row.unlink()
    monkeypatch.setattr("stackclip.methods.PromptedDetector.step", None)
    again = bench(plan).run()
    assert again.computed == len(again.rows)
    assert figures(again) == figures(first)
