"""Real-IAD as it is published: five views of each part, split by the authors' lists."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from stackclip.data.labels import composed
from stackclip.data.listing import folders_in, pictures_below, place_below
from stackclip.errors import DataError
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["RealIad", "RealIadVariety"]

_GOOD, _BAD = "OK", "NG"
_SAMPLE = re.compile(r"S\d+")
_VIEW = re.compile(r"(?P<part>.+?)_+C\d(?:_.*)?")  # of which part a picture is a view
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
    The views of a part are one object of the sample-level metrics (`sample_AUROC`).
    """

    published = "real-iad"
    wants_lists = False
    source = "CC BY-NC-SA 4.0, Wang et al., realiad4ad.github.io/Real-IAD"
    folders: tuple[str, ...] = ("Real-IAD", "realiad", "realiad_256", "realiad_512", "realiad_1024", "realiad_raw")
    tree = """\
ROOT/
  realiad_jsons/CATEGORY.json             (the split; here, in its own folder again, or beside ROOT)
  CATEGORY/                               (or realiad_1024/CATEGORY/)
    OK/SNNNN/CATEGORY_NNNN_OK_C1_TIME.jpg
    NG/CODE/SNNNN/CATEGORY_NNNN_NG_CODE_C1_TIME.jpg
    NG/CODE/SNNNN/CATEGORY_NNNN_NG_CODE_C1_TIME.png
"""

    def __init__(self, *, lists: Literal["", "sv", "fuiad_0.0", "fuiad_0.1", "fuiad_0.2", "fuiad_0.4"] = "") -> None:
        name = "_".join(word for word in ("realiad_jsons", lists) if word)
        self.lists: tuple[str, ...] = (name, f"{name}/{name}")
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
        _check_once(folders)
        lists = {folder: _find(root, folder, self.lists) for folder in folders}
        if (self.protocol or self.wants_lists) and folders and not any(lists.values()):
            raise DataError(f"{root}: no folder {self.lists[0]}/ with the lists of its categories, CATEGORY.json")
        for folder, path in lists.items():
            if path is None and any(lists.values()):
                raise DataError(f"{folder}: no {folder.name}.json in {self.lists[0]}/, as there is for others")
        return tuple(
            sample
            for folder, path in lists.items()
            for sample in (_listed(path, folder, root, name) if path else _unlisted(folder, root, name))
        )

    def spare(self, path: Path, root: Path) -> bool:
        """Whether a file is one of the lists."""
        place = path.parent.relative_to(root).as_posix()
        return path.suffix == ".json" and any(f"/{place}".endswith(f"/{lists}") for lists in self.lists)


@datasets.register("real-iad-variety")
class RealIadVariety(RealIad):
    """Real-IAD Variety: 160 categories, train 19955 normal, test 178995 in all (Zhu et al., 2025), as Real-IAD.

    Pictures and masks are both .png, so that only the authors' lists tell them apart. How many of those that are tested
    are normal, and what the categories are called, was not at hand: only the training split is compared.
    """

    published = "real-iad-variety"
    source = "CC BY-NC-SA 4.0, Zhu et al., realiad4ad.github.io/Real-IAD"
    size = "160 archives, 262 GB as photographed"
    folders = ("Real-IAD_Variety", "realiad-variety", "realiadvariety_raw", "realiadvariety_1024")
    wants_lists = True
    tree = """\
ROOT/
  realiadvariety_jsons/CATEGORY.json      (or realiadvariety_jsons/Real-IAD_Variety_jsons/; here or beside ROOT)
  CATEGORY/                               (or realiadvariety_raw/CATEGORY/)
    OK/SNNNN/NAME_C1_TIME.png
    NG/CODE/SNNNN/NAME_C1_TIME.png        (and the masks that the lists name)
"""

    def __init__(self) -> None:
        super().__init__()
        inner = "Real-IAD_Variety_jsons"
        self.lists = ("realiadvariety_jsons", f"realiadvariety_jsons/{inner}", inner)
        self.title = "Real-IAD Variety layout (all views)"

    def detects(self, root: Path) -> bool:
        """Whether its lists are there besides: the folders are those of Real-IAD."""
        return any(_find(root, folder, self.lists) for folder in _categories(root))


def _categories(root: Path) -> list[Path]:
    if _is_category(root):
        return [root]
    near = {folder: _is_category(folder) for folder in folders_in(root)}
    inner = {folder: [] if is_own else folders_in(folder) for folder, is_own in near.items()}
    return [each for folder in near for each in ([folder] if near[folder] else filter(_is_category, inner[folder]))]


def _check_once(folders: list[Path]) -> None:
    """Raise DataError for a category that is there in two sizes."""
    known: dict[str, Path] = {}
    for folder in folders:
        if (other := known.setdefault(folder.name, folder)) != folder:
            raise DataError(f"{folder}: {other} holds {folder.name} too; name the folder of one size as the root")


def _is_category(folder: Path) -> bool:
    places = [folder / _GOOD, *(folders_in(folder / _BAD) if (folder / _BAD).is_dir() else ())]
    return any(_SAMPLE.fullmatch(part.name) for place in places if place.is_dir() for part in folders_in(place)[:1])


def _find(root: Path, category: Path, lists: tuple[str, ...]) -> Path | None:
    """The list of a category, in one of the folders of lists below or beside the root."""
    above = dict.fromkeys((root, category.parent, category.parent.parent))
    files = (place / each / f"{category.name}.json" for place in above for each in lists)
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
    named = [
        (split, defect, _below(image, folder), None if mask is None else _below(mask, folder))
        for split, defect, image, mask in fields
    ]
    _check_there(there, [text for *_, image, mask in named for text in (image, mask) if text], path)
    seen: set[Path] = set()
    for split, defect, image, mask in named:
        file = there[image]
        if file in seen:
            raise DataError(f"{path}: names {image} twice")
        seen.add(file)
        own = None if defect == normal or mask is None else there[mask]
        yield _sample(file, own, str(defect), folder, root, name, train=split == "train")


def _below(text: Any, folder: Path) -> str:
    """A path of a list, below the category's folder, which some write before it."""
    path = PurePosixPath(composed(str(text).replace("\\", "/")))
    return path.relative_to(folder.name).as_posix() if path.parts[:1] == (folder.name,) else path.as_posix()


def _check_there(there: Collection[str], named: Sequence[str], where: Path) -> None:
    """Raise DataError for what a list names and is not below the category's folder: half an archive, or none."""
    if lacking := [text for text in named if text not in there]:
        said = f"names {len(lacking)} of {len(named)} files that are not below the category's folder"
        raise DataError(f"{where}: {said}, {lacking[0]!r} for one; is its archive wholly unpacked?")


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
        group=_part(image, folder, root),
    )


def _part(image: Path, folder: Path, root: Path) -> str:
    """The part that a picture is a view of, by the name before its view; else by its folder."""
    found = _VIEW.fullmatch(image.stem)
    return f"{place_below(folder, root)}/{found['part']}" if found else place_below(image.parent, root)
