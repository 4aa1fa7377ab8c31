"""The command line: it parses and prints, and imports the machinery inside its commands."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from stackclip import __version__
from stackclip.errors import MissingParts, PictureError, StackclipError, UsageError

if TYPE_CHECKING:
    from stackclip.benchmarks.plan import Plan
    from stackclip.benchmarks.runner import Bench, Overwrite
    from stackclip.cache import Store
    from stackclip.clip import Tower
    from stackclip.data import Dataset
    from stackclip.types import Part, Row, Sample
    from stackclip.workspace import Workspace

__all__ = ["main"]

DEFAULT_BACKBONE = "random-vit-8"
TRAINING, TESTED = "synthetic[part=training]", "synthetic[part=combinations]"
PROMPT_METHODS = "stacked,fuzzy,precise,april-gan"
FAILED_SOME = 3
logger = logging.getLogger("stackclip")
Command = TypeVar("Command", bound=Callable[..., Any])


class _Stopped(KeyboardInterrupt):
    """A signal asked us to stop; `code` is the exit code that says which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


class _Group(click.Group):
    """Turns our errors into one line and their exit code, and signals into 128 + their number."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _signals():
                return super().invoke(ctx)
        except StackclipError as error:
            logger.error("Error: %s", error)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE or error.filename is None:
                raise
            logger.error("Error: %s: %s", error.filename, error.strerror)
            ctx.exit(1)
        except KeyboardInterrupt as stop:
            logger.error("interrupted; what was finished is kept: run the same command again to go on")
            ctx.exit(stop.code if isinstance(stop, _Stopped) else 128 + signal.SIGINT)


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the work as Ctrl-C does: what is encoded is sealed first."""

    def stop(number: int, frame: object) -> NoReturn:
        raise _Stopped(number)

    caught = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, stop) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(workspace: Path | None = None) -> None:
    """Run the command line; `workspace` is the folder of a checkout's `cli.py`."""
    cli(auto_envvar_prefix="STACKCLIP", default_map={"workspace": str(workspace)} if workspace else None)


def _read_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Take defaults from a TOML file: a table for each command, options with underscores."""
    if path is None:
        return
    import tomllib

    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path}: {error}") from None
    context.default_map = {**(context.default_map or {}), **_defaults(path, context.command, given)}


def _defaults(path: Path, command: click.Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that a table of a config file gives to a command; tables in it are for its subcommands.

    A list stands for what is typed with commas. Raises BadParameter for a word that the command does not know.
    """
    from stackclip.registry import did_you_mean

    options = {parameter.name or "": parameter for parameter in command.params}
    commands = command.commands if isinstance(command, click.Group) else {}
    where = "stackclip" if isinstance(command, click.Group) else f"[{command.name}]"
    defaults: dict[str, Any] = {}
    for name, value in given.items():
        if name in commands and isinstance(value, dict):
            defaults[name] = _defaults(path, commands[name], value)
        elif (option := name.replace("-", "_")) in options:
            several = getattr(options[option], "multiple", False)
            defaults[option] = ",".join(map(str, value)) if isinstance(value, list) and not several else value
        else:
            known = (*options, *commands)
            raise click.BadParameter(f"{path}: {where} has no {name!r}{did_you_mean(name, known)}")
    return defaults


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__)
@click.option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Folder with registry/ and cache/.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    callback=_read_config,
    is_eager=True,
    expose_value=False,
    help="TOML file of defaults, a table for each command.",
)
@click.option("-v", "--verbose", count=True, help="Say everything.")
@click.option("-q", "--quiet", is_flag=True, help="Say only errors.")
@click.option("--log-file", type=click.Path(path_type=Path, dir_okay=False), help="Keep all messages in this file.")
@click.pass_context
def cli(context: click.Context, workspace: Path | None, verbose: int, quiet: bool, log_file: Path | None) -> None:
    """Encode once, compare many: CLIP-based anomaly detectors over cached features."""
    from stackclip.registry import use_workspace
    from stackclip.workspace import Workspace

    # Threads of torch that wait by spinning make small steps many times slower on a machine that has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context.obj = Workspace.find(workspace)
    use_workspace(context.obj.registry)
    if context.invoked_subcommand is not None:
        from stackclip.terminal import set_up_logging

        set_up_logging(-1 if quiet else verbose, log_file)


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _specs(context: click.Context, parameter: click.Parameter, value: str | Sequence[str]) -> tuple[str, ...]:
    """Names separated by commas outside brackets, the option given once or several times."""
    from stackclip.registry import split_specs

    return tuple(name for text in ([value] if isinstance(value, str) else value) for name in split_specs(text))


