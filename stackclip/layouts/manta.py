"""MANTA-Tiny as it goes round: five views of an object side by side in one picture, which is cut into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal

from stackclip.data.census import published_categories
from stackclip.data.images import picture_size, read_picture
from stackclip.data.interpretation import Interpretation
from stackclip.data.listing import folders_in, pictures_below, place_below
from stackclip.errors import DataError, PictureError
from stackclip.layouts.cuts import cut_once, mask_of_size, save_crop
from stackclip.layouts.mvtec import Mvtec
from stackclip.registry import datasets
from stackclip.types import ANOMALOUS, GOOD, NORMAL, Sample

__all__ = ["Manta"]

_VIEWS = 5


@datasets.register("manta")
class Manta(Mvtec):
    """MANTA-Tiny: 38 categories of tiny objects in five domains, five views an object (Fan et al., CVPR 2025).

    A picture is a strip, five times as wide as high. With `views` of `cut` each view is a picture of its own, cut once
    and kept below the workspace; it is defective where the mask of its strip marks something in it, and rows have the
    metrics of objects too. `strip` takes strips as they are. `only` names categories, `maize+led`: the whole is some
    hundred thousand strips. How many pictures each category has was not at hand, so yours are not compared.
    """

    title = "MANTA layout"
    published = "manta"
    source = "see its authors' terms, Fan et al., grainnet.github.io/MANTA"
    folders = ("MANTA", "MANTA-Tiny", "MANTA_TINY", "MANTA_TINY_256")
    tree = """\
ROOT/
  DOMAIN/                                 agriculture, electronics, groceries, mechanics, medicine
    CATEGORY/                             maize, led, screw, ...
      train/good/NAME.png                 (five views side by side)
      test/good/NAME.png
      test/DEFECT/NAME.png
      ground_truth/DEFECT/NAME.png        (as wide)
"""

    def __init__(self, *, views: Literal["cut", "strip"] = "cut", only: tuple[str, ...] = ()) -> None:
        self.views = views
        self.only = only
        self.protocol = "" if views == "cut" else views
        self.title = f"MANTA layout ({'views, cut out of strips' if views == 'cut' else 'strips of five views'})"

    def recognises(self, root: Path) -> bool:
        """Whether `root`, or a domain in it, has one of the published categories."""
        known = {name.casefold() for name in published_categories(self.published)}
        return any(folder.name.casefold() in known for folder in self._every_category(root))

    def detects(self, root: Path) -> bool:
        """Whether its first picture is a strip besides: others make nuts and buttons too."""
        return self.recognises(root) and any(map(_is_strip, islice(pictures_below(root), 1)))

    def understand(self, root: Path, name: str, folder: Path) -> Interpretation:
        """The samples, of views that are cut into `folder`; raises DataError, and PictureError for one that is none."""
        self._check_only(root)
        if self.views == "strip":
            return Interpretation(self.read(root, name), root)
        strips = self.read(root, name)
        _check_names(strips)
        facts = {each.id: [_stamp(each.image), _stamp(each.mask)] for each in strips}
        said = f"{name}: cutting {len(strips)} strips into {_VIEWS} views each"
        place = cut_once(folder, "manta-views", facts, lambda draft: _cut_all(strips, draft), what=said)
        samples = tuple(view for strip in strips for view in _views(strip, place))
        return Interpretation(samples, place, how=f", cut out of {root}")

    def read(self, root: Path, name: str) -> tuple[Sample, ...]:
        """All strips, by category, then train before test, then defect, then file name; raises DataError."""
        return tuple(each for folder in self.categories_in(root) for each in self.samples_of(folder, root, name))

    def categories_in(self, root: Path) -> list[Path]:
        """The folders of the categories, in domains or in `root` itself, of those that are wanted."""
        return [folder for folder in self._every_category(root) if not self.only or folder.name in self.only]

    def _every_category(self, root: Path) -> list[Path]:
        own = super().categories_in(root)
        return own or [folder for domain in folders_in(root) for folder in super(Manta, self).categories_in(domain)]

    def _check_only(self, root: Path) -> None:
        """Raise DataError for a category that is wanted and not there."""
        there = [folder.name for folder in self._every_category(root)]
        if lacking := [name for name in self.only if name not in there]:
            raise DataError(f"{root}: no category {', '.join(lacking)}; there are {', '.join(there)}")


def _is_strip(path: Path) -> bool:
    try:
        height, width = picture_size(path)
    except PictureError:
        return False
    return width == _VIEWS * height


def _stamp(path: Path | None) -> list[int]:
    """What tells a file from another of its name: its size, and when it was written; nothing where there is none."""
    if path is None or not path.exists():
        return []
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _check_names(strips: tuple[Sample, ...]) -> None:
    """Raise DataError for two strips that differ in their extension alone: their views would be called the same."""
    known: dict[str, Sample] = {}
    for strip in strips:
        if (other := known.setdefault(strip.id.rpartition(".")[0], strip)) is not strip:
            raise DataError(f"{strip.image}: {other.image.name} lies beside it: which of the two is the strip?")


def _place(strip: Sample, place: Path, number: int, *, mask: bool = False) -> Path:
    """Where a view of a strip lies, or its mask."""
    below = Path(strip.id).with_suffix("")
    return place / below.parent / (f"{below.name}-{number}_mask.png" if mask else f"{below.name}-{number}.png")


def _cut_all(strips: tuple[Sample, ...], draft: Path) -> None:
    for strip in strips:
        _place(strip, draft, 1).parent.mkdir(parents=True, exist_ok=True)
        _cut(strip, draft)


def _cut(strip: Sample, draft: Path) -> None:
    """Write the views of a strip, and the masks of those in which its mask marks something; raises PictureError."""
    picture = read_picture(strip.image)
    if picture.width != _VIEWS * picture.height:
        size = f"{picture.width} x {picture.height}"
        raise PictureError(
            strip.image, f"{size} pixels; wanted {_VIEWS} views side by side: manta[views=strip] cuts none"
        )
    masked = strip.mask is not None and strip.mask.exists()
    mask = mask_of_size(strip.mask, strip.image, picture) if masked and strip.mask else None
    edges = range(0, picture.width + 1, picture.height)
    for number, (left, right) in enumerate(pairwise(edges), 1):
        box = (left, 0, right, picture.height)
        save_crop(picture, box, _place(strip, draft, number))
        if mask is not None and mask.crop(box).getbbox():
            save_crop(mask, box, _place(strip, draft, number, mask=True))


def _views(strip: Sample, place: Path) -> Iterator[Sample]:
    """The views of a strip; where no view of a defective one has a mask, nobody knows which are good, and none is."""
    places = {number: _place(strip, place, number) for number in range(1, _VIEWS + 1)}
    masks: Mapping[int, Path] = {number: _place(strip, place, number, mask=True) for number in places}
    marked = {number for number, mask in masks.items() if strip.label == ANOMALOUS and mask.exists()}
    for number, image in places.items():
        defective = strip.label == ANOMALOUS and (number in marked or not marked)
        yield replace(
            strip,
            id=place_below(image, place),
            image=image,
            mask=masks[number] if defective and strip.mask else None,
            label=ANOMALOUS if defective else NORMAL,
            defect=strip.defect if defective else GOOD,
            group=strip.id,
        )
