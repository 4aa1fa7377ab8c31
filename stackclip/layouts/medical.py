"""The four medical data sets of CLIP-AD in their public layouts: two with labels alone, two with masks alone."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from stackclip.data.listing import pictures_in, place_below
from stackclip.data.pairing import MaskFolder
from stackclip.errors import DataError
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["BrainMri", "CvcClinicDb", "HeadCt", "Isic"]

_ISIC = "ISBI2016_ISIC_Part1_"
_ISIC_PARTS: tuple[tuple[str, str, Literal["train", "test"]], ...] = (
    (f"{_ISIC}Training_Data", f"{_ISIC}Training_GroundTruth", "train"),
    (f"{_ISIC}Test_Data", f"{_ISIC}Test_GroundTruth", "test"),
)
_CVC = (("Original", "Ground Truth"), ("images", "masks"))
_CVC_BELOW = ("", "PNG", "TIF")


@datasets.register("headct")
class HeadCt:
    """HeadCT: 100 slices of normal heads and 100 with a hemorrhage, image level only (Kitamura, Kaggle 2018).

    All are test pictures of one category, `brain`, as AnomalyCLIP calls it.
    """

    published = "headct"
    title = "HeadCT layout (no masks)"
    source = "Felipe Kitamura, kaggle.com/datasets/felipekitamura/head-ct-hemorrhage"
    folders = ("head_ct", "head-ct-hemorrhage")
    tree = """\
ROOT/
  labels.csv                              (id, hemorrhage: 0 or 1)
  head_ct/head_ct/NNN.png                 (or head_ct/NNN.png)
"""

    def recognises(self, root: Path) -> bool:
        """Whether `root` has `labels.csv` beside `head_ct/`."""
        return (root / "labels.csv").is_file() and (root / "head_ct").is_dir()

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, in the order of the list.

        Raises DataError for a list that is malformed, with the line, and for a picture or a line without the other.
        """
        labels = root / "labels.csv"
        folder = root / "head_ct" / "head_ct"
        folder = folder if folder.is_dir() else folder.parent
        if not labels.is_file() or not folder.is_dir():
            return ()
        pictures = {int(image.stem): image for image in pictures_in(folder) if image.stem.isdecimal()}
        samples = []
        for number, bleeds in _hemorrhages(labels):
            if (image := pictures.pop(number, None)) is None:
                raise DataError(f"{labels}: names picture {number} twice, or it is not in {folder}")
            samples.append(_sample(image, root, name, "brain", "hemorrhage" if bleeds else GOOD))
        if pictures:
            raise DataError(f"{next(iter(pictures.values()))}: no line for it in {labels}")
        return tuple(samples)

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file is the list."""
        return path == root / "labels.csv"


@datasets.register("brainmri")
class BrainMri:
    """BrainMRI: 98 pictures of normal brains and 155 with a tumor, image level only (Chakrabarty, Kaggle 2019).

    All are test pictures of one category, `brain`, as AnomalyCLIP calls it. The archive holds the pictures twice, in
    `brain_tumor_dataset/` too; they are read once. Folders named `yes` and `no` tell little, so the layout is not
    detected: open it by name.
    """

    published = "brainmri"
    title = "BrainMRI layout (no masks)"
    source = "Navoneel Chakrabarty, kaggle.com/datasets/navoneel/brain-mri-images-for-brain-tumor-detection"
    folders = ("brain_mri", "brain_tumor_dataset", "brain-mri-images-for-brain-tumor-detection")
    tree = """\
