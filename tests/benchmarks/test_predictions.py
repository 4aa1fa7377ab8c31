"""What methods say of single pictures: as in a bench, with scales of heat maps, and in files that are written."""

from __future__ import annotations

import csv
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stackclip.benchmarks.entrant import needs_of
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.runner import Bench
from stackclip.cache import Store, extract
from stackclip.data.own import own_pictures
from stackclip.errors import StackclipError
from stackclip.inspection import written as folders
from stackclip.inspection.predictions import THESE, WITHOUT_GOOD, predict
from stackclip.inspection.sheet import scale_of
from stackclip.inspection.written import Written, check_folders
from stackclip.methods import Detector, Moment, Stage
from stackclip.ops.outputs import is_output, mark_output, unique_name, unique_names
from stackclip.registry import methods
from stackclip.registry.guard import Stopped
from stackclip.types import CLS, MASK, Features, Prediction

SIDE = 56


class Ramp(Detector):
    """A method and detector in one: each map is a ramp that begins at a level of the picture's data set."""

    levels = {"synthetic-training": 100.0, "synthetic-combinations": -100.0}  # noqa: RUF012 - read only

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.stages = (Stage("all", epochs, 8),)

    def needs(self, tower: object, phase: str) -> frozenset[object]:
        return frozenset({CLS})

    def check(self, tower: object) -> None: ...

    def begin(self, task: object) -> Ramp:
        return self

    def step(self, features: Features, at: Moment) -> dict[str, float]:
        return {"loss": 1.0}

    def predict(self, features: Features) -> Prediction:
        assert MASK not in features.parts
        levels = torch.tensor([self.levels[sample.dataset] for sample in features.samples])
        maps = levels[:, None, None] + torch.arange(float(SIDE * SIDE)).reshape(SIDE, SIDE)
        return Prediction(features[CLS][:, 0], maps, components={"first": features[CLS][:, 1]})


@pytest.fixture
def own(small: Any) -> Any:
    """The tested pictures of one category as somebody's own, and its normal training pictures as those to show."""
    one = small.tested.select(categories=small.tested.categories[:1])
    tested, good = one.select(split="test"), one.select(split="train")
    made = own_pictures(tested, one.categories[0], good)
    shown = [replace(each, dataset=one.name) for each in made.samples if each.split == "train"]  # as they are encoded
    return replace(made, samples=(*made.select(split="test").samples, *shown))


@pytest.fixture
def ramps(bench: Callable[..., Bench], small: Any, own: Any) -> Bench:
    """A bench of two methods with the same maps, of which one trains."""
    methods.register("trained")(type("Trained", (Ramp,), {"__init__": lambda self: Ramp.__init__(self, 1)}))
    methods.register("untrained")(type("Untrained", (Ramp,), {"__init__": lambda self: Ramp.__init__(self, 0)}))
    return bench(small.plan("trained", "untrained", "clip", epochs=None, test_on=(own,)))


def written(bench: Bench, folder: Path) -> dict[str, Written]:
    return {each.method: each for each in predict([bench], folder)}


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "scores.csv").read_text().splitlines()))


def test_without_good_pictures_a_scale_is_that_of_the_predicted_ones(ramps: Bench, tmp_path: Path) -> None:
    of = written(ramps, tmp_path)
    assert of["clip"].scale is None  # it has no maps
    ramp = np.tile(np.arange(SIDE * SIDE) - 100.0, len(of["untrained"].samples))
    for name in ("trained", "untrained"):
        scale = of[name].scale
        assert scale is not None
        assert (scale.cold, scale.hot) == pytest.approx(tuple(np.percentile(ramp, (90, 99.8))))
        assert scale.threshold is None


def test_what_scores_are_made_of_stands_beside_them(ramps: Bench, tmp_path: Path) -> None:
    of = written(ramps, tmp_path)["untrained"]
    by_picture = {line["picture"]: float(line["score_first"]) for line in table(of.place)}
    assert by_picture == pytest.approx(
        {sample.id: float(each) for sample, each in zip(of.samples, of.components["first"], strict=True)}
    )
    assert len(set(by_picture.values())) > 1
    assert list(table(tmp_path / "clip")[0]) == ["picture", "score", "map_maximum", "heat_map"]


