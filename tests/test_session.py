"""The four calls from Python: what they give is what the verbs print."""

from __future__ import annotations

import csv
import json
import logging
import pickle
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from sklearn.metrics import roc_auc_score

import stackclip as package
from stackclip.cache import lookout as sight
from stackclip.cli import cli
from stackclip.clip import Tower, known
from stackclip.errors import CategoryOverlap, MissingParts, PictureError, UnknownComponent, UsageError
from stackclip.papers.suites import find_suites
from stackclip.session import BenchRows, Session, TowerRecipe, distinct
from stackclip.session.recipe import words_of
from stackclip.workspace import Workspace

TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
TESTED = "synthetic[part=combinations,categories=2,per_category=4,train_good=3,size=56]"
RECIPE = TowerRecipe("random-vit-8", image_size=56)
HERE = {"train_on": TRAINING, "test_on": TESTED, "epochs": 1}
Run = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("registry_as_it_was")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that the tests fill."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def rows(place: Path) -> BenchRows:
    """What a bench of two methods and two seeds gives there."""
    return Session(place, RECIPE).bench(["stacked", "clip"], seeds=[0, 1], **HERE)


@pytest.fixture
def session(place: Path) -> Session:
    return Session(place, RECIPE)


def test_rows_are_shown_in_a_line_and_a_row_without_its_facts(rows: BenchRows) -> None:
    assert repr(rows) == "<BenchRows: 8 rows of stacked, clip; 0 failed>"
    assert repr(BenchRows()) == "<BenchRows: 0 rows of no method; 0 failed>"
    assert "facts" not in repr(rows[0])
    assert len(repr(rows[0])) < 500


def test_a_bench_gives_the_rows_that_the_verb_prints(stackclip: Run, rows: BenchRows, place: Path) -> None:
    assert (len(rows), rows.computed, rows.failed, rows.whole) == (8, 8, (), True)
    words = ("--methods", "stacked,clip", "--seeds", "0,1", "--train-on", TRAINING, "--test-on", TESTED)
    tower = ("--backbone", "random-vit-8", "--image-size", "56")
    printed = stackclip(place, "bench", *words, "--epochs", "1", *tower, "--json")
    assert "nothing was left to compute: all 8 cells were there already" in printed.stderr
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    assert [(row.method, row.category, row.seed) for row in rows] == [
        (line["method"], line["category"], line["seed"]) for line in lines
    ]
    assert [dict(row.metrics) for row in rows] == [
        {name: value for name, value in line["metrics"].items() if value is not None} for line in lines
    ]


def test_a_second_bench_computes_nothing_and_the_report_holds_the_same_cells(
    session: Session, rows: BenchRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tower, "encode", None)
    again = session.bench(["stacked", "clip"], seeds=(0, 1), **HERE)
    assert (again.computed, again.rows) == (0, rows.rows)
    document = session.report("clip", seeds=[1])
    assert {(row.method, row.seed) for row in document.rows} == {("clip", 1)}
    wanted = {row.category: row.metrics for row in rows if (row.method, row.seed) == ("clip", 1)}
    assert {row.category: row.metrics for row in document.rows} == wanted
    assert [line.method for line in document.tables[0].lines] == ["clip"]


