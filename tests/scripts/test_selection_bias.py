"""On drawn problems the selection by folds is honest, and picking by test figures is not."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from scripts.selection_bias import PROBLEMS, Bias, Problem, main, measured


def test_a_known_best_point_is_found_every_time() -> None:
    assert measured(PROBLEMS["one best"], 40, 5)["selected by folds"].found == 1


@pytest.mark.parametrize("name", ["close", "all equal"])
def test_the_test_figure_of_what_is_selected_is_unbiased_and_that_of_what_is_picked_is_not(name: str) -> None:
    found = measured(PROBLEMS[name], 200, 0)
    honest, picked = found["selected by folds"], found["picked by test figures"]
    assert honest.low <= 0 <= honest.high
    assert picked.low > 0.01
    assert picked.regret >= honest.regret


def test_a_bias_is_the_mean_error_with_its_interval() -> None:
    bias = Bias.of(Problem((0.2, 0.5)), [1, 0, 1, 1], [0.6, 0.2, 0.5, 0.5])
    errors = np.array([0.1, 0.0, 0.0, 0.0])
    assert bias.mean == pytest.approx(0.025)
    assert bias.high - bias.mean == pytest.approx(1.96 * errors.std(ddof=1) / 2)
    assert (bias.found, bias.regret) == (0.75, pytest.approx(0.075))


def test_the_script_prints_a_line_for_each_problem_and_way() -> None:
    result = CliRunner().invoke(main, ["--repetitions", "2"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2 + 2 * len(PROBLEMS)
