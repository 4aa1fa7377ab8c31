"""AA-CLIP on cached taps: where no adapter moves anything it is AA-CLIP, and it runs no block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stackclip.clip.image import ImageTower
from stackclip.contracts.trial import task_of, trial_tower
from stackclip.errors import BadOption
from stackclip.heads.adapters import ResidualAdapter
from stackclip.methods import Moment, resolve
from stackclip.types import CLS, MASK, Features, Part, Sample

TOWER = trial_tower()
SIDE = TOWER.spec.image_size


def features_of(*detectors: Any) -> Features:
    parts = frozenset[Part]().union(*(each.method.needs(TOWER.spec, "train") for each in detectors))
    pictures = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    masks = torch.zeros(4, SIDE, SIDE)
    masks[1::2, 8:16, 8:16] = 1
    samples = tuple(Sample(f"{i}.png", "x", "bottle", "test", Path("x"), None, i % 2, "hole") for i in range(4))
    return Features(samples, {**TOWER.encode(pictures + 4 * masks[:, None], parts), MASK: masks})


def test_it_reads_taps_alone_and_surgery_for_the_text() -> None:
    method = resolve("aa-clip-cached")
    assert method.needs(TOWER.spec, "test") == frozenset(TOWER.spec.taps)
    assert method.needs(TOWER.spec, "train") == {*TOWER.spec.taps, *method.taps(TOWER.spec), CLS}  # type: ignore[attr-defined]


def test_without_a_share_of_the_adapters_it_is_aa_clip() -> None:
    whole, cached = (resolve(name).begin(task_of()) for name in ("aa-clip", "aa-clip-cached"))
    linear = {name: each for name, each in whole.image.state_dict().items() if not name.startswith("adapters")}
    cached.image.load_state_dict(linear, strict=False)
    features = features_of(whole, cached)
    apart = [one - other for one, other in zip(seen(whole, features), seen(cached, features), strict=True)]
    assert max(each.detach().abs().max().item() for each in apart) > 1e-3  # an approximation
    for module in (*whole.modules(), *cached.modules()):
        if isinstance(module, ResidualAdapter):
            module.share = 0.0
    for one, other in zip(seen(whole, features), seen(cached, features), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def seen(detector: Any, features: Features) -> list[torch.Tensor]:
    prediction = detector.on("bottle", iter(()), iter(())).predict(features)
    return [*detector.image_loss(features).values(), prediction.maps, prediction.scores]


def test_a_step_changes_its_adapters_and_runs_no_block(monkeypatch: pytest.MonkeyPatch) -> None:
    detector: Any = resolve("aa-clip-cached").begin(task_of())
    features = features_of(detector)

    def refuse(*args: Any, **words: Any) -> Any:
        raise AssertionError("a block ran")

    monkeypatch.setattr(ImageTower, "resume", refuse)
    before = {name: each.clone() for name, each in detector.image.state_dict().items()}
    assert [name for name in before if name.startswith("adapters")] == [
        f"adapters.{layer}.fc.weight" for layer in TOWER.spec.layers
    ]
    stage = next(stage for stage in detector.stages if stage.name == "image")
    losses = [detector.step(features, Moment(stage, 0, step, last=False))["loss"] for step in range(8)]
    assert losses[-1] < losses[0]
    assert all(not torch.equal(each, before[name]) for name, each in detector.image.state_dict().items())


def test_adapters_of_the_release_are_refused(tmp_path: Path) -> None:
    (tmp_path / "image.pth").touch()
    with pytest.raises(BadOption, match=r"weights= are of adapters between the tower's blocks: give them to aa-clip"):
        resolve(f"aa-clip-cached[weights={tmp_path / 'image.pth'}]")