def test_a_forecast_counts_the_cells_that_are_missing_and_writes_nothing(
    session: Session, rows: BenchRows, place: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    forecast = session.forecast(session.contest(["stacked", "fuzzy[lr=0.5]"], seeds=(0, 1), **HERE))
    assert forecast is not None
    assert (forecast.cells, forecast.missing, forecast.planned.pictures) == (8, 4, 0)
    assert forecast.expected is not None
    known = len(session.report().rows)
    assert (forecast.expected.rows, forecast.expected.unknown) == (known, ("fuzzy[lr=0.5]",))
    assert forecast.time.endswith(
        "in one process, as 8 earlier rows took; reading, texts and metrics come on top; of fuzzy[lr=0.5] no row "
        "says it"
    )
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_each_file_is_looked_at_once_for_all_that_is_planned(
    session: Session, rows: BenchRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = Counter[Path]()
    look = sight.look_at
    monkeypatch.setattr(sight, "look_at", lambda homes, role: looked.update(homes) or look(homes, role))
    contest = session.contest(["stacked", "clip"], seeds=(0, 1), **HERE)
    for call in (session.run, session.forecast):
        looked.clear()
        call(contest)
        tested = [sample for dataset in contest.plan.test_on for sample in dataset.select(split="test").samples]
        assert {sample.image for sample in tested} | {sample.mask for sample in tested if sample.mask} <= {*looked}
        assert {*looked.values()} == {1}


def test_nothing_is_loaded_before_it_is_needed_and_the_tower_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    load = known.load_tower
    monkeypatch.setattr(known, "load_tower", lambda recipe: loaded.append(recipe) or load(recipe))
    session = Session(tmp_path / "new", RECIPE)
    assert loaded == []
    assert not (tmp_path / "new").exists()
    encoded = session.encode([TRAINING, TESTED], methods="clip")
    assert (encoded.done.encoded, encoded.pictures, encoded.failed) == (16, 16, ())
    assert session.encode(TRAINING, methods=["clip"]).done.already_there == 8
    assert session.bench("clip", **HERE).whole
    assert loaded == [RECIPE]


def test_a_session_is_frozen_and_a_small_pickle_that_loads_its_own_tower(session: Session, rows: BenchRows) -> None:
    session.bench("clip", seeds=[0], **HERE)
    sent = pickle.dumps(session)
    assert len(sent) < 2000  # no tower in it
    copy = pickle.loads(sent)
    assert copy == session
    assert copy.bench("clip", seeds=[0], **HERE).rows == session.bench("clip", seeds=[0], **HERE).rows
    assert pickle.loads(pickle.dumps(rows)) == rows
    with pytest.raises(FrozenInstanceError):
        session.workers = 3  # type: ignore[misc]


def test_progress_is_told_stage_by_stage_and_nothing_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, int, int]] = []
    Session(tmp_path, RECIPE).bench("fuzzy", progress=lambda *call: calls.append(call), **HERE)
    last = {stage: (done, total) for stage, done, total in calls}
    assert last["encode"] == (16, 16)
    assert last["train, seed 0"] == (8, 8)
    assert sum(stage.startswith("test synthetic-combinations ") for stage in last) == 2
    assert capsys.readouterr().out == ""


def test_what_is_wrong_is_an_error_of_ours(session: Session, rows: BenchRows, tmp_path: Path) -> None:
    with pytest.raises(UnknownComponent, match="did you mean 'stacked'"):
        session.bench("staked", **HERE)
    with pytest.raises(UsageError, match="did you mean 'epochs'"):
        session.bench("clip", epoch=1)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="seeds=\\(-1,\\); wanted numbers from 0"):
        session.bench("clip", seeds=[-1])
    with pytest.raises(UsageError, match="has a category ''; there are"):
        session.bench("clip", categories=[""], **HERE)
    with pytest.raises(UsageError, match="'' names no data set"):
        session.bench("clip", train_on=HERE["train_on"], test_on=[""])
    assert session.contest("clip", seeds=[1, 0, 1], **HERE).plan.seeds == (1, 0)
    with pytest.raises(UsageError, match="batch_size=0; wanted 1 or more"):
        session.bench("clip", batch_size=0)
    with pytest.raises(CategoryOverlap):
        session.bench("clip", train_on=TRAINING, test_on=TRAINING)
    with pytest.raises(UsageError, match="has a category 'bottel'"):
        session.bench("clip", categories=["bottel"], **HERE)
    with pytest.raises(MissingParts, match=r"Run: stackclip --workspace .* --backbone random-vit-8 --image-size 56"):
        Session(tmp_path, RECIPE).bench("clip", cached_only=True, **HERE)


@pytest.mark.parametrize(
    "words",
    [
        {"epochs": "3"},
        {"epochs": True},
        {"batch_size": 2.5},
        {"shots": "2"},
        {"shots": 1.5},
        {"seeds": 3},
        {"seeds": "01"},
        {"seeds": [1.5]},
        {"class_names": 3},
        {"executor": None},
        {"overwrite": "foo"},
        {"methods": None},
        {"methods": b"clip"},
        {"train_on": 3},
    ],
    ids=str,
)
def test_a_word_of_another_kind_is_an_error_of_ours(session: Session, words: dict[str, Any]) -> None:
    [(name, value)] = words.items()
    named = value[0] if isinstance(value, list) else value
    with pytest.raises(UsageError, match=re.escape(repr(named))):
        session.bench(**{"methods": "clip", **HERE, name: value})


@pytest.mark.parametrize(
    "words", [{"batch_size": 0}, {"workers": "2"}, {"resident": "foo"}, {"backbone": 3}, {"data_root": 3}], ids=str
)
def test_a_session_of_another_kind_is_an_error_of_ours(words: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=re.escape(repr(next(iter(words.values()))))):
        Session(**words)


