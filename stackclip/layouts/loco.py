"""MVTec-LOCO and its like: a mask file for each defect, pictures to calibrate by, products with sub-types."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from stackclip.data.defects import DEFECTS_CONFIG
from stackclip.errors import DataError
from stackclip.layouts.mvtec import PublishedLayout, read_splits, with_validation
from stackclip.ops.files import expanded
from stackclip.registry import datasets
from stackclip.types import GOOD, Sample

__all__ = ["AutoVi", "MvtecLoco"]

_OTHER = {"logical": "structural", "structural": "logical"}
_COLUMNS = ["image", "subtype"]


@datasets.register("mvtec-loco")
class MvtecLoco(PublishedLayout):
    """MVTec-LOCO: 5 categories, test 575 normal, 432 structural and 561 logical anomalies (Bergmann et al., IJCV 2022).

    A mask is the union of the files in `ground_truth/DEFECT/STEM/`, of which each is one defect for sPRO; the pictures
    of `validation/` are those that methods calibrate by. `anomalies` tests only those that are `structural` or
    `logical`, beside all that are normal. `subtypes` is a CSV `image,subtype` (`juice_bottle/test/good/000.png,cherry`)
    that makes categories of their own, `juice_bottle/cherry`, of the categories that it names pictures of: the nine of
    CLIP-LAD, whose lists are not published.
    """

    published = "mvtec-loco"
    source = "CC BY-NC-SA 4.0, MVTec Software GmbH, www.mvtec.com/company/research/datasets/mvtec-loco"
    size = "one archive, 5.7 GB"
    folders: tuple[str, ...] = ("mvtec_loco", "mvtec_loco_anomaly_detection")
    tree = """\
ROOT/
  CATEGORY/                               breakfast_box, juice_bottle, pushpins, ...
    defects_config.json
    train/good/NNN.png
    validation/good/NNN.png
    test/good/NNN.png
    test/logical_anomalies/NNN.png
    test/structural_anomalies/NNN.png
    ground_truth/logical_anomalies/NNN/*.png
    ground_truth/structural_anomalies/NNN/*.png
"""

    def __init__(
        self, *, anomalies: Literal["both", "logical", "structural"] = "both", subtypes: Path | None = None
    ) -> None:
        self.anomalies = anomalies
        self.subtypes = subtypes
        parts = ["subtypes"] * (subtypes is not None) + [anomalies] * (anomalies != "both")
        self.protocol = "-".join(parts)

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by category, then train, validation, test, then defect, then file name; raises DataError."""
        tested = (GOOD, f"{self.anomalies}_anomalies")
        whole = self.anomalies == "both"
        samples = super().read(root, name)
        if self.subtypes is not None:
            samples = tuple(_divided(samples, expanded(str(self.subtypes))))
        return tuple(sample for sample in samples if whole or sample.defect in tested)

    def samples_of(self, category: Path, root: Path, name: str) -> Iterator[Sample]:
        """The samples of one category, with the place of its `defects_config.json` though it lack; raises DataError."""
        if (category / DEFECTS_CONFIG).exists():
            yield from super().samples_of(category, root, name)
            return
        for sample in read_splits(category, with_validation(category), root, name):
            yield replace(sample, defects=category / DEFECTS_CONFIG)

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file says what defects are, or belongs to the anomalies that are not tested."""
        if self.anomalies != "both" and f"{_OTHER[self.anomalies]}_anomalies" in path.relative_to(root).parts:
            return True
        return super().spare(path, root) or (self.subtypes is not None and path == expanded(str(self.subtypes)))


@datasets.register("autovi")
class AutoVi(MvtecLoco):
    """AutoVI: 6 categories of a car's assembly line (Carvalho et al., 2024), as MVTec-LOCO without its validation.

    Its article and copies of its archive do not agree on `pipe_clip` and `pipe_staple`, whose numbers are not compared.
    """

    published = "autovi"
    source = "see its authors' terms, Renault Group and Universite de technologie de Compiegne, zenodo.org"
    folders = ("AutoVI",)
    tree = """\
ROOT/
  CATEGORY/                               engine_wiring, pipe_clip, pipe_staple, ...
    defects_config.json
    train/good/NNNN.png
    test/good/NNNN.png
    test/DEFECT/NNNN.png
    ground_truth/DEFECT/NNNN/*.png
"""

    def __init__(self) -> None:
        super().__init__()


def _divided(samples: tuple[Sample, ...], path: Path) -> Iterator[Sample]:
    """The samples in the order of their categories, those of categories that a list names in ones of their sub-types.

    Raises DataError for a picture of such a category that the list lacks, and for a line whose picture is not there.
    """
    listed = _subtypes(path)
    by_id = {sample.id: sample for sample in samples}
    if other := next((image for image in listed if image not in by_id), None):
        raise DataError(f"{path}: {other}: no such picture; wanted its path below the data set's folder")
    named = {by_id[image].category for image in listed}
    divided = [sample for sample in samples if sample.category in named]
    if lacking := [sample.id for sample in divided if sample.id not in listed]:
        found = f"{len(lacking)} of {len(divided)} pictures of {', '.join(sorted(named))} lack"
        raise DataError(f"{path}: {found}, {lacking[0]} for one; wanted a line for each, or for none of a category")
    for category in dict.fromkeys(sample.category for sample in samples):
        own = [sample for sample in samples if sample.category == category]
        if category not in named:
            yield from own
        for subtype in sorted({listed[sample.id] for sample in own} if category in named else ()):
            yield from (replace(s, category=f"{category}/{subtype}") for s in own if listed[s.id] == subtype)


def _subtypes(path: Path) -> Mapping[str, str]:
    """The sub-type of each picture of a list, by its id; raises DataError with the line."""
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, skipinitialspace=True)
            head = next(lines, [])
            if head != _COLUMNS:
                raise DataError(f"{path}: the first line is {','.join(head) or 'empty'}; wanted {','.join(_COLUMNS)}")
            for line in filter(None, lines):
                where = f"{path}:{lines.line_num}"
                image, subtype = line if len(line) == 2 else ("", "")
                if not image or not subtype.strip() or not subtype.isprintable() or "/" in subtype:
                    raise DataError(f"{where}: found {','.join(line)}; wanted a picture's path and a word, {_COLUMNS}")
                image = image.replace("\\", "/")
                if image in found:
                    raise DataError(f"{where}: {image} stands there a second time")
                found[image] = subtype.strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({reason}); wanted a CSV with {','.join(_COLUMNS)}") from None
    if not found:
        raise DataError(f"{path}: names no picture; wanted lines of {','.join(_COLUMNS)}")
    return found
