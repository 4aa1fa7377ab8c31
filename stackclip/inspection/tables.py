"""What a method said of pictures, as tables: CSV for people, JSON lines for programs, COCO for annotation tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from stackclip.inspection.regions import Region
from stackclip.ops.spreadsheet import csv_text

if TYPE_CHECKING:
    from stackclip.inspection.written import Written

__all__ = ["DRAWN", "coco_text", "lines_text", "table_text", "verdict_word"]

DRAWN = ("heat_map", "parts", "map")  # columns that name files


def table_text(written: Written) -> str:
    """Pictures by score, or by the maximum of the map where a method gives no scores; the highest first.

    Behind the score stands what the good pictures say of it, where there are any; behind what was drawn stands what the
    score is made of, `score_NAME`.
    """
    judged, regions = written.judgement is not None, written.judgement is not None and bool(written.regions)
    verdicts = ["percentile", "p_value", "verdict"] if judged else []
    named = [name for name, there in zip(DRAWN, _drawn(written), strict=True) if there]
    components = [f"score_{name}" for name in written.components]
    header = ["picture", "score", *verdicts, *(["regions"] if regions else []), "map_maximum", *named, *components]
    return csv_text(header, ([record.get(name) for name in header] for record in _records(written, count=True)))


def lines_text(written: Written) -> str:
    """The same, one JSON object a line, with the regions of each picture whole."""
    return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in _records(written, count=False))


def coco_text(written: Written) -> str:
    """The regions as annotations of one category in the form of COCO: polygons, areas and boxes in pixels.

    The peak of a region is its `score`.
    """
    images, annotations = [], list[dict[str, Any]]()
    for number, sample in enumerate(written.samples, start=1):
        if sample.id not in written.sizes:
            continue
        width, height = written.sizes[sample.id]
        images.append({"id": number, "file_name": sample.id, "width": width, "height": height})
        for region in written.regions.get(sample.id, ()):
            own = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append(own | _as_coco(region))
    found = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "anomaly"}]}
    return json.dumps(found, ensure_ascii=False) + "\n"


def verdict_word(anomalous: bool) -> str:
    """How a verdict is called."""
    return "anomalous" if anomalous else "good"


def _records(written: Written, *, count: bool) -> Iterator[dict[str, Any]]:
    """What is said of each picture by column, the most anomalous first; regions whole, or how many there are."""
    for row in written.ranked:
        sample, judged = written.samples[row], written.judgement
        there = sample.id not in written.missing
        record: dict[str, Any] = {"picture": sample.id, "score": _of(written.scores, row)}
        if judged is not None:
            record |= {"percentile": round(float(judged.percentile[row]), 2), "p_value": float(judged.p_value[row])}
            record["verdict"] = verdict_word(bool(judged.anomalous[row]))
        if sample.id in written.regions:
            regions = written.regions[sample.id]
            record["regions"] = len(regions) if count else [_as_dict(region) for region in regions]
        record["map_maximum"] = _of(written.peaks, row)
        files = (written.heat_map_of(sample), written.parts_of(sample), written.map_of(sample))
        for name, file, drawn in zip(DRAWN, files, _drawn(written), strict=True):
            has_one = there and (name == "parts" or written.peaks is not None)
            record |= {name: file if has_one else ""} if drawn else {}
        yield record | {f"score_{name}": float(each[row]) for name, each in written.components.items()}


def _drawn(written: Written) -> tuple[bool, bool, bool]:
    """Which of DRAWN there are."""
    return True, written.has_parts, bool(written.maps)


def _as_dict(region: Region) -> dict[str, Any]:
    found = _as_coco(region)
    return {"area": found["area"], "peak": found["score"], "box": found["bbox"], "polygons": found["segmentation"]}


def _as_coco(region: Region) -> dict[str, Any]:
    return {
        "area": round(region.area, 2),
        "bbox": [round(number, 2) for number in region.box],
        "segmentation": [[round(float(number), 2) for number in polygon.ravel()] for polygon in region.polygons],
        "score": region.peak,
    }


def _of(numbers: Tensor | None, row: int) -> float | None:
    return None if numbers is None else float(numbers[row])
