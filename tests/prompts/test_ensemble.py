"""The ensemble's structure, and stacks that outgrow the context."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackclip.errors import UsageError
from stackclip.prompts import CPE, Ensemble, subjects_of
from stackclip.types import ANOMALOUS, NORMAL


def test_the_ensemble_has_the_structure_of_the_paper():
    assert (len(CPE.normal), len(CPE.anomalous), len(CPE.templates)) == (7, 5, 35)
    for side, count in ((NORMAL, 245), (ANOMALOUS, 175)):
        phrases = CPE.phrases("metal nut", side)
        assert len(phrases) == len(set(phrases)) == count
        assert all(phrase.count("metal nut") == 1 for phrase in phrases)
        assert not any(set(phrase) & set("{}") for phrase in phrases)
        assert not any("  " in phrase or phrase != phrase.strip() for phrase in phrases)


def test_no_phrase_is_both_normal_and_anomalous():
    assert not set(CPE.phrases("bottle", NORMAL)) & set(CPE.phrases("bottle", ANOMALOUS))


def test_templates_run_fastest():
    ensemble = Ensemble(normal=("{}", "good {}"), anomalous=("bad {}",), templates=("a {}.", "the {}."))
    assert ensemble.phrases("nut", NORMAL) == ("a nut.", "the nut.", "a good nut.", "the good nut.")
    assert ensemble.phrases("nut", ANOMALOUS) == ("a bad nut.", "the bad nut.")


@given(st.text("ab ", min_size=1, max_size=20))
def test_the_longest_phrase_is_the_longest_of_all(subject: str):
    every = [*CPE.phrases(subject, NORMAL), *CPE.phrases(subject, ANOMALOUS)]
    assert CPE.longest(subject, len) == max(map(len, every))


@dataclass(frozen=True)
class Joined:
    """Names joined, with an overflow to choose."""

    overflow: str = "error"

    def stacks(self, categories, encode):
        return (categories,)

    def subject(self, category, group, *, seen):
        return " ".join(group)


NAMES = ("one", "two", "three", "four", "five")


def fits(limit: int):
    return lambda subject: len(subject.split()) <= limit


def test_a_stack_that_fits_is_one_subject_whatever_the_overflow():
    for overflow in ("error", "truncate-names", "chunk-mean"):
        assert subjects_of(Joined(overflow), "x", NAMES, seen=True, fits=fits(5)) == ("one two three four five",)


def test_a_stack_that_does_not_fit_is_refused_with_the_remedies():
    with pytest.raises(UsageError, match=r"of 5 names does not fit .* overflow=truncate-names or overflow=chunk-mean"):
        subjects_of(Joined(), "x", NAMES, seen=True, fits=fits(4))


def test_whole_names_are_left_out_from_the_end():
    assert subjects_of(Joined("truncate-names"), "x", NAMES, seen=True, fits=fits(3)) == ("one two three",)


def test_chunks_are_consecutive_and_hold_every_name():
    found = subjects_of(Joined("chunk-mean"), "x", NAMES, seen=True, fits=fits(2))
    assert found == ("one two", "three four", "five")


@given(st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=12), st.integers(1, 6))
def test_chunks_fit_and_lose_no_name(names: list[str], limit: int):
    found = subjects_of(Joined("chunk-mean"), "x", tuple(names), seen=True, fits=fits(limit))
    assert all(fits(limit)(subject) for subject in found)
    assert " ".join(found).split() == names


@pytest.mark.parametrize("overflow", ["truncate-names", "chunk-mean"])
def test_a_single_name_that_does_not_fit_is_refused(overflow: str):
    with pytest.raises(UsageError, match="'one' alone does not fit"):
        subjects_of(Joined(overflow), "x", NAMES, seen=True, fits=lambda subject: False)
