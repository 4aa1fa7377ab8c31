"""The verb about your own pictures: predict."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackclip.cli.group import cli, echo
from stackclip.cli.options import (
    FAILED_SOME,
    TRAINING,
    data_root_option,
    encode_options,
    logger,
    places,
    resident_option,
    several,
    specs,
    tower_options,
)
from stackclip.cli.steps import encode, load_tower_of, open_bench, open_datasets, say_note, store_of
from stackclip.errors import NotApplicable, StackclipError, UsageError
from stackclip.ops.given import why_no_name
from stackclip.types import LARGEST_SEED

if TYPE_CHECKING:
    from stackclip.benchmarks.entrant import Entrant
    from stackclip.benchmarks.plan import Plan
    from stackclip.cache import Store
    from stackclip.clip import Tower
    from stackclip.data import Dataset
    from stackclip.training.residency import Resident
    from stackclip.workspace import Workspace

__all__ = ["predict"]


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--object", required=True, help="What the pictures show, in words: 'metal plate'.")
@several("--methods", callback=specs, default="stackclip", show_default=True)
@click.option(
    "--good",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of normal pictures of the same object, for methods that are shown some: 'winclip[shots=4]'.",
)
@several("--train-on", callback=places, default=TRAINING, show_default=True, help="Data sets; their test splits.")
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True)
@click.option("--epochs", type=click.IntRange(min=0), help="For all methods; else each has its paper's.")
@data_root_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="predictions",
    show_default=True,
    help="Folder for scores.csv and the heat maps.",
)
@tower_options
@encode_options
@resident_option
@click.pass_obj
def predict(
    workspace: Workspace,
    /,
    folder: Path,
    object: str,  # noqa: A002 - the option's name is what people set in files and in the environment
    methods: tuple[str, ...],
    good: Path | None,
    train_on: tuple[str, ...],
    seed: int,
    epochs: int | None,
    data_root: Path | None,
    output: Path,
    encode_batch_size: int,
    num_workers: int,
    resident: Resident,
    **tower_arguments: Any,
) -> None:
    """Find defects in your own pictures: a score for each, and heat maps on one common scale.

    FOLDER needs no masks and no labels; where it has some they are not looked at. Nothing is learned from FOLDER:
    methods train on other data sets, and a method that is shown normal pictures is shown some of --good. The
    scale of the heat maps is that of training pictures; of methods that do not train, or are shown pictures, that of
    the pictures in FOLDER.
    """
    from stackclip.benchmarks.entrant import entrants_of, needed
    from stackclip.benchmarks.overlap import trained_on
    from stackclip.benchmarks.plan import Plan, resolved
    from stackclip.inspection.predictions import predict as write_predictions
    from stackclip.inspection.written import check_folders

    known = resolved(methods)
    own = _own_pictures(workspace, folder, _words(object), good)
    training = open_datasets(workspace, train_on, data_root, ())
    plan = Plan(methods=methods, train_on=training, test_on=(own,), seeds=(seed,), epochs=epochs, resolved=known)
    _check_shots(plan, good)
    check_folders(list(plan.resolved), output)
    tower = load_tower_of(**tower_arguments)
    entrants, store = entrants_of(plan, tower.spec), store_of(workspace, tower)
    samples, parts = needed(replace(plan, train_on=()), entrants)
    trained, untrained = _by_training(workspace, plan, tower, entrants, store)
    failed = encode(workspace, tower, samples, parts, encode_batch_size, num_workers, strict=False, store=store)
    tested = own.select(split="test").samples
    if failed and len(store.lacking(tested, parts)) == len(tested):
        raise StackclipError(f"{folder}: none of its pictures can be read, so there is nothing to score")
    if trained:
        samples, parts = needed(replace(plan, methods=_specs(trained), test_on=()), trained)
        failed += encode(workspace, tower, samples, parts, encode_batch_size, num_workers, strict=False, store=store)
    with ExitStack() as stack:
        benches = [
            stack.enter_context(
                open_bench(
                    workspace,
                    replace(plan, methods=_specs(group)),
                    tower,
                    group,
                    resident=resident,
                    store=store,
                )
            )
            for group in (trained, untrained)
            if group
        ]
        if trained and (overlap := trained_on(benches[0].plan, benches[0].store)):
            logger.warning("%s", overlap)
        written = write_predictions(benches, output, seed=seed)
        unkept = sum(bench.keeper.unkept.total() for bench in benches)
    written.sort(key=lambda each: list(plan.resolved).index(each.method))
    for each in written:
        if each.error:
            logger.error("%s", each)
        else:
            echo(str(each))
    say_note(tower)
    if not any(each.samples for each in written):
        raise StackclipError(f"{output}: nothing could be written, for the reasons above")
    if failed or unkept or not all(each.whole for each in written):
        sys.exit(FAILED_SOME)


def _words(text: str) -> str:
    """The words for an object; raises UsageError where there are none."""
    words = " ".join(text.split())
    if not any(letter.isalnum() for letter in words) or why_no_name(words):
        raise UsageError(f"--object {text!r}: wanted what the pictures show, in words: --object 'metal plate'")
    return words


def _own_pictures(workspace: Workspace, folder: Path, words: str, good: Path | None) -> Dataset:
    """The pictures to score, and those of `good`, which are not scored themselves."""
    from stackclip.data.own import own_pictures, without_folders
    from stackclip.ops.words import agreed, counted

    [found, *shown] = [_opened(workspace, place) for place in (folder, good) if place]
    left_out = [
        place for place in (good, workspace.cache) if place and not folder.resolve().is_relative_to(place.resolve())
    ]
    kept = without_folders(found, left_out)
    if missing := len(found) - len(kept):
        places = " and ".join(str(place) for place in left_out)
        logger.info("%s in %s %s not scored", counted(missing, "picture"), places, agreed("are", missing))
    if not len(kept) and not good:
        raise StackclipError(f"{folder}: all its pictures are in {workspace.cache}, which stackclip fills itself")
    if not len(kept) or (good and folder.resolve().is_relative_to(good.resolve())):
        raise StackclipError(f"{folder}: all its pictures are in --good {good}, so none is left to score")
    return own_pictures(kept, words, *shown)


def _opened(workspace: Workspace, folder: Path) -> Dataset:
    """The data set at a place, also where the place is called as a registered data set is."""
    [found] = open_datasets(workspace, [os.path.abspath(folder)], None, ())  # noqa: PTH100 - keeps the links' names
    return found


def _check_shots(plan: Plan, good: Path | None) -> None:
    """Raise UsageError for methods that want shots where nobody gave any, and for shots that no method wants."""
    wanted = {spec: plan.shots_for(method) for spec, method in plan.resolved.items()}
    asking = {spec: shots for spec, shots in wanted.items() if shots.count}
    if asking and good is None:
        raise UsageError(
            f"{', '.join(asking)}: wants normal pictures of the same object to be shown, and none were given; "
            "name a folder of them with --good, or leave shots out"
        )
    if good is not None and not asking:
        raise UsageError(
            f"--good {good}: none of {', '.join(wanted)} is shown pictures; methods that are say how many: "
            "--methods 'winclip[shots=4]'"
        )
    [own] = plan.test_on
    for spec, shots in asking.items():
        try:
            plan.shots_of(own, own.categories[0], plan.seeds[0], shots=shots)
        except NotApplicable as error:
            raise UsageError(f"{spec}: --good {good} has too few pictures: {error}") from None


def _specs(entrants: Sequence[Entrant]) -> tuple[str, ...]:
    return tuple(each.spec for each in entrants)


def _by_training(
    workspace: Workspace, plan: Plan, tower: Tower, entrants: tuple[Entrant, ...], store: Store
) -> tuple[tuple[Entrant, ...], tuple[Entrant, ...]]:
    """The methods that read training pictures and those that do not; say which do not heed the object's name."""
    from stackclip.benchmarks.habits import habits_of

    with open_bench(workspace, plan, tower, entrants, store=store) as bench:
        found = habits_of(bench.of_seed(plan.seeds[0]))
    deaf = [spec for spec, habits in found.items() if not habits.reads_name]
    if deaf:
        _say_deaf(deaf, plan.test_on[0].categories[0])
    trained = tuple(each for each in entrants if found[each.spec].trains)
    return trained, tuple(each for each in entrants if not found[each.spec].trains)


def _say_deaf(methods: Sequence[str], words: str) -> None:
    one = len(methods) == 1
    logger.info(
        "note: %s %s not use the words %r: %s prompts are the same for every object",
        ", ".join(methods),
        "does" if one else "do",
        words,
        "its" if one else "their",
    )
