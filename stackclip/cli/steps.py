"""What several verbs do: open data sets and towers, encode what is missing, run a bench, show rows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import click

from stackclip.cli.group import echo
from stackclip.cli.options import logger
from stackclip.cli.words import chosen, typed_again
from stackclip.errors import MissingParts, PictureError, StackclipError, UsageError

if TYPE_CHECKING:
    from stackclip.benchmarks.entrant import Entrant
    from stackclip.benchmarks.plan import Plan
    from stackclip.benchmarks.runner import Bench, Outcome, Overwrite
    from stackclip.cache import Store
    from stackclip.clip import Tower
    from stackclip.data import Dataset
    from stackclip.reports.document import Document
    from stackclip.training.residency import Resident
    from stackclip.types import Part, Row, Sample
    from stackclip.workspace import Workspace

__all__ = [
    "check_suffixes",
    "check_words",
    "encode",
    "here",
    "left_out",
    "load_tower_of",
    "missing_parts",
    "named_in_rows",
    "open_bench",
    "open_datasets",
    "program",
    "run_bench",
    "say_cells",
    "say_note",
    "say_plan",
    "show_curves",
    "show_document",
    "store_of",
    "stores_of",
    "write_document",
]


def open_datasets(
    workspace: Workspace, names: Sequence[str], data_root: Path | None, categories: Sequence[str]
) -> tuple[Dataset, ...]:
    """Open data sets and say what was found; `categories` are taken from them, as they were typed."""
    from stackclip.data import open_dataset
    from stackclip.registry import did_you_mean

    every = [open_dataset(name, data_root=data_root, generated=workspace.generated) for name in dict.fromkeys(names)]
    known = dict.fromkeys(category for dataset in every for category in dataset.categories)
    categories = chosen(categories, known)
    for category in categories:
        if category not in known:
            near = did_you_mean(category, known)
            raise UsageError(
                f"none of {', '.join(names)} has a category {category!r}{near}; there are {', '.join(known)}"
            )
    opened = []
    for dataset in every:
        own = [category for category in categories if category in dataset.categories]
        if own or not categories:
            logger.info("%s", dataset.finding)
            if dataset.remark:
                logger.info("%s", dataset.remark)
            for warning in dataset.warnings:
                logger.warning("%s", warning)
            opened.append(dataset.select(categories=own) if categories else dataset)
    return tuple(opened)


def named_in_rows(what: str, texts: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """The names that rows have for data sets as typed: a name itself, or that of the data set so typed.

    Raises StackclipError for one that no row has, with those that there are; `what` says what was done on them.
    """
    from stackclip.data.naming import name_of
    from stackclip.registry import did_you_mean

    names = tuple(dict.fromkeys(known))
    found = []
    for text in texts:
        name = text if text in names else name_of(text)
        if name not in names:
            there = ", ".join(names) or "none"
            raise StackclipError(f"no row was {what} on {text!r}{did_you_mean(name, names)}; there are {there}")
        found.append(name)
    return tuple(found)


def check_words(executor: str, class_names: str | None) -> None:
    """Raise what a wrong executor or wrong class names raise, before any work is done."""
    from stackclip.data.names import CategoryNames
    from stackclip.registry import executors

    executors.create(executor)
    if class_names is not None:
        CategoryNames(class_names)


def load_tower_of(**arguments: Any) -> Tower:
    from stackclip.clip import flush_denormals, load_tower

    backbone, picture_range = arguments.pop("backbone"), arguments.pop("picture_range", "auto")
    flush_denormals()
    return load_tower(backbone, **arguments).with_range(picture_range)


def store_of(workspace: Workspace, tower: Tower) -> Store:
    from stackclip.cache import Store

    return Store.create(
        workspace.features,
        tower.fingerprint,
        spec=tower.spec,
        recorded=tower.recorded,
        dtype=workspace.feature_dtype,
    )


def stores_of(workspace: Workspace, folder: Path | None) -> list[Store]:
    from stackclip.cache import Store, stores_in

    stores = [Store.open(path) for path in ([folder] if folder else stores_in(workspace.features))]
    if not stores:
        raise StackclipError(f"no feature store in {workspace.features}; run: stackclip cache-features")
    return stores


def encode(
    workspace: Workspace,
    tower: Tower,
    samples: Sequence[Sample],
    parts: frozenset[Part],
    batch_size: int,
    workers: int,
    *,
    strict: bool,
    patience: float = 0.0,
    store: Store | None = None,
) -> tuple[PictureError, ...]:
    """Encode what the store lacks; say what was encoded, what was there, how large it is and where.

    Another writer is waited for as many seconds as `patience` says.
    """
    from stackclip.cache import extract
    from stackclip.data.darkness import unused_range
    from stackclip.ops.words import agreed, counted
    from stackclip.terminal import Bars, duration, size

    if tower.picture_range == "auto" and (dark := unused_range(samples)):
        logger.warning("%s", dark)
    store = store_of(workspace, tower) if store is None else store
    with Bars.shown() as bars:
        done = extract(
            store,
            tower,
            samples,
            parts,
            batch_size=batch_size,
            workers=workers,
            strict=strict,
            progress=partial(bars, "encode"),
            patience=patience,
        )
    store.refresh()
    for failure in done.failed:
        logger.error("failed: %s", failure)
    rate = f", {done.encoded / done.seconds:.3g} pictures/s" if done.encoded and done.seconds else ""
    logger.info(
        "%s",
        f"encoded {counted(done.encoded, 'picture')} in {duration(done.seconds)}{rate}; "
        f"{done.already_there} {agreed('were', done.already_there)} there already"
        + (f"; {len(done.failed)} failed" if done.failed else "")
        + f"; the store holds {counted(len(store), 'picture')}, {size(store.size_bytes)}, in {done.folder}",
    )
    say_note(tower)
    return done.failed


def say_plan(
    workspace: Workspace, tower: Tower, samples: Sequence[Sample], parts: frozenset[Part], *, err: bool = False
) -> None:
    """Say what would be encoded and how large it would be; nothing is written."""
    from stackclip.cache import find_store, plan
    from stackclip.ops.words import agreed, counted
    from stackclip.terminal import size

    dtype = workspace.feature_dtype
    found = find_store(workspace.features, tower.fingerprint, dtype=dtype)
    planned = plan(found, samples, parts, tower.spec, dtype=dtype)
    named = ", ".join(str(part) for part in planned.parts)
    there = len(samples) - planned.pictures
    would = f"{named} of {counted(planned.pictures, 'picture')}, {size(planned.bytes)} in {workspace.features}"
    held = f"{counted(there, 'picture')} {agreed('are', there)} there already"
    echo(f"would encode {would if named else 'nothing'} ({held})", err=err)
    say_note(tower)


def say_cells(
    workspace: Workspace, plan: Plan, tower: Tower, entrants: tuple[Entrant, ...], *, again: bool, err: bool
) -> None:
    """Say how many cells of a bench would be computed; nothing is written."""
    from stackclip.benchmarks.curves import has_curve
    from stackclip.benchmarks.intervals import has_draws
    from stackclip.cache import find_store
    from stackclip.ops.words import agreed, counted

    count = len(plan.resolved) * len(plan.seeds) * sum(len(dataset.categories) for dataset in plan.test_on)
    there = 0
    if not again and find_store(workspace.features, tower.fingerprint, dtype=workspace.feature_dtype) is not None:
        with open_bench(workspace, plan, tower, entrants, overwrite="never") as run:
            rows = [row for row in run.run().rows if not row.error and has_curve(row, plan.eval_every)]
            there = sum(not plan.ci or has_draws(row) for row in rows)
    held = f"{there} {agreed('are', there)} there already"
    echo(f"would compute {count - there} of {counted(count, 'cell')} ({held})", err=err)


def say_note(tower: Tower) -> None:
    if tower.spec.note:
        logger.info("note: %s", tower.spec.note)


def missing_parts(
    entrants: Iterable[Entrant],
    lacking: Sequence[tuple[Sample, frozenset[Part]]],
    *,
    tower: Mapping[str, Any],
    texts: Sequence[str],
    data_root: Path | None,
) -> MissingParts:
    """The error of a bench that may not encode, with the command that does.

    `tower` are the arguments of `load_tower_of` that gave the tower, `texts` the data sets as typed.
    """
    import shlex

    from stackclip.data import open_dataset
    from stackclip.ops.words import agreed, counted

    missing = frozenset[Any]().union(*(parts for _, parts in lacking))
    methods = [each.spec for each in entrants if not each.why_not and each.parts & missing]
    datasets = dict.fromkeys(sample.dataset for sample, _ in lacking)
    context = click.get_current_context()
    workspace: Workspace = context.obj
    typed = {open_dataset(text, data_root=data_root, generated=workspace.generated).name: text for text in texts}
    words = here("cache-features")
    words += [word for name in datasets for word in ("--dataset", typed_again([typed[name]]))]
    words += [] if {sample.split for sample, _ in lacking} == {"test"} else ["--split", "all"]
    words += ["--methods", ",".join(methods)] if methods else []
    words += _said_again(context, _SAID_AGAIN, instead=tower)
    words += ["--feature-dtype", workspace.feature_dtype] if workspace.feature_dtype != "float16" else []
    found = f"{counted(len(lacking), 'picture')} {agreed('lack', len(lacking))} {', '.join(map(str, sorted(missing)))}"
    return MissingParts(f"{', '.join(datasets)}: {found}. Run: {shlex.join(words)}")


def program() -> str:
    """What to type for this command line in this workspace."""
    import shlex
    import sys

    script, python, here = Path(sys.argv[0]), Path(sys.executable), Path.cwd()
    python = python.relative_to(here) if python.is_relative_to(here) else python
    words = [str(python), str(script)] if script.suffix == ".py" else ["stackclip"]
    if script.name == "__main__.py":
        words = [str(python), "-m", "stackclip"]
    root = click.get_current_context().find_root()
    if root.get_parameter_source("workspace") is click.core.ParameterSource.COMMANDLINE:
        words += ["--workspace", str(root.params["workspace"])]
    return shlex.join(words)


def here(verb: str) -> list[str]:
    """The words of a command line for this workspace."""
    return ["stackclip", *_said_again(click.get_current_context().find_root(), ("workspace",)), verb]


def _said_again(
    context: click.Context, names: Sequence[str], *, instead: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[str]:
    """The options of a command among `names` that were given to it, or that others are taken `instead` of, as words."""
    for parameter in context.command.params:
        name = parameter.name or ""
        value = instead.get(name, context.params.get(name))
        if name not in names or value is None:
            continue
        if context.get_parameter_source(name) in _GIVEN or value != context.params[name]:
            yield parameter.opts[-1]
            yield typed_again(map(str, value)) if isinstance(value, tuple) else str(value)


_GIVEN = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.DEFAULT_MAP)


_SAID_AGAIN = (
    *("data_root", "backbone", "pretrained", "weights", "activation", "image_size", "layers", "position_embedding"),
    *("picture_range", "device", "precision"),
)


@contextmanager
def open_bench(
    workspace: Workspace,
    plan: Plan,
    tower: Tower,
    entrants: tuple[Entrant, ...],
    *,
    overwrite: Overwrite = "only-missing",
    resident: Resident = "auto",
    store: Store | None = None,
) -> Iterator[Bench]:
    """A bench over the workspace's store, opened before or now, with progress bars."""
    from stackclip.benchmarks.rows import RowFolder
    from stackclip.benchmarks.runner import Bench
    from stackclip.cache import TextCache
    from stackclip.clip import TextEncoder
    from stackclip.terminal import Bars

    encode = TextEncoder(tower, TextCache(workspace.text, tower.text_fingerprint))
    rows, store = RowFolder(workspace.rows), store_of(workspace, tower) if store is None else store
    with Bars.shown() as bars:
        yield Bench(plan, tower, encode, store, rows, workspace.heads, bars, overwrite, resident, entrants)
    if overwrite != "never":  # a dry run writes nothing
        store.keep_readings()


