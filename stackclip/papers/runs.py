"""The runs of suites: one bench each, as TOML says it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, cast, get_args

from stackclip.benchmarks.curves import EvalEvery, interval
from stackclip.errors import UsageError
from stackclip.registry import did_you_mean, one_of
from stackclip.sizes import SizeLike, side_of
from stackclip.studies.ranks import RankQuestion
from stackclip.studies.schemes import Criterion, Scheme
from stackclip.studies.significance import Over
from stackclip.types import LARGEST_SEED

__all__ = [
    *("PaperTower", "Run", "by_shots", "check_titles", "made_of", "merged", "on_towers", "redirected", "run_of"),
    "with_shared",
]

_LOWEST = {"batch_size": 1, "train_shots": 2}
_OF_TABLES = ("per_category", "per_defect", "ci_over", "ranks")  # which an ablation has in its own way
_OF_SECTIONS = ("asks", "says", "shows", "ci", *_OF_TABLES)  # which runs of one title share


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTower:
    """The tower of a paper: open_clip's name, the tag of its weights and the size of the picture."""

    backbone: str
    pretrained: str | None = None
    image_size: SizeLike | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for what is no size of a picture."""
        if self.image_size is not None:
            object.__setattr__(self, "image_size", side_of(self.image_size))

    def __str__(self) -> str:
        return " ".join(str(word) for word in (self.backbone, self.pretrained, self.image_size) if word is not None)

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of a tower's recipe that it says."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One bench of a suite: `methods` trained on one place and tested on others, by the names of data sets.

    One with a `title` is a section of its own in a study: what it `asks`, the metrics that it `shows`, and what its
    author `says` to that. In place of methods it may `ablate` one; in place of where to train and test it may name sets
    to `transfer` between. Grids are selected by `select`, `select_by` and `select_rule`, with `hindsight`;
    `prompt_jitter` measures in so many other wordings. `ci_over` and `ranks` say what intervals and ranks are over.

    In a file `shots` may list several numbers, each of which is a run. No `train_on` is for methods that are not
    trained. `train_categories` and `train_without` take some categories of the training sets only. `epochs` is for all
    methods; without it each has its paper's. `eval_every` asks for training curves.
    """

    methods: tuple[str, ...] = ()
    test_on: tuple[str, ...] = ()
    train_on: tuple[str, ...] = ()
    train_categories: tuple[str, ...] = ()
    train_without: tuple[str, ...] = ()
    shots: int | Literal["all"] = 0
    seeds: tuple[int, ...] = (0,)
    epochs: int | None = None
    batch_size: int | None = None
    train_shots: int | None = None
    eval_every: EvalEvery | None = None
    tower: PaperTower | None = None
    ci: bool = False
    per_category: bool = False
    per_defect: bool = False
    title: str = ""
    asks: str = ""
    says: str = ""
    shows: tuple[str, ...] = ()
    ablate: str = ""
    transfer: tuple[str, ...] = ()
    select: str | None = None
    select_by: str | None = None
    select_rule: str = "best"
    hindsight: bool = False
    prompt_jitter: int | None = None
    ci_over: str = "pictures"
    ranks: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether it is a bench as those of papers are."""
        return not (self.ablate or self.transfer or self.select)

    @property
    def has_intervals(self) -> bool:
        """Whether its tables have intervals and tests; those over categories want no draws, and so no `ci`."""
        return self.ci or self.ci_over == "categories"

    def _said(self, *names: str) -> str:
        return ", ".join(name for name in names if getattr(self, name))

    def check(self, where: str) -> None:
        """Raise UsageError for what does not go together, and for words that mean nothing."""
        if self.ablate and (beside := self._said("methods", "transfer", "select", "prompt_jitter")):
            raise UsageError(f"{where}: ablate takes one method apart, in a run of its own: leave {beside} out")
        if not (self.methods or self.ablate):
            raise UsageError(f"{where}: a run without methods has nothing to do; wanted methods = [...] or ablate")
        if self.transfer and (beside := self._said("train_on", "test_on", "select", "prompt_jitter")):
            raise UsageError(f"{where}: transfer trains on and tests its own sets: leave {beside} out")
        if not (self.transfer or self.test_on):
            raise UsageError(f"{where}: test_on lacks; wanted data sets, [...]")
        if self.select and self.prompt_jitter:
            raise UsageError(f"{where}: prompt_jitter beside select would choose in each wording: leave out one")
        if (self.train_categories or self.train_without) and not self.is_plain:
            word = "ablate" if self.ablate else "transfer" if self.transfer else "select"
            raise UsageError(f"{where}: {word} trains on whole data sets: leave train_categories and train_without out")
        if self.ablate and (said := [name for name in _OF_TABLES if getattr(self, name) != _DEFAULTS[name]]):
            raise UsageError(f"{where}: ablate has tables of its own, and {said[0]} is of others: leave it out")
        try:
            _check_words(self)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None


_OF_TOWERS = frozenset(each.name for each in fields(PaperTower))
_DEFAULTS: Mapping[str, Any] = {each.name: each.default for each in fields(Run)}


def with_shared(facts: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a run with those that all runs share, as far as they mean something to it."""
    others = (*(_OF_TABLES if facts.get("ablate") else ()), *(() if facts.get("select") else ("select_by",)))
    return {**{name: value for name, value in shared.items() if name not in others}, **facts}


