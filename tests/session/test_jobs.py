"""Jobs are small, name the same work in every process, and leave nothing out."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stackclip import Session
from stackclip.benchmarks.entrant import entrants_of
from stackclip.clip.recipe import TowerRecipe
from stackclip.executors import Job, Tell
from stackclip.executors.serial import Serial
from stackclip.ops.progress import silent
from stackclip.ops.shards import Shard
from stackclip.papers.contests import Contest
from stackclip.session.apart import Foreman
from stackclip.session.desk import Desk
from stackclip.session.jobs import BenchWords, EncodeWords, bench_jobs, encode_jobs, halves, methods_apart, sharded
from stackclip.terminal import Bars

TRAINING = "synthetic[categories=2,per_category=4,train_good=3,size=56]"
TESTED = "synthetic[part=combinations,categories=3,per_category=4,train_good=3,size=56]"
METHODS = ("precise", "sdp", "stacked", "clip")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session(tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def contest(session: Session) -> Contest:
    return session.contest(METHODS, train_on=TRAINING, test_on=TESTED, seeds=(3, 1), epochs=1)


def jobs_for(session: Session, contest: Contest, workers: int) -> list[Job]:
    entrants = entrants_of(contest.plan, session.workbench().tower.spec)
    words = BenchWords.of(contest, "only-missing")
    return bench_jobs(words, every(contest), entrants, workers)


def every(contest: Contest) -> set[tuple[str, str, str, int]]:
    plan = contest.plan
    places = [(dataset.name, category) for dataset in plan.test_on for category in dataset.categories]
    return {(method, *place, seed) for method in plan.resolved for place in places for seed in plan.seeds}


@pytest.mark.parametrize("workers", [1, 2, 4, 16])
def test_every_cell_is_tested_once_when_its_methods_have_learned(
    session: Session, contest: Contest, workers: int
) -> None:
    jobs = jobs_for(session, contest, workers)
    tests = [job for job in jobs if job.kind == "test"]
    cells = [(m, job.what.dataset, job.what.category, job.what.seed) for job in tests for m in job.what.methods]
    assert sorted(cells) == sorted(every(contest))
    taught = [(job.what.seed, method) for job in jobs if job.kind == "train" for method in job.what.methods]
    assert sorted(taught) == [(seed, method) for seed in (1, 3) for method in ("clip", "precise", "stacked")]
    assert len([job for job in jobs if job.kind == "train"]) == 2 * min(3, max(1, workers // 2))
    labels = {job.label for job in jobs if job.kind == "train"}
    assert all(job.after == (f"train, seed {job.what.seed}",) and {*job.after} <= labels for job in tests)


def test_what_is_there_is_in_no_job(session: Session, contest: Contest) -> None:
    entrants = entrants_of(contest.plan, session.workbench().tower.spec)
    words = BenchWords.of(contest, "only-missing")
    [test] = bench_jobs(
        words, {("sdp", "synthetic-combinations", contest.plan.test_on[0].categories[1], 1)}, entrants, 2
    )
    assert (test.kind, test.what.methods, test.what.seed) == ("test", ("sdp",), 1)
    assert bench_jobs(words, set(), entrants, 2) == []


def test_jobs_and_what_does_them_are_small(session: Session, contest: Contest) -> None:
    session.workbench().tower.build()  # a loaded tower does not travel
    jobs = jobs_for(session, contest, 4)
    jobs += encode_jobs(BenchWords.of(contest, "always"), 100, 4, strict=True)
    sizes = [len(pickle.dumps(each)) for each in (*jobs, session, Desk(session))]
    with Bars.shown() as bars:  # a bar stays here, whatever the jobs are
        assert callable(bars)
        sizes += [len(pickle.dumps(job)) for job in jobs]
    assert max(sizes) < 10_000
    assert [pickle.loads(pickle.dumps(job)) for job in jobs] == jobs


def test_words_name_the_same_contest_elsewhere(session: Session, contest: Contest) -> None:
    words = pickle.loads(pickle.dumps(BenchWords.of(contest, "only-missing")))
    found = words.contest(Session(session.workspace))
    assert found.plan == contest.plan
    assert tuple(found.plan.resolved) == METHODS
    assert BenchWords.of(found, "only-missing") == words


def test_a_part_of_a_training_set_that_a_suite_names_is_found_elsewhere(session: Session, contest: Contest) -> None:
    plan = contest.plan
    [whole] = plan.train_on
    part = replace(whole.select(categories=whole.categories[:1]), name=f"{whole.name} (only one)")
    some = replace(contest, plan=replace(plan, train_on=(part,)), texts={**contest.texts, part.name: TRAINING})
    assert BenchWords.of(some, "only-missing").contest(session).plan.train_on == (part,)


def test_encoding_is_cut_so_that_all_have_work_to_the_end(session: Session) -> None:
    words = EncodeWords((TRAINING,), ("clip",), "test", (), None, None)
    for batches, workers, wanted in ((0, 4, 0), (1, 4, 4), (10, 2, 10), (1000, 2, 16), (1000, 4, 32)):
        jobs = encode_jobs(words, batches, workers, strict=False)
        assert len(jobs) == wanted
        assert [job.what.shard for job in jobs] == [Shard(index, wanted) for index in range(wanted)]


def test_who_would_have_nothing_to_encode_is_not_hired(tmp_path: Path) -> None:
    session = Session(tmp_path, TowerRecipe("random-vit-8", image_size=56))
    workbench, [errand], _ = session.wanted(TRAINING, "clip", "test", (), None)
    store, desk, given = workbench.store(), Desk(session), list[Job]()
    workbench.encode(store, [replace(errand, samples=errand.samples[2:])])

    def do(job: Job, tell: Tell) -> Any:
        given.append(job)
        return desk(job, tell)

    words = EncodeWords((TRAINING,), ("clip",), "test", (), None, None)
    with Serial().hired(do) as run:
        encoded = Foreman(run, 6, silent).encode(words, workbench, store, [errand])
    assert [job.what.shard for job in given] == [Shard(0, 6), Shard(1, 6)]
    assert (encoded.done.encoded, encoded.done.already_there) == (2, len(errand.samples) - 2)


def test_a_picture_without_its_mask_was_not_there_already(tmp_path: Path) -> None:
    session = Session(tmp_path, TowerRecipe("random-vit-8", image_size=56))
    workbench, [errand], _ = session.wanted(TRAINING, "clip", "test", (), None)
    [mask, *_] = [sample.mask for sample in errand.samples if sample.mask]
    mask.write_bytes(b"no picture")
    words = EncodeWords((TRAINING,), ("clip",), "test", (), None, None)
    with Serial().hired(Desk(session)) as run:
        encoded = Foreman(run, 2, silent).encode(words, workbench, workbench.store(), [errand])
    assert (encoded.done.already_there, len(encoded.failed)) == (0, 1)


def test_a_job_that_encodes_has_halves_down_to_single_pictures(session: Session) -> None:
    _, errands, _ = session.wanted(TRAINING, "clip", "test", (), None)
    pictures = errands[0].samples
    left = encode_jobs(EncodeWords((TRAINING,), ("clip",), "test", (), None, None), 2, 2, strict=False)
    alone: list[Any] = []
    while left:
        job = left.pop()
        parts = halves(job, errands)
        left += parts
        if not parts:
            alone += job.what.shard.of(pictures)
    assert sorted(alone, key=str) == sorted(pictures, key=str)


def test_a_job_of_methods_has_one_part_for_each(session: Session, contest: Contest) -> None:
    [train, *_] = jobs_for(session, contest, 1)
    assert [part.what.methods for part in methods_apart(train)] == [("precise",), ("stacked",), ("clip",)]
    assert {part.label for part in methods_apart(train)} == {train.label}


def test_shards_of_a_bench_are_disjoint_and_all_of_it(session: Session, contest: Contest) -> None:
    found = [
        (place, seed, method)
        for index in range(3)
        for place, each in enumerate(sharded([contest], Shard(index, 3)))
        for seed in each.plan.seeds
        for method in each.plan.resolved
    ]
    assert sorted((seed, method) for _, seed, method in found) == sorted((s, m) for s in (1, 3) for m in METHODS)
    assert all(first.plan.seeds != second.plan.seeds for first, second in pairwise(sharded([contest], Shard(0, 3))))
    assert sharded([contest], Shard(8, 9)) == []