def run_bench(
    workspace: Workspace,
    plan: Plan,
    tower: Tower,
    entrants: tuple[Entrant, ...],
    *,
    overwrite: Overwrite,
    resident: Resident = "auto",
    store: Store | None = None,
) -> Outcome:
    """Run a bench and say how many cells were computed."""
    from stackclip.ops.words import agreed, counted
    from stackclip.terminal import duration

    started = time.monotonic()
    with open_bench(workspace, plan, tower, entrants, overwrite=overwrite, resident=resident, store=store) as run:
        outcome = run.run()
    there, count = len(outcome.rows) - outcome.computed, len(outcome.rows)
    if overwrite == "never":
        logger.info("%d of %s %s there", there, counted(count, "cell"), agreed("are", there))
    elif outcome.computed:
        computed, took = counted(outcome.computed, "cell"), duration(time.monotonic() - started)
        logger.info("computed %s in %s; %d of %d %s there already", computed, took, there, count, agreed("were", there))
    else:
        every = "the cell was" if count == 1 else f"all {count} cells were"
        logger.info("nothing was left to compute: %s there already", every)
    return outcome


def show_document(document: Document, *, as_json: bool) -> None:
    """Print the tables with the notes, or every cell as a line of JSON."""
    from stackclip.console import output, say_text
    from stackclip.reports.writers import written
    from stackclip.reports.writers.terminal import blocks

    if as_json:
        say_text(written(document, ".jsonl"))
        return
    for block in blocks(document):
        output.print(block.content, soft_wrap=block.soft_wrap)