def test_scores_are_ranked_and_each_picture_stands_beside_its_heat_map(ramps: Bench, tmp_path: Path) -> None:
    of = written(ramps, tmp_path)
    [dataset] = ramps.plan.test_on
    samples = dataset.select(split="test").samples
    trained, untrained, clip = (f"{len(samples)} pictures in {tmp_path / name}" for name in of)
    assert [str(each) for each in of.values()] == [
        f"trained: scores and heat maps of {trained}, on the scale of {THESE}; {WITHOUT_GOOD}",
        f"untrained: scores and heat maps of {untrained}, on the scale of {THESE}; {WITHOUT_GOOD}",
        f"clip: scores of {clip}; {WITHOUT_GOOD}",
    ]
    rows = table(tmp_path / "untrained")
    scores = of["untrained"].scores
    assert scores is not None
    assert [float(row["score"]) for row in rows] == sorted(scores.tolist(), reverse=True)
    assert {row["map_maximum"] for row in rows} == {str(SIDE * SIDE - 101.0)}
    assert {row["heat_map"] for row in table(tmp_path / "clip")} == {""}
    assert {row["heat_map"] for row in rows} == {path.name for path in (tmp_path / "untrained").glob("*.png")}
    names = unique_names(row["picture"] for row in rows)
    assert [row["heat_map"] for row in rows] == [f"{names[row['picture']]}.png" for row in rows]
    pixels = np.asarray(Image.open(tmp_path / "untrained" / rows[0]["heat_map"]))
    assert pixels.shape == (SIDE, 2 * SIDE, 3)
    assert np.array_equal(pixels[0, :SIDE], pixels[0, SIDE:])  # what is coldest shows the picture alone
    plain, tinted, hottest = pixels[-1, SIDE - 1], pixels[-1, -1], np.array([252, 255, 164])
    assert np.allclose(tinted, 0.25 * plain + 0.75 * hottest, atol=1)


SHOWN = {"promptad": "promptad[epochs=2,shots=2]"} | {
    name: f"{name}[shots=2]" for name in ("anomaly-dino", "clip-lad", "patchcore-clip")
}
EVERY = ["winclip[shots=2]", "april-gan[shots=2]", "stacked[source=image]", "fuzzy[head=none]"]


