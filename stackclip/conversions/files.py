"""The files of a conversion: pictures linked or copied under names of their own, masks as PNG."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackclip.data import picture_size
from stackclip.data.images import png_of
from stackclip.data.labels import composed
from stackclip.data.masks import whole_mask
from stackclip.data.naming import absolute
from stackclip.errors import PictureError
from stackclip.ops.named_errors import naming
from stackclip.ops.outputs import unique_name
from stackclip.ops.words import counted
from stackclip.types import NORMAL, Sample

__all__ = ["Placer", "folder_names", "in_folders", "picture_places"]

_FORBIDDEN = '<>:"/\\|?*'  # on some systems


@dataclass
class Placer:
    """Puts files below `folder`; a picture that cannot be read, and a mask, is among `failed`, and the rest goes on."""

    folder: Path
    copy: bool
    pictures: int = 0
    masks: int = 0
    failed: list[PictureError] = field(default_factory=list)
    missing: int = 0
    _copied: int = 0

    def picture(self, sample: Sample, place: str) -> bool:
        """Link to the picture, or copy it, to `place` (with forward slashes); False where it cannot be read."""
        try:
            picture_size(sample.image)
        except PictureError as error:
            self.failed.append(error)
            return False
        self.file(sample.image, place)
        self.pictures += 1
        return True

    def file(self, source: Path, place: str) -> None:
        """Link to any file, or copy it; where there are no links it is copied. Raises OSError."""
        path = self._path(place)
        if not self.copy:
            try:
                path.symlink_to(absolute(source))
            except OSError:
                self._copied += 1
            else:
                return
        with naming(path):
            shutil.copyfile(source, path)

    def mask(self, sample: Sample, place: str) -> bool:
        """Write the mask as PNG, 0 and 255; False where there is none to write."""
        pixels = self.pixels(sample)
        if pixels is None:
            return False
        self._write(place, png_of(Image.fromarray(pixels.astype(np.uint8) * 255)))
        self.masks += 1
        return True

    def pixels(self, sample: Sample) -> NDArray[np.bool_] | None:
        """The anomalous pixels (H, W) of a defective sample; None where it has no mask, or none that can be read."""
        if sample.label == NORMAL or sample.mask is None:
            return None
        if not sample.mask.exists():
            self.missing += 1
            return None
        try:
            return whole_mask(sample)
        except PictureError as error:
            self.failed.append(error)
            return None

    def text(self, place: str, text: str) -> None:
        """Write a text. Raises OSError."""
        self._write(place, text.encode("utf-8", "backslashreplace"))

    def notes(self) -> list[str]:
        """What became of masks and links, as far as it was not asked for."""
        found = [f"{counted(self.missing, 'mask')} missing, and left out"] if self.missing else []
        return found + ([f"{counted(self._copied, 'file')} copied: no links can be made here"] if self._copied else [])

    def _write(self, place: str, data: bytes) -> None:
        path = self._path(place)
        with naming(path):  # a full disk names none
            path.write_bytes(data)

    def _path(self, place: str) -> Path:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def picture_places(samples: Iterable[Sample], folder_of: Callable[[Sample], str]) -> dict[Sample, str]:
    """A place for each picture in the folder that is given for it: its file's name, or a unique one where two have it.

    Names that differ in their extension or case alone are no names of their own: masks go by the stem.
    """
    samples = list(samples)
    taken: dict[tuple[str, str], int] = {}
    for sample in samples:
        taken[_key(sample, folder_of)] = taken.get(_key(sample, folder_of), 0) + 1
    return {
        sample: f"{folder_of(sample)}/{_file_name(sample, alone=taken[_key(sample, folder_of)] == 1)}"
        for sample in samples
    }


def in_folders(sample: Sample, categories: Mapping[str, str]) -> str:
    """`CATEGORY/DEFECT/SPLIT`, where a list says what pictures are; a folder `good` says it to whoever has no list."""
    return f"{categories[sample.category]}/{folder_names([sample.defect])[sample.defect]}/{sample.split}"


def folder_names(names: Iterable[str], means: Callable[[str], bool] = lambda name: False) -> dict[str, str]:
    """A folder's name for each category or defect: its own where every system takes it and it `means` nothing else."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        plain = "".join("_" if letter in _FORBIDDEN or not letter.isprintable() else letter for letter in name)
        plain = plain.strip(" .") or unique_name(name)
        if means(plain):
            plain = f"{plain}_defect"
        taken = {composed(each).casefold() for each in found.values()}
        found[name] = unique_name(f"{name}/{plain}") if composed(plain).casefold() in taken else plain
    return found


def _key(sample: Sample, folder_of: Callable[[Sample], str]) -> tuple[str, str]:
    return folder_of(sample), composed(PurePosixPath(sample.id).stem).casefold()


def _file_name(sample: Sample, *, alone: bool) -> str:
    name = PurePosixPath(sample.id)
    return name.name if alone else f"{unique_name(sample.id)}{name.suffix}"
