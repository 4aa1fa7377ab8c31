"""What names a row: files given as options, and the code of every component that takes part, by their content."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import torch
from blake3 import blake3

from stackclip.benchmarks import identity
from stackclip.benchmarks.identity import Identities
from stackclip.benchmarks.plan import Cell
from stackclip.cache import Store
from stackclip.ops.files import file_hash
from stackclip.registry import heads, learners, methods, prompts, scorers, selectors


def save_layers(path: Path, spec: Any, seed: int) -> Path:
    """Linear layers as APRIL-GAN keeps them, for a tower."""
    draws = torch.Generator().manual_seed(seed)
    layers = range(len(spec.taps))
    weights = {f"fc.{n}.weight": torch.randn(spec.joint, spec.width, generator=draws) for n in layers}
    biases = {f"fc.{n}.bias": torch.randn(spec.joint, generator=draws) for n in layers}
    torch.save({"trainable_linearlayer": {**weights, **biases}}, path)
    return path


def test_other_weights_under_the_same_name_make_another_row_and_the_row_says_which(small, bench, tmp_path) -> None:
    path = save_layers(tmp_path / "epoch_15.pth", small.tower.spec, 0)
    plan = small.plan(f"april-gan[weights={path}]", train_on=())
    first = bench(plan).run()
    assert first.computed == 2
    assert bench(plan).run().computed == 0
    save_layers(path, small.tower.spec, 1)
    second = bench(plan).run()
    assert second.computed == 2
    for before, after in zip(first.rows, second.rows, strict=True):
        assert not after.error
        assert after.facts["weights"]["blake3"] == blake3(path.read_bytes()).hexdigest()
        assert before.facts["weights"]["blake3"] != after.facts["weights"]["blake3"]
        assert before.metrics != after.metrics
        assert after.facts["epochs"] == 0
        assert after.facts["losses"] == []


def test_weights_are_not_trained_where_others_are(small, bench, tmp_path) -> None:
    path = save_layers(tmp_path / "epoch_15.pth", small.tower.spec, 0)
    alone = bench(small.plan(f"april-gan[weights={path}]", train_on=()), "alone").run().rows
    released, trained = (
        [row for row in bench(small.plan(f"april-gan[weights={path}]", "april-gan")).run().rows if row.method == method]
        for method in (f"april-gan[weights={path}]", "april-gan")
    )
    assert [row.metrics for row in released] == [row.metrics for row in alone]
    assert [len(row.facts["losses"]) for row in (*released, *trained)] == [0, 0, 1, 1]


def test_options_of_the_type_path_are_hashed_and_no_others(small, tmp_path) -> None:
    assert _files_of(small, "april-gan") == []
    path = save_layers(tmp_path / "x.pth", small.tower.spec, 0)
    assert _files_of(small, f"anomalyclip[weights={path}]") == [blake3(path.read_bytes()).hexdigest()]
    assert _files_of(small, f"april-gan[class_names={path}]") == []  # a word, which class_names reads by itself


def test_the_code_of_components_that_are_named_by_default_counts(small) -> None:
    every = (
        *(methods.find("stackclip"), prompts.find("stacked"), scorers.find("penalty")),
        *(heads.find("efa"), learners.find("rpl"), selectors.find("mean-of-unit")),
    )
    assert set(_code_of(small, "stackclip")) == {_content_of(component.file) for component in every}
    without = _code_of(small, "stackclip[learner=none]")
    assert _content_of(learners.find("rpl").file) not in without
    assert _content_of(heads.find("efa").file) in without


def test_a_component_that_names_another_by_default_brings_its_code_and_one_that_names_itself_ends(small) -> None:
    def outer(*, head: str = "linear", kind: str = "outer") -> None: ...

    heads.register("outer")(outer)
    code = _code_of(small, "precise[head=outer]")
    assert {_content_of(Path(__file__)), _content_of(heads.find("linear").file)} <= set(code)


def test_rows_are_named_again_without_hashing_again(small, tmp_path, monkeypatch) -> None:
    path = save_layers(tmp_path / "epoch_15.pth", small.tower.spec, 0)
    plan = small.plan(f"april-gan[weights={path}]", "april-gan[shots=2]", "winclip[shots=2]", "stackclip")
    cells = [
        Cell(dataset, category, dataset.select(split="test", categories=(category,)).samples, ())
        for dataset in plan.test_on
        for category in dataset.categories
    ]
    wanted = list(product(plan.resolved, cells))

    def anew() -> Identities:
        return Identities(plan, small.tower, small.store, 0, plan.training)

    each_by_its_own = [anew().row(spec, cell) for spec, cell in wanted]
    asked: Counter[Any] = Counter()
    source = Store.source
    monkeypatch.setattr(identity, "file_hash", lambda path: asked.update([path]) or file_hash(path))
    monkeypatch.setattr(
        Store, "source", lambda store, *what: asked.update([(what[0].key, what[1:])]) or source(store, *what)
    )
    identities = anew()
    for _ in range(3):
        assert [identities.row(spec, cell) for spec, cell in wanted] == each_by_its_own
    assert {path, methods.find("winclip").file} <= asked.keys()
    assert {(sample.key, ()) for sample in (*plan.training, *cells[0].samples)} <= asked.keys()
    assert set(asked.values()) == {1}


def _content_of(path: Path | None) -> str:
    assert path is not None
    return blake3(path.read_bytes()).hexdigest()


def _code_of(small: Any, spec: str) -> list[str]:
    code: list[str] = Identities(small.plan("april-gan"), small.tower, small.store, 0, ()).of_training(spec)["code"]
    return code


def _files_of(small: Any, spec: str) -> list[str]:
    identities = Identities(small.plan("april-gan"), small.tower, small.store, 0, ())
    files: list[str] = identities.of_training(spec)["files"]
    return files
