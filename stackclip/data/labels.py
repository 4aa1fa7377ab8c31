"""What the names of folders and files say: good, masks, or nothing at all."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = [
    *("GOOD_FOLDERS", "MASK_ENDINGS", "composed", "holds_drawings", "holds_masks", "is_good", "may_be_good"),
    *("says_mask", "says_nothing", "says_pictures", "without_ending"),
]

GOOD_FOLDERS = (
    *("good", "normal", "ok", "okay", "io", "pass", "passed", "intact", "healthy", "flawless", "faultless"),
    *("defect_free", "no_defect", "no_defects", "non_defective", "non_defect", "no_anomaly", "non_anomalous"),
    *("anomaly_free", "without_defect", "without_defects", "not_defective"),
)
"""What a folder of good pictures is called, in any case, with any of `-_. ` or none between the words."""

_SURE = ("good", "normal", "ok", "okay")
_ABOUT = (
    *("data", "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "part", "parts", "piece"),
    *("pieces", "sample", "samples", "product", "products", "casting", "castings", "front", "back", "top", "bottom"),
    *("left", "right", "side", "view", "train", "test", "val", "valid", "validation", "all", "only", "class", "folder"),
)
"""What may stand beside one of `_SURE` in the name of a folder of good pictures: `ok_front`, `Good parts`, `good2`."""

MASK_ENDINGS = (
    *("_mask", "", "_masks", "_gt", "_label", "_labels", "_groundtruth", "_ground_truth", "_seg", "_segmentation"),
    *("_annotation", "_anno"),
)
"""What stands behind the stem of a picture in the name of its mask, in any case."""

_MASKS = (
    *("groundtruth", "groundtruths", "gt", "gts", "mask", "masks", "label", "labels", "annotation", "annotations"),
    *("anomalymask", "anomalymasks", "segmentation", "segmentations", "segmentationclass", "segmentationobject"),
    *(
        "seg",
        "segs",
        "anno",
        "annos",
        "annot",
        "annots",
        "maske",
        "masken",
        "masque",
        "masques",
        "labelmap",
        "labelmaps",
    ),
)
_OF_MASKS = (
    "binary",
    "bw",
    "png",
    "bmp",
    "jpg",
    "image",
    "images",
    "img",
    "imgs",
    "pixel",
    "pixels",
    "test",
    "train",
    "val",
)
"""What may stand beside one of `_MASKS` in the name of a folder of masks: `gt_masks`, `mask_png`, `test_labels`."""

_DRAWN = (
    *("overlay", "overlays", "heatmap", "heatmaps", "visualization", "visualizations", "visualisation"),
    *("visualisations", "vis", "viz", "preview", "previews", "thumbnail", "thumbnails"),
)
_DOUBTFUL = (
    *("clean", "negative", "negatives", "neg", "nominal", "perfect", "reference", "references", "golden", "undamaged"),
    *("nondamaged", "nodamage", "accept", "accepted", "fine", "regular", "standard", "uninfected", "nonfaulty", "0"),
)
_WORDS = re.compile(r"[-_. 0-9]+")
_ENDINGS = "|".join(each[1:] for each in sorted(MASK_ENDINGS, key=len, reverse=True) if each)
_ENDING = re.compile(rf"(?P<stem>.+)[-_. ](?:{_ENDINGS})", re.IGNORECASE | re.DOTALL)
_BEGINNING = re.compile(rf"(?:{_ENDINGS})[-_. ](?P<stem>.+)", re.IGNORECASE | re.DOTALL)
_NUMBERED = re.compile(rf".+[-_. ](?:{_ENDINGS})[-_. ]?[0-9]+", re.IGNORECASE | re.DOTALL)
_NOTHING = ("data", "image", "images", "img", "imgs", "picture", "pictures", "rgb", "jpegimages")


def composed(text: str) -> str:
    """The text with its accents composed (NFC): macOS and others write one name in two forms."""
    return unicodedata.normalize("NFC", text)


def is_good(name: str, names: tuple[str, ...] = GOOD_FOLDERS) -> bool:
    """Whether a folder of that name holds good pictures: one of `names`, or beside one of these what tells no label.

    Only a word that is never a defect's counts beside others: `ok_front` is good, and `pass_mark` is not.
    """
    if _plain(name) in frozenset(map(_plain, names)):
        return True
    words = _words(name)
    sure = [word for word in words if word in _SURE and word in names]
    return len(sure) == 1 and all(word in sure or word in _ABOUT for word in words)


def holds_masks(name: str) -> bool:
    """Whether a folder of that name holds masks or other annotations, not pictures of a label."""
    words = _words(name)
    of_masks = any(word in _MASKS for word in words) and all(word in (*_MASKS, *_OF_MASKS) for word in words)
    return _plain(name) in _MASKS or of_masks


def says_pictures(name: str) -> bool:
    """Whether a folder's name says that its files are pictures, whatever they look like: `backlit_pictures`."""
    words = _words(name)
    return len(words) > 1 and words[-1] in ("pictures", "photos", "photographs")


def holds_drawings(name: str) -> bool:
    """Whether a folder of that name holds what was drawn of pictures: a second picture of each, and none of a label."""
    return _plain(name) in _DRAWN


def may_be_good(name: str) -> bool:
    """Whether a folder's name may mean good pictures, and may be a defect's: `clean`, `negative`, `0`."""
    return _plain(name) in _DOUBTFUL


def says_nothing(name: str) -> bool:
    """Whether a folder's name only says that pictures are in it, and so is no label."""
    return _plain(name) in _NOTHING


def without_ending(stem: str) -> str | None:
    """The stem of the picture whose mask the name says it is; None for a name that says no such thing.

    `x_mask`, `x-mask`, `x.mask` and `mask_x` are masks of `x`.
    """
    found = _ENDING.fullmatch(composed(stem)) or _BEGINNING.fullmatch(composed(stem))
    return found["stem"] if found else None


def says_mask(stem: str) -> bool:
    """Whether a file's name says that it is some mask, also where not whose: `x_mask_2`."""
    return without_ending(stem) is not None or _NUMBERED.fullmatch(composed(stem)) is not None


def _words(name: str) -> list[str]:
    return [word for word in _WORDS.split(composed(name).casefold()) if word]


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    return "".join(letter for letter in composed(name).casefold() if letter not in "-_. ")
