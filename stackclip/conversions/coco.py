"""COCO's instances: a JSON a split, with a region of a mask as an annotation.

Format: cocodataset.org/#format-data. A mask is an uncompressed RLE: runs down the columns, the first of zeros.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackclip.conversions.files import Placer, folder_names, in_folders, picture_places
from stackclip.data import Dataset, picture_size
from stackclip.ops.words import counted
from stackclip.types import ANOMALOUS, GOOD, Sample

__all__ = ["column_counts", "write_coco"]


def write_coco(dataset: Dataset, placing: Placer) -> list[str]:
    """`images/` and `annotations_SPLIT.json`, whose categories are the kinds of defects.

    Images say `label`, `defect`, `category` and `split` too, which COCO has no place for: a defective picture without a
    mask has no annotation, as a good one.
    """
    names, categories = folder_names(dataset.categories), _kinds(dataset)
    bare = 0

    def folder_of(sample: Sample) -> str:
        return f"images/{in_folders(sample, names)}"

    documents: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for sample, place in picture_places(dataset, folder_of).items():
        if not placing.picture(sample, place):
            continue
        document = documents.setdefault(sample.split, {"images": [], "annotations": [], "categories": categories})
        document["images"].append(_image(len(document["images"]) + 1, sample, place))
        pixels = placing.pixels(sample)
        placing.masks += pixels is not None
        bare += sample.label == ANOMALOUS and (pixels is None or not pixels.any())
        kind = next((each["id"] for each in categories if each["name"] == sample.defect), 0)
        for region in () if pixels is None else _regions(pixels):
            facts = {"id": len(document["annotations"]) + 1, "image_id": len(document["images"]), "category_id": kind}
            document["annotations"].append(facts | region)
    for split, document in documents.items():
        placing.text(f"annotations_{split}.json", json.dumps(document))
    return [f"{counted(bare, 'defective picture')} without an annotation, as good ones are"] if bare else []


def column_counts(region: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> list[int]:
    """The lengths of runs down the columns of a mask of a `size` (H, W), zeros and ones in turn, the first of zeros.

    It has the pixels of the region (h, w), whose first pixel is at the `corner` (top, left), and no others.
    """
    (top, left), (height, width) = corner, size
    columns, rows = np.nonzero(region.T)
    places = (left + columns) * height + top + rows
    starts = places[np.diff(places, prepend=-2) > 1]
    stops = places[np.diff(places, append=height * width + 1) > 1] + 1
    edges = np.stack([starts, stops], axis=1).ravel()
    counts: list[int] = np.diff(edges, prepend=0, append=height * width).tolist()
    return counts if counts[-1] else counts[:-1]


def _kinds(dataset: Dataset) -> list[dict[str, Any]]:
    kinds = sorted({sample.defect for sample in dataset} - {GOOD})
    return [{"id": number, "name": kind, "supercategory": "defect"} for number, kind in enumerate(kinds, 1)]


def _image(number: int, sample: Sample, place: str) -> dict[str, Any]:
    height, width = picture_size(sample.image)
    facts = {"label": sample.label, "defect": sample.defect, "category": sample.category, "split": sample.split}
    return {"id": number, "file_name": place, "width": width, "height": height, **facts}


def _regions(pixels: NDArray[np.bool_]) -> Iterator[dict[str, Any]]:
    """The 8-connected regions of a mask (H, W), with their areas and boxes in pixels: left, top, width, height."""
    from scipy import ndimage

    height, width = pixels.shape
    numbers, _ = ndimage.label(pixels, np.ones((3, 3)))
    for number, place in enumerate(ndimage.find_objects(numbers), start=1):
        region = numbers[place] == number
        top, left = (part.start for part in place)
        segmentation = {"size": [height, width], "counts": column_counts(region, (top, left), (height, width))}
        box = [left, top, region.shape[1], region.shape[0]]
        yield {"segmentation": segmentation, "area": int(region.sum()), "bbox": box, "iscrowd": 0}
