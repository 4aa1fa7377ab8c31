"""What lies beside a row: the score of each picture of its cell, and where the method looked, in a small map.

No figure is made of it, and a row is whole without it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stackclip.benchmarks.checks import is_text, list_of
from stackclip.benchmarks.evaluation import Evaluation
from stackclip.benchmarks.plan import Cell
from stackclip.benchmarks.rows import RowFolder
from stackclip.benchmarks.sets import latest_key
from stackclip.errors import DamagedFile
from stackclip.ops.files import write_atomically
from stackclip.ops.seals import read_regular
from stackclip.ops.small_maps import SMALL_SIDE
from stackclip.ops.tensor_files import TensorFile, packed, unpacked
from stackclip.ops.words import legible, one_line
from stackclip.types import ANOMALOUS, NORMAL, Row

__all__ = ["CellPictures", "Sidecars"]

FORMAT = "stackclip-pictures/1"
LARGEST = 1 << 33  # bytes of a sidecar that are read at all; one of a million pictures has 4.6e9
_TEXTS, _NUMBERS = ("ids", "images", "defects"), ("scores", "low", "high")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CellPictures:
    """The N pictures of a cell in order, and what a method said of them: `scores` (N,), and small maps (N, 64, 64).

    `ids` and `images` are paths below the root of their data set (one that lies elsewhere is absolute), `labels` NORMAL
    or ANOMALOUS, `defects` the kinds. A map is `levels` between the picture's own `low` and `high` (N,), which is its
    maximum (`stackclip.ops.small_maps`). `masks` (N, 64, 64) are what is anomalous, of pictures that are `localised`
    (N,). A method without scores has none, one without maps no levels.
    """

    ids: tuple[str, ...]
    images: tuple[str, ...]
    labels: NDArray[np.uint8]
    defects: tuple[str, ...]
    masks: NDArray[np.bool_]
    localised: NDArray[np.bool_]
    scores: NDArray[np.float64] | None = None
    levels: NDArray[np.uint8] | None = None
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, cell: Cell, evaluation: Evaluation) -> CellPictures | None:
        """What an evaluation that looked at single pictures saw of a cell; None of one that did not."""
        looked = evaluation.looked
        if looked is None:
            return None
        root, scores = cell.dataset.root.absolute(), evaluation.settled
        maps = looked.maps if evaluation.peaks and not evaluation.why_no_maps else None
        numbers = {} if maps is None else {"levels": maps.all_levels(), "low": maps.low, "high": maps.high}
        return cls(
            ids=tuple(sample.id for sample in cell.samples),
            images=tuple(_below(root, sample.image.absolute()) for sample in cell.samples),
            labels=np.array([sample.label for sample in cell.samples], np.uint8),
            defects=tuple(sample.defect for sample in cell.samples),
            masks=looked.all_masks(),
            localised=np.array(looked.localised, bool),
            scores=None if scores is None else scores.to(torch.float64).numpy(),
            **{name: np.asarray(found) for name, found in numbers.items()},
        )

    @property
    def said(self) -> NDArray[np.float64] | None:
        """What the method said of each picture (N,): its score, or the maximum of the map where it gives none."""
        return self.high if self.scores is None else self.scores

    def packed(self, name: str) -> bytes:
        """A sealed file of all this."""
        numbers = {each: getattr(self, each) for each in ("labels", "localised", "scores", "levels", "low", "high")}
        numbers["masks"] = np.packbits(self.masks.reshape(len(self), SMALL_SIDE**2), axis=1)
        tensors = {each: torch.from_numpy(found) for each, found in numbers.items() if found is not None}
        facts = {each: list(getattr(self, each)) for each in _TEXTS}
        return packed(tensors, facts, form=FORMAT, name=name)

    @classmethod
    def unpacked(cls, file: TensorFile) -> CellPictures:
        """The inverse of `packed`. Raises ValueError for what it could not have made."""
        facts, tensors = file.facts or {}, file.tensors
        if file.format != FORMAT or not file.is_sealed or not all(list_of(is_text)(facts.get(each)) for each in _TEXTS):
            raise ValueError("its bytes are not those that were saved")
        count = len(facts["ids"])
        if not all(len(facts[each]) == count for each in _TEXTS) or not _fits(tensors, count):
            raise ValueError("it holds arrays of other shapes or kinds")
        found: dict[str, Any] = {name: each.numpy() for name, each in tensors.items()}
        found["masks"] = np.unpackbits(found["masks"], axis=1).astype(bool).reshape(-1, SMALL_SIDE, SMALL_SIDE)
        found |= {each: tuple(facts[each]) for each in _TEXTS}
        return cls(**found)


def _fits(tensors: Mapping[str, Tensor], count: int) -> bool:
    """Whether these are arrays of so many pictures: those of maps all or none, scores finite, and labels labels."""
    square = (count, SMALL_SIDE, SMALL_SIDE)
    wanted: dict[str, Any] = {"labels": ((count,), torch.uint8), "localised": ((count,), torch.bool)}
    wanted["masks"] = ((count, SMALL_SIDE**2 // 8), torch.uint8)
    optional: dict[str, Any] = {"levels": (square, torch.uint8), **dict.fromkeys(_NUMBERS, ((count,), torch.float64))}
    wanted |= {name: found for name, found in optional.items() if name in tensors}
    if {name: (tuple(each.shape), each.dtype) for name, each in tensors.items()} != wanted:
        return False
    finite = all(bool(tensors[name].isfinite().all()) for name in _NUMBERS if name in tensors)
    labels = bool(torch.isin(tensors["labels"], torch.tensor((NORMAL, ANOMALOUS))).all())
    return finite and labels and len({"levels", "low", "high"} & tensors.keys()) in (0, 3)


def _below(root: Path, path: Path) -> str:
    """The path below a root with forward slashes, or whole where it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


