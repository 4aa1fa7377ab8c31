"""What a selection is told is read, and what makes no sense is said in a line."""

from __future__ import annotations

import pytest

from stackclip.errors import UsageError
from stackclip.studies.schemes import Criterion, Scheme, grids_among


@pytest.mark.parametrize(
    ("text", "kind", "folds"),
    [
        ("leave-category-out", "leave-category-out", None),
        ("leave-category-out[folds=3]", "leave-category-out", 3),
        ("leave-defect-out", "leave-defect-out", None),
        (" k-fold ", "k-fold", 5),
        ("k-fold[folds=2]", "k-fold", 2),
    ],
)
def test_a_scheme_is_read_and_told_again(text: str, kind: str, folds: int | None) -> None:
    scheme = Scheme.parse(text)
    assert (scheme.kind, scheme.folds) == (kind, folds)
    assert Scheme.parse(str(scheme)) == scheme


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("leave-categories-out", "did you mean 'leave-category-out'"),
        ("", "wanted name"),
        (3, "wanted leave-category-out, leave-defect-out, k-fold"),
        ("k-fold[folds=1]", "wanted a number of folds, 2 or more"),
        ("k-fold[folds=-3]", "wanted a number of folds"),
        ("k-fold[folds=two]", "wanted a number of folds"),
        ("k-fold[folds=²]", "wanted a number of folds"),
        ("k-fold[folds=]", "wanted a number of folds"),
        ("k-fold[good=3]", "k-fold has no option 'good'; it has folds"),
    ],
)
def test_what_is_no_scheme_is_refused(text: object, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("[", r"\[")):
        Scheme.parse(text)


def test_a_metric_goes_by_the_names_of_other_projects_too() -> None:
    assert Criterion.of("ap_px", "best").metric == "pixel_AP"
    assert Criterion.of(None, "one-standard-error", "epoch") == Criterion(None, "one-standard-error", True)
    assert not Criterion.of(None, "best", 5).epochs


@pytest.mark.parametrize(
    ("metric", "rule", "said"),
    [
        ("pixel_ap", "best", "did you mean 'pixel_AP'"),
        ("loss", "best", "no metric 'loss' to select by"),
        (3, "best", "no metric 3 to select by"),
        (None, "worst", "nothing is selected by the rule 'worst'; wanted best, one-standard-error"),
    ],
)
def test_what_is_no_criterion_is_refused(metric: object, rule: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Criterion.of(metric, rule)


def test_grids_are_told_from_other_names_and_have_the_name_that_rows_carry() -> None:
    [grid, other] = grids_among(["stacked[select=mean,clusters=1|2]", "clip", "x[a=y[b=1|2]]", "x[a=y[b=1|2]]"])
    assert grid.name == "stacked[clusters=1|2,select=mean]"
    assert grid.specs == ("stacked[clusters=1,select=mean]", "stacked[clusters=2,select=mean]")
    assert (other.name, other.specs) == ("x[a=y[b=1|2]]", ("x[a=y[b=1]]", "x[a=y[b=2]]"))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["clip", "stacked"], "nothing to select among clip, stacked: name a grid"),
        (["stacked[clusters=1|1]"], "is a grid of one point"),
    ],
)
def test_where_there_is_nothing_to_select_that_is_said(names: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("[", r"\[")):
        grids_among(names)
