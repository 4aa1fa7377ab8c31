"""`docs/ways.md` does what it says: a way of the workspace is checked, cached, benched, and made anew if changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result

from stackclip.cache import Store, stores_in
from stackclip.clip import random_tower
from stackclip.data import open_dataset, read_picture
from stackclip.registry import use_workspace
from stackclip.types import CLS, Part

ROOT = Path(__file__).resolve().parents[2]
CODE = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "ways.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
TOWER = ("--backbone", "random-vit-8", "--image-size", "56", "--device", "cpu")
DATA = "synthetic[categories=2,per_category=2,train_good=1,size=56]"
METHOD = ("--methods", "direct-mean", *TOWER)

Run = Callable[..., Result]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with the page's way and method in its registry."""
    (tmp_path / "registry").mkdir()
    for name, code in zip(("mean_joint", "direct_mean"), CODE, strict=True):
        (tmp_path / "registry" / f"{name}.py").write_text(code)
    return tmp_path


def store_of(workspace: Path) -> Store:
    (folder,) = stores_in(workspace / "cache" / "features")
    return Store.open(folder)


def rows(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found
    assert not any(row["error"] for row in found)
    return found


def test_the_example_has_twenty_lines() -> None:
    assert len(CODE[0].splitlines()) == 20


def test_the_way_and_the_method_keep_their_contracts(stackclip: Run, workspace: Path) -> None:
    for name in ("mean-joint", "direct-mean"):
        result = stackclip(workspace, "check", name)
        assert result.exit_code == 0, result.output
        assert "failed" not in result.stdout
    assert "mean-joint" in stackclip(workspace, "list", "taps").stdout
    assert "a worked example" in stackclip(workspace, "show", "mean-joint").stdout
    assert re.search(r"cls, mean-joint~\w{8}/8", stackclip(workspace, "show", "direct-mean", *TOWER[:2]).stdout)


@pytest.mark.usefixtures("registry_as_it_was")
def test_it_is_cached_and_benched_and_made_anew_when_its_code_changes(stackclip: Run, workspace: Path) -> None:
    cache = ("cache-features", "--dataset", DATA, "--split", "all", *METHOD)
    bench = ("bench", "--train-on", DATA, "--test-on", DATA.replace("[", "[part=combinations,"), *METHOD, "--json")
    assert "encoded 6 pictures" in stackclip(workspace, *cache).stderr
    assert "6 were there already" in stackclip(workspace, *cache).stderr
    _compare_with_a_loop(workspace)
    first = rows(stackclip(workspace, *bench))
    assert "nothing was left to compute" in stackclip(workspace, *bench[:-1]).stderr

    path = workspace / "registry" / "mean_joint.py"
    path.write_text(path.read_text().replace("sight.project(", "-sight.project("))
    assert "encoded 6 pictures" in stackclip(workspace, *cache).stderr
    second = rows(stackclip(workspace, *bench))
    assert [row["metrics"] for row in second] != [row["metrics"] for row in first]
    assert len(store_of(workspace).parts) == 4  # cls, mask, and both

    path.write_text(path.read_text().replace("-sight.project(", "sight.project("))
    assert "6 were there already" in stackclip(workspace, *cache).stderr
    again = rows(stackclip(workspace, *bench))
    assert [row["metrics"] for row in again] == [row["metrics"] for row in first]

    path.unlink()
    assert stackclip(workspace, "verify").exit_code == 0
    assert "0 dropped" in stackclip(workspace, "repair").stdout
    assert stackclip(workspace, "cache-features", "--dataset", DATA, "--methods", "clip-direct", *TOWER).exit_code == 0
    missing = stackclip(workspace, *cache)
    assert missing.exit_code == 1
    assert "no part mean-joint/8" in missing.stderr


def _compare_with_a_loop(workspace: Path) -> None:
    use_workspace(workspace / "registry")
    store, tower = store_of(workspace), random_tower(image_size=56)
    dataset = open_dataset(DATA, generated=workspace / "cache" / "generated")
    samples = dataset.select().samples
    (part,) = (each for each in store.parts if each.kind.startswith("mean-joint~"))
    assert (part.index, store.parts - {part}) == (8, {CLS, Part("mask")})
    pictures = torch.from_numpy(np.stack([tower.prepare(read_picture(sample.image)) for sample in samples]))
    blocks = tower.encode(pictures, [Part("joint", 4), *(Part("hidden", layer) for layer in range(4, 9))])
    mean = torch.stack([blocks[Part("hidden", layer)] for layer in range(4, 9)]).mean(0)[:, 1:]
    np.testing.assert_allclose(store.read(samples, part), tower.image.project(mean), atol=2e-3)


def test_a_way_that_fails_is_a_row_with_its_name_or_a_line_that_names_it(stackclip: Run, workspace: Path) -> None:
    path = workspace / "registry" / "mean_joint.py"
    for code, words in {
        "        raise RuntimeError('not today')": "cannot give mean-joint~.*: RuntimeError: not today",
        "        return sight.after": r"gives \(4, 50, 128\) for mean-joint~.*, wanted a tensor of shape \(4, 49, 96\)",
    }.items():
        lines = CODE[0].splitlines()
        path.write_text("\n".join([*lines[:-1], code]) + "\n")
        failed = stackclip(workspace, "cache-features", "--dataset", DATA, *METHOD)
        assert failed.exit_code == 1
        assert re.search(words, failed.stderr.replace("\n", " ")), failed.stderr
