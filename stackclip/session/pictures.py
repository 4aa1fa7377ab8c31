"""What methods say of single pictures of one's own."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, overload

from stackclip.benchmarks.plan import Plan, resolved
from stackclip.data import Dataset
from stackclip.data.alike import also_among, first_of_each
from stackclip.data.own import bad_pictures, own_pictures, without_folders
from stackclip.errors import NotApplicable, PictureError, StackclipError, UsageError
from stackclip.methods import Method
from stackclip.ops.given import why_no_name
from stackclip.ops.words import agreed, counted, few_of
from stackclip.registry import Spec
from stackclip.reports.fragments import table_html
from stackclip.reports.frames import frame_of
from stackclip.session.opening import open_datasets
from stackclip.types import Sample
from stackclip.workspace import Workspace

if TYPE_CHECKING:
    from pandas import DataFrame

    from stackclip.inspection.regions import Region
    from stackclip.inspection.written import Written

__all__ = [
    "Inspection",
    "PictureScore",
    "bad_set",
    "check_normal",
    "deployed_set",
    "good_set",
    "object_words",
    "output_folder",
    "own_set",
    "scores_of",
    "showing_all",
]

logger = logging.getLogger("stackclip")
SHOWN = 20  # scores that a notebook shows


@dataclass(frozen=True, slots=True)
class PictureScore:
    """What a method says of a picture: higher is more anomalous, no range is promised.

    `score` or `map_maximum`, the hottest pixel of its map, is NaN where the method gives none. By good pictures, of
    which `percentile` in a hundred score lower, a picture is `anomalous` or not, and `regions` are where; else these
    are None. `heat_map` is the file that was drawn, if one was, and `parts` that of the parts that the method found.
    """

    method: str
    picture: Path
    score: float
    map_maximum: float
    percentile: float | None = None
    p_value: float | None = None
    anomalous: bool | None = None
    regions: tuple[Region, ...] | None = None
    heat_map: Path | None = None
    parts: Path | None = None


@dataclass(frozen=True)
class Inspection(Sequence[PictureScore]):
    """The scores of pictures, method by method as they were named, in the order of the pictures.

    `summaries` say of each method, in a sentence, what was given and where it lies; `failures` why not all was.
    `missing` are pictures of which something could not be kept, `unencoded` those that could not be read, and `unkept`
    is how many trained heads could not be kept on disk.
    """

    scores: tuple[PictureScore, ...]
    summaries: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    missing: frozenset[str] = frozenset()
    unencoded: tuple[PictureError, ...] = ()
    unkept: int = 0

    def _repr_html_(self) -> str:
        """The first pictures of all, for notebooks."""
        shown = [{name: _text(value) for name, value in each.items()} for each in self.records()[:SHOWN]]
        more = f", the first {SHOWN} of them" if len(self) > SHOWN else ""
        columns = [each.name for each in fields(PictureScore) if any(line[each.name] for line in shown)]
        lines = [[line[name] for name in columns] for line in shown]
        return table_html(f"{counted(len(self), 'score')}{more}", columns, lines)

    @overload
    def __getitem__(self, index: int) -> PictureScore: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PictureScore]: ...

    def __getitem__(self, index: int | slice) -> PictureScore | Sequence[PictureScore]:
        return self.scores[index]

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def whole(self) -> bool:
        """Whether every picture was scored by every method, and all was kept."""
        return not (self.failures or self.missing or self.unencoded or self.unkept)

    def frame(self) -> DataFrame:
        """A table with a line for each score. Raises UsageError where pandas is not installed (the extra `frames`)."""
        return frame_of(self.records(), [each.name for each in fields(PictureScore)])

    def records(self) -> list[dict[str, Any]]:
        """The lines of `frame` as plain values by column."""
        return [
            {
                "method": each.method,
                "picture": str(each.picture),
                "score": each.score,
                "map_maximum": each.map_maximum,
                "percentile": each.percentile,
                "p_value": each.p_value,
                "anomalous": each.anomalous,
                "regions": None if each.regions is None else len(each.regions),
                "heat_map": None if each.heat_map is None else str(each.heat_map),
                "parts": None if each.parts is None else str(each.parts),
            }
            for each in self.scores
        ]


def _text(value: object) -> str:
    """A value as a cell of a table; empty where there is none."""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def scores_of(written: Written, *, drawn: bool) -> Iterator[PictureScore]:
    """What a method said of each picture; with `drawn` where its heat map is, and its parts."""
    for place, sample in enumerate(written.samples):
        there, judged = drawn and sample.id not in written.missing, written.judgement
        yield PictureScore(
            written.method,
            sample.image,
            nan if written.scores is None else float(written.scores[place]),
            nan if written.peaks is None else float(written.peaks[place]),
            None if judged is None else float(judged.percentile[place]),
            None if judged is None else float(judged.p_value[place]),
            None if judged is None else bool(judged.anomalous[place]),
            tuple(written.regions[sample.id]) if sample.id in written.regions else None,
            written.place / written.heat_map_of(sample) if there and written.peaks is not None else None,
            written.place / written.parts_of(sample) if there and written.has_parts else None,
        )


@contextmanager
def output_folder(output: Path | None, methods: Iterable[str]) -> Iterator[Path]:
    """The folder that was named, else one that is removed afterwards.

    Raises StackclipError where a method's folder in it holds what stackclip did not write.
    """
    if output is not None:
        from stackclip.inspection.written import check_folders

        check_folders(list(methods), output)
        yield output
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def object_words(text: str) -> str:
    """The words for an object; raises UsageError where there are none."""
    words = " ".join(text.split())
    if not any(letter.isalnum() for letter in words) or why_no_name(words):
        raise UsageError(f"--object {text!r}: wanted what the pictures show, in words: --object 'metal plate'")
    return words


def own_set(workspace: Workspace, folder: Path, words: str, good: Path | None, bad: Path | None = None) -> Dataset:
    """The pictures to score, and those of `good`, which are not scored themselves; nor are those of `bad`.

    Raises StackclipError where none is left to score.
    """
    found, normal = _opened(workspace, folder), [_good(workspace, good)] if good else []
    root, others = found.root.resolve(), (good, bad, workspace.cache)
    left_out = [place for place in others if place and not root.is_relative_to(place.resolve())]
    kept = without_folders(found, left_out)
    if missing := len(found) - len(kept):
        places = " and ".join(str(place) for place in left_out)
        logger.info("%s in %s %s not scored", counted(missing, "picture"), places, agreed("are", missing))
    if not len(kept) and not good:
        raise StackclipError(f"{folder}: all its pictures are in {workspace.cache}, which stackclip fills itself")
    if not len(kept) or (good and root.is_relative_to(good.resolve())):
        where = " or ".join(f"--{word} {place}" for word, place in (("good", good), ("bad", bad)) if place)
        raise StackclipError(f"{folder}: all its pictures are in {where}, so none is left to score")
    for normal_ones in normal:
        _say_shown(folder, also_among(kept.samples, normal_ones.samples), good)
    return own_pictures(kept, words, *normal)


def _say_shown(folder: Path, shown: Sequence[Sample], good: Path | None) -> None:
    """Warn of tested pictures that are good ones too, under another name."""
    if shown:
        names = few_of(sample.id for sample in shown)
        logger.warning(
            "%s: %s in it %s in --good %s too, byte by byte (%s): what is said of them tells nothing of new pictures",
            *(folder, counted(len(shown), "picture"), agreed("are", len(shown)), good, names),
        )


def _good(workspace: Workspace, good: Path) -> Dataset:
    """The good pictures in a folder. One that is there several times counts once: a promise wants independent ones."""
    found = _opened(workspace, good)
    kept = first_of_each(found.samples)
    if repeated := len(found) - len(kept):
        logger.warning(
            "%s: %s in it %s there before, byte by byte, and %s not counted",
            *(good, counted(repeated, "picture"), agreed("are", repeated), agreed("are", repeated)),
        )
    return replace(found, samples=tuple(kept))


def good_set(workspace: Workspace, good: Path, words: str) -> Dataset:
    """The pictures in a folder, all of which are good, as one category of which none is tested."""
    found = _good(workspace, good)
    made = own_pictures(found, words, found)
    return replace(made, samples=made.select(split="train").samples)


def bad_set(workspace: Workspace, folder: Path | None, own: Dataset) -> tuple[Sample, ...]:
    """The pictures in a folder of which all are known to be bad; none without a folder.

    Raises UsageError for one that is among the good ones too.
    """
    if folder is None:
        return ()
    found = _opened(workspace, folder)
    if both := also_among(found.samples, own.select(split="train").samples):
        names = few_of(sample.id for sample in both)
        raise UsageError(f"{folder}: {names} {agreed('are', len(both))} in --good too, byte by byte: which is it?")
    return bad_pictures(found, own.categories[0], own)


def deployed_set(workspace: Workspace, tested: Dataset, words: str, good: Path | None) -> Dataset:
    """The pictures of `good`, of an object to come; `tested` stand for what will be shown of it and are not scored."""
    return own_pictures(replace(tested, name="own", published=""), words, *([_opened(workspace, good)] if good else []))


def _opened(workspace: Workspace, folder: Path) -> Dataset:
    """The data set at a place, also where the place is called as a registered data set is."""
    text = os.path.abspath(folder)  # noqa: PTH100 - keeps the links' names
    [found] = open_datasets([text], generated=workspace.generated, data_root=None).values()
    return found


def showing_all(known: Mapping[str, Method]) -> dict[str, Method]:
    """Methods by their specs; one that cannot do without shots and does not say how many is shown all."""

    def named(spec: str, method: Method) -> str:
        unsaid = getattr(method, "least_shots", 0) and getattr(method, "shots", None) is None
        return str(Spec.parse(spec).with_options(shots="all")) if unsaid else spec

    return resolved([named(spec, method) for spec, method in known.items()], known)


def check_normal(plan: Plan, good: Path | None) -> None:
    """Raise UsageError for methods that want shots where nobody gave any, or too few."""
    wanted = {spec: plan.shots_for(method) for spec, method in plan.resolved.items()}
    asking = {spec: shots for spec, shots in wanted.items() if shots.count}
    if asking and good is None:
        raise UsageError(
            f"{', '.join(asking)}: wants normal pictures of the same object to be shown, and none were given; "
            "name a folder of them with --good, or leave shots out"
        )
    [own] = plan.test_on
    for spec, shots in asking.items():
        try:
            plan.shots_of(own, own.categories[0], plan.seeds[0], shots=shots)
        except NotApplicable as error:
            raise UsageError(f"{spec}: --good {good} has too few pictures: {error}") from None
