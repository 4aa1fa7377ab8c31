"""A selection from folds to tables: it finds a point that is known to be best, and looks at no tested picture."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from stackclip.benchmarks.facts import facts_of
from stackclip.benchmarks.rows import RowFolder
from stackclip.errors import CategoryOverlap, StackclipError, UsageError
from stackclip.reports.document import Document
from stackclip.session import BenchRows, Session, TowerRecipe
from stackclip.session.jobs import BenchWords
from stackclip.session.selecting import Selecting
from stackclip.types import Row

TRAINING = "synthetic[categories=3,per_category=8,train_good=1,size=32]"
TESTED = "synthetic[part=combinations,categories=2,per_category=6,train_good=2,size=32]"
PLUGIN = '''
import hashlib, torch
from dataclasses import dataclass
from stackclip.registry import methods
from stackclip.methods import Detector, Method, Stage
from stackclip.types import CLS, Prediction

class Echoing(Detector):
    def __init__(self, method):
        super().__init__()
        self.method = method
        self.stages = (Stage("all", 3, 4),)
        self.register_buffer("epochs", torch.zeros(()))

    def step(self, features, at):
        self.epochs.fill_(at.epoch + 1)
        return {"loss": 0.0}

    def predict(self, features):
        """The label and noise of each picture's own: the less noise, the nearer the options are to 3 and to epoch 2."""
        if self.method.broken:
            raise RuntimeError("broken")
        late = abs(int(self.epochs) - self.method.epoch) if self.method.epoch else 0
        noise = 0.15 + abs(self.method.at - 3) + late
        own = [self.drawn(sample.id) for sample in features.samples]
        scores = torch.tensor(features.labels) + 3 * noise * torch.tensor(own)
        return Prediction(scores, None, why_no_maps="none are made")

    def drawn(self, name):
        digest = hashlib.sha256(f"{name}{self.method.at}{int(self.epochs)}".encode())
        return int(digest.hexdigest()[:8], 16) / 2**32 - 0.5

@methods.register("echo")
@dataclass(frozen=True, kw_only=True)
class Echo(Method):
    "Knows the label, with noise."
    at: int = 3
    epoch: int = 0
    broken: bool = False
    def needs(self, tower, phase): return frozenset({CLS} if phase in ("train", "test") else ())
    def begin(self, task): return Echoing(self)