ROOT/                                     (or ROOT/brain_tumor_dataset/)
  no/*.jpg
  yes/*.jpg
"""

    def recognises(self, root: Path) -> bool:
        """Whether `root`, or `brain_tumor_dataset/` in it, has `yes/` and `no/`."""
        return _answers(root) is not None

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, `no` before `yes`, by file name; raises DataError for a folder that cannot be listed."""
        folder = _answers(root)
        return tuple(
            _sample(image, root, name, "brain", defect)
            for answer, defect in (("no", GOOD), ("yes", "tumor"))
            for image in (pictures_in(folder / answer) if folder else [])
        )


@datasets.register("isic")
class Isic:
    """ISIC 2016, part 1: 379 test pictures of skin lesions with masks, pixel level only (Gutman et al., ISBI 2016).

    One category, `skin`, as AnomalyCLIP calls it; no picture is normal. The 900 training pictures are the train split
    where they are there.
    """

    published = "isic"
    title = "ISIC 2016 layout (no normal pictures)"
    source = "CC0, International Skin Imaging Collaboration, challenge.isic-archive.com/data"
    folders = ("isic2016", "isbi", "isbi2016")
    tree = """\
ROOT/
  ISBI2016_ISIC_Part1_Test_Data/ISIC_NNNNNNN.jpg
  ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_NNNNNNN_Segmentation.png
  ISBI2016_ISIC_Part1_Training_Data/      (if there)
  ISBI2016_ISIC_Part1_Training_GroundTruth/
"""

    def recognises(self, root: Path) -> bool:
        """Whether `root` has the folder of test or of training pictures of part 1."""
        return any((root / pictures).is_dir() for pictures, _, _ in _ISIC_PARTS)

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, train before test, by file name; raises DataError for pictures without a folder of masks."""
        return tuple(
            _sample(image, root, name, "skin", "lesion", mask=mask, split=split)
            for pictures, masks, split in _ISIC_PARTS
            for image, mask in _masked(root / pictures, MaskFolder(root / masks, endings=("_Segmentation",)))
        )


@datasets.register("cvc-clinicdb")
class CvcClinicDb:
    """CVC-ClinicDB: 612 frames of colonoscopies with the masks of polyps, pixel level only (Bernal et al., CMIG 2015).

    One category, `colon`, as AnomalyCLIP calls it; no picture is normal, and all are test pictures. `images/` and
    `masks/` may be anyone's, so the layout is not detected: open it by name.
    """

    published = "cvc-clinicdb"
    title = "CVC-ClinicDB layout (no normal pictures)"
    source = "Universitat Autonoma de Barcelona, polyp.grand-challenge.org/CVCClinicDB"
    folders = ("cvc_clinicdb", "clinicdb")
    tree = """\
ROOT/                                     (or ROOT/PNG/, ROOT/TIF/)
  Original/N.tif                          (or images/N.png)
  Ground Truth/N.tif                      (or masks/N.png)
"""

    def recognises(self, root: Path) -> bool:
        """Whether `root`, or `PNG/` or `TIF/` in it, has the two folders."""
        return self._folders(root) is not None

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by file name; raises DataError for a folder that cannot be listed."""
        if (folders := self._folders(root)) is None:
            return ()
        pictures, masks = folders
        return tuple(
            _sample(image, root, name, "colon", "polyp", mask=mask)
            for image, mask in _masked(pictures, MaskFolder(masks, endings=("",)))
        )

    def _folders(self, root: Path) -> tuple[Path, Path] | None:
        """The folders of pictures and of masks."""
        places = ((root / below / pictures, root / below / masks) for below in _CVC_BELOW for pictures, masks in _CVC)
        return next((both for both in places if all(folder.is_dir() for folder in both)), None)


def _sample(
    image: Path,
    root: Path,
    name: str,
    category: str,
    defect: str,
    *,
    mask: Path | None = None,
    split: Literal["train", "test"] = "test",
) -> Sample:
    return Sample(
        id=place_below(image, root),
        dataset=name,
        category=category,
        split=split,
        image=image,
        mask=mask,
        label=NORMAL if defect == GOOD else ANOMALOUS,
        defect=defect,
    )


def _masked(folder: Path, masks: MaskFolder) -> Iterator[tuple[Path, Path]]:
    """Each picture of a folder, none if it is not there, with its mask."""
    for image in pictures_in(folder) if folder.is_dir() else []:
        mask = masks.of(image)
        if mask is None:
            raise DataError(f"{masks.folder}: no such folder; wanted the masks of {folder}")
        yield image, mask


def _answers(root: Path) -> Path | None:
    """The folder that has `yes/` and `no/`: `root`, or the one in it that the archive has."""
    places = (root, root / "brain_tumor_dataset")
    return next((place for place in places if (place / "yes").is_dir() and (place / "no").is_dir()), None)


def _hemorrhages(path: Path) -> Iterator[tuple[int, bool]]:
    """The lines of `labels.csv`: a picture's number, and whether there is a hemorrhage."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, skipinitialspace=True)
            if [field.strip() for field in next(lines, [])] != ["id", "hemorrhage"]:
                raise DataError(f"{path}: wanted a first line: id,hemorrhage")
            for line in lines:
                if len(line) != 2 or not line[0].strip().isdecimal() or line[1].strip() not in ("0", "1"):
                    raise DataError(
                        f"{path}:{lines.line_num}: {','.join(line)!r}; wanted a picture's number, then 0 or 1"
                    )
                yield int(line[0]), line[1].strip() == "1"
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
