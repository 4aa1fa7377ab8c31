"""A detector in one file: all that it takes to give the verdicts that it gave where it was made.

It holds what the method learned, the features of the good pictures that it was shown, what it says of good pictures
that it was not shown, and which tower this belongs to, by its fingerprint; the weights of the tower are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stackclip.errors import DamagedFile, WeightsError
from stackclip.inspection.calibrating import Calibration
from stackclip.methods import Inspector
from stackclip.ops.files import write_atomically
from stackclip.ops.seals import read_regular
from stackclip.ops.tensor_files import packed, unpacked
from stackclip.ops.words import one_line
from stackclip.types import NORMAL, Features, Part, Sample

__all__ = ["BUNDLE_FORMAT", "Bundle", "load_bundle", "save_bundle"]

BUNDLE_FORMAT = "stackclip-detector/1"
LARGEST = 1 << 36  # bytes of a bundle that are read at all
_NEEDED = ("method", "object", "recipe", "fingerprint", "task", "means", "shown", "calibration", "tiles", "record")


@dataclass(frozen=True)
class Bundle:
    """A method that has learned, for one object.

    `learned` is its `state_dict`, `means` are the mean class tokens of training categories by these, `shown` the
    batches that it was shown, of shots and of further normal pictures. `recipe` are the fields of the recipe of its
    tower, whose `fingerprint` tells it, `task` those of its task, `tiles` the views of pictures, `record` how it was
    made. `ready` is what it became in this process, by the device.
    """

    method: str
    object: str
    recipe: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    task: Mapping[str, Any]
    learned: Mapping[str, Tensor]
    means: Mapping[str, Tensor]
    shots: Sequence[Features]
    normals: Sequence[Features]
    calibration: Calibration
    tiles: str | None
    record: Mapping[str, Any]
    ready: dict[str, Inspector] = field(default_factory=dict, compare=False)


def save_bundle(path: Path, bundle: Bundle) -> None:
    """Write a bundle atomically, sealed as one. Raises OSError."""
    tensors = {f"learned/{name}": each for name, each in bundle.learned.items()}
    tensors |= {f"mean/{place}": each for place, each in enumerate(bundle.means.values())}
    for stream in ("shots", "normals"):
        for place, features in enumerate(getattr(bundle, stream)):
            tensors |= {f"{stream}/{place}/{part}": each for part, each in features.parts.items()}
    known = bundle.calibration
    said = {"good/scores": known.scores, "good/peaks": known.peaks}
    tensors |= {name: each for name, each in said.items() if each is not None}
    facts = {
        "method": bundle.method,
        "object": bundle.object,
        "recipe": dict(bundle.recipe),
        "fingerprint": dict(bundle.fingerprint),
        "task": dict(bundle.task),
        "means": list(bundle.means),
        "shown": {stream: len(getattr(bundle, stream)) for stream in ("shots", "normals")},
        "calibration": {"ground": known.ground, "how": known.how, "exact": known.exact, "rate": known.rate},
        "tiles": bundle.tiles,
        "record": dict(bundle.record),
    }
    write_atomically(path, packed(tensors, facts, form=BUNDLE_FORMAT, name="detector"))


def load_bundle(path: Path) -> Bundle:
    """Read a bundle. Raises WeightsError for a file that is none, or has a byte that is another than was written."""
    try:
        file = unpacked(read_regular(path, largest=LARGEST))
    except (DamagedFile, ValueError) as error:
        why = one_line(error).removeprefix(f"{path}: ")
        raise WeightsError(
            f"{path}: no detector can be read from it ({why}); wanted a file of stackclip fit"
        ) from error
    if file.format != BUNDLE_FORMAT:
        raise WeightsError(f"{path}: found {one_line(file.format)}, wanted {BUNDLE_FORMAT}: a file of stackclip fit")
    if not file.is_sealed or file.facts is None or not set(_NEEDED) <= file.facts.keys():
        raise WeightsError(f"{path}: its bytes are not those that were saved; fit it again, or fetch it again")
    facts, tensors = file.facts, file.tensors
    scores, peaks = tensors.get("good/scores"), tensors.get("good/peaks")
    streams = {
        stream: [_features(tensors, f"{stream}/{place}/", facts["object"]) for place in range(facts["shown"][stream])]
        for stream in ("shots", "normals")
    }
    return Bundle(
        method=facts["method"],
        object=facts["object"],
        recipe=facts["recipe"],
        fingerprint=facts["fingerprint"],
        task=facts["task"],
        learned={name.removeprefix("learned/"): each for name, each in _below(tensors, "learned/")},
        means={name: tensors[f"mean/{place}"] for place, name in enumerate(facts["means"])},
        shots=streams["shots"],
        normals=streams["normals"],
        calibration=Calibration(scores, peaks, **facts["calibration"]),
        tiles=facts["tiles"],
        record=facts["record"],
    )


def _below(tensors: Mapping[str, Tensor], prefix: str) -> Iterator[tuple[str, Tensor]]:
    return ((name, each) for name, each in tensors.items() if name.startswith(prefix))


def _features(tensors: Mapping[str, Tensor], prefix: str, category: str) -> Features:
    """A batch of good pictures, of which nothing is known any more but their features."""
    parts = {Part.parse(name.removeprefix(prefix)): each for name, each in _below(tensors, prefix)}
    count = len(next(iter(parts.values()), torch.empty(0)))
    samples = tuple(
        Sample(f"{prefix}{place}", "shown", category, "train", Path("shown"), None, NORMAL, "good")
        for place in range(count)
    )
    return Features(samples, parts)