def check_titles(runs: Iterable[Run], where: str) -> None:
    """Raise UsageError where runs of one title, which are one section of a page, say two things of it."""
    first: dict[str, Run] = {}
    for run in runs:
        known = first.setdefault(run.title, run) if run.title and run.is_plain else run
        for name in _OF_SECTIONS:
            if getattr(run, name) not in (getattr(known, name), _DEFAULTS[name]):
                raise UsageError(
                    f"{where}: two runs are titled {run.title!r}, and the second has another {name}: say it in the "
                    "first alone, or give it a title of its own"
                )


def redirected(
    runs: Iterable[Run], *, train_on: Sequence[str] = (), test_on: Sequence[str] = (), **asked: Any
) -> tuple[Run, ...]:
    """The runs on other data sets, and with other values of their fields (`seeds`, `epochs`, `methods` ...).

    What is not trained stays so. Runs on some categories only are dropped where the training sets are others.
    """
    moved = []
    for run in runs:
        if train_on and (run.train_categories or run.train_without):
            continue
        training = tuple(train_on) if train_on and run.train_on else run.train_on
        moved.append(replace(run, train_on=training, test_on=tuple(test_on) or run.test_on, **asked))
    return merged(moved)


def merged(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Runs that differ in nothing but their methods become one, so that they share their scans."""
    alike: dict[Run, dict[str, None]] = {}
    for run in runs:
        alike.setdefault(replace(run, methods=()), {}).update(dict.fromkeys(run.methods))
    return tuple(replace(run, methods=tuple(methods)) for run, methods in alike.items())


def on_towers(runs: Iterable[Run], towers: Sequence[str]) -> Iterator[Run]:
    """Each run on each of some towers, `NAME` or `NAME:TAG`; one with a tower of its own on that alone.

    Raises UsageError for a tower without a name.
    """
    if "" in (each.partition(":")[0] for each in towers):
        raise UsageError(f"towers are {[*towers]!r}; wanted names, NAME or NAME:TAG")
    for run in runs:
        for name, _, tag in (each.partition(":") for each in towers) if run.tower is None else ():
            yield replace(run, tower=PaperTower(backbone=name, pretrained=tag or None))
        if run.tower is not None:
            yield run


def by_shots(facts: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The facts of a run, or where it lists numbers of `shots`, those of one for each of them."""
    shots = facts.get("shots", 0)
    for each in shots if isinstance(shots, list) and shots else [shots]:
        yield {**facts, "shots": each}


def run_of(facts: Mapping[str, Any], where: str) -> Run:
    """The run of a `[[runs]]` table, with the grid of its methods written out."""
    facts = dict(facts)
    grid, tower = facts.pop("grid", {}), facts.get("tower")
    if not isinstance(grid, dict) or not all(isinstance(values, list) for values in grid.values()):
        raise UsageError(f"{where}: grid is {grid!r}; wanted {{ name = [value, ...] }}")
    if not isinstance(tower, dict | None):
        raise UsageError(
            f"{where}: tower is {tower!r}; wanted {{ backbone = ..., pretrained = ..., image_size = ... }}"
        )
    if (shots := facts.get("shots", 0)) != "all" and not _is(shots, int):
        raise UsageError(f"{where}: shots is {shots!r}; wanted a number of normal pictures, or all")
    if "eval_every" in facts:
        try:
            facts["eval_every"] = interval(facts["eval_every"])
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
    methods = [
        _filled(method, dict(zip(grid, values, strict=True)))
        for method in facts.get("methods", ())
        for values in itertools.product(*grid.values())
    ]
    try:
        made_tower = None if tower is None else made_of(PaperTower, tower, where)
    except UsageError as error:
        raise UsageError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None
    made: Run = made_of(Run, {**facts, "methods": tuple(dict.fromkeys(methods)), "tower": made_tower}, where)
    made.check(where)
    return replace(made, seeds=tuple(dict.fromkeys(made.seeds)))


def _check_words(run: Run) -> None:
    """Raise UsageError for words of a selection, of intervals and ranks that there are not, and for odd numbers."""
    for name, lowest in _LOWEST.items():
        if (value := getattr(run, name)) is not None and value < lowest:
            raise UsageError(f"{name} is {value}; wanted {lowest} or more")
    if max(run.seeds, default=0) > LARGEST_SEED:
        raise UsageError(f"seeds is {[*run.seeds]}; wanted numbers from 0 to {LARGEST_SEED}")
    if run.select:
        Scheme.parse(run.select)
        Criterion.of(run.select_by, run.select_rule, run.eval_every)
    elif run.select_by or run.hindsight or run.select_rule != "best":
        raise UsageError("select_by, select_rule and hindsight are about a selection: add select = ...")
    one_of("ci_over", run.ci_over, get_args(Over))
    if run.ranks:
        RankQuestion(cast(Any, run.ranks))


def _filled(method: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        method = method.replace(f"{{{name}}}", str(value))
    return method


_PLAIN: Mapping[str, tuple[type, str]] = {
    "bool": (bool, "true or false"),
    "str": (str, "text"),
    "str | None": (str, "text"),
    "int | None": (int, "a whole number, 0 or more"),
    "tuple[int, ...]": (int, "a list of whole numbers, 0 or more"),
    "tuple[str, ...]": (str, "a list of text"),
}
"""What fields of these types may be: a type, or a list of it, and the words for that."""


def _wanted(annotation: str, value: Any) -> str:
    """What a field of a type wants in place of a value; empty where nothing is wrong with it, or others look."""
    plain, words = _PLAIN.get(annotation, (object, ""))
    listed = annotation.startswith("tuple")
    if listed and not isinstance(value, list | tuple):
        return words or "a list"
    several = value if listed else (value,)
    fits = all(each is None or _is(each, plain) for each in several)
    return "" if fits else words


def _is(value: Any, plain: type) -> bool:
    if plain is int:
        return type(value) is int and value >= 0
    return isinstance(value, plain)


def made_of(kind: type[Any], facts: Mapping[str, Any], where: str, *, beside: Sequence[str] = ()) -> Any:
    """What a table says of its kind; `beside` are further names that mean something there. Raises UsageError."""
    known = [*(field.name for field in fields(kind)), *beside]
    for name in facts:
        if name not in known:
            place = "; it is said of tower = { ... }" if name in _OF_TOWERS else did_you_mean(name, known)
            raise UsageError(f"{where}: {name!r} means nothing{place}; known are {', '.join(known)}")
    types = {field.name: str(field.type) for field in fields(kind) if field.name in facts}
    for name, annotation in types.items():
        if wanted := _wanted(annotation, facts[name]):
            raise UsageError(f"{where}: {name} is {facts[name]!r}; wanted {wanted}")
    lists = {name for name, annotation in types.items() if annotation.startswith("tuple")}
    try:
        return kind(**{name: tuple(value) if name in lists else value for name, value in facts.items()})
    except TypeError as error:
        raise UsageError(f"{where}: {str(error).partition('() ')[2] or error}") from None
