"""CLIP-LAD against a worked case on small random towers, stage by stage, and on scenes of parts drawn by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stackclip.clip import Tower
from stackclip.methods import resolve
from stackclip.methods.clip_lad import LogicalScorer, StructuralScorer, structural_levels
from stackclip.methods.segmenter import PartAnchors, Segmenter, cluster_tokens
from stackclip.ops.histograms import Normality
from stackclip.ops.maps import unit
from stackclip.ops.segments import doubled, mean_of_regions
from stackclip.prompts.parts import PartsList
from stackclip.types import Features, Part, Sample, patch

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

    def logical(self, ratio: str = "relative") -> LogicalScorer:
        method: Any = resolve(f"clip-lad[ratio={ratio}]")
        histograms = torch.cat([self.segmenter.histograms(each) for each in self.shots])
        return LogicalScorer(self.segmenter, histograms, method, "thing")


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
    taps: dict[str, Any] = {"shallow": LEVELS[:2], "dense": Part("near-joint", 24), "grid": tower.spec.frame.grid}
    segmenter = Segmenter.fitted(listed, anchors, shots, **taps, seed=case.config["seed"])
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
    grid = worked.tower.spec.frame.grid
    dense = torch.stack([doubled(each, grid) for each in worked.parts[Part("near-joint", 24)]])
    close(dense, worked.stored["dense_unit"])
    shallow = [cluster_tokens([worked.parts[part][row] for part in LEVELS[:2]], grid) for row in (3, 4)]
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
    assert structural_levels(worked.tower.spec, 5) == LEVELS
    patches = StructuralScorer(worked.tower.spec, worked.shots, 5)(worked.features(0, 3))
    torch.testing.assert_close(patches, cosine.mean(0), rtol=0, atol=1e-5)
    close(patches.amax(1), worked.stored["structural_mean_then_max"])


def test_the_distance_of_both_scores_from_normal_ones_is_that_of_the_case(worked: Worked) -> None:
    validation = torch.from_numpy(worked.stored["validation_scores"])
    features = worked.features(0, 3)
    structural = StructuralScorer(worked.tower.spec, worked.shots, 5)(features).amax(1)
    scores = torch.stack([worked.logical()(features), structural], dim=1)
    inverse, printed = (Normality.of(validation, ridge=0, printed=printed) for printed in (False, True))
    close(inverse.mean, worked.stored["mu"], atol=1e-9)
    close(printed.metric, worked.stored["sigma"], atol=1e-9)
    close(torch.linalg.inv(inverse.metric), worked.stored["sigma"], atol=1e-6)
    close(inverse.distances(scores), worked.stored["mahalanobis"], atol=2e-3)
    close(printed.distances(scores), worked.stored["literal_eq4"])
