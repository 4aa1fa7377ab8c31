"""The figures of towers: against sklearn and by hand, on a few pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from stackclip.benchmarks import towers
from stackclip.benchmarks.picture_sets import draw_set, read_set
from stackclip.benchmarks.towers import blur_figures, held_out_figures, main, sets_to_try
from stackclip.clip import random_tower
from stackclip.synthetic import categories_of, kinds_of
from stackclip.types import ANOMALOUS


def test_a_set_holds_twins_of_the_categories_and_kinds_of_its_part() -> None:
    held = draw_set("defects", 6, side=48, seed=0)
    assert held.labels.tolist() == [0, 1] * 6
    assert set(held.categories) <= set(categories_of("defects"))
    assert {sample.defect for sample in held.samples} == {"good", *kinds_of("defects")}
    for good, defective, mask in zip(held.pictures[::2], held.pictures[1::2], held.masks[1::2], strict=True):
        change = np.abs(np.asarray(good, int) - np.asarray(defective, int)).max(-1)
        assert change[mask].mean() > 4 * change[~mask].mean()


def test_a_set_follows_from_its_seed() -> None:
    first, same, other = (draw_set("shapes", 2, side=40, seed=seed) for seed in (3, 3, 4))
    assert [picture.tobytes() for picture in first.pictures] == [picture.tobytes() for picture in same.pictures]
    assert first.pictures[0].tobytes() != other.pictures[0].tobytes()


def test_figures_of_scores_are_those_of_sklearn_and_of_a_count_of_twins() -> None:
    held = draw_set("combinations", 4, side=40, seed=0)
    scores = np.array([0.1, 0.4, 0.5, 0.2, 0.3, 0.3, 0.0, 0.9])
    found = towers._image_figures(held, scores)
    assert found["combinations: image AUROC"] == pytest.approx(roc_auc_score(held.labels, scores))
    assert found["combinations: defective above its good twin"] == pytest.approx((1 + 0 + 0.5 + 1) / 4)


def test_the_headless_map_is_that_of_the_last_block_in_the_joint_space() -> None:
    tower, held = random_tower(0, image_size=48), draw_set("combinations", 2, side=48, seed=1)
    detector = towers._begin(tower, held, seed=0)
    found = held_out_figures(tower, held)
    pictures = torch.from_numpy(np.stack([tower.prepare(picture) for picture in held.pictures]))
    visual = tower.model.visual
    with torch.no_grad():
        tokens = visual(pictures), visual.forward_intermediates(pictures, indices=[7], output_fmt="NLC")
        joint = visual.ln_post(tokens[1]["image_intermediates"][0]) @ visual.proj
    labels, heat = [], []
    for row, sample in enumerate(held.samples):
        normal, anomalous = detector.anchors(sample.category)[0]
        cosine = torch.nn.functional.cosine_similarity(joint[row], (anomalous - normal)[None])
        cosine = cosine * (anomalous - normal).norm()
        grid = torch.nn.functional.interpolate(cosine.reshape(1, 1, 6, 6), size=48, mode="bilinear", align_corners=True)
        heat.append(grid.flatten().numpy())
        labels.append(held.masks[row].reshape(-1))
    wanted = roc_auc_score(np.concatenate(labels), np.concatenate(heat))
    assert found["combinations: headless, pixel AUROC"] == pytest.approx(wanted, abs=1e-3)


def test_blurs_find_a_dot_without_learning() -> None:
    found = blur_figures([draw_set("combinations", 8, side=56, seed=0)], side=56)
    assert found["combinations: headless, pixel AUROC"] > 0.6
    assert not any("linear head" in name or "category" in name for name in found)


def test_real_pictures_are_read_with_their_masks(shared: Path) -> None:
    held = read_set(shared / "data" / "mvtec-mini", "hazelnut", side=56)
    assert not held.paired
    assert {bool(mask.any()) for mask, label in zip(held.masks, held.labels, strict=True) if label == ANOMALOUS} == {
        True
    }


def test_all_small_real_sets_are_found(shared: Path) -> None:
    sets = sets_to_try(40, pairs=1, data_root=shared / "data")
    assert [held.name for held in sets[3:]] == ["hazelnut", "transistor", "pcb", "electrical-commutators"]
    assert {held.labels.max() for held in sets} == {ANOMALOUS}


def test_the_program_prints_the_table_of_a_tower_a_random_one_and_blurs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        main(
            f"--backbone random-vit-8[seed=3,image_size=40] --image-size 40 --pairs 1 --training-pairs 1 "
            f"--json {tmp_path / 'figures.json'}".split()
        )
    finally:
        torch.set_flush_denormal(False)
    printed = capsys.readouterr().out
    assert printed.startswith("| figure")
    assert "random tower" in printed
    assert "say nothing about CLIP" in printed
    columns = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert list(columns) == ["random-vit-8[seed=3]", "random tower", "blurs"]
    assert "combinations: linear head, pixel AUROC" in columns["random tower"]
    assert columns["random tower"]["pictures a second"] > 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--photographs nowhere", "no PNG in nowhere: give a folder that holds photographs"),
        ("--backbone oblong", "these figures are of squares, and random-vit-8 sees 40x80 pixels: give one side"),
        ("--image-size 0", "'0' is no size of a picture"),
        ("--backbone nothing", "no backbone is named 'nothing'"),
        ("--backbone ViT-B-32 --weights nowhere.pt", "nowhere.pt"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(
    words: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if "oblong" in words:  # as a backbone from outside may be
        monkeypatch.setattr(towers, "load_tower", lambda *_, **__: random_tower(0, image_size=(40, 80)))
    try:
        with pytest.raises(SystemExit) as caught:
            main(["--backbone", "random-vit-8[image_size=40]", "--pairs", "1", *words.split()])
    finally:
        torch.set_flush_denormal(False)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]
