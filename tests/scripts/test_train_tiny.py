"""The training of stackclip-tiny: what it may see, what captions claim, what the loss is, and that it can go on."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from scripts.train_tiny import pool as pool_module
from scripts.train_tiny.__main__ import export, main
from scripts.train_tiny.captions import ANY, Caption, draw_captions, fits
from scripts.train_tiny.learner import Learner, Vocabulary
from scripts.train_tiny.loop import Plan, Run, train
from scripts.train_tiny.losses import contrastive, entropy_floor, loss_terms
from scripts.train_tiny.muon import Optimiser, Rates
from scripts.train_tiny.photographs import collect, sources
from scripts.train_tiny.pool import NAMES, UNKNOWN, Pool, drawing
from scripts.train_tiny.views import draw_batch
from stackclip.clip import assemble_tower
from stackclip.clip.tiny import CONFIG
from stackclip.errors import UsageError
from stackclip.prompts import CPE
from stackclip.synthetic import categories_of, kinds_of
from stackclip.types import ANOMALOUS, CLS, NORMAL

SIDE = 112


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    drawn = Pool(tmp_path_factory.mktemp("pool"), SIDE, 5, chunk=12)
    with drawing(drawn, 12, workers=0):
        return drawn


@pytest.fixture
def plan() -> Plan:
    return Plan(
        short_steps=4, full_steps=2, fall_steps=1, pool_pairs=12, head_start=12, pairs=3, full_pairs=2, warmup=2
    )


def indices(*words: str) -> list[int]:
    return [names.index(word) for names, word in zip(NAMES, words, strict=True)]


def test_nothing_that_is_held_out_is_drawn(pool: Pool) -> None:
    labels = pool.read(np.arange(12))[2]
    shown = {f"{NAMES[0][pattern]}-{NAMES[1][shape]}" for pattern, shape in labels[:, :2]}
    assert shown <= set(categories_of("training"))
    assert {NAMES[3][kind] for kind in labels[:, 3]} <= set(kinds_of("training"))


def test_a_pool_follows_from_its_seed_whatever_its_chunks(pool: Pool, tmp_path: Path) -> None:
    again, other = Pool(tmp_path / "again", SIDE, 5, chunk=5), Pool(tmp_path / "other", SIDE, 6, chunk=12)
    for each in (again, other):
        with drawing(each, 12, workers=0):
            pass
    first, second, third = (each.read(np.arange(12)) for each in (pool, again, other))
    for one, same in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(first[0], third[0])


def test_twins_differ_on_the_mask_and_hardly_beside_it(pool: Pool) -> None:
    pictures, masks, _ = pool.read(np.arange(12))
    change = np.abs(pictures[:, 0].astype(int) - pictures[:, 1]).max(-1)
    assert all(change[row][mask].mean() > 20 > change[row][~mask].mean() for row, mask in enumerate(masks))


def test_workers_draw_what_this_process_would(pool: Pool, tmp_path: Path) -> None:
    drawn = Pool(tmp_path, SIDE, 5, chunk=3)
    with drawing(drawn, 6, workers=2):
        found = drawn.read(np.array([5, 0]))  # waits for both chunks
    for one, same in zip(found, pool.read(np.array([5, 0])), strict=True):
        np.testing.assert_array_equal(one, same)
    with drawing(drawn, 6, workers=2):  # they are there: nothing is started
        assert sorted(path.name for path in tmp_path.iterdir()) == ["112px-seed5-00000", "112px-seed5-00001"]


def test_a_caption_fits_what_it_claims_and_nothing_else() -> None:
    labels = np.array([indices("striped", "disc", "red", "crack"), indices("woven", "disc", "blue", "stain")], np.uint8)
    (striped, disc, red, crack), (woven, _, _, _) = labels.astype(int).tolist()
    captions = [
        Caption("a disc", ((ANY, disc),)),
        Caption("a striped disc", ((striped, disc),)),
        Caption("a damaged disc", ((ANY, disc),), state=ANOMALOUS),
        Caption("a flawless red object", ((ANY, ANY),), colour=red, state=NORMAL),
        Caption("striped disc, woven disc", ((striped, disc), (woven, disc))),
        Caption("disc with a crack", ((ANY, disc),), state=ANOMALOUS, kind=crack),
    ]
    found = fits(captions, labels[[0, 0, 1]], np.array([False, True, True]))
    assert found.astype(int).tolist() == [[1, 1, 0, 1, 1, 0], [1, 1, 1, 0, 1, 1], [1, 0, 1, 0, 1, 0]]


def test_the_drawn_captions_are_true_of_their_own_picture_and_false_of_its_twin() -> None:
    draws = np.random.default_rng(0)
    labels = np.array([[draws.integers(len(names)) for names in NAMES] for _ in range(200)], np.uint8)
    labels[:, 1] %= 9
    captions = draw_captions(labels, draws)
    nothing, everything = np.zeros(200, bool), np.ones(200, bool)
    assert np.diag(fits(captions.normal, labels, nothing)).all()
    assert not np.diag(fits(captions.normal, labels, everything)).any()
    assert np.diag(fits(captions.anomalous, labels, everything)).all()
    assert not np.diag(fits(captions.anomalous, labels, nothing)).any()
    for states in (nothing, everything):
        assert np.diag(fits(captions.stateless, labels, states)).all()


def test_every_word_of_the_prompt_ensemble_and_of_the_categories_is_learned() -> None:
    vocabulary = Vocabulary()
    names = [category.replace("-", " ") for part in ("training", "shapes") for category in categories_of(part)]
    phrases = [phrase for side in (NORMAL, ANOMALOUS) for phrase in CPE.phrases("object", side)] + names
    tokens = vocabulary.tokenize(phrases)
    ends = tokens.argmax(1)
    assert all((row[: end + 1] > 0).all() for row, end in zip(tokens, ends, strict=True))
    assert (vocabulary.tokenize(["a photo of a hazelnut"])[0] == 0).sum() == 1


def test_the_contrastive_term_of_perfect_logits_is_the_entropy_floor() -> None:
    match = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], bool)
    perfect = torch.from_numpy(np.where(match, 50.0, -50.0))
    assert float(contrastive(perfect, match)) == pytest.approx(entropy_floor(match))
    assert entropy_floor(match) == pytest.approx(((math.log(2) + 0) / 2 + (0 + math.log(2)) / 2) / 2)
    assert float(contrastive(torch.zeros(3, 4), match)) == pytest.approx((math.log(4) + math.log(3)) / 2)


def test_views_show_the_same_to_twins_and_count_defective_pixels(pool: Pool) -> None:
    for view, patches in (("half", 49), ("window", 49), ("full", 196)):
        batch = draw_batch(pool, 6, among=12, view=view, seed=(0, 3))  # type: ignore[arg-type]  # three literals
        assert batch.shares.shape == (12, patches)
        assert not batch.shares[:6].any()
        assert not batch.states[:6].any()
        assert (batch.shares[6:].sum(1) > 0).tolist() == [True] * 6 or view == "window"
        good, defective = batch.pictures.chunk(2)
        change = F.avg_pool2d((good - defective).abs().mean(1, keepdim=True), 8).flatten(1)
        shown = batch.shares[6:] > 0.3
        assert change[shown].mean() > 5 * change[batch.shares[6:] == 0].mean()


def test_kinds_that_only_the_shape_shows_are_drawn_more_often(pool: Pool) -> None:
    hard = [NAMES[3].index(kind) for kind in ("missing-part", "deformation")]
    held = np.isin(pool.kinds(np.arange(12)), hard)
    assert 0 < held.sum() < 12
    drawn = np.concatenate(
        [draw_batch(pool, 2, among=12, view="half", seed=(0, step)).labels[:2, 3] for step in range(200)]
    )
    odds = np.isin(drawn, hard).mean() / (1 - np.isin(drawn, hard).mean()) * (~held).sum() / held.sum()
    assert 1.5 < odds < 4.0  # 4 if batches were endless, less where three candidates stand for each pair


def test_a_whole_view_is_the_forward_of_the_exported_tower(pool: Pool) -> None:
    learner = Learner(seed=2).eval()
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.copy_(parameter.half().float())
        batch = draw_batch(pool, 2, among=12, view="full", seed=(0,))
        seen = learner.see(batch.pictures, view="full")
        texts = learner.read(learner.vocabulary.tokenize(["a photo of a striped disc.", "broken object"]))
    weights = {name: tensor.float() for name, tensor in learner.exported().items()}
    tower = assemble_tower(CONFIG, weights, name="tiny", device="cpu", precision="fp32")
    torch.testing.assert_close(tower.encode(batch.pictures, [CLS])[CLS], seen.joint, atol=1e-5, rtol=1e-4)
    phrases = F.normalize(tower.encode_text(["a photo of a striped disc.", "broken object"]), dim=-1)
    torch.testing.assert_close(phrases, texts, atol=1e-5, rtol=1e-4)


def test_short_views_take_their_own_part_of_the_position_embedding() -> None:
    learner = Learner(seed=0)
    pictures = torch.zeros(1, 3, 56, 56)
    with torch.no_grad():
        learner.model.visual.positional_embedding[1:] = torch.arange(196.0)[:, None]
        for at, view, corner, wanted in (("half", "half", (0, 0), 7.5), ("window", "window", (1, 2), 16.0)):
            found: list[torch.Tensor] = []
            hook = learner.model.visual.ln_pre.register_forward_pre_hook(lambda _, given, to=found: to.append(given[0]))
            learner.see(pictures, view=view, corner=corner)  # type: ignore[arg-type]  # two literals
            hook.remove()
            assert float(found[0][0, 1, 0]) == pytest.approx(wanted), (
                at
            )  # the mean of places 0, 1, 14, 15; row 1, column 2


def test_every_term_reaches_weights(pool: Pool) -> None:
    learner = Learner(seed=0)
    for view, named in (("window", "state"), ("half", "dense"), ("full", "contrastive")):
        terms, floor = loss_terms(learner, draw_batch(pool, 4, among=12, view=view, seed=(1,)))  # type: ignore[arg-type]  # three literals
        assert set(terms) == {"contrastive", "state", "order", "dense", "attributes", "texture"}
        assert all(torch.isfinite(term) for term in terms.values())
        assert terms["contrastive"].item() > floor
        terms[named].backward()
        assert learner.model.visual.conv1.weight.grad.abs().sum() > 0
        learner.zero_grad()


def test_one_step_of_the_optimiser_turns_a_block_by_its_rate() -> None:
    learner = Learner(seed=0)
    optimiser = Optimiser(learner, Rates(matrices=0.01, decay=0.0))
    weight = learner.model.visual.transformer.resblocks[0].attn.out_proj.weight
    before = weight.detach().clone()
    torch.manual_seed(0)
    for parameter in learner.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step(1.0)
    change = torch.linalg.svdvals((before - weight.detach()) / 0.01)
    assert 0.6 < change[:-1].min() < change.max() < 1.3  # the smallest of a square matrix may be anything
    assert weight.grad is None


def test_a_run_that_is_stopped_and_resumed_is_equal_to_the_last_bit(pool: Pool, plan: Plan, tmp_path: Path) -> None:
    whole, first = Run.begin(plan), Run.begin(plan)
    train(whole, pool, log=tmp_path / "whole.jsonl", every=1)
    train(first, pool, log=tmp_path / "first.jsonl", every=1, stop=3)
    first.save(tmp_path / "checkpoint.pt")
    second = Run.begin(plan)
    second.resume(tmp_path / "checkpoint.pt")
    assert second.step == 3
    train(second, pool, log=tmp_path / "second.jsonl", every=1)
    for (name, one), other in zip(
        whole.learner.state_dict().items(), second.learner.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    lines = [json.loads(line) for line in (tmp_path / "whole.jsonl").read_text("utf-8").splitlines()]
    assert [line["view"] for line in lines] == ["half", "window"] * 2 + ["full"] * 2
    assert all(line["contrastive"] >= line["floor"] for line in lines)


def test_rates_rise_stay_and_fall() -> None:
    plan = Plan(short_steps=100, full_steps=80, fall_steps=50, warmup=10)
    assert [plan.fraction(step) for step in (0, 4, 9, 60, 129)] == [0.1, 0.5, 1.0, 1.0, 1.0]
    falling = [plan.fraction(step) for step in range(130, 180)]
    assert falling == sorted(falling, reverse=True)
    assert 0 < falling[-1] < 0.03


def test_the_pool_is_waited_for_no_longer_than_needed() -> None:
    plan = Plan(short_steps=10, full_steps=0, fall_steps=0, pool_pairs=1000, head_start=100, pace=2.0, pairs=10)
    assert [plan.among(step) for step in (0, 1, 45, 500)] == [100, 120, 1000, 1000]


@contextmanager
def settings_kept() -> Iterator[None]:
    """What the program sets in torch is set back."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.mha.set_fastpath_enabled(True)
        torch.set_flush_denormal(False)