def test_whole_numbers_of_numpy_are_as_good(session: Session, rows: BenchRows) -> None:
    again = session.bench(["stacked", "clip"], seeds=np.arange(2), **{**HERE, "epochs": np.int64(1)})
    assert (again.computed, [row.seed for row in again]) == (0, [row.seed for row in rows])


def test_a_failed_cell_is_a_row_with_its_reason(session: Session, rows: BenchRows) -> None:
    found = session.bench(["clip", "april-gan"], shots=4, **HERE)
    assert not found.whole
    assert {row.method for row in found.failed} == {"clip", "april-gan"}
    assert all("wanted 4 to show as shots" in row.error for row in found.failed if row.method == "april-gan")


def test_rows_are_a_flat_table(rows: BenchRows) -> None:
    records = rows.records()
    assert [tuple(record) for record in records] == [rows.columns] * 8
    first = records[0]
    assert (first["method"], first["train_on"], first["seed"]) == ("stacked", "synthetic-training", 0)
    assert first["pixel_AUROC"] == rows[0].metrics["pixel_AUROC"]
    assert all(isnan(record["pixel_AUROC"]) for record in records if record["method"] == "clip")


def test_rows_are_a_frame_of_pandas(rows: BenchRows) -> None:
    pandas = pytest.importorskip("pandas", reason="the extra frames is not installed")
    frame = rows.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert tuple(frame.columns) == rows.columns
    mean = frame[frame.method == "stacked"].groupby("seed").image_AUROC.mean()
    for seed in (0, 1):
        cells = [row.metrics["image_AUROC"] for row in rows if (row.method, row.seed) == ("stacked", seed)]
        assert mean[seed] == pytest.approx(sum(cells) / len(cells))
    assert frame.pixel_AUROC.dtype == float
    assert frame.pixel_AUROC.isna().sum() == 4


def test_rows_give_what_was_said_of_each_picture(session: Session, rows: BenchRows, caplog: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="the extra frames is not installed")
    frame = rows.frame(pictures=True)
    assert len(frame) == 8 * 4  # two good and two defective pictures in each cell
    for row in rows:
        own = frame[(frame.method == row.method) & (frame.category == row.category) & (frame.seed == row.seed)]
        assert roc_auc_score(own.label == "anomalous", own.score) == pytest.approx(row.metrics["image_AUROC"])
        assert own.map_maximum.isna().all() == (row.method == "clip")
        assert all((own.defect == "good") == (own.label == "normal"))
    again = session.bench(["stacked", "clip"], seeds=[0, 1], **HERE)
    pandas.testing.assert_frame_equal((again + BenchRows()).frame(pictures=True), frame)
    logging.getLogger("stackclip").propagate = True
    empty = BenchRows(rows.rows).frame(pictures=True)
    assert list(empty.columns) == list(frame.columns)
    assert not len(empty)
    assert "8 rows have no scores of single pictures; overwrite='always' computes them again" in caplog.text


def test_without_pandas_a_frame_says_what_to_install(rows: BenchRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"stackclip\[frames\]"):
        rows.frame()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draws = np.random.default_rng(0)
    for name in ("1.png", "2.png", "3.png"):
        Image.fromarray(draws.integers(0, 255, (56, 56, 3), dtype=np.uint8)).save(folder / name)
    return folder


def test_an_inspection_gives_each_picture_the_score_that_stands_in_the_file(
    session: Session, pictures: Path, tmp_path: Path
) -> None:
    found = session.inspect(
        pictures, object="metal plate", methods=["winclip", "sdp"], train_on=TRAINING, output=tmp_path / "out"
    )
    assert found.whole
    assert [(each.method, each.picture.name) for each in found] == [
        (method, name) for method in ("winclip", "sdp") for name in ("1.png", "2.png", "3.png")
    ]
    for method in ("winclip", "sdp"):
        with (tmp_path / "out" / method / "scores.csv").open() as file:
            lines = {line["picture"].rpartition("/")[2]: line for line in csv.DictReader(file)}
        for each in (each for each in found if each.method == method):
            line = lines[each.picture.name]
            assert (str(each.score), str(each.map_maximum)) == (line["score"], line["map_maximum"])
            assert each.heat_map == tmp_path / "out" / method / line["heat_map"]
            assert each.heat_map.is_file()
    assert found.records()[0]["picture"] == str(found[0].picture)