def _numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        numbers = tuple(dict.fromkeys(int(number) for number in value.split(",")))
    except ValueError:
        raise click.BadParameter(f"{value!r}: wanted whole numbers separated by commas") from None
    if min(numbers) < 0:
        raise click.BadParameter(f"{value!r}: wanted no number below 0")
    return numbers


tower_options = _options(
    click.option("--backbone", default=DEFAULT_BACKBONE, show_default=True, help="A backbone, or a ViT of open_clip."),
    click.option("--pretrained", metavar="TAG", help="Weights that open_clip knows by this tag."),
    click.option(
        "--weights", type=click.Path(path_type=Path, dir_okay=False), help="Weights in a file; nothing is downloaded."
    ),
    click.option("--activation", type=click.Choice(["native", "gelu", "quick-gelu"]), default="native"),
    click.option("--image-size", type=click.IntRange(min=1), help="Side of the picture in pixels."),
    click.option("--layers", callback=_numbers, metavar="N,N,...", help="Tapped blocks, 1-based; else quarters."),
    click.option("--device", default="auto", show_default=True),
    click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto"),
)
data_options = _options(
    click.option("--data-root", type=click.Path(path_type=Path, file_okay=False), help="Folder of the data sets."),
    click.option("--category", multiple=True, callback=_specs, help="Only these; several or comma-separated."),
)
encode_options = _options(
    click.option("--encode-batch-size", type=click.IntRange(min=1), default=8, show_default=True),
    click.option("--num-workers", type=click.IntRange(min=1), default=2, show_default=True, help="Threads that read."),
)


@cli.command("cache-features")
@click.option(
    "--dataset",
    multiple=True,
    callback=_specs,
    default=(TRAINING, TESTED),
    show_default="the generated data set",
    help="A registered data set, a folder below --data-root, or a path.",
)
@click.option("--split", type=click.Choice(["train", "test", "all"]), default="test", show_default=True)
@click.option("--methods", callback=_specs, default=PROMPT_METHODS, show_default=True, help="Whose parts are wanted.")
@data_options
@tower_options
@encode_options
@click.option("--strict", is_flag=True, help="Stop at the first picture that cannot be used.")
@click.option("--only-missing", is_flag=True, default=True, hidden=True)
@click.option("--dry-run", is_flag=True, help="Say what would be done and how large it would be.")
@click.pass_obj
def cache_features(
    workspace: Workspace,
    /,
    dataset: tuple[str, ...],
    split: str,
    methods: tuple[str, ...],
    data_root: Path | None,
    category: tuple[str, ...],
    encode_batch_size: int,
    num_workers: int,
    strict: bool,
    only_missing: bool,
    dry_run: bool,
    **tower_arguments: Any,
) -> None:
    """Encode every picture once and keep its parts in the feature store.

    Only what the methods need and the store lacks is encoded. Interrupted, it goes on where it was.
    """
    from stackclip.methods import resolve
    from stackclip.types import MASK

    wanted = [resolve(name) for name in methods]
    opened = _open_datasets(workspace, dataset, data_root, category)
    tower = _load_tower(**tower_arguments)
    samples = [s for each in opened for s in each.select(split=None if split == "all" else split).samples]  # type: ignore[arg-type]  # click checked the word
    parts = frozenset({MASK}).union(*(method.needs(tower.spec) for method in wanted))
    if dry_run:
        _say_plan(workspace, tower, samples, parts)
        return
    failed = _encode(workspace, tower, samples, parts, encode_batch_size, num_workers, strict=strict)
    if failed:
        sys.exit(FAILED_SOME)


