"""What names a row: files given as options, and the code of every component that takes part, by their content."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from blake3 import blake3

from stackclip.benchmarks import identity
from stackclip.benchmarks.entrant import Entrant, entrants_of
from stackclip.benchmarks.identity import Identities
from stackclip.benchmarks.plan import Cell, Plan, Shots
from stackclip.cache import Store
from stackclip.ops.files import file_hash
from stackclip.registry import use_workspace


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


@pytest.mark.parametrize("spec", ["stackclip", "sdp", "winclip", "april-gan[shots=2]"])
def test_the_code_of_the_package_stands_under_semantics(small, spec: str) -> None:
    assert _code_of(small, spec) == []


def test_a_component_that_names_another_by_default_brings_its_code_and_one_that_names_itself_ends(
    small, tmp_path
) -> None:
    named = "from stackclip.registry import From, heads, selectors\nfrom typing import Annotated\n\n"
    for name, other in (("inner", "outer"), ("outer", "inner")):
        text = (
            f"@heads.register('{name}')\ndef {name}(*, by: Annotated[str, From(heads)] = '{other}'):\n    'A head.'\n"
        )
        (tmp_path / f"{name}.py").write_text(named + text)
    (tmp_path / "plain.py").write_text("from stackclip.registry import heads\nheads.register('plain')(len)\n")
    use_workspace(tmp_path)
    both = {f"{name} {_content_of(tmp_path / f'{name}.py')}" for name in ("inner", "outer")}
    assert set(_code_of(small, "precise[head=outer]")) == both
    assert _code_of(small, "precise[head=plain]") == [f"plain {_content_of(tmp_path / 'plain.py')}"]
    assert set(_code_of(small, "precise[head=outer[by=plain]]")) & both == {
        f"outer {_content_of(tmp_path / 'outer.py')}"
    }


def test_a_component_behind_a_word_brings_its_code(small, tmp_path) -> None:
    (tmp_path / "selector.py").write_text(
        "from stackclip.registry import selectors\n\n@selectors.register('chosen')\ndef chosen():\n    'Chosen.'\n"
    )
    (tmp_path / "method.py").write_text("""
from typing import Annotated
from stackclip.registry import From, methods, selectors

@methods.register("choosing")
def choosing(*, by: Annotated[str, From(selectors, {"auto": ("chosen",)})] = "auto"):
    "A method."
""")
    use_workspace(tmp_path)
    assert [line.split()[0] for line in _code_of(small, "choosing")] == ["method", "selector"]
    assert [line.split()[0] for line in _code_of(small, "choosing[by=mean]")] == ["method"]


def test_a_default_of_the_type_path_is_hashed(small, tmp_path) -> None:
    words = tmp_path / "words.txt"
    text = f"""
from pathlib import Path
from stackclip.registry import methods

@methods.register("reading")
def reading(*, words: Path = Path({str(words)!r})):
    "A method."
"""
    (tmp_path / "reading.py").write_text(text)
    use_workspace(tmp_path)
    assert _files_of(small, "reading") == []
    words.write_text("flaw")
    assert _files_of(small, "reading") == [_content_of(words)]


HEAD = """
from dataclasses import dataclass
from stackclip.heads import Linear
from stackclip.registry import heads
from helper import temperature

@heads.register("mine")
@dataclass(frozen=True, kw_only=True)
class Mine(Linear):
    "APRIL-GAN's head, with a temperature of a helper's."
    temperature: float = temperature()
"""


def test_rows_and_heads_are_made_anew_where_a_module_of_the_closure_changes_and_stay_where_another_does(
    small, bench, tmp_path
) -> None:
    registry = tmp_path / "registry"
    registry.mkdir()
    files = {
        "mine": HEAD,
        "helper": "from deeper import ONE\n\ndef temperature():\n    return float(ONE)\n",
        "deeper": "ONE = 1\n",
        "unrelated": "import helper\n",
    }
    for name, text in files.items():
        (registry / f"{name}.py").write_text(text)

    def run() -> tuple[int, int]:
        """How many rows were computed, and how many heads there are now."""
        use_workspace(registry)
        computed = bench(small.plan("precise[head=mine]")).run().computed
        return computed, len(list((tmp_path / "here" / "heads").iterdir()))

    assert run() == (2, 1)
    assert run() == (0, 1)
    for heads_there, (name, change) in enumerate((("deeper", "ONE = 2\n"), ("helper", "\n"), ("mine", "\n")), 2):
        (registry / f"{name}.py").write_text(files[name].replace("ONE = 1\n", "") + change)
        assert run() == (2, heads_there), name
    (registry / "unrelated.py").write_text("import helper, deeper\n")
    assert run() == (0, 4)


def test_rows_are_named_again_without_hashing_again(small, tmp_path, monkeypatch) -> None:
    path = save_layers(tmp_path / "epoch_15.pth", small.tower.spec, 0)
    (tmp_path / "mine.py").write_text(
        "from stackclip.registry import selectors\nfrom stackclip.selectors import Mean\n\n"
        "@selectors.register('mine')\nclass Mine(Mean):\n    'Mine.'\n"
    )
    use_workspace(tmp_path)
    plan = small.plan(f"april-gan[weights={path}]", "april-gan[shots=2]", "winclip[shots=2]", "stackclip[select=mine]")
    cells = [
        Cell(dataset, category, dataset.select(split="test", categories=(category,)).samples, ())
        for dataset in plan.test_on
        for category in dataset.categories
    ]
    wanted = list(product(plan.resolved, cells))

    def anew() -> Identities:
        return _identities(small, plan)

    each_by_its_own = [anew().row(spec, cell) for spec, cell in wanted]
    asked: Counter[Any] = Counter()
    digests = Store.digests
    monkeypatch.setattr(identity, "file_hash", lambda path: asked.update([path]) or file_hash(path))
    monkeypatch.setattr(
        Store,
        "digests",
        lambda store, samples, *part: (
            asked.update((each.key, part) for each in samples) or digests(store, samples, *part)
        ),
    )
    identities = anew()
    for _ in range(3):
        assert [identities.row(spec, cell) for spec, cell in wanted] == each_by_its_own
    assert {path, tmp_path / "mine.py"} <= asked.keys()
    assert {(sample.key, ()) for sample in (*plan.training, *cells[0].samples)} <= asked.keys()
    assert set(asked.values()) == {1}


def _content_of(path: Path | None) -> str:
    assert path is not None
    return blake3(path.read_bytes()).hexdigest()


def _code_of(small: Any, spec: str) -> list[str]:
    code: list[str] = _of_one(small, spec).of_training(spec)["code"]
    return code


def _files_of(small: Any, spec: str) -> list[str]:
    files: list[str] = _of_one(small, spec).of_training(spec)["files"]
    return files


def _of_one(small: Any, spec: str) -> Identities:
    """The identities of a method that need not be made for that, without pictures."""
    entrant = Entrant(spec, small.plan("clip").resolved["clip"], Shots(0))
    return Identities(small.plan("clip"), small.tower, small.store, 0, {spec: ()}, {spec: entrant})


def _identities(small: Any, plan: Plan) -> Identities:
    """The identities of a plan whose methods can use all pictures."""
    entrants = {each.spec: each for each in entrants_of(plan, small.tower.spec)}
    return Identities(plan, small.tower, small.store, 0, dict.fromkeys(entrants, plan.training), entrants)
