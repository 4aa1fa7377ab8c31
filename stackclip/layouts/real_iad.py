"""Real-IAD as it is published: five views of each part, split by the authors' lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from stackclip.data.labels import composed
from stackclip.data.listing import folders_in, pictures_below, place_below
from stackclip.errors import DataError
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["RealIad"]

_GOOD, _BAD = "OK", "NG"
_SAMPLE = re.compile(r"S\d+")
_DEFECTS = {
    "AK": "pit",
    "BX": "deformation",
    "CH": "abrasion",
    "HS": "scratch",
    "PS": "damage",
    "QS": "missing parts",
    "YW": "foreign object",
    "ZW": "contamination",
}
_PROTOCOLS = {"": "all views", "sv": "single view", "fuiad_0.0": "noise 0.0", "fuiad_0.1": "noise 0.1"}
_PROTOCOLS |= {"fuiad_0.2": "noise 0.2", "fuiad_0.4": "noise 0.4"}


@datasets.register("real-iad")
class RealIad:
    """Real-IAD: 30 categories, train 36465 normal, test 63256 normal and 51329 anomalous (Wang et al., CVPR 2024).

    The authors' lists split it: `lists` names which of `realiad_jsons/` (every view, the default), `realiad_jsons_sv/`
    (`sv`) and `realiad_jsons_fuiad_0.0/` to `0.4/`. A view is normal where its list says so or gives no mask, also in
    the folder of a defective part. Without lists every picture is tested, and a mask beside it makes it anomalous.
    """

    published = "real-iad"
    source = "CC BY-NC-SA 4.0, Wang et al., realiad4ad.github.io/Real-IAD"
    folders = ("Real-IAD", "realiad", "realiad_256", "realiad_512", "realiad_1024", "realiad_raw")
    tree = """\
ROOT/
  realiad_jsons/CATEGORY.json             (the split; here, in its own folder again, or beside ROOT)
  CATEGORY/                               (or realiad_1024/CATEGORY/)
    OK/SNNNN/CATEGORY_NNNN_OK_C1_TIME.jpg
    NG/CODE/SNNNN/CATEGORY_NNNN_NG_CODE_C1_TIME.jpg
    NG/CODE/SNNNN/CATEGORY_NNNN_NG_CODE_C1_TIME.png
"""

    def __init__(self, *, lists: Literal["", "sv", "fuiad_0.0", "fuiad_0.1", "fuiad_0.2", "fuiad_0.4"] = "") -> None:
        self.lists = "_".join(word for word in ("realiad_jsons", lists) if word)
        self.protocol = lists.replace("_", "-")
        self.title = f"Real-IAD layout ({_PROTOCOLS[lists]})"

    def recognises(self, root: Path) -> bool:
        """Whether `root`, a folder in it or one in that has parts `SNNNN/` in `OK/` or in a folder of `NG/`."""
        return bool(_categories(root))

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All samples, by category, then as listed, train before test; without lists by path.

        Raises DataError for a list that cannot be read, is missing beside others or names what is not there.
        """
        folders = _categories(root)
        lists = {folder: _find(root, folder, self.lists) for folder in folders}
        if self.protocol and not any(lists.values()):
            raise DataError(f"{root}: no folder {self.lists}/ with the lists of its categories")
        for folder, path in lists.items():
            if path is None and any(lists.values()):
                raise DataError(f"{folder}: no {folder.name}.json in {self.lists}/, as there is for others")
        return tuple(
            sample
            for folder, path in lists.items()
            for sample in (_listed(path, folder, root, name) if path else _unlisted(folder, root, name))
        )

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file is one of the lists."""
        return path.suffix == ".json" and path.parent.name == self.lists


def _categories(root: Path) -> list[Path]:
    if _is_category(root):
        return [root]
    near = folders_in(root)
    found = [folder for folder in near if _is_category(folder)]
    return found or [folder for parent in near for folder in folders_in(parent) if _is_category(folder)]


def _is_category(folder: Path) -> bool:
    places = [folder / _GOOD, *(folders_in(folder / _BAD) if (folder / _BAD).is_dir() else ())]
    return any(_SAMPLE.fullmatch(part.name) for place in places if place.is_dir() for part in folders_in(place)[:1])


def _find(root: Path, category: Path, lists: str) -> Path | None:
    """The list of a category, in the folder of lists below or beside the root, or in that folder's own twin."""
    places = (above / lists for above in dict.fromkeys((root, category.parent, category.parent.parent)))
    files = (place / f"{category.name}.json" for each in places for place in (each, each / lists))
    return next((path for path in files if path.is_file()), None)


def _listed(path: Path, folder: Path, root: Path, name: str) -> Iterator[Sample]:
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
        normal = table["meta"]["normal_class"]
        rows = [(split, row) for split in ("train", "test") for row in table[split]]
        fields = [(split, row["anomaly_class"], row["image_path"], row.get("mask_path")) for split, row in rows]
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        wanted = 'wanted {"meta": {"normal_class"}, "train": [...], "test": [...]}'
        raise DataError(f"{path}: cannot be read as a list of Real-IAD ({error!r}); {wanted}") from None
    there = {composed(place_below(file, folder)): file for file in pictures_below(folder)}
    seen: set[Path] = set()
    for split, defect, image, mask in fields:
        is_normal = defect == normal or mask is None
        file = _held(there, image, path)
        if file in seen:
            raise DataError(f"{path}: names {image} twice")
        seen.add(file)
        yield _sample(
            file,
            None if is_normal else _held(there, mask, path),
            str(defect),
            folder,
            root,
            name,
            train=split == "train",
        )


def _held(there: dict[str, Path], text: Any, where: Path) -> Path:
    """The file that a list names; raises DataError for one that is not there or leaves the category's folder."""
    below = composed(PurePosixPath(str(text).replace("\\", "/")).as_posix())
    if below not in there:
        raise DataError(f"{where}: names {text!r}, which is not below the category's folder")
    return there[below]


def _unlisted(folder: Path, root: Path, name: str) -> Iterator[Sample]:
    files = list(pictures_below(folder))
    masks = {file.with_suffix(""): file for file in files if file.suffix.lower() == ".png"}
    pictures = [file for file in files if file.suffix.lower() != ".png"] or files
    for file in pictures:
        mask = masks.get(file.with_suffix("")) if _BAD in file.relative_to(folder).parts else None
        parts = file.relative_to(folder).parts
        yield _sample(file, None if mask == file else mask, parts[1] if len(parts) > 1 else _BAD, folder, root, name)


def _sample(
    image: Path, mask: Path | None, defect: str, folder: Path, root: Path, name: str, *, train: bool = False
) -> Sample:
    return Sample(
        id=place_below(image, root),
        dataset=name,
        category=folder.name,
        split="train" if train else "test",
        image=image,
        mask=mask,
        label=NORMAL if mask is None else ANOMALOUS,
        defect=GOOD if mask is None else _DEFECTS.get(defect, defect),
    )
