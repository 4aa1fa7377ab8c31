"""CLIP-LAD on scenes of parts drawn by hand, what it calibrates by, what it needs and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.contracts.trial import features_of, task_of, trial_tower
from stackclip.errors import BadOption, NotApplicable
from stackclip.methods import PHASES, resolve
from stackclip.methods.segmenter import cluster_tokens
from stackclip.ops.histograms import histogram_distance
from stackclip.types import Features, Part, Sample, TowerSpec, patch

TOWER = TowerSpec("drawn", image_size=64, grid=8, depth=4, width=6, joint=6, layers=(1, 2, 3, 4))
WORDS = ("pendil", "rubberine", "trayle", "tablon", "linion")  # one direction each; no template has them
PEN, RUBBER, TRAY, TABLE, LINING = range(5)
SCENE = (LINING, PEN, LINING, PEN, LINING, PEN, RUBBER, LINING)  # what stands in each column of the upper half
BAR = 16  # places of a column: two for each patch across, eight rows down to the middle


@dataclass(frozen=True)
class Drawn:
    """A text tower in which each of the words is a direction, whatever stands around it."""

    context_length: int = 77

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        [which] = {next(n for n, word in enumerate(WORDS) if word in phrase) for phrase in phrases}
        return torch.eye(6)[which].expand(len(phrases), -1)

    def class_means(self, categories: Sequence[str]) -> Tensor:
        return torch.zeros(len(categories), 6)

    def count_tokens(self, phrase: str) -> int:
        return 2 + len(phrase.split())


def sample(name: str) -> Sample:
    return Sample(name, "drawn", "box", "test", Path("x.png"), None, 0, "good")


def drawn(*scenes: Sequence[int]) -> Features:
    """Pictures of a tray of bars over a table: one-hot tokens, and taps that know upper from lower half."""
    dense, shallow = torch.zeros(len(scenes), 8, 8, 6), torch.zeros(len(scenes), 8, 8, 6)
    for row, scene in enumerate(scenes):
        dense[row, :4] = torch.eye(6)[list(scene)] + 2 * torch.eye(6)[TRAY]
        dense[row, 4:, :] = torch.eye(6)[TABLE]
    shallow[:, :4, :, 0], shallow[:, 4:, :, 1] = 1, 1
    taps = {patch(n): shallow.flatten(1, 2) for n in (1, 2)} | {patch(3): dense.flatten(1, 2)}
    last = {Part(kind, 4): dense.flatten(1, 2) for kind in ("near", "near-joint")}
    return Features(tuple(sample(f"{n}.png") for n in range(len(scenes))), taps | last)


@pytest.fixture
def parts_file(tmp_path: Path) -> Path:
    path = tmp_path / "my.json"
    path.write_text(
        '{"box": {"coarse": {"tray": ["trayle"]}, "fine": {"pen": ["pendil"], "rubber": ["rubberine"]},'
        ' "background": {"table": ["tablon"], "lining": ["linion"]}, "clusters": 2}}'
    )
    return path


def shown(spec: str, *shots: Sequence[int], normals: Features | None = None) -> Any:
    task = replace(task_of(("box",)), tower=TOWER, encode=Drawn())
    return resolve(spec).begin(task).on("box", iter([drawn(*shots)]), iter([normals] if normals else []))


def changed(**columns: int) -> tuple[int, ...]:
    scene = list(SCENE)
    for column, what in columns.items():
        scene[int(column[1:])] = what
    return tuple(scene)


MISSING, DOUBLED, SWAPPED = changed(_3=LINING), changed(_0=RUBBER), changed(_5=RUBBER)


def test_histograms_of_a_drawn_scene_are_counted_by_hand(parts_file: Path) -> None:
    inspector = shown(f"clip-lad[parts={parts_file}]", SCENE)
    found = torch.stack([mask.histogram for mask in inspector.part_masks(drawn(SCENE, MISSING, DOUBLED, SWAPPED))])
    assert found.tolist() == [[3 * BAR, BAR], [2 * BAR, BAR], [3 * BAR, 2 * BAR], [2 * BAR, 2 * BAR]]
    assert inspector.calibrated["histograms"] == [[3 * BAR, BAR]]


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        ("relative", (0, 16 / 49, 16 / 17, 16 / 49 + 16 / 17)),
        ("symmetric", (0, 16 / 81, 16 / 49, 16 / 81 + 16 / 49)),
        ("l1", (0, 16, 16, 32)),
        ("literal", (48 / 49 + 16 / 17, 32 / 49 + 16 / 17, 48 / 49 + 32 / 17, 32 / 49 + 32 / 17)),
        ("cosine", (0, 1 - 7 / (10 * 5) ** 0.5, 1 - 11 / (10 * 13) ** 0.5, 1 - 8 / (10 * 8) ** 0.5)),
    ],
)
def test_equation_2_by_hand_for_a_part_missing_doubled_and_swapped(
    parts_file: Path, ratio: str, expected: tuple[float, ...]
) -> None:
    inspector = shown(f"clip-lad[parts={parts_file},ratio={ratio},scores=logical]", SCENE)
    found = inspector.predict(drawn(SCENE, MISSING, DOUBLED, SWAPPED))
    assert found.scores.tolist() == pytest.approx(list(expected))
    assert found.components["logical"] is found.scores
    assert found.maps is None
    assert "counts the parts" in found.why_no_maps


def test_the_nearest_of_the_shots_counts(parts_file: Path) -> None:
    inspector = shown(f"clip-lad[parts={parts_file},scores=logical]", SCENE, MISSING)
    assert inspector.predict(drawn(MISSING, SWAPPED)).scores.tolist() == pytest.approx([0, 16 / 17])


def test_structural_maps_are_hottest_where_something_is_that_no_shot_has(parts_file: Path) -> None:
    inspector = shown(f"clip-lad[parts={parts_file},scores=structural]", MISSING)
    found = inspector.predict(drawn(MISSING, changed(_3=TABLE)))
    assert found.components.keys() == {"structural"}
    assert found.maps.shape == (2, 64, 64)
    assert float(found.maps[0].max()) == pytest.approx(0, abs=1e-6)
    assert 24 <= int(found.maps[1].max(0).values.argmax()) <= 32  # pixels of the fourth column
    assert found.scores[1] == pytest.approx(float(found.maps[1].max()), abs=1e-6)
    assert inspector.part_masks is None


def test_both_scores_are_one_by_how_normal_pictures_are_spread(parts_file: Path) -> None:
    normals = drawn(SCENE, MISSING, DOUBLED, changed(_1=TABLE), changed(_2=TRAY))
    inspector = shown(f"clip-lad[parts={parts_file}]", SCENE, normals=normals)
    calibration = inspector.calibrated["calibration"]
    assert (calibration["by"], calibration["pictures"]) == ("further normal pictures", 5)
    found = inspector.predict(drawn(SCENE, SWAPPED))
    scores = torch.stack([found.components["logical"], found.components["structural"]], dim=1)
    of_normals = inspector.predict(normals).components
    spread = np.stack([of_normals["logical"].numpy(), of_normals["structural"].numpy()])
    covariance = np.cov(spread) + 1e-6 * np.diag(np.diag(np.cov(spread)))
    off = scores.numpy() - spread.mean(1)
    expected = np.sqrt(np.einsum("bi,ij,bj->b", off, np.linalg.inv(covariance), off))
    np.testing.assert_allclose(found.scores, expected, rtol=1e-6)


def test_without_further_normal_pictures_each_shot_is_compared_with_the_others(parts_file: Path) -> None:
    inspector = shown(f"clip-lad[parts={parts_file}]", SCENE, MISSING, DOUBLED)
    calibration = inspector.calibrated["calibration"]
    assert (calibration["by"], calibration["pictures"]) == ("each shot among the others", 3)
    mean = (16 / 49 + 16 / 33 + 16 / 17) / 3  # a missing pen is 16 of 48, one too many 16 of 32, a rubber 16 of 16
    assert calibration["mean"][0] == pytest.approx(mean, abs=1e-6)


def test_with_too_few_normal_pictures_both_scores_are_added_and_that_is_said(
    parts_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inspector = shown(f"clip-lad[parts={parts_file}]", SCENE, normals=drawn(SCENE, SCENE))
    assert "fewer than 3 normal pictures say how both scores are spread, so they are added" in caplog.text
    assert inspector.calibrated["calibration"] == {"by": "nothing: fewer than 3 normal pictures", "pictures": 2}
    found = inspector.predict(drawn(SWAPPED))
    logical, structural = (float(found.components[name]) for name in ("logical", "structural"))
    assert float(found.scores) == pytest.approx(logical / (1 + logical) + structural)


def test_a_region_may_have_one_fine_class(parts_file: Path) -> None:
    parts_file.write_text(parts_file.read_text().replace('"clusters": 2', '"clusters": 2, "fine_by": "region"'))
    [mask] = shown(f"clip-lad[parts={parts_file},scores=logical]", SCENE).part_masks(drawn(SCENE))
    assert len(mask.classes[:8].unique()) == 1


def test_without_words_the_regions_themselves_are_counted() -> None:
    inspector = shown("clip-lad[classes=clusters,clusters=2,scores=logical]", SCENE)
    [mask] = inspector.part_masks(drawn(SCENE))
    rows = mask.regions.float()  # taps tell the upper from the lower half; the doubled rows between go to either
    assert torch.equal(mask.classes, mask.regions)
    assert {float(rows[:7].mean()), float(rows[9:].mean())} == {0, 1}
    assert sorted(mask.histogram.tolist()) == sorted(torch.bincount(mask.regions.flatten()).tolist())
    assert inspector.calibrated["classes"] == ["region 1", "region 2"]
    turned = drawn(SCENE)
    turned.parts[patch(1)][:, 32:40], turned.parts[patch(2)][:, 32:40] = (turned.parts[patch(n)][:, :8] for n in (1, 2))
    tested = inspector.part_masks(turned)[0].histogram
    expected = ((tested - mask.histogram).abs() / (mask.histogram + 1)).sum()
    assert float(expected) > 0.1
    assert inspector.predict(turned).scores.tolist() == pytest.approx([float(expected)])


def test_without_words_no_patches_that_meet_text_are_needed() -> None:
    method = resolve("clip-lad[classes=clusters,scores=logical]")
    assert method.needs(TOWER, "test") == method.needs(TOWER, "shots") == {patch(1), patch(2)}


def test_it_needs_the_same_of_shots_and_tested_pictures_and_to_calibrate_where_both_scores_are_one() -> None:
    logical = {patch(1), patch(2), Part("near-joint", 4)}
    structural = {patch(1), patch(2), patch(3), Part("near", 4)}
    for scores, parts in {"both": logical | structural, "logical": logical, "structural": structural}.items():
        method = resolve(f"clip-lad[scores={scores}]")
        expected = {"train": set(), "shots": parts, "calibrate": parts if scores == "both" else set(), "test": parts}
        assert {phase: set(method.needs(TOWER, phase)) for phase in PHASES if phase in expected} == expected


def test_another_spread_reads_other_parts() -> None:
    parts = resolve("clip-lad[spread=3]").needs(TOWER, "test")
    assert {Part("near-std3", 4), Part("near-joint-std3", 4)} <= parts
    assert not {Part("near", 4), Part("near-joint", 4)} & parts


def test_a_tower_with_one_tap_is_refused() -> None:
    with pytest.raises(NotApplicable, match="clusters two taps, but drawn taps 1"):
        resolve("clip-lad").needs(replace(TOWER, layers=(4,)), "test")
    assert resolve("clip-lad[scores=structural]").needs(replace(TOWER, layers=(4,)), "test") == {Part("near", 4)}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("clusters=1", "2 or more"),
        ("eps=0", "above 0"),
        ("ridge=-1", "0 or more"),
        ("spread=0", "1 patch"),
        ("shots=-1", "0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(option: str, said: str) -> None:
    with pytest.raises(BadOption, match=said):
        resolve(f"clip-lad[{option}]")


def test_clusters_are_as_many_as_there_are_different_patches(parts_file: Path) -> None:
    inspector = shown(f"clip-lad[parts={parts_file},clusters=200,scores=logical]", SCENE)
    assert inspector.calibrated["clusters"] == len(np.unique(drawn_points(), axis=0))


def drawn_points() -> np.ndarray:
    features = drawn(SCENE)
    return cluster_tokens([features[patch(1)][0], features[patch(2)][0]], TOWER.frame.grid).numpy()


def test_a_category_without_words_of_its_own_is_called_by_its_name() -> None:
    detector: Any = resolve("clip-lad[scores=logical]").begin(task_of(("bottle",)))
    method: Any = resolve("clip-lad[scores=logical]")
    shots = features_of(method.needs(trial_tower().spec, "shots"), ("metal_nut",) * 2)
    inspector = detector.on("metal_nut", iter([shots]), iter(()))
    assert (inspector.calibrated["parts"], inspector.calibrated["classes"]) == ("*", ["metal nut"])


def test_literal_and_relative_readings_differ_in_what_a_missing_part_is_worth() -> None:
    normal = torch.tensor([[48.0, 16.0]])
    assert histogram_distance(torch.tensor([48.0, 0.0]), normal, "literal", eps=1) < histogram_distance(
        normal[0], normal, "literal", eps=1
    )
    assert histogram_distance(torch.tensor([48.0, 0.0]), normal, "relative", eps=1) > histogram_distance(
        normal[0], normal, "relative", eps=1
    )
