"""Suites: every file of the package, files of one's own, and runs that are moved to other data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest

from stackclip.clip.architecture import check_size
from stackclip.contracts.trial import trial_tower
from stackclip.data.census import published_categories
from stackclip.data.names import CategoryNames
from stackclip.errors import UnknownComponent, UsageError
from stackclip.methods import component_of, method_names, resolve
from stackclip.metrics import IMAGE_METRICS, PIXEL_METRICS
from stackclip.papers.published import SOURCES, _plain
from stackclip.papers.runs import PaperTower, Run, merged, redirected
from stackclip.papers.suites import Suite, find_suites, read_suite, suites
from stackclip.prompts import CPE
from stackclip.registry import Spec, datasets, learners

SUITES = suites().values()
named = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)


@named
def test_the_methods_of_a_suite_are_read_and_those_that_exist_have_its_options(suite: Suite) -> None:
    for method in suite.methods:
        spec = Spec.parse(method)
        if spec.name in method_names():
            resolve(method)
        else:
            with pytest.raises(UnknownComponent):
                component_of(spec.name)


@named
def test_the_data_sets_of_a_suite_are_registered_and_none_is_trained_on_and_tested(suite: Suite) -> None:
    for run in suite.runs:
        assert run.test_on
        assert {Spec.parse(name).name for name in (*run.train_on, *run.test_on)} <= set(datasets.names())
        assert not set(run.train_on) & set(run.test_on)


@named
def test_a_suite_has_a_source_and_shows_known_metrics(suite: Suite) -> None:
    assert suite.source in {*SOURCES, ""}  # those of our own have none
    assert suite.name.startswith(suite.source)
    assert bool(suite.tables) == bool(suite.source)
    assert suite.title
    assert suite.shows
    assert set(suite.shows) <= {*IMAGE_METRICS, *PIXEL_METRICS}
    assert towers_of(suite) or not suite.source


@named
def test_what_a_table_prints_of_a_method_of_its_suite_is_run_by_it(suite: Suite) -> None:
    runs = {
        (str(Spec.parse(method)), Spec.parse(test_on).name, frozenset(run.train_on))
        for run in suite.runs
        for method in run.methods
        for test_on in run.test_on
    }
    for line in suite.published:
        known = line.method.partition("[")[0] in method_names()
        own = {run for run in runs if known and _plain(line.method, line.level) == _plain(run[0], line.level)}
        tried = {test_on for _, test_on, _ in own}
        assert not own or line.dataset in tried, line
        if line.train_on and line.dataset in tried:
            assert (line.dataset, frozenset(line.train_on)) in {run[1:] for run in own}, line
        assert not line.method.startswith(("stackclip", "stacked")) or own, line


def towers_of(suite: Suite) -> set[PaperTower]:
    return {run.tower for run in suite.runs if run.tower}


def _asked(run: Run) -> Iterator[tuple[str, list[str], str]]:
    """Each method of a run with what its prompts call each stack of the training names, at most, and its overflow."""
    names = [CategoryNames("spaced")(name) for data in run.train_on for name in published_categories(data)]
    for method in run.methods:
        options = {o.label: o.default_text for o in component_of(Spec.parse(method).name).options}
        options |= dict(Spec.parse(method).options)
        if "overflow" in options and "clusters" in options:
            yield method, names, options["overflow"]


@named
def test_the_names_of_a_suites_training_sets_fit_the_text_tower_or_the_suite_says_what_to_do(suite: Suite) -> None:
    tower = trial_tower()  # its tokens are CLIP's
    for run in suite.runs:
        if not run.train_on:
            continue
        tested = [
            CategoryNames("spaced")(n) for data in run.test_on for n in published_categories(Spec.parse(data).name)
        ]
        for method, names, overflow in _asked(run):
            stack = " ".join(names)
            longest = max(CPE.longest(f"{name} {stack} {name}", tower.count_tokens) for name in tested or names)
            assert longest <= tower.context_length or overflow == "chunk-mean", (method, longest)
            learner = dict(Spec.parse(method).options).get("learner", "rpl")
            if method.startswith("stackclip") and learner != "none":
                assert learners.create(learner).fits(tower, stack), method


@named
def test_patches_fill_the_pictures_of_a_suites_towers(suite: Suite) -> None:
    for tower in towers_of(suite):
        config = open_clip.get_model_config(tower.backbone)
        if isinstance(config["vision_cfg"]["layers"], list):  # a ResNet has no patches, and is refused as such
            continue
        patch = config["vision_cfg"]["patch_size"]
        assert check_size(tower.image_size, own=224, patch=patch, name=tower.backbone) == tower.image_size


@named
def test_a_table_without_image_scores_trains_no_learner(suite: Suite) -> None:
    if not set(suite.shows) & set(IMAGE_METRICS):
        for method in suite.methods:
            assert not method.startswith("stackclip") or "learner=none" in method


def test_every_table_that_is_asked_for_is_there() -> None:
    wanted = [*(f"fuzzyclip-table{number}" for number in range(2, 10)), "fuzzyclip-figure1", "fuzzyclip-figure5"]
    wanted += [f"clip-ad-table{number}" for number in range(1, 9)]
    assert set(wanted) <= set(suites())


def test_a_paper_names_all_its_suites_and_a_wrong_name_the_nearest() -> None:
    assert [suite.name for suite in find_suites("clip-ad")] == [f"clip-ad-table{number}" for number in range(1, 9)]
    assert [suite.name for suite in find_suites("fuzzyclip-table4")] == ["fuzzyclip-table4"]
    with pytest.raises(UsageError, match="did you mean 'fuzzyclip-table4'"):
        find_suites("fuzyclip-table4")


def test_suites_over_shots_have_runs_that_differ_in_these_alone() -> None:
    over = [suite for suite in SUITES if suite.over_shots]
    assert {suite.name for suite in over} >= {"few-shot-curve", "winclip-few-shot"}
    for suite in over:
        assert len({replace(run, methods=(), shots=0) for run in suite.runs}) == 1
        assert len({run.shots for run in suite.runs}) == len(suite.runs) > 1
    assert [run.shots for run in suites()["few-shot-curve"].runs] == [0, 1, 2, 4, 8, "all"]


def test_figure_5_varies_one_of_three_numbers_at_a_time() -> None:
    methods = suites()["fuzzyclip-figure5"].methods
    varied = [dict(Spec.parse(dict(Spec.parse(method).options)["learner"]).options) for method in methods]
    assert all(len(options) == 1 for options in varied)
    assert {name for options in varied for name in options} == {"context", "deep", "depth"}


def test_a_file_of_ones_own_is_a_suite(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'title = "Mine"\nseeds = [0, 1]\n[[runs]]\nmethods = ["stacked[clusters={k}]"]\ngrid = { k = [1, 2] }\n'
        'train_on = ["a"]\ntest_on = ["b"]\nepochs = 3\n'
    )
    [suite] = find_suites(str(path))
    assert suite.name == "mine"
    assert suite.published == ()
    assert suite.runs == (
        Run(
            methods=("stacked[clusters=1]", "stacked[clusters=2]"),
            train_on=("a",),
            test_on=("b",),
            seeds=(0, 1),
            epochs=3,
        ),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = ", "not TOML"),
        ('title = "nothing"', "has no [[runs]]"),
        ('[[runs]]\nmethods = ["clip"]\n', "test_on"),
        ('[[runs]]\nmethods = ["clip"]\ntest_on = "mvtec"\n', "test_on is 'mvtec'; wanted a list"),
        ('[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\nepoch = 1\n', "did you mean 'epochs'"),
        ('titel = "x"\n[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\n', "did you mean 'title'"),
        ('[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\ntower = { weights = "x" }\n', "'weights' means nothing"),
        ('[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\ntower = "ViT-L-14"\n', "tower is 'ViT-L-14'; wanted"),
        ('[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\ngrid = { k = 1 }\n', "grid is {'k': 1}; wanted"),
        ('[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\neval_every = 0\n', "eval_every is 0; wanted"),
        ('[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\nshots = "many"\n', "shots is 'many'; wanted a number of"),
        ('[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\nshots = -1\n', "shots is -1; wanted a number of"),
        ('[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\nshots = []\n', "shots is []; wanted a number of"),
        ('[[runs]]\nmethods = ["clip"]\ntest_on = ["mvtec"]\nshots = [1, -1]\n', "shots is -1; wanted a number of"),
        ("runs = [1]\n", "runs are [1]; wanted tables"),
    ],
)
def test_a_file_that_is_no_suite_is_refused_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_suite(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none.toml"), "~nobody-of-that-name/none.toml"):
        with pytest.raises(UsageError, match=r"none\.toml: cannot be read \(No such file or directory\)"):
            find_suites(name)


def test_a_pipe_in_place_of_a_suite_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(UsageError, match=r"pipe\.toml: cannot be read \(is no regular file"):
        find_suites(str(tmp_path / "pipe.toml"))


# Moved to other data


def test_runs_on_other_data_become_one_where_they_are_alike() -> None:
    table_6 = suites()["fuzzyclip-table6"].runs
    [run] = redirected(table_6, train_on=("own",), test_on=("other",))
    assert (run.train_on, run.test_on, run.batch_size) == (("own",), ("other",), None)
    assert run.methods == (
        *(f"stackclip[clusters={number},learner=none,overflow=chunk-mean]" for number in (1, 2)),
        "stackclip[learner=none,overflow=chunk-mean]",
        "stackclip[clusters=3,learner=none,overflow=chunk-mean]",
    )


def test_what_is_not_trained_stays_so_and_what_is_asked_for_holds() -> None:
    runs = redirected(suites()["fuzzyclip-table2"].runs, train_on=("own",), seeds=(3, 4), epochs=1)
    assert {run.train_on for run in runs} == {("own",), ()}
    assert {run.methods for run in runs if not run.train_on} == {("winclip", "clip-surgery")}
    assert {(run.seeds, run.epochs) for run in runs} == {((3, 4), 1)}


def test_parts_of_a_training_set_do_not_move_to_another() -> None:
    table_5 = suites()["fuzzyclip-table5"].runs
    assert len(redirected(table_5)) == 3
    assert len(redirected(table_5, train_on=("own",))) == 1
    assert len(redirected(table_5, test_on=("own",))) == 3


def test_runs_of_two_towers_stay_two() -> None:
    towers = [PaperTower(backbone=name) for name in ("a", "b")]
    runs = [Run(methods=("clip",), test_on=("x",), tower=tower) for tower in (*towers, towers[0])]
    assert merged(runs) == tuple(runs[:2])
