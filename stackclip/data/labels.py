"""What the names of folders and files say: good, masks, or nothing at all."""

from __future__ import annotations

import unicodedata

__all__ = ["GOOD_FOLDERS", "MASK_ENDINGS", "composed", "holds_masks", "is_good", "says_nothing", "without_ending"]

GOOD_FOLDERS = (
    *("good", "normal", "ok", "okay", "io", "pass", "passed", "intact", "healthy", "flawless", "faultless"),
    *("defect_free", "no_defect", "no_defects", "non_defective", "non_defect", "no_anomaly", "non_anomalous"),
)
"""What a folder of good pictures is called, in any case, with any of `-_. ` or none between the words."""

MASK_ENDINGS = ("_mask", "", "_masks", "_gt", "_label", "_labels", "_groundtruth", "_ground_truth", "_seg")
"""What stands behind the stem of a picture in the name of its mask, in any case."""

_MASKS = (
    *("groundtruth", "groundtruths", "gt", "gts", "mask", "masks", "label", "labels", "annotation", "annotations"),
    *("anomalymask", "anomalymasks", "segmentation", "segmentations", "segmentationclass", "segmentationobject"),
)
_NOTHING = ("data", "image", "images", "img", "imgs", "picture", "pictures", "rgb", "jpegimages")


def composed(text: str) -> str:
    """The text with its accents composed (NFC): macOS and others write one name in two forms."""
    return unicodedata.normalize("NFC", text)


def is_good(name: str, names: tuple[str, ...] = GOOD_FOLDERS) -> bool:
    """Whether a folder of that name holds good pictures."""
    return _plain(name) in {_plain(each) for each in names}


def holds_masks(name: str) -> bool:
    """Whether a folder of that name holds masks or other annotations, not pictures of a label."""
    return _plain(name) in _MASKS


def says_nothing(name: str) -> bool:
    """Whether a folder's name only says that pictures are in it, and so is no label."""
    return _plain(name) in _NOTHING


def without_ending(stem: str) -> str | None:
    """The stem of the picture whose mask the name says it is; None for a name that says no such thing."""
    stem = composed(stem)
    ending = next((each for each in MASK_ENDINGS if each and stem.lower().endswith(each)), "")
    return stem[: -len(ending)] if ending and len(stem) > len(ending) else None


def _plain(name: str) -> str:
    return "".join(letter for letter in composed(name).casefold() if letter not in "-_. ")