def test_an_inspection_without_an_output_leaves_no_files(
    session: Session, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = session.inspect(pictures, object="metal plate", methods="sdp", train_on=TRAINING)
    assert [each.heat_map for each in found] == [None] * 3
    assert len({each.score for each in found}) == 3
    assert list(tmp_path.iterdir()) == []


def test_the_jobs_of_a_suite_run_one_by_one(session: Session, rows: BenchRows) -> None:
    suites = find_suites("fuzzyclip-table4")
    words = {"train_on": TRAINING, "test_on": TESTED, "epochs": 1}
    contests = session.suite_contests(suites, **words)
    measured = [row for contest in contests for row in session.run(contest)]
    assert {row.method for row in measured} == set(suites[0].methods)
    assert len(distinct([*measured, *measured])) == len(measured) == 2 * len(suites[0].methods)


def test_a_grid_beside_a_suite_is_no_larger_than_one_beside_none(session: Session) -> None:
    words = {"train_on": TRAINING, "test_on": TESTED, "methods": "stacked[clusters=1|2|3]"}
    with pytest.raises(UsageError, match=r"are 3 methods.*--most-points 3"):
        session.suite_contests(find_suites("fuzzyclip-table4"), most_points=2, **words)


def test_the_tower_of_a_paper_gives_way_to_what_the_recipe_names(tmp_path: Path) -> None:
    suites = find_suites("fuzzyclip-table1")
    words = {"train_on": TRAINING, "test_on": TESTED}
    recipe = TowerRecipe(image_size=224)
    [contest, *_] = Session(tmp_path, recipe).suite_contests(suites, paper_tower=True, **words)
    assert contest.tower == {"backbone": "ViT-L-14-336", "pretrained": "openai"}
    [contest, *_] = Session(tmp_path).suite_contests(suites, **words)
    assert contest.tower == {}


def test_a_recipe_is_typed_again_without_its_defaults() -> None:
    assert list(words_of(TowerRecipe())) == []
    recipe = TowerRecipe("ViT-B-16", weights=Path("my weights.pt"), layers=(3, 6), picture_range="0:4095")
    words = ["--backbone", "ViT-B-16", "--layers", "3,6", "--weights", "my weights.pt", "--range", "0:4095"]
    assert list(words_of(recipe)) == words
    with cli.commands["bench"].make_context("bench", words, obj=Workspace.find(Path("nowhere"))) as context:
        assert TowerRecipe(**{each.name: context.params[each.name] for each in fields(TowerRecipe)}) == recipe


def test_a_workspace_is_a_folder_or_what_the_command_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Session(str(tmp_path)).workspace == Workspace(tmp_path / "cache", tmp_path / "registry")
    assert Session(str(tmp_path)).workspace.command("bench") == ["stackclip", "--workspace", str(tmp_path), "bench"]
    monkeypatch.setenv("STACKCLIP_CACHE", str(tmp_path / "named"))
    assert Session().workspace == Workspace(tmp_path / "named")
    assert Session().workspace.command("bench") == ["stackclip", "bench"]


def test_components_of_the_workspace_take_part(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "mine.py").write_text(
        "from stackclip.registry import prompts\n\n\n"
        '@prompts.register("fuzzy-item")\nclass FuzzyItem:\n    """Every category is called item."""\n\n'
        "    def stacks(self, categories, encode):\n        return (categories,)\n\n"
        '    def subject(self, category, group, *, seen):\n        return "item"\n'
    )
    rows = Session(tmp_path, RECIPE).bench("fuzzy-item", **HERE)
    assert {(row.method, row.error) for row in rows} == {("fuzzy-item", "")}


def test_the_package_names_a_session_and_brings_torch_only_with_it() -> None:
    code = "import stackclip, sys; assert 'torch' not in sys.modules; stackclip.Session('x'); "
    code += "assert 'open_clip' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert package.Session is Session
    with pytest.raises(AttributeError, match="'Sesion'"):
        package.Sesion  # noqa: B018 - asked for to see it refused


def test_an_error_about_a_picture_can_be_sent_as_rows_can() -> None:
    sent = pickle.loads(pickle.dumps(BenchRows(unencoded=(PictureError("a.png", "is cut off"),))))
    [error] = sent.unencoded
    assert (str(error), error.path, error.reason) == ("a.png: is cut off", Path("a.png"), "is cut off")
    assert not sent.whole
