"""The numbers that papers print, and which of them stand beside which measured ones."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType

from stackclip.benchmarks.facts import facts_of
from stackclip.errors import StackclipError
from stackclip.registry import Spec
from stackclip.types import Row

__all__ = ["SOURCES", "Lookup", "Publication", "Published", "Reference", "joined", "published"]

_FILE = "tables/published.csv"
_CFLOW = "pixel_AUPRO_cflow200"


@dataclass(frozen=True, slots=True)
class Publication:
    """Where numbers are printed: a short name for tables, and what it is."""

    short: str
    title: str


SOURCES: Mapping[str, Publication] = MappingProxyType(
    {
        "fuzzyclip": Publication("FuzzyCLIP", "FuzzyCLIP, the full earlier version of StackCLIP (arXiv 2506.23577)"),
        "clip-ad": Publication("CLIP-AD", "CLIP-AD (Chen et al., arXiv 2311.00453)"),
        "clip-lad": Publication("CLIP-LAD", "CLIP-LAD, few-shot logical anomaly detection"),
        "aa-clip-release": Publication("AA-CLIP's log", "log in the released code of AA-CLIP, commit 53db195"),
        "anomalyclip-release": Publication(
            "AnomalyCLIP's logs", "logs in the released code of AnomalyCLIP, commit 45ed4dd"
        ),
        "accurate-winclip": Publication("Accurate-WinCLIP", "README of Accurate-WinCLIP-pytorch, commit eef4f8c"),
        "anomalib": Publication("anomalib", "README of anomalib's PatchCore, commit b723368"),
        "patchcore-release": Publication("PatchCore's README", "README of patchcore-inspection, commit fcaa92f"),
        "musc": Publication("MuSc", "MuSc (Li et al., ICLR 2024)"),
        "anomaly-dino": Publication("AnomalyDINO", "AnomalyDINO (Damm et al., WACV 2025)"),
        "visualad-release": Publication("VisualAD's README", "README of VisualAD, commit 02767eb"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One printed line at one level (`image` or `pixel`).

    `method` is a spec as it is typed, `setting` what no option expresses. `category` is empty for the mean. No
    `train_on` is no training, or none that the paper names. `tower` is the model, the weights and the picture size, as
    far as they are said. `values` are fractions by metric, as printed; `remark` says what is doubtful about them.
    """

    source: str
    table: str
    method: str
    setting: str
    dataset: str
    category: str
    train_on: tuple[str, ...]
    shots: str
    level: str
    tower: str
    values: Mapping[str, float]
    spread: float | None
    remark: str

    @property
    def label(self) -> str:
        """`FuzzyCLIP, table 2`."""
        if self.table.isdigit():
            return f"{self.short}, table {self.table}"
        return f"{self.short}, appendix {self.table}" if self.table.isupper() else self.short

    @property
    def short(self) -> str:
        """The source in a word or two."""
        return SOURCES[self.source].short


@cache
def published() -> tuple[Published, ...]:
    """All printed lines that the package knows, by source and table."""
    text = (resources.files("stackclip.papers") / _FILE).read_text("utf-8")
    return tuple(_parsed(row) for row in csv.DictReader(text.splitlines()))


def _parsed(row: Mapping[str, str]) -> Published:
    level = row["level"]
    printed = {name: row[name] for name in ("AUROC", "AP", "F1max", "AUPRO") if row[name]}
    facts = ("source", "table", "method", "setting", "dataset", "category", "shots", "tower", "remark")
    return Published(
        **{name: row[name] for name in facts},
        level=level,
        train_on=tuple(row["train_on"].split("+")) if row["train_on"] else (),
        values={f"{level}_{name}": _fraction(text) for name, text in printed.items()},
        spread=_fraction(row["spread"]) if row["spread"] else None,
    )


def _fraction(percent: str) -> float:
    return round(float(percent) / 100, 6)


@dataclass(frozen=True, slots=True)
class Reference:
    """What one table prints of one method on one data set, image and pixel level together.

    A paper does not say by which definition it took its AUPRO: its value stands under both of ours.
    """

    lines: tuple[Published, ...]

    @property
    def label(self) -> str:
        """`FuzzyCLIP, table 2`."""
        return self.lines[0].label

    @property
    def values(self) -> dict[str, float]:
        """Fractions by metric."""
        values = {name: value for line in self.lines for name, value in line.values.items()}
        return values | ({_CFLOW: values["pixel_AUPRO"]} if "pixel_AUPRO" in values else {})


