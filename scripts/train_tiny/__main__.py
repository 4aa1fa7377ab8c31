"""`python -m scripts.train_tiny FOLDER`: train stackclip-tiny, or go on training it, and export the best of it."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import torch
from safetensors.torch import save_file

from scripts.train_tiny.loop import Plan, Run, train
from scripts.train_tiny.pool import CHUNK, Pool, drawing
from stackclip.benchmarks.picture_sets import PictureSet, draw_set, read_photographs, wear_set
from stackclip.benchmarks.towers import held_out_figures
from stackclip.clip import assemble_tower, flush_denormals
from stackclip.clip.tiny import CONFIG, NAME
from stackclip.errors import StackclipError

__all__ = ["export", "held_out_score", "main"]

_WATCHED = ("headless, pixel AUROC", "image AUROC", "defective above its good twin")
"""The figures of each watched set whose mean says which checkpoint is the best."""
_WATCH_SEED = 77  # other pictures than those of the published table, and other crops than those that are learned from


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, train, watch, export."""
    parser = _parser()
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    torch.backends.mha.set_fastpath_enabled(False)
    flush_denormals()
    try:
        _train(given)
    except (StackclipError, OSError) as error:
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.train_tiny", description=__doc__)
    parser.add_argument("folder", type=Path, help="for the pool, the log and the checkpoints")
    parser.add_argument("--short-steps", type=int, default=2000, help="at half scale and on windows (default: 2000)")
    parser.add_argument("--full-steps", type=int, default=3400, help="on whole pictures (default: 3400)")
    parser.add_argument("--fall-steps", type=int, default=2500, help="at the end, with falling rates (default: 2500)")
    parser.add_argument("--pairs", type=int, default=32, help="in a batch of the short steps (default: 32)")
    parser.add_argument("--full-pairs", type=int, default=16, help="in a batch of the full steps (default: 16)")
    parser.add_argument("--pool-pairs", type=int, default=80_000, help="pairs drawn in all (default: 80000)")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw them (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU for training (default: 1)")
    parser.add_argument("--save-every", type=int, default=100, help="steps between two checkpoints (default: 100)")
    parser.add_argument("--watch-every", type=int, default=500, help="steps between held-out figures (default: 500)")
    parser.add_argument("--watch-pairs", type=int, default=80, help="pairs they are measured on (default: 80)")
    parser.add_argument("--stop", type=int, help="stop after this step, to go on another day")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="pictures that every second product wears")
    parser.add_argument("--begin", type=Path, metavar="FILE", help="weights to go on from, as --export wrote them")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the best weights there as safetensors")
    return parser


def _train(given: argparse.Namespace) -> None:
    pool = Pool(
        given.folder / "pool",
        CONFIG["vision_cfg"]["image_size"],
        given.seed,
        chunk=min(CHUNK, given.pool_pairs),
        photographs=given.photographs,
    )
    run = _begun(given, pool)
    watched = _watched(given, pool.size)
    checkpoint, best = given.folder / "checkpoint.pt", given.folder / "best.safetensors"
    if checkpoint.is_file():
        run.resume(checkpoint)

    def watch(run: Run) -> None:
        last = run.step in (run.plan.steps, given.stop)
        if last or run.step % given.watch_every == 0:
            _keep_the_best(run, watched, given.folder / "held_out.jsonl", best)
        if last or run.step % given.save_every == 0:
            run.save(checkpoint)

    with drawing(pool, run.plan.pool_pairs, workers=given.workers):
        train(run, pool, log=given.folder / "log.jsonl", stop=given.stop, watch=watch)
    if given.export is not None and best.is_file():
        draft = given.export.with_name(f".{given.export.name}.{os.getpid()}")
        draft.write_bytes(best.read_bytes())
        draft.rename(given.export)


def _begun(given: argparse.Namespace, pool: Pool) -> Run:
    """A new run of what is asked for, at the weights that it is to begin with."""
    plan = Plan(
        short_steps=given.short_steps,
        full_steps=given.full_steps,
        fall_steps=given.fall_steps,
        pairs=given.pairs,
        full_pairs=given.full_pairs,
        pool_pairs=given.pool_pairs,
        seed=given.seed,
        begun_at=hashlib.sha256(given.begin.read_bytes()).hexdigest() if given.begin else "",
        photographs=pool.worn,
    )
    run = Run.begin(plan, device=given.device)
    if given.begin:
        run.learner.begin_at(given.begin)
    return run


def _watched(given: argparse.Namespace, side: int) -> list[PictureSet]:
    """What the weights are measured on while they learn."""
    sets = [draw_set("combinations", given.watch_pairs, side=side, seed=_WATCH_SEED)]
    if given.photographs:
        known = read_photographs(given.photographs)
        sets.append(wear_set(known, given.watch_pairs, side=side, seed=_WATCH_SEED))
    return sets


def export(run: Run, path: Path) -> None:
    """Write the weights of a run as safetensors, under a new name that is then renamed."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    save_file(run.learner.exported(), draft)
    draft.chmod(0o644)  # the library writes for the owner alone
    draft.rename(path)


def held_out_score(run: Run, watched: Sequence[PictureSet]) -> tuple[float, dict[str, float]]:
    """The mean of the watched figures, and all figures of the sets, of the weights as they would be exported."""
    weights = {name: tensor.float() for name, tensor in run.learner.exported().items()}
    tower = assemble_tower(CONFIG, weights, name=NAME, device=str(run.learner.scale.device), precision="fp32")
    figures = {name: value for held in watched for name, value in held_out_figures(tower, held).items()}
    return fmean(figures[f"{held.name}: {name}"] for held in watched for name in _WATCHED), figures


def _keep_the_best(run: Run, watched: Sequence[PictureSet], log: Path, best: Path) -> None:
    """Measure, write a line of JSON, and export the weights if none before were better."""
    before = [json.loads(line)["score"] for line in log.read_text("utf-8").splitlines()] if log.is_file() else []
    score, figures = held_out_score(run, watched)
    if score >= max(before, default=0.0):
        export(run, best)
    line = {"step": run.step, "score": round(score, 4), **{name: round(value, 4) for name, value in figures.items()}}
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
