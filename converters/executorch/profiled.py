"""Which layer of the definition each XNNPACK operator belongs to: they run in the definition's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regnet_edge.artifact import Artifact
from regnet_edge.errors import MeasurementError

from ..graph.points import points
from ..profiled import Piece, Place, TimedOp

_CONVERSIONS = ("Convert", "Transpose", "Copy", "native_call_quantize", "native_call_dequantize")
# how XNNPACK's and ExecuTorch's own operators of a point's kind begin
_CONVOLUTION = (
    "Convolution",
    "Fully Connected",
    "Deconvolution",
    "native_call_convolution",
    "native_call_linear",
)
_BEGINNINGS = {
    "add": ("Add", "native_call_add"),
    "mul": ("Multiply", "native_call_mul"),
    "mean": ("Mean", "Global Average Pooling", "native_call_mean"),
}
_MAIN = (*_CONVOLUTION, *(word for words in _BEGINNINGS.values() for word in words))


@dataclass(frozen=True, slots=True)
class ProfiledExecuTorch:
    """The runtime tells every operator of XNNPACK, so nothing is cut."""

    def pieces(self, artifact: Artifact, folder: Path) -> Sequence[Piece]:
        """None."""
        return ()

    def places(self, artifact: Artifact, seen: Sequence[TimedOp]) -> list[Place]:
        """One main operator a point, in order; conversions go with the next, others with the last."""
        expected = points(artifact.request.model.config)
        main = [i for i, op in enumerate(seen) if op.name.startswith(_MAIN)]
        kinds = [_BEGINNINGS.get(point.kind, _CONVOLUTION) for point in expected]
        if len(main) != len(expected) or not all(
            seen[i].name.startswith(kind) for i, kind in zip(main, kinds, strict=True)
        ):
            raise MeasurementError(
                f"the profile of {artifact.path} tells {len(main)} layers in an order that is not the "
                f"definition's {len(expected)}; profile the TFLite or ONNX file of the same net"
            )
        named = {i: point.name for i, point in zip(main, expected, strict=True)}
        return [_place(named, i, op.name) for i, op in enumerate(seen)]


def _place(named: dict[int, str], i: int, name: str) -> Place:
    conversion = name.startswith(_CONVERSIONS)
    ahead = next((named[j] for j in sorted(named) if j >= i), "")
    behind = next((named[j] for j in sorted(named, reverse=True) if j <= i), "")
    point = (ahead or behind) if conversion else (behind or ahead)
    return Place(point, conversion, _in_float(name))


def _in_float(name: str) -> bool | None:
    if name.startswith("native_call"):
        return not name.startswith(_CONVERSIONS)
    return True if ("F32" in name or "F16" in name) else False if "8" in name else None
