"""Runs of a study: what stands in its file, on which towers, and what is no such thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackclip.errors import UsageError
from stackclip.papers.runs import PaperTower, Run, merged, on_towers
from stackclip.papers.suites import read_suite

STUDY = '[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\n'


def study(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_a_question_has_words_and_conditions_and_those_of_the_file_hold_for_all(tmp_path: Path) -> None:
    text = (
        "ci = true\nseeds = [3]\n" + STUDY + 'title = "Words"\nasks = "Which?"\nsays = "None."\nshows = ["a"]\n' + STUDY
    )
    first, second = read_suite(study(tmp_path, text)).runs
    assert (first.title, first.asks, first.says, first.shows) == ("Words", "Which?", "None.", ("a",))
    assert [(run.ci, run.seeds) for run in (first, second)] == [(True, (3,))] * 2
    assert len(merged((first, second))) == 2  # a question of its own stays one


def test_a_seed_that_is_said_twice_is_one(tmp_path: Path) -> None:
    [run] = read_suite(study(tmp_path, STUDY + "seeds = [1, 0, 1]\n")).runs
    assert run.seeds == (1, 0)


def test_each_run_is_on_each_tower_of_the_file_but_one_with_a_tower_of_its_own(tmp_path: Path) -> None:
    own = PaperTower(backbone="ViT-L-14", image_size=518)
    text = 'towers = ["stackclip-tiny", "ViT-B-16:openai"]\n' + STUDY + STUDY
    text += 'tower = { backbone = "ViT-L-14", image_size = 518 }\n'
    towers = [run.tower for run in read_suite(study(tmp_path, text)).runs]
    both = [PaperTower(backbone="stackclip-tiny"), PaperTower(backbone="ViT-B-16", pretrained="openai")]
    assert towers == [*both, own]
    assert [*on_towers([Run(methods=("clip",), test_on=("a",))], [])] == []


@pytest.mark.parametrize(
    ("lines", "shown"),
    [("", False), ("ci = true", True), ('ci_over = "categories"', True), ('ci_over = "pictures"', False)],
)
def test_intervals_over_categories_are_shown_where_they_are_asked_for_as_they_want_no_draws(
    lines: str, shown: bool, tmp_path: Path
) -> None:
    [run] = read_suite(study(tmp_path, STUDY + lines + "\n")).runs
    assert run.has_intervals is shown


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ci = 1", "ci is 1; wanted true or false"),
        ("per_category = 'yes'", "per_category is 'yes'; wanted true or false"),
        ("title = 3", "title is 3; wanted text"),
        ("asks = ['why']", "asks is ['why']; wanted text"),
        ("shows = 'image_AP'", "shows is 'image_AP'; wanted a list of text"),
        ("shows = [1]", "shows is [1]; wanted a list of text"),
        ("seeds = 3", "seeds is 3; wanted a list of whole numbers"),
        ("seeds = ['a']", "seeds is ['a']; wanted a list of whole numbers"),
        ("seeds = [-1]", "seeds is [-1]; wanted a list of whole numbers"),
        ("seeds = [true]", "seeds is [True]; wanted a list of whole numbers"),
        ("epochs = 1.5", "epochs is 1.5; wanted a whole number"),
        ("train_shots = -2", "train_shots is -2; wanted a whole number"),
        ("train_shots = 1", "train_shots is 1; wanted 2 or more"),
        ("batch_size = 0", "batch_size is 0; wanted 1 or more"),
        ("shots = true", "shots is True; wanted a number of normal pictures, or all"),
        ("seeds = [4294967296]", "seeds is [4294967296]; wanted numbers from 0 to 4294967295"),
        ("batch_size = 'all'", "batch_size is 'all'; wanted a whole number"),
        ("train_on = [1]", "train_on is [1]; wanted a list of text"),
    ],
)
def test_what_is_no_such_thing_is_refused_with_what_was_wanted(line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_suite(study(tmp_path, STUDY + line + "\n"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            'methods = ["clip"]\ntest_on = ["a"]\nablate = "clip"',
            "ablate takes one method apart, in a run of its own: leave methods out",
        ),
        ('test_on = ["a"]\nablate = "clip"\nselect = "k-fold"', "a run of its own: leave select out"),
        ('test_on = ["a"]\nablate = "clip"\nprompt_jitter = 2', "a run of its own: leave prompt_jitter out"),
        ('methods = ["clip"]\ntest_on = ["a"]\nimage_size = 56', "'image_size' means nothing; it is said of tower"),
        ('test_on = ["a"]', "a run without methods has nothing to do"),
        ('methods = ["clip"]\ntransfer = ["a", "b"]\ntest_on = ["c"]', "tests its own sets: leave test_on out"),
        ('methods = ["clip"]', "test_on lacks"),
        ('methods = ["clip"]\ntest_on = ["a"]\nselect = "k-fold"\nprompt_jitter = 2', "would choose in each wording"),
        ('methods = ["clip"]\ntest_on = ["a"]\nhindsight = true', "are about a selection: add select"),
        ('methods = ["clip"]\ntest_on = ["a"]\nselect = "k-folds"', "did you mean 'k-fold'"),
        ('methods = ["clip"]\ntest_on = ["a"]\nci_over = "sets"', "ci_over='sets'; wanted pictures or categories"),
        ('methods = ["clip"]\ntest_on = ["a"]\nranks = "sets"', "wanted categories or data-sets"),
    ],
)
def test_what_does_not_go_together_in_a_run_is_refused(lines: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_suite(study(tmp_path, f"[[runs]]\n{lines}\n"))
    assert str(caught.value).startswith(str(tmp_path / "mine.toml"))
    assert said in str(caught.value)


@pytest.mark.parametrize("line", ["towers = 'a'", "towers = [1]", "over_shots = 'no'", "shows = [2]", "remark = 1"])
def test_what_is_wrong_with_a_file_as_a_whole_is_told_too(line: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"mine\.toml: {line.split()[0]} is .*; wanted"):
        read_suite(study(tmp_path, line + "\n" + STUDY))


SPECIAL = {
    "ablate": '[[runs]]\nablate = "stacked"\ntest_on = ["mvtec"]\n',
    "select": '[[runs]]\nmethods = ["stacked[clusters=1|2]"]\nselect = "k-fold"\ntest_on = ["mvtec"]\n',
    "transfer": '[[runs]]\nmethods = ["clip"]\ntransfer = ["a", "b"]\n',
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("field", ["train_categories", "train_without"])
def test_what_trains_on_whole_data_sets_refuses_some_of_their_categories(kind: str, field: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{kind} trains on whole data sets"):
        read_suite(study(tmp_path, SPECIAL[kind] + f'{field} = ["bottle"]\n'))


@pytest.mark.parametrize("line", ['ranks = "categories"', 'ci_over = "categories"', "per_category = true"])
def test_an_ablation_refuses_words_of_other_tables_but_not_those_of_the_whole_file(line: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"ablate has tables of its own, and {line.split()[0]} is of others"):
        read_suite(study(tmp_path, SPECIAL["ablate"] + line + "\n"))
    ablating, plain = read_suite(study(tmp_path, f"{line}\n" + SPECIAL["ablate"] + STUDY)).runs
    name = line.split()[0]
    assert getattr(ablating, name) == getattr(Run(), name)
    assert getattr(plain, name) != getattr(Run(), name)


def test_a_metric_to_select_by_is_of_the_runs_that_select(tmp_path: Path) -> None:
    selecting, plain = read_suite(study(tmp_path, 'select_by = "image_AP"\n' + SPECIAL["select"] + STUDY)).runs
    assert (selecting.select_by, plain.select_by) == ("image_AP", None)
    with pytest.raises(UsageError, match="select_by is about a selection, and no run selects"):
        read_suite(study(tmp_path, 'select_by = "image_AP"\n' + STUDY))


@pytest.mark.parametrize("line", ['shows = ["image_AP"]', 'ci_over = "categories"', 'asks = "Which?"', "ci = true"])
def test_runs_of_one_title_say_one_thing_of_their_section(line: str, tmp_path: Path) -> None:
    first, second = STUDY + 'title = "Words"\n', STUDY.replace("clip", "precise") + 'title = "Words"\n'
    assert len(read_suite(study(tmp_path, first + line + "\n" + second)).runs) == 2
    with pytest.raises(UsageError, match=f"two runs are titled 'Words', and the second has another {line.split()[0]}"):
        read_suite(study(tmp_path, first + second + line + "\n"))


@pytest.mark.parametrize("towers", ['[""]', '[":openai"]'])
def test_a_tower_has_a_name(towers: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml: towers are .* wanted names"):
        read_suite(study(tmp_path, f"towers = {towers}\n" + STUDY))
