"""Methods beside tiles: what they are given, how it is put together, and the scratch that is found only so."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from stackclip.benchmarks.entrant import entrants_of, errands_of
from stackclip.benchmarks.tiles import AT_ONCE, TiledInspector, in_tiles, pictures_at_once, tile_batches
from stackclip.benchmarks.truth import runs_of
from stackclip.cache import extract
from stackclip.data import largest_size
from stackclip.errors import BrokenPlugin, MissingParts, UsageError
from stackclip.methods import Inspector
from stackclip.ops.blending import Blend
from stackclip.ops.regions import paint_mask
from stackclip.ops.tiling import Tiling
from stackclip.session import Session
from stackclip.session.commands import how_to_encode_again
from stackclip.types import CLS, MASK, Features, Part, Prediction, patch

TILING = Tiling(rows=3, columns=4)
SIDE = 8


def features(small: Any, tiling: Tiling = TILING, count: int = 3) -> Features:
    """Pictures in all views, whose class token says which picture and which view it is."""
    samples = small.tested.select(split="test").samples[:count]
    parts: dict[Part, torch.Tensor] = {}
    for number, view in enumerate(tiling.views):
        token = torch.arange(count)[:, None] * 100.0 + number
        parts |= {Part("cls", view=view): token, Part("cls", view="+".join(filter(None, (view, "rot90")))): -token}
    return Features(samples, parts)


class ByToken(Inspector):
    """Scores are class tokens, maps have them in every pixel; tells how many came at once."""

    def __init__(self, **gone: Any) -> None:
        self.sizes: list[int] = []
        self.gone, self.calibrated = gone, {"threshold": 3}

    def predict(self, features: Features) -> Prediction:
        self.sizes.append(len(features))
        scores = features[CLS][:, 0]
        assert torch.equal(features[Part("cls", view="rot90")][:, 0], -scores)
        found = Prediction(scores, scores[:, None, None].expand(-1, SIDE, SIDE), components={"half": scores / 2})
        return replace(found, **self.gone)

    def settle(self, scores: torch.Tensor, peaks: torch.Tensor | None) -> torch.Tensor:
        return scores + (0 if peaks is None else peaks)


def tiled(inspector: Inspector, tiling: Tiling = TILING) -> TiledInspector:
    return TiledInspector(inspector, tiling, SimpleNamespace(image_size=SIDE))  # type: ignore[arg-type]


def test_each_tile_is_a_picture_of_its_own_with_plain_parts(small) -> None:
    batches = list(tile_batches(features(small), TILING))
    assert [len(batch) for batch in batches] == [AT_ONCE, 4] * 3
    assert torch.cat([batch[CLS] for batch in batches]).flatten().tolist() == [
        100.0 * row + number for row in range(3) for number in range(12)
    ]
    names = [sample.id for batch in batches for sample in batch.samples]
    assert len(set(names)) == 36
    assert names[0].endswith("@tile3x4o25-1")
    assert {part.view for batch in batches for part in batch.parts} == {"", "rot90"}


def test_a_stream_of_pictures_becomes_one_of_tiles_and_is_closed_with_it(small) -> None:
    closed = []

    def pictures():
        try:
            while True:
                yield features(small)
        finally:
            closed.append(True)

    stream = in_tiles(pictures(), TILING)
    assert len(next(stream)) == AT_ONCE
    stream.close()
    assert closed == [True]


def test_fewer_pictures_are_read_together_where_each_has_many_views() -> None:
    assert [pictures_at_once(8, each) for each in (None, Tiling(rows=1, columns=2), TILING)] == [8, 4, 1]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("score", ["max", "mean", "whole"])
def test_the_score_of_a_picture_is_the_highest_the_mean_or_that_of_the_whole(small, whole: bool, score: Any) -> None:
    if score == "whole" and not whole:
        return
    tiling = Tiling(rows=3, columns=4, whole=whole, score=score)
    inspector = ByToken()
    found = tiled(inspector, tiling).predict(features(small, tiling))
    most = 12.0 if whole else 11.0
    of_score = {"max": most, "mean": most / 2, "whole": 12.0}[score]
    assert found.scores is not None
    assert found.maps is not None
    assert found.scores.tolist() == [of_score, 100 + of_score, 200 + of_score]
    assert found.components["half"].tolist() == [each / 2 for each in found.scores.tolist()]
    assert max(inspector.sizes) <= AT_ONCE
    blend = Blend(tiling, tiling.map_side(SIDE))
    for number in range(len(tiling.views)):
        blend.add(number, torch.full((SIDE, SIDE), 100.0 + number))
    torch.testing.assert_close(found.maps[1], blend.map)


def test_what_a_method_does_not_give_is_not_there_of_its_tiles_either(small) -> None:
    found = tiled(ByToken(maps=None, why_no_maps="no map")).predict(features(small))
    assert (found.maps, found.why_no_maps, len(found.scores)) == (None, "no map", 3)
    found = tiled(ByToken(scores=None, why_no_scores="no score")).predict(features(small))
    assert (found.scores, found.why_no_scores, found.maps.shape) == (None, "no score", (3, 26, 26))


def test_maps_of_another_size_are_refused_by_their_tile(small) -> None:
    with pytest.raises(BrokenPlugin, match=r"maps of shape \(8, 5, 5\)"):
        tiled(ByToken(maps=torch.zeros(AT_ONCE, 5, 5))).predict(features(small))


def test_what_is_settled_and_calibrated_is_the_methods_own() -> None:
    wrapped = tiled(ByToken())
    assert wrapped.settle(torch.tensor([1.0]), torch.tensor([2.0])).tolist() == [3.0]
    assert wrapped.calibrated == {"threshold": 3}


def test_only_what_is_tested_or_shown_is_read_in_tiles(small) -> None:
    plan = small.plan("april-gan[shots=2]", "anomaly-dino[shots=1]", tiles="2x2")
    training, tested, shown = errands_of(plan, entrants_of(plan, small.tower.spec))
    assert set(training.samples) == set(small.training.select(split="test").samples)
    assert set(tested.samples) == set(small.tested.select(split="test").samples)
    assert set(shown.samples) == set(plan.all_shots())
    views = [{part.view.partition("-")[0] for part in errand.parts - {MASK}} for errand in (training, tested, shown)]
    assert views == [{""}, {"tile2x2o25"}, {"tile2x2o25"}]
    assert not [part for part in tested.parts if "+rot" in part.view]
    assert len([part for part in shown.parts if part.view.endswith("+rot45")]) == 4
    [untiled] = errands_of(small.plan("april-gan"), entrants_of(small.plan("april-gan"), small.tower.spec))
    assert {part.view for part in untiled.parts} == {""}


def test_rows_differ_by_their_tiles_and_heads_do_not(small, bench) -> None:
    def names(tiles: str | None) -> tuple[str, str, str]:
        seed = bench(small.plan("precise", tiles=tiles)).of_seed(0)
        found = seed.identities
        return found.head("precise"), found.row("precise", seed.cells["precise"][0]), found.protocol

    extract(small.store, small.tower, list(small.tested), Tiling(rows=2, columns=2, whole=True).parts({CLS}))
    every = [names(tiles) for tiles in (None, "2x2", "2x2[score=mean]", "2x2[side=64]", "1x1[side=64]")]
    heads, rows, protocols = zip(*every, strict=True)
    assert (len(set(heads)), len(set(rows)), len(set(protocols))) == (1, 5, 5)


def test_a_size_is_a_grid_by_the_largest_tested_picture(small) -> None:
    assert small.plan("clip", tiles="24[overlap=0]").tiles == "3x3[overlap=0]"  # of 56 pixels
    assert small.plan("clip", tiles="56").tiles == "1x1"
    plan = small.plan("clip", tiles="24")
    assert replace(plan, test_on=()).tiles == plan.tiles


def test_a_live_tower_sees_the_same_tiles(small, bench) -> None:
    plan = small.plan("patchcore-clip[shots=2]", "anomaly-dino[shots=1,rotations=2]", tiles="2x2[whole=yes]")
    for errand in errands_of(plan, entrants_of(plan, small.tower.spec)):
        extract(small.store, small.tower, errand.samples, errand.parts)
    stored, live = (bench(plan, source, source=source).run().rows for source in ("stored", "live"))
    for one, other in zip(stored, live, strict=True):
        assert (one.error, other.error) == ("", "")
        assert one.metrics["pixel_AUROC"] == pytest.approx(other.metrics["pixel_AUROC"], abs=5e-3)


def test_curves_kinds_and_draws_are_told_of_tiles_too(small, bench) -> None:
    plan = small.plan("precise", tiles="2x2", eval_every="epoch", per_defect=True, ci=True)
    for errand in errands_of(plan, entrants_of(plan, small.tower.spec)):
        extract(small.store, small.tower, errand.samples, errand.parts)
    for row in bench(plan).run().rows:
        assert row.error == ""
        assert len(row.facts["curve"]) == 1
        assert row.facts["curve"][0]["metrics"]["pixel_AUROC"] == pytest.approx(row.metrics["pixel_AUROC"])
        assert row.facts["by_defect"]
        assert row.facts["intervals"]


def test_a_mask_is_scaled_to_the_side_of_the_maps(small) -> None:
    [sample, *_] = [each for each in small.tested.samples if each.mask]
    plan = small.plan("clip", tiles="2x2")
    side = plan.map_side(small.tower.spec)
    assert side == 98
    wanted = np.asarray(Image.open(sample.mask).convert("L").resize((side, side), Image.Resampling.BILINEAR)) > 127
    np.testing.assert_array_equal(paint_mask(runs_of(plan, small.store, sample), (side, side)), wanted)
    untiled = runs_of(small.plan("clip"), small.store, sample)
    np.testing.assert_array_equal(untiled, small.store.runs(sample))


def scratched(root: Path, side: int = 560, count: int = 6) -> Path:
    """Grainy plates in MVTec-AD's layout, half of the tested ones with a scratch two pixels wide."""
    draws = np.random.default_rng(0)
    for place, many in (("train/good", 3), ("test/good", count), ("test/scratch", count)):
        folder, masks = root / "plate" / place, root / "plate/ground_truth/scratch"
        folder.mkdir(parents=True)
        masks.mkdir(parents=True, exist_ok=True)
        for number in range(many):
            grain = draws.normal(120, 8, (side // 8, side // 8)).astype(np.float32)
            plate = np.asarray(Image.fromarray(grain).resize((side, side), Image.Resampling.BICUBIC))
            plate = plate + draws.normal(0, 4, (side, side))
            if place == "test/scratch":
                mask = Image.new("L", (side, side))
                start, turn = draws.uniform(0.15, 0.75, 2) * side, draws.uniform(0, np.pi)
                end = start + 0.12 * side * np.array([np.cos(turn), np.sin(turn)])
                ImageDraw.Draw(mask).line([*start, *end], fill=255, width=2)
                mask.save(masks / f"{number}_mask.png")
                plate = np.where(np.asarray(mask) > 0, plate + 75, plate)
            Image.fromarray(plate.clip(0, 255).astype(np.uint8)).convert("RGB").save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, dict[str, Any]]:
    """A session of the tower that comes with the package, and a bench on pictures five times as large as it sees."""
    root = tmp_path_factory.mktemp("plates")
    asked = {"methods": ["patchcore-clip[shots=3]"], "train_on": (), "test_on": str(scratched(root / "plates"))}
    return Session(root / "work", "stackclip-tiny"), asked


def test_a_scratch_that_vanishes_in_the_whole_picture_is_found_in_tiles(plates) -> None:
    session, asked = plates
    [whole] = session.bench(**asked, tiles="1x1[side=364]")
    [cut] = session.bench(**asked, tiles="4x4")
    assert whole.metrics["image_AUROC"] < 0.8
    assert cut.metrics["image_AUROC"] > 0.95
    assert cut.metrics["pixel_AUROC"] > max(0.97, whole.metrics["pixel_AUROC"])
    assert (cut.facts["tiles"], cut.facts["map_side"], cut.facts["image_size"]) == ("4x4", 364, 112)
    [untiled] = session.bench(**asked)
    assert "tiles" not in untiled.facts
    assert untiled.metrics["image_AUROC"] == whole.metrics["image_AUROC"]  # it is the same, seen once
    assert any("in tiles 4x4, compared at 364 pixels" in table.title for table in session.report().tables)


def test_a_second_run_encodes_and_computes_nothing(plates, caplog) -> None:
    session, asked = plates
    session.bench(**asked, tiles="2x2")
    with caplog.at_level("INFO"):
        again = session.bench(**asked, tiles="2x2", cached_only=True)
    assert again.computed == 0
    assert "the cell was there already" in caplog.text


def test_what_is_lacking_is_named_with_the_command_that_encodes_it(plates) -> None:
    session, asked = plates
    with pytest.raises(MissingParts, match=r"patch/2@tile3x3o20-\*.*--tiles '3x3\[overlap=20\]'"):
        session.bench(**asked, tiles="3x3[overlap=20]", cached_only=True)
    encoded = session.encode(asked["test_on"], methods=asked["methods"], split=None, tiles="3x3[overlap=20]")
    assert encoded.done.encoded == 15
    assert session.bench(**asked, tiles="3x3[overlap=20]", cached_only=True)[0].error == ""


def test_lost_tiles_are_encoded_again_by_the_command_that_is_said(small) -> None:
    lost = Tiling(rows=2, columns=2, overlap=10).parts({patch(2), patch(4)}) | {CLS}
    problem = SimpleNamespace(parts=lost, records=())
    workspace = SimpleNamespace(command=lambda verb: ["stackclip", verb])
    store = SimpleNamespace(parts=small.store.parts, spec=small.tower.spec)
    said = how_to_encode_again(workspace, store, [problem])  # type: ignore[arg-type, list-item]
    assert said.startswith("lost: cls, patch/2@tile2x2o10-*, patch/4@tile2x2o10-*")
    assert re.search(r"cache-features --methods \S+ and stackclip cache-features --tiles '2x2\[overlap=10\]'", said)
    assert "--methods patchcore-clip," in said


def test_a_picture_that_cannot_be_read_has_no_say_in_the_grid(tmp_path: Path) -> None:
    for number, size in enumerate(((40, 30), (20, 50))):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert largest_size([*tmp_path.iterdir(), tmp_path / "gone.png"]) == (50, 40)
    assert largest_size([]) == (1, 1)


def test_methods_work_in_tiles_or_say_why_not(plates) -> None:
    session, asked = plates
    names = ("musc", "musc[match=same-place]", "clip-lad[shots=1]", "clip-lad[scores=structural,shots=1]", "winclip")
    names += ("anomaly-dino[shots=1,rotations=2]", "sdp", "clip")
    rows = session.bench(**{**asked, "methods": names}, tiles="2x1[overlap=10,whole=yes]")
    errors = {row.method: row.error for row in rows if row.error}
    assert errors == {
        "musc[match=same-place]": "it compares what lies alike in all pictures, which tiles do not show: "
        "leave --tiles out",
        "clip-lad[shots=1]": "it counts the parts of a product, which tiles do not show: leave --tiles out",
    }


def test_what_is_no_tiling_is_said_before_anything_is_done(plates) -> None:
    session, asked = plates
    for tiles in ("foo", "2x2[overlap=90]", "", 4):
        with pytest.raises(UsageError):
            session.bench(**asked, tiles=tiles)
