"""From a deployed detector to two files: the graph, and a JSON that says all that a user of it must know."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from stackclip.errors import StackclipError, UsageError
from stackclip.export.batching import over_batch
from stackclip.export.deployed import Deployed
from stackclip.export.parity import PARITY_BOUND, Parity, measured
from stackclip.export.sidecar import PLAIN_GRAPH, GraphOptions, sidecar_facts
from stackclip.export.tracing import require_onnx, traced
from stackclip.ops.drafts import draft_folder
from stackclip.ops.files import write_atomically
from stackclip.ops.named_errors import naming
from stackclip.version import VERSION

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["Exported", "check_words", "export_onnx"]

LARGEST = 1_900_000_000  # bytes of a graph with its weights in it; protobuf ends at 2 GiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A graph that was written: its file, the JSON beside it and what that says, and how near the live one it is."""

    path: Path
    sidecar: Path
    facts: Mapping[str, Any]
    parity: Parity

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before using it, in a sentence each."""
        found = [str(self.facts["scores_note"])] if "scores_note" in self.facts else []
        if self.parity.prepared:
            apart = ", ".join(f"{name} {value:.1e}" for name, value in self.parity.prepared.items())
            found.append(f"pictures that the graph resizes by itself differ from those that Pillow resized by {apart}")
        return tuple(found)


def export_onnx(
    deployed: Deployed, path: Path, pictures: Sequence[Image.Image], options: GraphOptions = PLAIN_GRAPH
) -> Exported:
    """Write a detector as an ONNX graph, with a JSON of its name and `.json`, checked on RGB `pictures`.

    The input `pictures` is a batch of any size; the outputs `scores` (B,), `maps` (B, H, W) at the size of the tower's
    pictures, which is where a bench measures them, `peaks` (B,) and components (B,) are there as far as the method
    gives them. Weights of more than 1.9 GB lie in a third file with the ending `.data`.

    Raises UsageError where onnx is not installed or the tower does not run on the CPU in fp32, NotApplicable for a
    method that is no arithmetic with tensors, and StackclipError where the graph is not within 1e-4 of the live
    detector: nothing is written then.
    """
    check_words(path)
    if not pictures:
        raise UsageError("a graph is checked on pictures, and none were given")
    deployed.check()
    model = over_batch(traced(deployed), deployed.tower.transform, options.preparation)
    model.producer_name, model.producer_version = "stackclip", VERSION
    with draft_folder(path.parent) as folder:
        draft = folder / path.name
        files = _saved(model, draft)
        parity = measured(deployed, draft, pictures, options.preparation)
        if not parity.worst <= PARITY_BOUND:
            raise StackclipError(
                f"{path}: not written: {parity}, and {PARITY_BOUND} is allowed; use the detector in torch"
            )
        facts = sidecar_facts(deployed, model, files, options, parity)
        for file in files:
            with naming(path.with_name(file.name)):
                file.replace(path.with_name(file.name))
    sidecar = path.with_name(f"{path.name}.json")
    write_atomically(sidecar, f"{json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False)}\n".encode())
    return Exported(path=path, sidecar=sidecar, facts=facts, parity=parity)


def check_words(path: Path) -> None:
    """Raise UsageError for a file that is no graph's, and where onnx is not installed: before any work is done."""
    require_onnx()
    if path.suffix != ".onnx" or path.is_dir():
        raise UsageError(f"{path}: wanted a file that ends in .onnx{', found a folder' if path.is_dir() else ''}")


def _saved(model: ModelProto, path: Path) -> list[Path]:
    """Save a model, the weights of a large one beside it, and return its files; the graph itself comes last."""
    import onnx

    if sum(len(each.raw_data) for each in model.graph.initializer) <= LARGEST:
        path.write_bytes(model.SerializeToString())
        return [path]
    data = path.with_name(f"{path.name}.data")
    onnx.save_model(model, path, save_as_external_data=True, location=data.name, size_threshold=1024)
    return [data, path]