@pytest.mark.parametrize("spec", [*(SHOWN.get(name, name) for name in methods.names()), *EVERY])
def test_every_method_says_of_a_picture_what_it_says_in_a_bench(
    spec: str, small: Any, own: Any, bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = small.tested.select(categories=small.tested.categories[:1])
    store = Store.create(tmp_path / "f", small.tower.fingerprint, spec=small.tower.spec, recorded=small.tower.recorded)
    plans = [small.plan(spec, test_on=(each,)) for each in (one, own)]
    benched, predicted = (replace(bench(plan), store=store) for plan in plans)
    method = plans[0].resolved[spec]
    extract(store, small.tower, [*small.training, *one], {MASK, CLS, *needs_of(method, small.tower.spec)})
    store.refresh()
    predictions: list[tuple[Evaluation, Prediction]] = []
    add = Evaluation.add

    def watched(self: Evaluation, prediction: Prediction, *words: Any) -> None:
        predictions.append((self, prediction))
        add(self, prediction, *words)

    monkeypatch.setattr(Evaluation, "add", watched)
    [row] = benched.run().rows
    in_bench = list(predictions)
    predictions.clear()
    [kept] = predict([predicted], tmp_path / "out")
    in_predict = predictions[: len(in_bench)]  # what follows are other pictures, and those to be drawn
    assert not row.error
    assert not kept.error
    for (_, one), (_, other) in zip(in_bench, in_predict, strict=True):
        for name in ("scores", "maps"):
            here, there = getattr(one, name), getattr(other, name)
            assert here is there if here is None or there is None else torch.equal(here, there)
    settled = in_bench[0][0].settled
    assert kept.scores is settled if settled is None or kept.scores is None else torch.equal(kept.scores, settled)


def test_the_scores_of_all_methods_are_there_before_the_first_heat_map(
    ramps: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Stopped(130)

    monkeypatch.setattr("stackclip.inspection.drawing.beside", killed)
    with pytest.raises(Stopped):
        predict([ramps], tmp_path)
    count = len(ramps.plan.test_on[0].select(split="test"))
    assert [len(table(tmp_path / name)) for name in ("trained", "untrained", "clip")] == [count] * 3


def test_a_picture_that_vanishes_before_it_is_drawn_is_named_once_and_the_others_are_drawn(
    ramps: Bench, own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, *_ = own.select(split="test").samples
    gone = replace(first, image=tmp_path / "gone.png")
    shutil.copy(first.image, gone.image)
    extract(ramps.store, ramps.tower, [gone], {CLS, MASK})
    ramps.store.refresh()
    changed = replace(own, samples=tuple(gone if each is first else each for each in own.samples))
    clear = folders._clear  # called when all scores are known

    def vanish(place: Path) -> None:
        clear(place)
        gone.image.unlink(missing_ok=True)

    monkeypatch.setattr(folders, "_clear", vanish)
    of = written(replace(ramps, plan=replace(ramps.plan, test_on=(changed,))), tmp_path / "out")
    assert of["trained"].missing == of["untrained"].missing == {gone.id}
    assert caplog.text.count("gone.png") == 1
    by_name = {row["picture"]: row["heat_map"] for row in table(tmp_path / "out" / "trained")}
    assert by_name.pop(gone.id) == ""
    assert all((tmp_path / "out" / "trained" / name).exists() for name in by_name.values())
    assert "; 1 picture failed" in str(of["trained"])


def test_what_an_earlier_run_wrote_is_replaced_and_nothing_else(ramps: Bench, tmp_path: Path) -> None:
    place = tmp_path / "untrained"
    mark_output(place)
    (place / f"{unique_name('old.png')}.png").write_bytes(b"an old heat map")
    (place / "plain.png").write_bytes(b"another, under its plain name")
    (place / "scores.csv").write_text(
        "picture,score,map_maximum,heat_map\nplain.jpg,1,1,plain.png\nx.jpg,1,1,../x.png\n"
    )
    (place / "notes.txt").write_text("mine")
    (place / "own.png").write_bytes(b"mine")
    (tmp_path / "x.png").write_bytes(b"mine")
    written(ramps, tmp_path)
    assert not (place / "plain.png").exists()
    assert (place / "own.png").exists()
    assert (tmp_path / "x.png").exists()
    assert not (place / f"{unique_name('old.png')}.png").exists()
    assert (place / "notes.txt").read_text() == "mine"
    assert is_output(place)


def test_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sdp").mkdir()
    check_folders(["sdp"], tmp_path)
    (tmp_path / "sdp" / "scores.csv").write_text("mine")
    with pytest.raises(StackclipError, match="was not written by stackclip"):
        check_folders(["sdp"], tmp_path)


def test_a_method_whose_scores_cannot_be_written_is_named_and_the_others_go_on(ramps: Bench, tmp_path: Path) -> None:
    (tmp_path / "trained").write_text("a file where the folder would be")
    of = written(ramps, tmp_path)
    assert of["trained"].error.startswith("not kept: ")
    assert of["untrained"].whole


def test_memory_does_not_grow_with_the_number_of_pictures(
    ramps: Bench, own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackclip.inspection.sheet.PIXELS", SIDE * SIDE)
    tested = own.select(split="test").samples

    def peak(times: int) -> int:
        many = tuple(replace(each, id=f"{copy}/{each.id}") for copy in range(times) for each in tested)
        extract(ramps.store, ramps.tower, many, {CLS, MASK})
        ramps.store.refresh()
        plan = replace(ramps.plan, methods=("untrained",), test_on=(replace(own, samples=many),))
        tracemalloc.start()
        predict([replace(ramps, plan=plan)], tmp_path / str(times))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)  # what is loaded once
    few, many = peak(2), peak(12)
    a_map = SIDE * SIDE * 4
    assert (many - few) / (10 * len(tested)) < a_map / 2


def test_the_scale_of_many_pictures_is_that_of_an_even_part_of_their_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    maps, masks = draw.random((40, SIDE, SIDE)), draw.random((40, SIDE, SIDE)) < 0.1
    whole = scale_of(list(maps), list(masks))
    monkeypatch.setattr("stackclip.inspection.sheet.PIXELS", maps.size // 10)
    part = scale_of(list(maps), list(masks))
    assert part != whole
    assert (part.cold, part.hot) == pytest.approx((whole.cold, whole.hot), abs=0.01)