def joined(lines: Iterable[Published]) -> list[Reference]:
    """Lines of the two levels put together, in the order they come."""
    groups: dict[tuple[object, ...], list[Published]] = {}
    for line in lines:
        what = (line.label, line.method, line.setting, line.tower)
        key = (*what, line.dataset, line.category, line.train_on, line.shots)
        groups.setdefault(key, []).append(line)
    return [Reference(tuple(group)) for group in groups.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Finds printed lines beside measured ones.

    `families` tells which published data set a measured one is (a part of), by the name that rows give it. With
    `any_training` a printed line stands beside whatever the method was trained on, if there is just one such line of
    its table: for suites that are run on other data.
    """

    lines: tuple[Published, ...] = field(default_factory=published)
    families: Mapping[str, str] = field(default_factory=dict)
    any_training: bool = False

    def find(self, row: Row, *, category: str = "") -> list[Reference]:
        """What is printed of a row's method, data sets and shots, on a category or in the mean; equal numbers once.

        The options are the same but for those that only say the default. A line without training sets fits whatever a
        method was trained on: the method is not trained, or the paper does not say. Where a table has a method
        under several towers, the row's is taken. A line with a setting that no option expresses fits nothing.
        """
        place = (self._tested(row), category, str(row.shots))
        name = Spec.parse(row.method).name
        method = {level: _plain(row.method, level) for level in ("image", "pixel")}
        here = [
            line
            for line in self.lines
            if (line.dataset, line.category, line.shots) == place
            and not line.setting
            and line.method.partition("[")[0] == name
            and _plain(line.method, line.level) == method[line.level]
        ]
        trained = self.trained(row)
        fits = [line for line in here if not line.train_on or set(line.train_on) == trained]
        if self.any_training and not fits:
            fits = [line for line in here if len(_alternatives(line, here, "train_on")) == 1]
        tower = facts_of(row).tower
        fits = [
            line
            for line in fits
            if len(_alternatives(line, fits, "tower")) == 1 or line.tower.partition(" ")[0] == tower
        ]
        return list(_once(joined(fits)))

    def unmatched(self, rows: Iterable[Row]) -> list[Reference]:
        """The means that are printed for what was not measured."""
        found = {id(line) for row in rows for reference in self.find(row) for line in reference.lines}
        return joined(line for line in self.lines if id(line) not in found and not line.category)

    def trained(self, row: Row) -> set[str]:
        """The published data sets that those a row was trained on are (parts of)."""
        return set(facts_of(row).trained_families or map(self._family, row.train_on))

    def _tested(self, row: Row) -> str:
        """What a row's tested data set is (a part of): as the row says, which knew its content, or by its name."""
        return facts_of(row).tested_family or self._family(row.test_on)

    def _family(self, name: str) -> str:
        return self.families.get(name, name)


def _alternatives(line: Published, lines: Iterable[Published], field: str) -> set[object]:
    """The values of a field among the lines of the same table."""
    return {getattr(other, field) for other in lines if (other.source, other.table) == (line.source, line.table)}


def _once(references: Iterable[Reference]) -> Iterator[Reference]:
    """The references that say something, each set of numbers once."""
    seen: list[dict[str, float]] = []
    for reference in sorted(references, key=lambda each: -len(each.values)):
        if not any(reference.values.items() <= other.items() for other in seen):
            seen.append(reference.values)
            yield reference


def _plain(method: str, level: str) -> str:
    """A spec without the options that say what is the default anyway, or change no figure of the level.

    No map depends on the learner; no paper says what it did with names that do not fit. A spec of no registered method
    keeps all others.
    """
    from stackclip.methods import component_of

    spec = Spec.parse(method)
    try:
        defaults = {option.label: option.default_text for option in component_of(spec.name).options}
    except StackclipError:
        defaults = {}
    unsaid = ("overflow", "learner") if level == "pixel" else ("overflow",)
    kept = (item for item in spec.options if item[0] not in unsaid and defaults.get(item[0]) != item[1])
    return str(Spec(spec.name, tuple(sorted(kept))))
