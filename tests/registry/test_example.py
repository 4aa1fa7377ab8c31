"""The worked example of the workspace's `registry/`, used untouched through the registry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from stackclip.clip import TextEncoder, random_tower
from stackclip.contracts import check
from stackclip.methods import Task, resolve
from stackclip.registry import prompts, use_workspace
from stackclip.types import ANOMALOUS, CLS, MASK, Features, Sample

FOLDER = Path(__file__).resolve().parents[2] / "registry"
CATEGORIES = ("bottle", "carpet", "woven_001", "cable")


@pytest.fixture
def workspace() -> Path:
    use_workspace(FOLDER)
    return FOLDER


@pytest.mark.usefixtures("workspace")
def test_the_example_puts_textures_and_objects_on_two_stacks():
    strategy = prompts.create("surface-or-object")
    groups = strategy.groups(CATEGORIES, None)
    assert groups == (("carpet", "woven_001"), ("bottle", "cable"))
    assert [strategy.subject("leather", group, seen=False) for group in groups] == ["surface", "object"]
    assert strategy.groups(("bottle",), None) == (("bottle",),)
    felt = prompts.create("surface-or-object[surfaces=felt+cable]")
    assert felt.groups(CATEGORIES, None) == (("cable",), ("bottle", "carpet", "woven_001"))


@pytest.mark.usefixtures("workspace")
def test_the_example_keeps_what_a_strategy_promises():
    (report,) = check("surface-or-object")
    assert [finding for finding in report.findings if not finding.passed] == []


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("spec", ["surface-or-object", "surface-or-object[head=efa]"])
def test_the_example_trains_and_predicts_beside_the_methods_of_the_package(spec: str):
    tower = random_tower(image_size=32)
    task = Task(
        tower=tower.spec,
        encode=TextEncoder(tower),  # type: ignore[arg-type]  # no class means are asked for
        categories=CATEGORIES,
        train_on=("random",),
        seed=0,
        device=torch.device("cpu"),
    )
    draws = torch.Generator().manual_seed(0)
    parts = tower.encode(torch.randn(4, 3, 32, 32, generator=draws), (*tower.spec.taps, CLS))
    masks = (torch.rand(4, 32, 32, generator=draws) < 0.2).float()
    samples = tuple(Sample(f"{name}.png", "x", name, "test", Path("x"), None, ANOMALOUS, "y") for name in CATEGORIES)
    features = Features(samples, {**parts, MASK: masks})
    maps = {}
    for name in (spec, "fuzzy"):
        detector = resolve(name).begin(task)
        losses = [detector.step(features)["loss"] for _ in range(10)]
        assert losses[-1] < losses[0]
        prediction = detector.predict(features)
        assert prediction.scores.isfinite().all()
        assert prediction.maps.shape == (4, 32, 32)
        maps[name] = prediction.maps
    assert not torch.allclose(maps[spec], maps["fuzzy"])


def test_the_strategy_in_the_readme_works_as_it_is_printed(tmp_path: Path):
    (code,) = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "halves.py").write_text(code, "utf-8")
    use_workspace(tmp_path)
    (report,) = check("halves")
    assert [finding for finding in report.findings if not finding.passed] == []
    assert prompts.create("halves").groups(("a", "b", "c"), None) == (("a", "b"), ("c",))
