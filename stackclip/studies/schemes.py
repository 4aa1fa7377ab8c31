"""How the points of a grid are compared on training data alone: what is held out, by what metric, by which rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from stackclip.benchmarks.curves import EvalEvery
from stackclip.errors import UsageError
from stackclip.metrics import ALIASES, IMAGE_METRICS, ON_REQUEST, PIXEL_METRICS
from stackclip.registry import Spec, did_you_mean, points_of

__all__ = ["METRICS_BY_DEFAULT", "SCHEMES", "Criterion", "Grid", "Kind", "Rule", "Scheme", "grids_among"]

Kind = Literal["leave-category-out", "leave-defect-out", "k-fold"]
Rule = Literal["best", "one-standard-error"]
SCHEMES: tuple[Kind, ...] = get_args(Kind)
METRICS_BY_DEFAULT = ("pixel_AP", "image_AUROC")
"""What points are compared by where nobody says: the first that any of them has."""
_FOLDS = 5  # Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 7.10: five or ten
_METRICS = (*IMAGE_METRICS, *PIXEL_METRICS, *ON_REQUEST)


@dataclass(frozen=True, slots=True)
class Scheme:
    """What is held out by turns: each category, each kind of defect, or a part of the pictures.

    `folds` puts categories or kinds into so many groups; without it each is held out by itself.
    """

    kind: Kind
    folds: int | None = None

    def __str__(self) -> str:
        return self.kind if self.folds is None else f"{self.kind}[folds={self.folds}]"

    @classmethod
    def parse(cls, text: object) -> Scheme:
        """The scheme that was typed: `k-fold[folds=5]`. Raises UsageError for what is none."""
        spec = Spec.parse(text) if isinstance(text, str) else Spec(repr(text))
        kind = next((each for each in SCHEMES if each == spec.name), None)
        if kind is None:
            near = did_you_mean(spec.name, SCHEMES)
            raise UsageError(f"nothing is selected by {spec.name!r}{near}; wanted {', '.join(SCHEMES)}")
        options = dict(spec.options)
        folds = options.pop("folds", str(_FOLDS) if kind == "k-fold" else None)
        if options:
            raise UsageError(f"{kind} has no option {next(iter(options))!r}; it has folds")
        if folds is not None and (not folds.isdecimal() or not folds.isascii() or int(folds) < 2):
            raise UsageError(f"{kind}[folds={folds}]; wanted a number of folds, 2 or more")
        return cls(kind, None if folds is None else int(folds))


@dataclass(frozen=True, slots=True)
class Criterion:
    """By what a point is taken: a metric (None: the first of METRICS_BY_DEFAULT that is there) and a rule.

    `best` takes the highest mean over folds, `one-standard-error` the first point, in the grid's own order, that is
    within one standard error of it (Breiman et al., Classification and Regression Trees, 1984). With `epochs` the
    epochs of training curves are compared too.
    """

    metric: str | None = None
    rule: Rule = "best"
    epochs: bool = False

    @classmethod
    def of(cls, metric: object, rule: object, eval_every: EvalEvery | None = None) -> Criterion:
        """The criterion that was typed. Raises UsageError for no metric, and for no rule."""
        found = ALIASES.get(metric, metric) if isinstance(metric, str) else metric
        if found is not None and found not in _METRICS:
            near = did_you_mean(str(found), _METRICS)
            raise UsageError(f"no metric {found!r} to select by{near}; there are {', '.join(_METRICS)}")
        known = next((each for each in get_args(Rule) if each == rule), None)
        if known is None:
            raise UsageError(f"nothing is selected by the rule {rule!r}; wanted {', '.join(get_args(Rule))}")
        return cls(found, known, eval_every == "epoch")


@dataclass(frozen=True, slots=True)
class Grid:
    """A name with values between `|`, as rows carry it, and its points in the order that they come."""

    name: str
    points: tuple[str, ...]

    @property
    def specs(self) -> tuple[str, ...]:
        """The points as rows name them."""
        return tuple(dict.fromkeys(str(Spec.parse(point)) for point in self.points))


def grids_among(names: Sequence[str]) -> tuple[Grid, ...]:
    """The grids among names of methods, each once.

    Raises UsageError where there is no grid, and for one that has a single point.
    """
    grids = tuple(dict.fromkeys(_grids(names)))
    if not grids:
        raise UsageError(
            f"there is nothing to select among {', '.join(names)}: name a grid, with | between values of an option, "
            "as 'stacked[clusters=1|2]'"
        )
    return grids


def _grids(names: Sequence[str]) -> Iterator[Grid]:
    for name in names:
        if "|" in name:
            grid = Grid(str(Spec.parse(name)), points_of(name))
            if len(grid.specs) < 2:
                raise UsageError(f"{name} is a grid of one point: there is nothing to select; give it other values")
            yield grid
