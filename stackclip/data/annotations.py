"""Tells the formats of annotations that lie beside pictures."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

__all__ = ["ANNOTATED", "ANNOTATIONS", "annotation_format", "head_of"]

ANNOTATIONS = (".json", ".xml", ".txt", ".yaml", ".yml")

ANNOTATED = {
    "COCO": "coco",
    "LabelMe": "labelme",
    "YOLO": "yolo",
    "CVAT": "cvat",
    "Label Studio": "label-studio",
    "Pascal VOC": "voc",
}
"""The data sets that read a format, by its name."""

_HEAD = 1 << 16
_YOLO = re.compile(r"\s*\d+(\s+-?\d*\.?\d+(e-?\d+)?){4,}\s*", re.IGNORECASE)
_MARKS = {
    ".json": (
        ("LabelMe", ('"shapes"', '"imagePath"')),
        ("LabelMe", ('"shapes"', '"shape_type"')),
        ("COCO", ('"images"', '"annotations"', '"categories"')),
        ("COCO", ('"image_id"', '"category_id"')),
        ("COCO", ('"images"', '"file_name"')),
        ("Label Studio", ('"annotations"', '"result"')),
        ("Supervisely", ('"objects"', '"classTitle"')),
        ("Real-IAD", ('"normal_class"', '"image_path"')),
    ),
    ".xml": (("Pascal VOC", ("<annotation", "<object")), ("CVAT", ("<annotations", "<image"))),
    ".yaml": (("YOLO", ("names:", "train:")),),
    ".yml": (("YOLO", ("names:", "train:")),),
}


def annotation_format(path: Path) -> str:
    """The format of a file of annotations, by what its first 64 kB hold; empty for any other or unreadable file."""
    suffix = path.suffix.lower()
    head = head_of(path) if suffix in ANNOTATIONS else ""
    if suffix == ".txt":
        lines = [line for line in head.splitlines()[:8] if line.strip()]
        return "YOLO" if lines and all(_YOLO.fullmatch(line) for line in lines) else ""
    return next((name for name, marks in _MARKS.get(suffix, ()) if all(mark in head for mark in marks)), "")


def head_of(path: Path) -> str:
    """The start of a regular file as text; a pipe would wait for ever, and is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        return ""
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return os.read(descriptor, _HEAD).decode("utf-8", "replace") if regular else ""
    except OSError:
        return ""
    finally:
        os.close(descriptor)
