"""CLIP-LAD against a worked case on small random towers, stage by stage, and on scenes of parts drawn by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.clip import Tower
from stackclip.contracts.trial import features_of, task_of, trial_tower
from stackclip.errors import BadOption, NotApplicable
from stackclip.methods import PHASES, resolve
from stackclip.methods.clip_lad import Logical, Structural, levels_of
from stackclip.methods.segmenter import PartAnchors, Segmenter, cluster_tokens
from stackclip.ops.histograms import Normality, apart
from stackclip.ops.maps import unit
from stackclip.ops.segments import doubled, mean_of_regions
from stackclip.prompts.parts import PartsList
from stackclip.types import Features, Part, Sample, TowerSpec, patch

CASES = ("t24s_112", "t24m_160")
LEVELS = (patch(6), patch(12), patch(18), Part("near", 24))
RATIOS = ("relative", "ratio", "symmetric", "l1", "cosine")


def parts_list(coarse: int, fine: int, clusters: int) -> PartsList:
    return PartsList(
        coarse={f"coarse {n}": ("word",) for n in range(coarse)},
        fine={f"fine {n}": ("word",) for n in range(fine)},
        background={"background": ("word",)},
        thresholds={},
        clusters=clusters,
        fine_by="patch",
    )


def sample(name: str, label: int = 0) -> Sample:
    return Sample(name, "golden", "thing", "test", Path("x.png"), None, label, "hole" if label else "good")


@dataclass(frozen=True)
class Worked:
    """One worked case: our tower's parts of three pictures and two shots, and a segmenter that is fitted to these."""

    stored: Any
    config: Mapping[str, Any]
    tower: Tower
    parts: Mapping[Part, Tensor]
    segmenter: Segmenter

    def features(self, start: int, stop: int) -> Features:
        samples = tuple(sample(f"{row}.png") for row in range(start, stop))
        return Features(samples, {part: own[start:stop] for part, own in self.parts.items()})

    @property
    def shots(self) -> list[Features]:
        return [self.features(row, row + 1) for row in (3, 4)]

    def logical(self, ratio: str = "relative") -> Logical:
        method: Any = resolve(f"clip-lad[ratio={ratio}]")
        histograms = torch.cat([self.segmenter.histograms(each) for each in self.shots])
        return Logical(self.segmenter, histograms, method, "thing")


@pytest.fixture(scope="module", params=CASES)
def worked(request: pytest.FixtureRequest, golden: Callable[[str], Any]) -> Worked:
    case = golden(f"cliplad_{request.param}")
    tower, given = case.tower(), case.stored.given
    wanted = [*LEVELS, Part("near-joint", 24), *(Part("hidden", n) for n in (6, 12, 18))]
    parts = tower.encode(torch.cat([case.images, case.shots]), wanted)
    coarse, fine = (torch.from_numpy(given(name)).float() for name in ("coarse", "fine"))
    listed = parts_list(len(coarse) - 1, len(fine) - 1, case.config["n_clusters"])
    anchors = PartAnchors(coarse, fine, torch.full((len(coarse) - 1,), -torch.inf))
    shots = [Features((sample("s"),), {part: own[row : row + 1] for part, own in parts.items()}) for row in (3, 4)]
    segmenter = Segmenter.fitted(
        listed, anchors, shots, shallow=LEVELS[:2], dense=Part("near-joint", 24), seed=case.config["seed"]
    )
    return Worked(case.stored, case.config, tower, parts, segmenter)


def close(found: Any, stored: Any, *, atol: float = 1e-4) -> None:
    found = found.detach().numpy() if isinstance(found, Tensor) else np.asarray(found)
    stored = np.asarray(stored, dtype=np.float64)
    np.testing.assert_allclose(found, stored, rtol=0, atol=min(atol, float(np.abs(stored).max()) / 100))


def test_the_taps_are_those_of_the_case(worked: Worked) -> None:
    for layer in (6, 12, 18):
        close(worked.parts[Part("hidden", layer)], worked.stored[f"tap{layer}"])
        close(worked.parts[patch(layer)], worked.stored[f"tap{layer}"][:, 1:])
    close(worked.parts[Part("near", 24)], worked.stored["tap24"][:, 1:])
    close(worked.parts[Part("near-joint", 24)], worked.stored["near_tokens"])


def test_tokens_are_doubled_and_unit(worked: Worked) -> None:
    dense = torch.stack([doubled(each) for each in worked.parts[Part("near-joint", 24)]])
    close(dense, worked.stored["dense_unit"])
    shallow = [cluster_tokens([worked.parts[part][row] for part in LEVELS[:2]]) for row in (3, 4)]
    close(torch.stack(shallow), worked.stored["cluster_features_shots"])


def test_clusters_of_the_shots_are_those_of_the_case(worked: Worked) -> None:
    close(worked.segmenter.centres, worked.stored["centres"])


def test_regions_their_classes_the_foreground_and_the_parts_are_those_of_the_case(worked: Worked) -> None:
    masks = worked.segmenter.masks(worked.features(0, 5))
    close(torch.stack([mask.regions for mask in masks]), worked.stored["cluster_labels"])
    close(torch.stack([mask.region_classes for mask in masks]), worked.stored["region_classes"])
    close(torch.stack([mask.region_classes[mask.regions] for mask in masks]), worked.stored["coarse_mask"])
    close(torch.stack([mask.foreground for mask in masks]).int(), worked.stored["foreground"])
    close(torch.stack([mask.classes for mask in masks]), worked.stored["fine_mask"])
    close(torch.stack([mask.histogram for mask in masks]), worked.stored["histograms"])
    assert worked.stored.given("foreground_classes").tolist() == list(range(len(worked.segmenter.parts.coarse)))