'''
GRID = "echo[at=1|2|3|4|5]"
HERE: dict[str, Any] = {"train_on": TRAINING, "test_on": TESTED, "select": "leave-category-out"}
pytestmark = pytest.mark.usefixtures("registry_as_it_was")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a method whose best option is known."""
    root = tmp_path_factory.mktemp("workspace")
    (root / "registry").mkdir()
    (root / "registry" / "echo.py").write_text(PLUGIN)
    return root


@pytest.fixture
def session(place: Path) -> Session:
    return Session(place, TowerRecipe("random-vit-8", image_size=32))


@pytest.fixture
def fresh(place: Path, tmp_path: Path) -> Session:
    """A session in a workspace of the test's own, where nothing was measured."""
    shutil.copytree(place / "registry", tmp_path / "work" / "registry")
    return Session(tmp_path / "work", TowerRecipe("random-vit-8", image_size=32))


def selecting(session: Session, methods: Any = GRID, **words: Any) -> Selecting:
    found = session.selecting(methods, **{**HERE, **words})
    assert found is not None
    return found


def said(rows: BenchRows | tuple[Row, ...]) -> set[tuple[str, int, str, int | None]]:
    """Of each method and seed what was taken, and after which epoch."""
    found = {(row.method, row.seed, facts_of(row).selected) for row in rows}
    return {(name, seed, each.spec if each else "", each.epoch if each else None) for name, seed, each in found}


@pytest.mark.parametrize("scheme", ["leave-category-out", "leave-defect-out[folds=3]", "k-fold[folds=2]"])
def test_the_point_that_is_known_to_be_best_is_found_and_tested_once(session: Session, scheme: str) -> None:
    rows = session.bench([GRID, "clip"], **{**HERE, "select": scheme}, epochs=1)
    assert [row.method for row in rows] == [GRID] * 2 + ["clip"] * 2
    assert said(rows.rows[:2]) == {(GRID, 0, "echo[at=3]", None)}
    selected = facts_of(rows[0]).selected
    assert selected is not None
    assert [point.spec for point in selected.points] == [f"echo[at={at}]" for at in range(1, 6)]
    assert (selected.scheme, selected.metric) == (scheme, "image_AUROC")
    plain = session.bench("echo[at=3]", train_on=TRAINING, test_on=TESTED, epochs=1)
    assert plain.computed == 0
    assert [row.metrics for row in plain] == [row.metrics for row in rows[:2]]
    others = session.bench("echo[at=1]", train_on=TRAINING, test_on=TESTED, epochs=1, overwrite="never")
    assert {row.error for row in others} == {"not computed yet"}


def test_the_choice_is_the_same_where_no_tested_picture_is_left(fresh: Session, session: Session) -> None:
    wanted, _ = selecting(session).choices()
    asked = selecting(fresh)
    [tested] = asked.question.contest.plan.test_on
    shutil.rmtree(tested.root)
    assert asked.choices()[0] == wanted
    assert all("none of the pictures" in row.error for row in asked.run())  # they are wanted in the end


def test_what_was_kept_of_a_stopped_selection_is_not_computed_again(fresh: Session) -> None:
    rows = fresh.bench(GRID, **HERE)
    assert rows.computed == 3 * 5 + 2
    assert fresh.bench(GRID, **HERE).computed == 0
    folder = fresh.workspace.rows
    fold = next(entry for entry in RowFolder(folder).entries() if facts_of(entry.row).fold)
    (folder / f"{fold.cell}.json").unlink()
    again = fresh.bench(GRID, **HERE)
    assert again.computed == 1
    assert [(row.method, row.metrics, row.facts) for row in again] == [
        (row.method, row.metrics, row.facts) for row in rows
    ]


def test_the_report_shows_the_grid_beside_its_points_and_folds_by_name_alone(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    rows = session.bench(GRID, **HERE, epochs=2)
    with caplog.at_level(logging.INFO, "stackclip"):
        document = session.report(GRID)
    assert "of folds, by which points were selected, not shown" in caplog.text
    assert {row.method for row in document.rows} == {GRID, "echo[at=3]"}
    assert [row for row in document.rows if row.method == GRID and facts_of(row).asked_epochs == 2] == list(rows)
    assert all(document.find(row) is not None for row in rows) if document.find else False
    [fold, *_] = selecting(session, epochs=2).folds
    shown = session.report(test_on=fold.plan.test_on[0].name)
    assert {facts_of(row).fold for row in shown.rows} == {"leave-category-out"}


def test_in_hindsight_the_regret_is_said_and_the_choice_stays(fresh: Session) -> None:
    grid = "echo[at=5|3]"
    before = fresh.bench(grid, **HERE)
    assert not any("hindsight" in note for note in fresh.report(grid).notes)
    after = fresh.bench(grid, **HERE, hindsight=True)
    assert (after.rows, after.computed) == (before.rows, 2)
    points = {spec: fresh.bench(spec, train_on=TRAINING, test_on=TESTED) for spec in ("echo[at=3]", "echo[at=5]")}
    best = max(sum(row.metrics["image_AUROC"] for row in rows) / 2 for rows in points.values())
    taken = sum(row.metrics["image_AUROC"] for row in after) / 2
    where = f"{grid}, in hindsight on synthetic-combinations, which no choice can know"
    told = f"{where}: seed 0 at=3 has image AUROC {100 * best:.1f}, regret {100 * (best - taken):.1f}"
    assert told in fresh.report(grid).notes


def test_an_epoch_is_taken_from_the_curves_and_the_training_stops_there(session: Session) -> None:
    grid = "echo[at=3|4,epoch=2]"
    rows = session.bench([grid, "echo"], **HERE, eval_every="epoch")
    assert said(rows) == {(grid, 0, "echo[at=3,epoch=2]", 2), ("echo", 0, "", None)}
    whole = session.bench("echo[at=3,epoch=2]", train_on=TRAINING, test_on=TESTED, eval_every="epoch")
    for row, long in zip(rows, whole, strict=False):
        assert row.metrics == facts_of(long).curve[1].metrics != long.metrics
        assert (len(row.facts["losses"]), len(long.facts["losses"])) == (2, 3)
        assert facts_of(row).protocol == facts_of(long).protocol
    assert len({facts_of(row).protocol for row in rows}) == 1  # they stand in one table
    assert not facts_of(rows[0]).curve  # tested once
    stopped = session.bench("echo[at=3,epoch=2]", train_on=TRAINING, test_on=TESTED, stop_after=2)
    assert stopped.computed == 0
    assert facts_of(stopped[0]).protocol != facts_of(rows[0]).protocol


def test_each_seed_and_each_grid_has_a_choice_of_its_own(session: Session) -> None:
    rows = session.bench([GRID, "echo[at=2|4]"], **{**HERE, "select": "k-fold[folds=2]"}, seeds=(0, 1))
    taken = said(rows)
    assert {(GRID, seed, "echo[at=3]", None) for seed in (0, 1)} < taken
    assert {(name, seed) for name, seed, *_ in taken} == {(n, seed) for n in (GRID, "echo[at=2|4]") for seed in (0, 1)}
    assert len(rows) == 8


def test_points_that_fail_are_out_and_where_all_do_that_is_said(session: Session) -> None:
    rows = session.bench("echo[broken=true|false]", **HERE)
    assert facts_of(rows[0]).selected.spec == "echo[broken=false]"  # type: ignore[union-attr]  # it was selected
    with pytest.raises(
        StackclipError, match=r"no point of echo\[at=1\|2,broken=true\] can be taken with seed 0: .*broken"
    ):
        session.bench("echo[at=1|2,broken=true]", **HERE)


def test_a_grid_without_a_point_that_can_be_taken_costs_the_others_nothing(session: Session) -> None:
    broken = "echo[at=1|2,broken=true]"
    rows = session.bench([broken, "echo", "echo[at=2|4]"], **HERE, seeds=(0, 1))
    lost, beside = ([row for row in rows if row.method == method] for method in (broken, "echo"))
    assert [(row.seed, row.category) for row in lost] == [(row.seed, row.category) for row in beside]
    assert all(f"no point of {broken} can be taken with seed {row.seed}" in row.error for row in lost)
    assert not any(row.error for row in rows if row.method != broken)
    [table] = Document(rows.rows).tables  # not in one of its own
    assert [line.label for line in table.lines] == [broken, "echo", "echo[at=2|4]"]
    assert not {row.method for row in session.report().rows} & {broken}  # what failed is tried again


def test_the_words_of_a_fold_name_the_same_pictures_in_another_process(session: Session) -> None:
    for scheme in ("leave-defect-out", "k-fold[folds=2]"):
        for contest in selecting(session, select=scheme).folds:
            there = BenchWords.of(contest, "only-missing").contest(session).plan
            assert (there.train_on, there.test_on) == (contest.plan.train_on, contest.plan.test_on)
            assert (there.fold, there.allow_overlap) == (scheme, True)


def test_what_would_be_computed_is_said_and_nothing_is_written(fresh: Session) -> None:
    found = selecting(fresh, [GRID, "clip"], seeds=(0, 1)).forecast()
    assert found.computing == (
        "to select by 3 folds: would compute 30 of 30 cells (0 are there already); then at most 8 cells of test sets"
    )
    assert found.of_folds.planned.pictures == 3 * 8 + 2 * 6
    assert not fresh.workspace.rows.exists()
    assert not fresh.workspace.features.exists()


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        ({"methods": "clip"}, UsageError, "there is nothing to select among clip"),
        ({"methods": "echo[at=1|1]"}, UsageError, "a grid of one point"),
        ({"methods": "ekko"}, UsageError, "no method is named 'ekko' (did you mean 'echo'?)"),
        ({"methods": ["ekko", GRID]}, UsageError, "no method is named 'ekko' (did you mean 'echo'?)"),
        ({"select": "bootstrap"}, UsageError, "nothing is selected by 'bootstrap'"),
        ({"select": None, "select_by": "image_AP"}, UsageError, "--select-by image_AP is about a selection, and none"),
        (
            {"select": None, "select_rule": "one-standard-error"},
            UsageError,
            "--select-rule one-standard-error is about",
        ),
        ({"select": None, "hindsight": True}, UsageError, "--hindsight is about a selection"),
        ({"select_by": "accuracy"}, UsageError, "no metric 'accuracy' to select by"),
        ({"shard": "1/2"}, UsageError, "share the work with --workers"),
        ({"tiles": "32"}, UsageError, "--tiles 32 is a grid by the largest tested picture"),
        ({"test_on": TRAINING, "allow_overlap": True}, CategoryOverlap, "and points would be selected by it"),
        (
            {"train_on": TRAINING.replace("categories=3", "categories=1")},
            UsageError,
            "wants 2 categories or more to train on",
        ),
        ({"select": "k-fold[folds=9]"}, UsageError, "has 9 good and 9 defective pictures to train on, at most 4"),
        ({"select_by": "pixel_AP"}, StackclipError, "no fold has pixel_AP"),
        ({"overwrite": "never", "seeds": (7,)}, StackclipError, "can be taken with seed 7: not computed yet"),
    ],
)
def test_what_cannot_be_selected_is_refused_in_a_line(
    session: Session, words: dict[str, Any], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind) as caught:
        session.bench(**{"methods": GRID, **HERE, **words})
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
