"""A detector of one category as an ONNX graph: from pixels to scores and maps, checked against the live one."""

from stackclip.export.deployed import Deployed, check_inspector, check_tower
from stackclip.export.exporting import Exported, check_words, export_onnx
from stackclip.export.parity import Parity
from stackclip.export.sidecar import GraphOptions

__all__ = [
    "Deployed",
    "Exported",
    "GraphOptions",
    "Parity",
    "check_inspector",
    "check_tower",
    "check_words",
    "export_onnx",
]