def test_the_program_trains_watches_and_exports(tmp_path: Path) -> None:
    steps, pairs = "--short-steps 2 --full-steps 1 --fall-steps 1", "--pairs 2 --full-pairs 2 --pool-pairs 8"
    words = f"{steps} {pairs} --workers 0 --watch-pairs 2"
    with settings_kept():
        main([str(tmp_path), *words.split(), "--device", "cpu", "--export", str(tmp_path / "tiny.safetensors")])
    weights = load_file(tmp_path / "tiny.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    line = json.loads((tmp_path / "held_out.jsonl").read_text("utf-8"))
    assert line["step"] == 3
    assert 0 <= line["combinations: image AUROC"] <= 1


def test_an_export_holds_the_learned_tokens_and_zeros(tmp_path: Path) -> None:
    run = Run.begin(Plan(short_steps=1, full_steps=0, fall_steps=0))
    export(run, tmp_path / "weights.safetensors")
    table: NDArray[np.float32] = load_file(tmp_path / "weights.safetensors")["token_embedding.weight"].float().numpy()
    assert table.shape == (49408, 64)
    assert tuple(np.flatnonzero(np.abs(table).sum(1))) == run.learner.vocabulary.ids


def test_a_run_does_not_go_on_under_another_plan(plan: Plan, tmp_path: Path) -> None:
    Run.begin(plan).save(tmp_path / "checkpoint.pt")
    longer = Run.begin(replace(plan, full_steps=plan.full_steps + 1))
    with pytest.raises(UsageError, match=rf"full_steps {plan.full_steps}, now {plan.full_steps + 1}\): give the same"):
        longer.resume(tmp_path / "checkpoint.pt")
    Run.begin(plan).resume(tmp_path / "checkpoint.pt")


NEWER = ("begun_at", "photographs")
"""What checkpoints did not hold at first."""


def test_an_older_checkpoint_was_begun_at_nothing_and_without_photographs(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Run._recipe
    older = {name: value for name, value in json.loads(recipe(Run.begin(plan))).items() if name not in NEWER}
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_recipe", lambda run: json.dumps(older))
        Run.begin(plan).save(tmp_path / "checkpoint.pt")
    Run.begin(plan).resume(tmp_path / "checkpoint.pt")
    for name in NEWER:
        with pytest.raises(UsageError, match=rf"\({name} none, now abc\): give the same"):
            Run.begin(replace(plan, **{name: "abc"})).resume(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("name", NEWER)
def test_what_a_run_was_begun_with_cannot_be_dropped(name: str, plan: Plan, tmp_path: Path) -> None:
    Run.begin(replace(plan, **{name: "abc"})).save(tmp_path / "checkpoint.pt")
    with pytest.raises(UsageError, match=rf"\({name} abc, now none\): give the same"):
        Run.begin(plan).resume(tmp_path / "checkpoint.pt")


def test_what_is_no_checkpoint_is_named(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "garbage.pt").write_bytes(b"garbage")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save({"step": 3}, tmp_path / "other.pt")
    torch.save([3], tmp_path / "list.pt")
    for path in tmp_path.iterdir():
        with pytest.raises(UsageError, match=rf"{path.name} is no checkpoint of a training: give a new folder"):
            Run.begin(plan).resume(path)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs of waves and noise."""
    folder, draws = tmp_path_factory.mktemp("photographs"), np.random.default_rng(3)
    for name in ("one", "two"):
        Image.fromarray(draws.integers(0, 256, (60, 80, 3), np.uint8)).resize((320, 240)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def worn(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Pool:
    drawn = Pool(tmp_path_factory.mktemp("worn"), SIDE, 5, chunk=8, photographs=photographs)
    with drawing(drawn, 8, workers=0):
        return drawn


def test_every_second_pair_wears_a_photograph_and_the_others_are_those_of_a_pool_without(
    worn: Pool, pool: Pool, photographs: Path, tmp_path: Path
) -> None:
    pictures, _, labels = worn.read(np.arange(8))
    assert ((labels[:, 0] == UNKNOWN) == (np.arange(8) % 2 == 1)).all()
    assert ((labels[:, 2] == UNKNOWN) == (labels[:, 0] == UNKNOWN)).all()
    np.testing.assert_array_equal(pictures[::2], pool.read(np.arange(8))[0][::2])
    other = Pool(tmp_path, SIDE, 5, chunk=3, photographs=photographs)
    with drawing(other, 3, workers=0):
        np.testing.assert_array_equal(other.read(np.arange(3))[0], pictures[:3])


def test_chunks_are_named_by_what_the_photographs_hold(photographs: Path, tmp_path: Path) -> None:
    def named(folder: Path) -> str:
        return pool_module._folder_name(Pool(tmp_path, SIDE, 5, photographs=folder), 0)

    same, changed, swapped = (tmp_path / name for name in ("same", "changed", "swapped"))
    for folder in (same, changed, swapped):
        shutil.copytree(photographs, folder)
    assert named(same) == named(photographs)
    Image.new("RGB", (320, 240), "red").save(changed / "two.png")
    (swapped / "one.png").rename(swapped / "zero.png")
    names = {named(photographs), named(changed), named(swapped), pool_module._folder_name(Pool(tmp_path, SIDE, 5), 0)}
    assert len(names) == 4
    with pytest.raises(UsageError, match="no PNG in"):
        named(tmp_path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--photographs nowhere", "no PNG in nowhere: give a folder"),
        ("--begin nowhere.safetensors", "No such file or directory: 'nowhere.safetensors'"),
        ("--begin garbage.safetensors", "garbage.safetensors is no safetensors file"),
        (
            "--begin lacking.safetensors",
            "lacking.safetensors holds another tower: logit_scale is none, wanted []; give",
        ),
        ("--begin wider.safetensors", "wider.safetensors holds another tower: logit_scale is [2], wanted []; give"),
        ("--begin more.safetensors", "more.safetensors holds another tower: other is [1], wanted none; give"),
    ],
)
def test_what_a_training_cannot_begin_with_is_told_in_one_line(
    words: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = Learner(seed=0).exported()
    scale = weights.pop("logit_scale")
    save_file(weights, "lacking.safetensors")
    save_file({**weights, "logit_scale": scale.repeat(2)}, "wider.safetensors")
    save_file({**weights, "logit_scale": scale, "other": torch.ones(1)}, "more.safetensors")
    Path("garbage.safetensors").write_bytes(b"garbage")
    with settings_kept(), pytest.raises(SystemExit) as caught:
        main(["run", *words.split(), "--device", "cpu", "--workers", "0", "--watch-pairs", "1", "--pool-pairs", "1"])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]
    assert not Path("run").exists()


def test_nobody_claims_a_pattern_a_colour_or_a_kind_of_what_has_none() -> None:
    labels = np.full((300, 4), UNKNOWN, np.uint8)
    labels[:, 1] = NAMES[1].index("disc")
    captions = draw_captions(labels, np.random.default_rng(0))
    assert {name for caption in captions.all for name in caption.names} <= {(ANY, NAMES[1].index("disc")), (ANY, ANY)}
    assert {(caption.colour, caption.kind) for caption in captions.all} == {(ANY, ANY)}
    assert all("photograph of" in c.phrase or "photograph" not in c.phrase for c in captions.all)


def test_a_batch_of_nothing_but_unnamed_defects_has_a_loss(worn: Pool) -> None:
    batch = draw_batch(worn, 3, among=8, view="full", seed=(1,))
    nameless = replace(batch, labels=np.where(np.arange(4) == 1, batch.labels, UNKNOWN).astype(np.uint8))
    terms, _ = loss_terms(Learner(seed=0), nameless)
    assert all(torch.isfinite(term) for term in terms.values())
    assert terms["texture"] == 0


def test_a_learner_begins_at_the_towers_that_another_exported(tmp_path: Path) -> None:
    first, second = Learner(seed=0), Learner(seed=1)
    assert not torch.equal(first.model.visual.proj, second.model.visual.proj)
    save_file(first.exported(), tmp_path / "tiny.safetensors")
    second.begin_at(tmp_path / "tiny.safetensors")
    for name, tensor in first.exported().items():
        torch.testing.assert_close(second.exported()[name], tensor, rtol=0, atol=0)


def test_each_photograph_has_a_name_of_its_own_and_a_licence() -> None:
    every = sources()
    assert len({source.name for source in every}) == len({source.sha256 for source in every}) == len(every)
    assert all(source.licence and source.by and source.package for source in every)
    assert sum(source.held for source in every) >= 8


def test_photographs_are_told_by_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "packages" / "a" / "contents" / "wide.png"
    place.parent.mkdir(parents=True)
    Image.new("RGB", (2000, 1000), "red").save(place)
    digest = hashlib.sha256(place.read_bytes()).hexdigest()[:16]
    entry = 'file = "a/contents/wide.png"\npackage = "some"\nlicence = "CC0-1.0"\nby = "X"\nheld = true\n'
    listed = tmp_path / "list.toml"
    monkeypatch.setattr("scripts.train_tiny.photographs._LIST", listed)
    listed.write_text(f'[[photograph]]\n{entry}sha256 = "{digest}"\n', "utf-8")
    collect(tmp_path / "packages", tmp_path / "set")
    with Image.open(tmp_path / "set" / "held" / "a.png") as picture:
        assert picture.size == (1536, 768)
    listed.write_text(f'[[photograph]]\n{entry}sha256 = "{digest[::-1]}"\n', "utf-8")
    with pytest.raises(UsageError, match=r"with the bytes that list.toml names: a/contents/wide.png of some"):
        collect(tmp_path / "packages", tmp_path / "other")
