"""The registered data set `synthetic-logical`: drawn assemblies with logical anomalies, in the layout of MVTec-LOCO."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from stackclip.layouts.drawn import check_ranges, seed_of, write_picture
from stackclip.ops.files import written_once
from stackclip.registry import datasets
from stackclip.synthetic.arrangement import LOGICAL
from stackclip.synthetic.assembled import STRUCTURAL, Photo, draw_assembly, flaws_of
from stackclip.synthetic.assemblies import ASSEMBLIES
from stackclip.types import GOOD, Sample

__all__ = ["SyntheticLogical"]

_VERSION = 1
"""Rises with every change of what is drawn, so that older folders are not taken for newer ones."""
_FIRST_VALUE = 255
_FOLDERS: dict[str, Iterable[str]] = {"logical_anomalies": LOGICAL, "structural_anomalies": STRUCTURAL}


@datasets.register("synthetic-logical")
class SyntheticLogical:
    """Drawn assemblies of parts, where one is missing, surplus, swapped, of a wrong colour, or damaged; no download.

    `categories` of them (fastener_tray, pencil_box, connector_plate) come with `train_good` good pictures to train
    with, `validation_good` more, `test_good` to test with, and `per_kind` of each kind of anomaly: missing, surplus,
    swapped, wrong_colour (logical), scratch, stain, break (structural). The kind is in a picture's name. All are `size`
    pixels high and wide.

    Raises BadOption for numbers out of range.
    """

    title = "generated assemblies in MVTec-LOCO layout"
    tree = """\
ROOT/                                         made by the generator
  fastener_tray/                              pencil_box, connector_plate
    defects_config.json                       name, pixel value and saturation of every defect
    train/good/000.png
    validation/good/000.png
    test/good/000.png
    test/logical_anomalies/000-missing.png    and structural_anomalies/
    ground_truth/logical_anomalies/000-missing/000.png     a file for each defect
"""

    def __init__(
        self,
        *,
        size: int = 160,
        categories: int = 3,
        train_good: int = 24,
        validation_good: int = 8,
        test_good: int = 16,
        per_kind: int = 4,
        seed: int = 0,
    ) -> None:
        check_ranges(
            "synthetic-logical",
            size=(size, 64, 2048),
            categories=(categories, 1, len(ASSEMBLIES)),
            train_good=(train_good, 0, 1000),
            validation_good=(validation_good, 0, 1000),
            test_good=(test_good, 1, 1000),
            per_kind=(per_kind, 1, 1000),
            seed=(seed, 0, 2**63 - 1),
        )
        self.name = "synthetic-logical"
        self.size = size
        self.categories = tuple(ASSEMBLIES)[:categories]
        self.good = {"train": train_good, "validation": validation_good, "test": test_good}
        self.per_kind = per_kind
        self.seed = seed

    @property
    def folder_name(self) -> str:
        """All options and the generator's version, as the name of a folder."""
        counts = "+".join(str(count) for count in (*self.good.values(), self.per_kind))
        return f"{self.name}-{self.size}px-{len(self.categories)}x{counts}-seed{self.seed}-v{_VERSION}"

    def generate(self, folder: Path) -> Path:
        """Write the data set below `folder`, unless it is there; return its root."""
        return written_once(folder / self.folder_name, self._write)

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """The samples of a generated folder, in the order of the MVTec-LOCO layout."""
        samples: tuple[Sample, ...] = datasets.create("mvtec-loco").read(root, name)
        return samples

    def _write(self, draft: Path) -> None:
        for category in self.categories:
            values = self._write_config(draft / category, category)
            for split, count in self.good.items():
                for index in range(count):
                    photo = self._draw(category, GOOD, split, index)
                    write_picture(draft / category / split / GOOD, f"{index:03}.png", photo.pixels)
            for anomalies, kind in ((folder, kind) for folder, kinds in _FOLDERS.items() for kind in kinds):
                for index in range(self.per_kind):
                    photo = self._draw(category, kind, "test", index)
                    _write_anomaly(draft / category, anomalies, f"{index:03}-{kind}", photo, values)

    def _write_config(self, folder: Path, category: str) -> dict[str, int]:
        """Write what the reader is to know of the defects; return their pixel values."""
        flaws = flaws_of(category, self.size)
        values = {name: _FIRST_VALUE - number for number, name in enumerate(flaws)}
        config = [
            {
                "defect_name": name,
                "pixel_value": values[name],
                "saturation_threshold": 1.0 if pixels is None else pixels,
                "relative_saturation": pixels is None,
            }
            for name, pixels in flaws.items()
        ]
        folder.mkdir(parents=True)
        (folder / "defects_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        return values

    def _draw(self, category: str, kind: str, split: str, index: int) -> Photo:
        return draw_assembly(category, kind, seed=seed_of(self.seed, category, split, kind, index), size=self.size)


def _write_anomaly(folder: Path, anomalies: str, stem: str, photo: Photo, values: Mapping[str, int]) -> None:
    write_picture(folder / "test" / anomalies, f"{stem}.png", photo.pixels)
    for number, defect in enumerate(photo.defects):
        mask = defect.mask.astype(np.uint8) * np.uint8(values[defect.name])
        write_picture(folder / "ground_truth" / anomalies / stem, f"{number:03}.png", mask)