@cli.command()
@click.option("--methods", callback=_specs, default=PROMPT_METHODS, show_default=True)
@click.option("--train-on", callback=_specs, default=TRAINING, show_default=True, help="Data sets; their test splits.")
@click.option("--test-on", callback=_specs, default=TESTED, show_default=True, help="Data sets; their test splits.")
@click.option("--shots", type=click.IntRange(min=0), default=0, show_default=True, help="Normal pictures a category.")
@click.option("--seeds", callback=_numbers, default="0", show_default=True)
@click.option("--epochs", type=click.IntRange(min=0), help="For all methods; else each has its paper's.")
@click.option("--batch-size", type=click.IntRange(min=1), default=8, show_default=True, help="Pictures a step.")
@click.option("--class-names", help="raw, spaced, natural or FILE.json, for all methods; else each has its own.")
@click.option("--executor", default="serial", show_default=True, help="What runs the seeds.")
@click.option("--allow-overlap", is_flag=True, help="Test on categories that were trained on (not zero-shot).")
@data_options
@tower_options
@encode_options
@click.option("--cached-only", is_flag=True, help="Refuse to encode: what is missing is an error.")
@click.option(
    "--overwrite",
    type=click.Choice(["only-missing", "always", "never"]),
    default="only-missing",
    show_default=True,
    help="Compute missing cells, all cells, or none.",
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure; else it is a row.")
@click.option("--per-category", is_flag=True, help="A line for every category.")
@click.option(
    "-o",
    "--output",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the table: .csv, .jsonl, .md or .tex; may be given several times.",
)
@click.option("--json", is_flag=True, help="Print rows as JSON lines instead of a table.")
@click.option("--dry-run", is_flag=True, help="Say what would be encoded and which cells are missing.")
@click.pass_obj
def bench(
    workspace: Workspace,
    /,
    methods: tuple[str, ...],
    train_on: tuple[str, ...],
    test_on: tuple[str, ...],
    data_root: Path | None,
    category: tuple[str, ...],
    shots: int,
    seeds: tuple[int, ...],
    epochs: int | None,
    batch_size: int,
    class_names: str | None,
    executor: str,
    allow_overlap: bool,
    encode_batch_size: int,
    num_workers: int,
    cached_only: bool,
    overwrite: Overwrite,
    fail_fast: bool,
    per_category: bool,
    output: tuple[Path, ...],
    json: bool,
    dry_run: bool,
    **tower_arguments: Any,
) -> None:
    """Train methods on one data set, test them on others, and print the table.

    A cell is a method, a tested category and a seed; it is kept when it is done, and a second run does only what is
    missing. `--category` restricts the tested data sets.
    """
    from stackclip.benchmarks.plan import Plan, check_overlap, needed

    _check_suffixes(output)
    _check_methods(methods)
    _check_words(executor, class_names)
    plan = Plan(
        methods=methods,
        train_on=_open_datasets(workspace, train_on, data_root, ()),
        test_on=_open_datasets(workspace, test_on, data_root, category),
        seeds=seeds,
        shots=shots,
        epochs=epochs,
        batch_size=batch_size,
        class_names=class_names,
        allow_overlap=allow_overlap,
        fail_fast=fail_fast,
        executor=executor,
    )
    check_overlap(plan)
    tower = _load_tower(**tower_arguments)
    samples, parts = needed(plan, tower.spec)
    if dry_run:
        _say_plan(workspace, tower, samples, parts, err=json)
        _say_cells(workspace, plan, tower, again=overwrite == "always", err=json)
        return
    store = _store(workspace, tower)
    failed: Sequence[PictureError] = ()
    if overwrite != "never" and store.lacking(samples, parts):
        if cached_only:
            raise _missing(store, samples, parts, (*train_on, *test_on), data_root)
        failed = _encode(workspace, tower, samples, parts, encode_batch_size, num_workers, strict=False)
    rows = _run(workspace, plan, tower, overwrite=overwrite)
    _show(rows, per_category=per_category, as_json=json)
    _write(rows, output, per_category=per_category)
    if failed or any(row.error for row in rows) or any(_left_out(row) for row in rows):
        sys.exit(FAILED_SOME)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--object", required=True, help="What the pictures show, in words: 'metal plate'.")
@click.option("--methods", callback=_specs, default="stackclip", show_default=True)
@click.option("--train-on", callback=_specs, default=TRAINING, show_default=True, help="Data sets; their test splits.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--epochs", type=click.IntRange(min=0), help="For all methods; else each has its paper's.")
@click.option("--data-root", type=click.Path(path_type=Path, file_okay=False), help="Folder of the training data sets.")
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
@click.pass_obj
def predict(
    workspace: Workspace,
    /,
    folder: Path,
    object: str,  # noqa: A002 - the option's name is what people set in files and in the environment
    methods: tuple[str, ...],
    train_on: tuple[str, ...],
    seed: int,
    epochs: int | None,
    data_root: Path | None,
    output: Path,
    encode_batch_size: int,
    num_workers: int,
    **tower_arguments: Any,
) -> None:
    """Find defects in your own pictures: a score for each, and heat maps on one common scale.

    FOLDER needs no masks and no labels. The methods train on other data sets; nothing is learned from FOLDER.
    """
    from dataclasses import replace

    from stackclip.benchmarks.plan import Plan, needed
    from stackclip.benchmarks.predictions import predict_all, write_predictions

    _check_methods(methods)
    [opened] = _open_datasets(workspace, [str(folder)], None, ())
    shown = [replace(sample, category=object, split="test") for sample in opened.samples]
    own = replace(opened, samples=tuple(shown))
    training = _open_datasets(workspace, train_on, data_root, ())
    plan = Plan(methods=methods, train_on=training, test_on=(own,), seeds=(seed,), epochs=epochs)
    tower = _load_tower(**tower_arguments)
    samples, parts = needed(plan, tower.spec)
    failed = _encode(workspace, tower, samples, parts, encode_batch_size, num_workers, strict=False)
    with _bench(workspace, plan, tower) as run:
        predictions = predict_all(run, own.samples, seed=seed)
    for line in write_predictions(predictions, output):
        click.echo(line)
    _say_note(tower)
    if failed:
        sys.exit(FAILED_SOME)


@cli.command()
@click.option("--methods", callback=_specs, default="", help="Only these.")
@click.option("--train-on", callback=_specs, default="", help="Only rows trained on these.")
@click.option("--test-on", callback=_specs, default="", help="Only rows tested on these.")
@click.option("--seeds", callback=_numbers, help="Only these.")
@click.option("--per-category", is_flag=True)
@click.option("-o", "--output", multiple=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", is_flag=True)
@click.pass_obj
def report(
    workspace: Workspace,
    /,
    methods: tuple[str, ...],
    train_on: tuple[str, ...],
    test_on: tuple[str, ...],
    seeds: tuple[int, ...] | None,
    per_category: bool,
    output: tuple[Path, ...],
    json: bool,
) -> None:
    """Print tables of the rows that earlier benches kept; nothing is computed."""
    from stackclip.benchmarks.rows import RowFolder
    from stackclip.registry import Spec

    _check_suffixes(output)
    wanted = {str(Spec.parse(method)) for method in methods}
    rows = [
        row
        for row in RowFolder(workspace.rows).latest()
        if (not wanted or row.method in wanted)
        and (not train_on or set(row.train_on) == set(train_on))
        and (not test_on or row.test_on in test_on)
        and (seeds is None or row.seed in seeds)
    ]
    rows.sort(key=lambda row: (row.train_on, row.test_on, row.shots, row.method, row.category, row.seed))
    if not rows:
        raise StackclipError(f"no row in {workspace.rows} fits; see: stackclip bench --help")
    _show(rows, per_category=per_category, as_json=json)
    _write(rows, output, per_category=per_category)


@cli.command("list")
@click.argument("shelf", required=False)
def list_components(shelf: str | None) -> None:
    """Tell what there is: all shelves, or one."""
    from stackclip.registry import SHELVES, did_you_mean
    from stackclip.terminal import output, plugin_problems, shelf_table

    shelves = {each.kind: each for each in SHELVES}
    if shelf is not None and shelf not in shelves:
        raise UsageError(f"no shelf is named {shelf!r}{did_you_mean(shelf, shelves)}; there are {', '.join(shelves)}")
    for kind in [shelf] if shelf else shelves:
        if kind == "learners" and not shelves[kind].names() and not shelf:
            continue
        output.print(shelf_table(shelves[kind]))
        if kind == "methods":
            output.print("  every prompt strategy is a method too, by its own name", style="dim")
        output.print()
    for problem in plugin_problems():
        output.print(problem, style="red", markup=False)


@cli.command()
@click.argument("name")
@click.option("--backbone", default=DEFAULT_BACKBONE, show_default=True, help="The tower whose parts are named.")
def show(name: str, backbone: str) -> None:
    """Tell what a component is: its options and defaults, where it is written, the parts it needs."""
    from stackclip.contracts import find_components
    from stackclip.methods import component_of, method_names, resolve
    from stackclip.terminal import component_page, output

    components = list(find_components(name))
    if name in method_names():
        components = [c for c in components if c.shelf not in ("methods", "prompts")] + [component_of(name)]
    for component in components:
        needs = ""
        if component.shelf in ("methods", "prompts"):
            tower = _load_tower(backbone=backbone)
            needs = ", ".join(str(part) for part in sorted(resolve(name).needs(tower.spec))) + f"  (of {backbone})"
        for block in component_page(component, needs):
            output.print(block)
            output.print()


@cli.command()
@click.argument("name")
def check(name: str) -> None:
    """Run the contract tests of its shelf on a component, ours or yours."""
    from stackclip.contracts import check as check_component
    from stackclip.terminal import output

    reports = check_component(name)
    for each in reports:
        output.print(
            f"{each.component.name} ({each.component.shelf}, {each.component.source})", style="bold", markup=False
        )
        for finding in each.findings:
            mark = "[green]ok[/]    " if finding.passed else "[red]failed[/]"
            output.print(f"  {mark}", end=" ")
            output.print(finding.sentence + (f": {finding.detail}" if finding.detail else ""), markup=False)
    if not all(finding.passed for each in reports for finding in each.findings):
        sys.exit(1)


@cli.command()
@click.argument("store", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.pass_obj
def verify(workspace: Workspace, store: Path | None) -> None:
    """Check every byte of a feature store, or of all stores of the workspace, against its checksum."""
    bad = 0
    for opened in _stores(workspace, store):
        from stackclip.terminal import Bars, size

        with Bars.shown() as bars:
            problems = opened.verify(partial(bars, f"verify {opened.folder.name}"))
        for problem in problems:
            click.echo(str(problem))
        bad += len(problems)
        click.echo(f"{opened.folder}: {len(opened)} pictures, {size(opened.size_bytes)}, {len(problems)} problems")
    if bad:
        click.echo("run: stackclip repair, then stackclip cache-features")
        sys.exit(1)


@cli.command()
@click.argument("store", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.pass_obj
def repair(workspace: Workspace, store: Path | None) -> None:
    """Drop the segments of a feature store that fail `verify`, and say what was dropped."""
    for opened in _stores(workspace, store):
        from stackclip.terminal import Bars

        with Bars.shown() as bars:
            dropped = opened.repair(partial(bars, f"repair {opened.folder.name}"))
        for problem in dropped:
            click.echo(f"dropped: {problem}")
        click.echo(f"{opened.folder}: {len(dropped)} dropped; stackclip cache-features encodes them again")


@cli.command()
@click.argument("dataset")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def export(dataset: str, folder: Path) -> None:
    """Write a generated data set, `synthetic[...]`, as a folder with the layout of MVTec-AD."""
    from stackclip.data import open_dataset

    click.echo(open_dataset(dataset, generated=folder).finding)


@cli.command()
@click.pass_obj
def doctor(workspace: Workspace) -> None:
    """Tell what is installed, which device there is, which weights are reachable and where things are kept."""
    from stackclip.doctor import findings
    from stackclip.terminal import output

    for title, lines in findings(workspace):
        output.print(title, style="bold")
        for line in lines:
            output.print(f"  {line}", markup=False, highlight=False)


@cli.command()
@click.pass_obj
def demo(workspace: Workspace, /) -> None:
    """A first run on any machine: generate pictures, cache their features, bench four methods, show what they see."""
    from stackclip.benchmarks.plan import Plan, needed
    from stackclip.benchmarks.predictions import draw_sheet

    methods = tuple(PROMPT_METHODS.split(","))
    trained, tested = (_open_datasets(workspace, [name], None, ()) for name in (TRAINING, TESTED))
    plan = Plan(methods=methods, train_on=trained, test_on=tested)
    tower = _load_tower(backbone=DEFAULT_BACKBONE)
    samples, parts = needed(plan, tower.spec)
    failed = _encode(workspace, tower, samples, parts, batch_size=8, workers=2, strict=False)
    rows = _run(workspace, plan, tower, overwrite="only-missing")
    _show(rows, per_category=False, as_json=False)
    table, pictures = workspace.cache / "demo", workspace.cache / "demo.png"
    _write(rows, [table.with_suffix(suffix) for suffix in (".md", ".csv", ".jsonl")], per_category=True)
    with _bench(workspace, plan, tower) as run:
        draw_sheet(run, pictures)
    click.echo(f"pictures with heat maps  {pictures}")
    click.echo(f"the table                {table}.md, .csv, .jsonl")
    click.echo(f"generated pictures       {workspace.generated}")
    click.echo(f"features                 {workspace.features}")
    click.echo(f"rows and trained heads   {workspace.rows}, {workspace.heads}")
    click.echo("next: python cli.py bench --methods stacked,fuzzy,precise --seeds 0,1 --per-category")
    if failed:
        sys.exit(FAILED_SOME)


def _open_datasets(
    workspace: Workspace, names: Sequence[str], data_root: Path | None, categories: Sequence[str]
) -> tuple[Dataset, ...]:
    """Open data sets and say what was found."""
    from stackclip.data import open_dataset

    opened = []
    for name in dict.fromkeys(names):
        dataset = open_dataset(name, data_root=data_root, generated=workspace.generated)
        chosen = [category for category in categories if category in dataset.categories]
        if categories and not chosen and len(names) == 1:
            dataset.select(categories=categories)
        if categories and not chosen:
            continue
        logger.info("%s", dataset.finding)
        opened.append(dataset.select(categories=chosen) if categories else dataset)
    if not opened:
        raise UsageError(f"none of {', '.join(names)} has a category {', '.join(categories)}")
    return tuple(opened)


def _check_methods(names: Sequence[str]) -> None:
    """Raise UsageError for a method or option that does not exist, before any work is done."""
    from stackclip.methods import resolve

    for name in names:
        resolve(name)


def _check_words(executor: str, class_names: str | None) -> None:
    """Raise what a wrong executor or wrong class names raise, before any work is done."""
    from stackclip.data.names import CategoryNames
    from stackclip.registry import executors

    executors.create(executor)
    if class_names is not None:
        CategoryNames(class_names)


def _load_tower(**arguments: Any) -> Tower:
    from stackclip.clip import flush_denormals, load_tower

    backbone = arguments.pop("backbone")
    flush_denormals()
    return load_tower(backbone, **arguments)


def _store(workspace: Workspace, tower: Tower) -> Store:
    from stackclip.cache import Store

    return Store.create(workspace.features, tower.fingerprint, spec=tower.spec, recorded=tower.recorded)


def _stores(workspace: Workspace, folder: Path | None) -> list[Store]:
    from stackclip.cache import Store, stores_in

    stores = [Store.open(path) for path in ([folder] if folder else stores_in(workspace.features))]
    if not stores:
        raise StackclipError(f"no feature store in {workspace.features}; run: stackclip cache-features")
    return stores


def _encode(
    workspace: Workspace,
    tower: Tower,
    samples: Sequence[Sample],
    parts: frozenset[Part],
    batch_size: int,
    workers: int,
    *,
    strict: bool,
) -> tuple[PictureError, ...]:
    """Encode what the store lacks; say what was encoded, what was there, how large it is and where."""
    from stackclip.cache import extract
    from stackclip.terminal import Bars, duration, size

    store = _store(workspace, tower)
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
        )
    store.refresh()
    for failure in done.failed:
        logger.error("failed: %s", failure)
    rate = f", {done.encoded / done.seconds:.0f} pictures/s" if done.encoded and done.seconds else ""
    logger.info(
        "%s",
        f"encoded {done.encoded} pictures in {duration(done.seconds)}{rate}; {done.already_there} were there already"
        + (f"; {len(done.failed)} failed" if done.failed else "")
        + f"; the store holds {len(store)} pictures, {size(store.size_bytes)}, in {done.folder}",
    )
    _say_note(tower)
    return done.failed


def _say_plan(
    workspace: Workspace, tower: Tower, samples: Sequence[Sample], parts: frozenset[Part], *, err: bool = False
) -> None:
    """Say what would be encoded and how large it would be; nothing is written."""
    from stackclip.cache import find_store, plan
    from stackclip.terminal import size

    planned = plan(find_store(workspace.features, tower.fingerprint), samples, parts, tower.spec)
    named = ", ".join(str(part) for part in planned.parts)
    there = len(samples) - planned.pictures
    would = f"{named} of {planned.pictures} pictures, {size(planned.bytes)} in {workspace.features}"
    click.echo(f"would encode {would if named else 'nothing'} ({there} pictures are there already)", err=err)
    _say_note(tower)


def _say_cells(workspace: Workspace, plan: Plan, tower: Tower, *, again: bool, err: bool) -> None:
    """Say how many cells of a bench would be computed; nothing is written."""
    from stackclip.cache import find_store

    count = len(plan.resolved) * len(plan.seeds) * sum(len(dataset.categories) for dataset in plan.test_on)
    there = 0
    if not again and find_store(workspace.features, tower.fingerprint) is not None:
        with _bench(workspace, plan, tower, "never") as run:
            there = sum(not row.error for row in run.run().rows)
    click.echo(f"would compute {count - there} of {count} cells ({there} are there already)", err=err)


def _say_note(tower: Tower) -> None:
    if tower.spec.note:
        logger.info("note: %s", tower.spec.note)


def _missing(
    store: Store, samples: Sequence[Sample], parts: frozenset[Part], texts: Sequence[str], data_root: Path | None
) -> MissingParts:
    """The error of a bench that may not encode, with the command that does; `texts` are the data sets as typed."""
    import shlex

    from stackclip.data import open_dataset

    lacking = store.lacking(samples, parts)
    named = ", ".join(str(part) for part in sorted(frozenset[Any]().union(*(missing for _, missing in lacking))))
    datasets = dict.fromkeys(sample.dataset for sample, _ in lacking)
    context = click.get_current_context()
    workspace: Workspace = context.obj
    typed = {open_dataset(text, data_root=data_root, generated=workspace.generated).name: text for text in texts}
    words = ["stackclip", *_said_again(context.find_root(), ("workspace",)), "cache-features"]
    words += [word for name in datasets for word in ("--dataset", typed[name])]
    words += [] if {sample.split for sample, _ in lacking} == {"test"} else ["--split", "all"]
    words += _said_again(context, _SAID_AGAIN)
    return MissingParts(f"{', '.join(datasets)}: {len(lacking)} pictures lack {named}. Run: {shlex.join(words)}")


def _said_again(context: click.Context, names: Sequence[str]) -> Iterator[str]:
    """The options of a command among `names` that were given to it, as words of a command line."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in names and context.get_parameter_source(name) in _GIVEN:
            value = context.params[name]
            yield parameter.opts[-1]
            yield ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


_GIVEN = (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.DEFAULT_MAP)
_SAID_AGAIN = (
    *("methods", "data_root", "backbone", "pretrained", "weights", "activation", "image_size", "layers"),
    *("device", "precision"),
)


@contextmanager
def _bench(workspace: Workspace, plan: Plan, tower: Tower, overwrite: Overwrite = "only-missing") -> Iterator[Bench]:
    """A bench over the workspace's store, with progress bars."""
    from stackclip.benchmarks.rows import RowFolder
    from stackclip.benchmarks.runner import Bench
    from stackclip.cache import TextMemory
    from stackclip.clip import TextEncoder
    from stackclip.terminal import Bars

    encode = TextEncoder(tower, TextMemory(workspace.text, tower.text_fingerprint))
    rows, store = RowFolder(workspace.rows), _store(workspace, tower)
    with Bars.shown() as bars:
        yield Bench(plan, tower, encode, store, rows, workspace.heads, bars, overwrite)


def _run(workspace: Workspace, plan: Plan, tower: Tower, *, overwrite: Overwrite) -> list[Row]:
    """Run a bench and say how many cells were computed."""
    from stackclip.terminal import duration

    started = time.monotonic()
    with _bench(workspace, plan, tower, overwrite) as run:
        outcome = run.run()
    there, count = len(outcome.rows) - outcome.computed, len(outcome.rows)
    if overwrite == "never":
        logger.info("%d of %d cells are there", there, count)
    elif outcome.computed:
        took = duration(time.monotonic() - started)
        logger.info("computed %d cells in %s; %d of %d were there already", outcome.computed, took, there, count)
    else:
        logger.info("nothing was left to compute: all %d cells were there already", count)
    return outcome.rows


def _show(rows: Sequence[Row], *, per_category: bool, as_json: bool) -> None:
    from stackclip.benchmarks.table import WRITERS, notes, rich_tables, summarise
    from stackclip.terminal import output

    if as_json:
        click.echo(WRITERS[".jsonl"](rows, per_category=per_category), nl=False)
        return
    for table in rich_tables(summarise(rows, per_category=per_category)):
        output.print(table)
    for note in notes(rows):
        output.print(f"- {note}", style="dim", markup=False, highlight=False)


def _check_suffixes(outputs: Sequence[Path]) -> None:
    from stackclip.benchmarks.table import WRITERS

    for path in outputs:
        if path.suffix not in WRITERS:
            raise UsageError(f"{path}: no table is written as {path.suffix or 'that'}; wanted {', '.join(WRITERS)}")


def _write(rows: Sequence[Row], outputs: Sequence[Path], *, per_category: bool) -> None:
    from stackclip.benchmarks.table import WRITERS
    from stackclip.ops.files import write_atomically

    for path in outputs:
        write_atomically(path, WRITERS[path.suffix](rows, per_category=per_category).encode())


def _left_out(row: Row) -> bool:
    return bool(row.facts.get("tested_left_out"))
