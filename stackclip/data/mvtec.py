"""The layout of MVTec-AD, which most published data sets follow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from stackclip.data.listing import GOOD_FOLDERS, folders_in, pictures_in
from stackclip.data.pairing import MaskFolder
from stackclip.errors import DataError
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["Btad", "DtdSynthetic", "Mpdd", "Mvtec", "MvtecLoco", "VisaPrepared"]

_SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")


@datasets.register("mvtec")
class Mvtec:
    """MVTec-AD: 15 categories, 3629 train pictures, test 467 normal and 1258 anomalous (Bergmann et al., CVPR 2019).

    Serves every folder of that layout. A folder that is one category by itself is read as such.
    """

    title = "MVTec-AD layout"
    source = "CC BY-NC-SA 4.0, MVTec Software GmbH, www.mvtec.com/company/research/datasets/mvtec-ad"
    folders: tuple[str, ...] = ("mvtec_ad", "mvtec_anomaly_detection")
    tree = """\
ROOT/
  CATEGORY/
    train/good/*.png
    test/good/*.png
    test/DEFECT/STEM.png
    ground_truth/DEFECT/STEM_mask.png     (or STEM.png, or a folder STEM; none: not localised)
"""

    def recognises(self, root: Path) -> bool:
        """Whether `root` or a folder in it has `train/` or `test/`."""
        return bool(_categories(root))

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by category, then train before test, then defect, then file name; raises DataError."""
        return tuple(sample for category in _categories(root) for sample in _samples(category, root, name))


@datasets.register("mvtec-loco")
class MvtecLoco(Mvtec):
    """MVTec-LOCO: 5 categories with structural and logical anomalies (Bergmann et al., IJCV 2022).

    1772 train pictures and 1568 test pictures are read; the 304 of `validation/` are not.
    A mask is the union of the files in `ground_truth/DEFECT/STEM/`.
    """

    source = "CC BY-NC-SA 4.0, MVTec Software GmbH, www.mvtec.com/company/research/datasets/mvtec-loco"
    folders = ("mvtec_loco", "mvtec_loco_anomaly_detection")


@datasets.register("mpdd")
class Mpdd(Mvtec):
    """MPDD: 6 categories of painted metal parts, test 176 normal and 282 anomalous (Jezek et al., ICUMT 2021)."""

    source = "CC BY-NC-SA 4.0, Jezek et al., github.com/stepanje/MPDD"
    folders = ()


@datasets.register("dtd-synthetic")
class DtdSynthetic(Mvtec):
    """DTD-Synthetic: 12 textures with painted defects, test 357 normal and 947 anomalous (Aota et al., WACV 2023)."""

    source = "see its authors' terms, Aota et al., WACV 2023"
    folders = ("dtd_synthetic", "DTD-Synthetic")


@datasets.register("btad")
class Btad(Mvtec):
    """BTAD: 3 products, test 451 normal (`ok`) and 290 anomalous (`ko`) (Mishra et al., ISIE 2021)."""

    source = "CC BY-NC-SA 4.0, Mishra et al., github.com/pankajmishra000/VT-ADL"
    folders = ("BTech_Dataset_transformed",)


@datasets.register("visa-prepared")
class VisaPrepared(Mvtec):
    """VisA as its authors' script rearranges it into the MVTec-AD layout: 12 categories, `test/bad` the anomalous ones.

    The raw layout is `visa`.
    """

    source = "CC BY 4.0, Zou et al., ECCV 2022, github.com/amazon-science/spot-diff"
    folders = ("visa_prepared", "visa_pytorch", "1cls")


def _categories(root: Path) -> list[Path]:
    if _has_split(root):
        return [root]
    return [folder for folder in folders_in(root) if _has_split(folder)]


def _has_split(folder: Path) -> bool:
    return any((folder / split).is_dir() for split in _SPLITS)


def _samples(category: Path, root: Path, name: str) -> Iterator[Sample]:
    for split in _SPLITS:
        if not (category / split).is_dir():
            continue
        if loose := pictures_in(category / split):
            raise DataError(f"{loose[0]}: beside the folders of {split}/; wanted {split}/good/ or {split}/DEFECT/")
        for folder in folders_in(category / split):
            normal = folder.name.lower() in GOOD_FOLDERS
            # The masks belong to the test pictures, whose stems a train picture may share.
            masks = None if normal or split == "train" else MaskFolder(category / "ground_truth" / folder.name)
            for image in pictures_in(folder):
                yield Sample(
                    id=image.relative_to(root).as_posix(),
                    dataset=name,
                    category=category.name,
                    split=split,
                    image=image,
                    mask=masks.of(image) if masks else None,
                    label=NORMAL if normal else ANOMALOUS,
                    defect=GOOD if normal else folder.name,
                )
