"""A bench in other words: every phrase in those of its draw, rows of its own, and the old ones as they were."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.runner import Bench
from stackclip.benchmarks.words import as_they_are, names_in
from stackclip.clip import TextEncoder
from stackclip.prompts.jitter import Wording
from tests.conftest import Small


class Recording(TextEncoder):
    """A text encoder that keeps the phrases that it was asked for."""

    def __init__(self, small: Small) -> None:
        super().__init__(small.tower)
        self.phrases: set[str] = set()

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        self.phrases |= {*phrases}
        return super().__call__(phrases)


def asked(small: Small, bench: Callable[..., Bench], method: str, words: int) -> set[str]:
    recording = Recording(small)
    made = replace(bench(small.plan(method, words=words), f"{method}-{words}"), encode=recording)
    assert not [row.error for row in made.run().rows if row.error]
    return recording.phrases


@pytest.mark.parametrize("method", ["precise", "fuzzy"])
def test_every_phrase_is_said_by_one_mapping(small: Small, bench: Callable[..., Bench], method: str) -> None:
    plain = asked(small, bench, method, 0)
    wording = Wording(3, names_in(small.plan(method), method))
    assert asked(small, bench, method, 3) == {*map(wording, plain)} != plain


def test_rows_say_their_draw_and_whether_words_are_read(
    small: Small, bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    plan = small.plan("clip", "musc", words=2)
    with caplog.at_level(logging.INFO):
        rows = bench(plan).run().rows
    assert {(row.method, facts_of(row).words, facts_of(row).reads_words) for row in rows} == {
        ("clip", 2, True),
        ("musc", 2, False),
    }
    assert not any(map(as_they_are, rows))
    assert "musc reads no text: no other words change it" in caplog.text
    assert "clip, draw 2 of words: " in caplog.text
    again = bench(plan).run()
    assert (again.computed, again.rows) == (0, rows)
    json.dumps([dict(row.facts) for row in rows])


def test_draws_have_identities_of_their_own_and_the_words_as_they_are_the_old_one(
    small: Small, bench: Callable[..., Bench]
) -> None:
    named = []
    for words in (0, 1, 2):
        seed = bench(small.plan("precise", words=words)).of_seed(0)
        named.append({seed.identities.head("precise"), seed.identities.row("precise", seed.cells["precise"][0])})
        facts = seed.identities.of_training("precise")
        assert ("words" in facts) == bool(words)
    assert len(set.union(*named)) == 6


def test_names_are_those_of_every_style_and_of_a_file(small: Small, tmp_path: Path) -> None:
    file = tmp_path / "names.json"
    category = small.tested.categories[0]
    file.write_text(json.dumps({category: "odd piece"}))
    names = names_in(small.plan("precise"), f"precise[class_names={file}]")
    assert {"odd piece", category, " ".join(category.split("-"))} <= {*names}
    assert "odd piece" not in names_in(small.plan("precise"), "precise")
    assert "odd piece" in names_in(small.plan("precise", class_names=str(file)), "precise")


def test_learned_prompts_begin_in_other_words(small: Small, bench: Callable[..., Bench]) -> None:
    plan = small.plan("stackclip[head=none]", "cocoop", words=1)
    found = [bench(replace(plan, words=words), str(words)).run().rows for words in (0, 1)]
    assert not [row.error for rows in found for row in rows if row.error]
    first, second = ([row.facts["losses"] for row in rows] for rows in found)
    assert all(one != other for one, other in zip(first, second, strict=True))