def test_the_mean_tokens_of_regions_are_those_of_the_case(worked: Worked) -> None:
    regions = torch.from_numpy(worked.stored.given("cluster_labels")).long().flatten(1)
    dense = torch.from_numpy(worked.stored.given("dense_unit"))
    count = len(worked.segmenter.centres)
    found = [mean_of_regions(tokens, own, count) for tokens, own in zip(dense, regions, strict=True)]
    close(torch.stack(found), worked.stored["region_means"], atol=1e-6)


@pytest.mark.parametrize("ratio", RATIOS)
def test_each_reading_of_equation_2_gives_the_scores_of_the_case(worked: Worked, ratio: str) -> None:
    name = f"log_{ratio}" if ratio in ("l1", "cosine") else f"log_{ratio}_eps1"
    logical = worked.logical("literal" if ratio == "ratio" else ratio)
    close(logical(worked.features(0, 3)), worked.stored[name], atol=1e-6)


def test_structural_distances_are_those_of_the_case_level_by_level(worked: Worked) -> None:
    shots = {part: worked.parts[part][3:].flatten(0, 1) for part in LEVELS}
    cosine = torch.stack([1 - (unit(worked.parts[p][:3]) @ unit(shots[p]).mT).amax(-1) for p in LEVELS])
    euclidean = torch.stack([torch.cdist(worked.parts[p][:3], shots[p][None]).amin(-1) for p in LEVELS])
    close(cosine, worked.stored["structural_cos_by_level"])
    close(euclidean, worked.stored["structural_l2_by_level"], atol=1e-3)
    close(cosine.amax(-1).mean(0), worked.stored["structural_max_then_mean"])
    close(euclidean.amax(-1).mean(0), worked.stored["structural_l2_max_then_mean"], atol=1e-3)
    assert levels_of(worked.tower.spec, 5) == LEVELS
    patches = Structural(worked.tower.spec, worked.shots, 5)(worked.features(0, 3))
    torch.testing.assert_close(patches, cosine.mean(0), rtol=0, atol=1e-5)
    close(patches.amax(1), worked.stored["structural_mean_then_max"])


def test_the_distance_of_both_scores_from_normal_ones_is_that_of_the_case(worked: Worked) -> None:
    validation = torch.from_numpy(worked.stored["validation_scores"])
    features = worked.features(0, 3)
    structural = Structural(worked.tower.spec, worked.shots, 5)(features).amax(1)
    scores = torch.stack([worked.logical()(features), structural], dim=1)
    inverse, printed = (Normality.of(validation, ridge=0, printed=printed) for printed in (False, True))
    close(inverse.mean, worked.stored["mu"], atol=1e-9)
    close(printed.metric, worked.stored["sigma"], atol=1e-9)
    close(torch.linalg.inv(inverse.metric), worked.stored["sigma"], atol=1e-6)
    close(inverse.distances(scores), worked.stored["mahalanobis"], atol=2e-3)
    close(printed.distances(scores), worked.stored["literal_eq4"])


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


def test_with_too_few_normal_pictures_both_scores_are_added_and_that_is_said(parts_file: Path) -> None:
    inspector = shown(f"clip-lad[parts={parts_file}]", SCENE, normals=drawn(SCENE, SCENE))
    assert inspector.calibrated["calibration"] == {"by": "nothing: fewer than 3 normal pictures", "pictures": 2}
    found = inspector.predict(drawn(SWAPPED))
    logical, structural = (float(found.components[name]) for name in ("logical", "structural"))
    assert float(found.scores) == pytest.approx(logical / (1 + logical) + structural)


def test_a_region_may_have_one_fine_class(parts_file: Path) -> None:
    parts_file.write_text(parts_file.read_text().replace('"clusters": 2', '"clusters": 2, "fine_by": "region"'))
    [mask] = shown(f"clip-lad[parts={parts_file},scores=logical]", SCENE).part_masks(drawn(SCENE))
    assert len(mask.classes[:8].unique()) == 1


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
    return cluster_tokens([features[patch(1)][0], features[patch(2)][0]]).numpy()


def test_a_category_without_words_of_its_own_is_called_by_its_name() -> None:
    detector: Any = resolve("clip-lad[scores=logical]").begin(task_of(("bottle",)))
    method: Any = resolve("clip-lad[scores=logical]")
    shots = features_of(method.needs(trial_tower().spec, "shots"), ("metal_nut",) * 2)
    inspector = detector.on("metal_nut", iter([shots]), iter(()))
    assert (inspector.calibrated["parts"], inspector.calibrated["classes"]) == ("*", ["metal nut"])


def test_literal_and_relative_readings_differ_in_what_a_missing_part_is_worth() -> None:
    normal = torch.tensor([[48.0, 16.0]])
    assert apart(torch.tensor([48.0, 0.0]), normal, "literal", eps=1) < apart(normal[0], normal, "literal", eps=1)
    assert apart(torch.tensor([48.0, 0.0]), normal, "relative", eps=1) > apart(normal[0], normal, "relative", eps=1)
