"""Which layer of the definition each kernel of ONNX Runtime belongs to.

Its optimizer renames what it fuses: `relu_3_nchwc` makes tensor relu_3, `node_conv2d_2_token_10` is
node_conv2d_2 in int8, and what it puts between them (Reorder, Transpose) has no name of the file's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regnet_edge.artifact import Artifact

from .. import INPUT_NAME
from ..graph.locate import owners
from ..profiled import Piece, Place, TimedOp
from .graph import of_onnx

CONVERSIONS = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "ReorderInput",
        "ReorderOutput",
        "Transpose",
        "Cast",
        "Reshape",
        "Flatten",
    }
)
_LEADING = ("ReorderInput", "Transpose")  # belong to what reads them, not to what they follow
_ADDED = re.compile(r"(_nchwc|_token_\d+)$")


@dataclass(frozen=True, slots=True)
class ProfiledOnnx:
    """ONNX Runtime has a profiler, so nothing is cut."""

    def pieces(self, artifact: Artifact, folder: Path) -> Sequence[Piece]:
        """None."""
        return ()

    def places(self, artifact: Artifact, seen: Sequence[TimedOp]) -> list[Place]:
        """By the names of nodes and tensors; what has none belongs to its neighbour."""
        known = _points_by_name(artifact)
        points = [known.get(_ADDED.sub("", op.name), known.get(op.name, "")) for op in seen]
        return [
            Place(_settled(points, i, op.op), op.op in CONVERSIONS, _in_float(op.op))
            for i, op in enumerate(seen)
        ]


def _points_by_name(artifact: Artifact) -> dict[str, str]:
    """The point of every node and every tensor of the file."""
    import onnx

    model = onnx.load(str(artifact.path))
    tensors = owners(of_onnx(model), INPUT_NAME, artifact.request.model.config)
    nodes = ((n.name, tensors.get(out)) for n in model.graph.node for out in n.output)
    return {**{name: point for name, point in nodes if point}, **tensors}


def _settled(points: Sequence[str], i: int, op: str) -> str:
    """A kernel's own point, or that of the next named one (of the last one before) in the order they run."""
    if points[i]:
        return points[i]
    after = next((p for p in points[i + 1 :] if p), "")
    before = next((p for p in reversed(points[:i]) if p), "")
    return (after or before) if op in _LEADING else (before or after)


def _in_float(op: str) -> bool:
    return op not in CONVERSIONS and not op.startswith("Q") and "Integer" not in op