@dataclass(frozen=True)
class Sidecars:
    """The sidecars of a folder of rows, in `sidecars/` beside it, `<cell id>.safetensors` each; read when asked for."""

    rows: RowFolder
    _named: set[Path] = field(default_factory=set, repr=False, compare=False)

    def write(self, cell: str, pictures: CellPictures) -> None:
        """Keep what a method said of the pictures of a cell. Raises OSError."""
        write_atomically(self._path(cell), pictures.packed(cell))

    def find(self, cell: str) -> CellPictures | None:
        """The sidecar of a cell, if there is one; a damaged file is reported once and counts as not there."""
        path = self._path(cell)
        try:
            file = unpacked(read_regular(path, largest=LARGEST))
            if file.name != cell:
                raise ValueError("it belongs to another cell")
            return CellPictures.unpacked(file)
        except DamagedFile as error:
            if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                return None
            said = one_line(error)
        except ValueError as error:
            said = f"{path}: not the pictures of a cell ({one_line(error)})"
        if path not in self._named:
            self._named.add(path)
            logger.warning("%s", f"{legible(said)}; stackclip bench --overwrite always writes it again")
        return None

    def of(self, row: Row) -> CellPictures | None:
        """What the method of a row said of its pictures, if that was kept."""
        cell = self.cell_of(row)
        return None if cell is None else self.find(cell)

    def cell_of(self, row: Row) -> str | None:
        """The cell under which a row is kept, if it is."""
        return self._cells.get(_known_by(row))

    @cached_property
    def _cells(self) -> Mapping[tuple[object, ...], str]:
        """The cells by what tells their rows; of two alike, the later."""
        return {_known_by(entry.row): entry.cell for entry in self.rows.entries(aloud=False)}

    def _path(self, cell: str) -> Path:
        return self.rows.folder.with_name("sidecars") / f"{cell}.safetensors"


def _known_by(row: Row) -> tuple[object, ...]:
    """What tells a row from others of the folder, wherever its data set lies now."""
    return (*latest_key(row), row.seconds, *sorted(row.metrics.items()))