def show_curves(document: Document, plot: Path | None, *, as_json: bool) -> bool:
    """Say how steadily methods ended their training, where that was asked, and draw it into a file.

    False where that cannot be written, which is said.
    """
    from stackclip.benchmarks.curves import spread_notes
    from stackclip.console import say
    from stackclip.reports.plot import plot_curves

    for note in () if as_json else spread_notes(document.charts):
        say(f"- {note}", "dim")
    if plot is None:
        return True
    try:
        plot_curves(document.charts, plot)
    except OSError as error:
        return _not_written(plot, error)
    logger.info("training curves are drawn in %s", plot)
    return True


def check_suffixes(outputs: Sequence[Path], plot: Path | None = None) -> None:
    """Raise UsageError for a file of another kind than is written, StackclipError for a plot that nothing can draw."""
    from stackclip.reports.plot import check_plot
    from stackclip.reports.writers import check_output

    if plot:
        check_plot(plot)
    for path in outputs:
        check_output(path)


def write_document(document: Document, outputs: Sequence[Path]) -> bool:
    """Write the files, each whatever becomes of the others; False where one cannot be written, which is said."""
    from stackclip.ops.files import write_atomically
    from stackclip.reports.writers import written

    all_written = True
    for path in outputs:
        try:
            write_atomically(path, written(document, path.suffix).encode("utf-8", "backslashreplace"))
        except (OSError, StackclipError) as error:
            all_written = _not_written(path, error)
    return all_written


def _not_written(path: Path, error: Exception) -> Literal[False]:
    from stackclip.ops.words import legible

    logger.error("%s", legible(f"{path}: not written ({getattr(error, 'strerror', None) or error})"))
    return False


def left_out(row: Row) -> bool:
    """Whether some of a row's pictures count for no metric, or not for those of pixels."""
    from stackclip.benchmarks.facts import facts_of

    facts = facts_of(row)
    return bool(facts.tested_left_out or facts.tested_without_mask)
