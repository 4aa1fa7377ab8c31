"""Tests over categories, ranks and power on the command line, from rows that were kept, and words that mean nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from stackclip import Session

TRAINING = "synthetic[categories=2,per_category=4,train_good=2,size=56]"
TESTED = "synthetic[part=combinations,categories=3,per_category=4,train_good=2,size=56]"
HERE = ("--train-on", TRAINING, "--test-on", TESTED, "--backbone", "random-vit-8", "--image-size", "56")
METHODS = ("--methods", "precise,fuzzy,stacked", "--epochs", "1", "--columns", "pixel_AUROC")
Run = Callable[..., Result]
BETWEEN = re.compile(r"\[\d+\.\d, \d+\.\d\]")


def test_categories_ranks_and_power_are_asked_for_and_shown_again(stackclip: Run, tmp_path: Path) -> None:
    words = ("--ci-over", "categories", "--power", "--columns", "pixel_AUROC")
    asked = stackclip(tmp_path, "bench", *METHODS, *words[:-2], "--ranks", str(tmp_path / "ranks.png"), *HERE)
    assert BETWEEN.search(asked.stdout)
    assert "over 3 categories, as if others might have been taken (t):" in asked.stdout
    assert "(Holm " in asked.stdout
    assert "to find it with 80 % power at p < .05: seeds: unknown from one; " in " ".join(asked.stdout.split())
    assert "mean ranks over 3 categories, pixel AUROC: " in asked.stdout
    assert (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")
    order = ("--methods", "precise,fuzzy,stacked")
    reported = stackclip(tmp_path, "report", *order, *words, "--ranks", str(tmp_path / "again.png"))
    assert reported.stdout == asked.stdout
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "ranks.png").read_bytes()
    assert not BETWEEN.search(stackclip(tmp_path, "report", "--ci").stdout)  # no draws were made, nor wanted
    plain = stackclip(tmp_path, "report", *words[:2], "--correction", "none", "-o", str(tmp_path / "table.tex")).stdout
    assert "Holm" not in plain
    written = " ".join((tmp_path / "table.tex").read_text().replace("%", "").split())
    assert "where a number would lie for other categories, 19 times of 20" in written
    assert "by paired t tests over categories, of means alone (each p < 0.05, not corrected)" in written.replace(
        "\\textless{}", "<"
    ).replace("$<$", "<")
    document = Session(tmp_path).report(ci=True, ci_over="categories", power=0.5)
    assert any("+0.5 pixel AUROC" in line or "-0.5 pixel AUROC" in line for line in document.tables[0].compared)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--correction", "none"), "--correction is of the tests of --ci, which is not asked for: add --ci"),
        (("--ranks-over", "data-sets"), "are of --ranks, which is not asked for: add --ranks FILE.png"),
        (("--ranks", "ranks.gif"), "ranks.gif: no plot is written as .gif; wanted .png, .svg, .pdf"),
        (("--power", "much"), "power='much'; wanted observed, or a difference in points of 100, as in 0.5"),
        (("--ci-over", "seeds"), "'seeds' is not one of 'pictures', 'categories'"),
    ],
)
def test_words_that_mean_nothing_are_refused_before_any_work(
    stackclip: Run, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    for verb in (("bench", *METHODS, *HERE), ("report",)):
        result = stackclip(tmp_path, *verb, *words)
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())
        assert not (tmp_path / "cache" / "features").exists()
