"""A float ONNX model to int8 in QDQ form: each operation between a DequantizeLinear and a QuantizeLinear.

ONNX Runtime's own quantizer places those; ranges come from `quantize`. Its entropy calibration is not
used: with as many histogram bins as levels it changes nothing. Which integer types and which operations
run fastest depends on the CPU; `arrangement_for` holds what was measured (docs/quantization.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.request import Calibration, ExportRequest

from .. import INPUT_NAME
from ..batches import filled_batches
from ..graph.locate import owned
from ..int8.ranges import ranges
from ..quiet import quiet
from .graph import _copy, of_onnx, tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto

    Floats = NDArray[np.float32]

WEIGHT_LAYERS = ("Conv", "Gemm")
QUANTIZED = (*WEIGHT_LAYERS, "Add", "Mul", "Relu", "Sigmoid", "Reshape")
DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})  # the CPU's int8 dot products


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Integer types of activations and weights, and the reason for them."""

    activations: str
    weights: str
    reason: str

    @property
    def name(self) -> str:
        """Such as u8s8."""
        return f"{self.activations}{self.weights}"


def arrangement_for(features: frozenset[str]) -> Arrangement:
    """The fastest arrangement that is exact on a CPU with these features, as Linux names them."""
    if features & DOT_PRODUCTS:
        return Arrangement("u8", "s8", "the CPU's int8 dot product takes unsigned by signed")
    return Arrangement("u8", "u8", "without int8 dot product, unsigned by signed saturates at 16 bits")


def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Flags of this machine's first CPU; those of a phone where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("flags", "features")):
                return frozenset(line.partition(":")[2].split())
    return frozenset({"asimddp"})


def quantized(
    model: ModelProto, request: ExportRequest, images: Floats | None, features: frozenset[str] | None = None
) -> ModelProto:
    """The model in the request's precision (int8 or w8), input and output float; `model` stays as it is.

    images: the calibration's, float32 (n, channels, r, r); features: the CPU's, this machine's by default.
    """
    if request.precision == "w8":
        return _weights_only(model)
    assert request.calibration is not None  # noqa: S101  # its constructor refuses int8 without
    assert images is not None  # noqa: S101  # and who calls brings the images
    chosen = arrangement_for(cpu_features() if features is None else features)
    found = _ranges(model, request.calibration, images)
    made = _with_qdq(model, chosen, found, _kept_in_float(model, request))
    for key, value in (("arrangement", chosen.name), ("arrangement_reason", chosen.reason)):
        made.metadata_props.add(key=f"regnet_edge.{key}", value=value)
    return made


def _with_qdq(model: ModelProto, chosen: Arrangement, found: Any, floats: list[str]) -> ModelProto:
    from onnxruntime.quantization import QuantType  # type: ignore[import-untyped]  # ships no types
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer  # type: ignore[import-untyped]  # ships no types

    types = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}
    with quiet():
        quantizer = QDQQuantizer(
            _copy(model),
            per_channel=True,
            reduce_range=False,
            weight_qType=types[chosen.weights],
            activation_qType=types[chosen.activations],
            tensors_range=found,
            nodes_to_quantize=[],
            nodes_to_exclude=floats,
            op_types_to_quantize=list(QUANTIZED),
            extra_options={"WeightSymmetric": chosen.weights == "s8", "ActivationSymmetric": False},
        )
        quantizer.quantize_model()
    made: ModelProto = quantizer.model.model
    return made


def _kept_in_float(model: ModelProto, request: ExportRequest) -> list[str]:
    """Names of the nodes that make up the request's float layers."""
    if not request.float_layers:
        return []
    ops = owned(of_onnx(model), INPUT_NAME, request.model.config, request.float_layers)
    outputs = {op.output for op in ops}
    return [node.name for node in model.graph.node if node.output[0] in outputs]


def _ranges(model: ModelProto, calibration: Calibration, images: Floats) -> Any:
    """The range of each activation, in the quantizer's words."""
    import numpy as np
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData  # type: ignore[import-untyped]  # ships no types

    found = ranges(calibration.method, lambda: activations(model, images))
    data = {n: TensorData(lowest=np.float32(r.low), highest=np.float32(r.high)) for n, r in found.items()}
    return TensorsData(CalibrationMethod.MinMax, data)


def activations(model: ModelProto, images: Floats) -> Iterator[dict[str, Floats]]:
    """Input and results of every operation by name, for each batch that the model takes."""
    names = [INPUT_NAME, *(name for node in model.graph.node for name in node.output)]
    [entry] = model.graph.input
    return tensors(model, filled_batches(images, entry.type.tensor_type.shape.dim[0].dim_value), names)


def _weights_only(model: ModelProto) -> ModelProto:
    """Each layer's weights as int8 per output channel; the runtime widens them when it loads the file."""
    from onnx import helper, numpy_helper

    made = _copy(model)
    weights = {n.input[1] for n in made.graph.node if n.op_type in WEIGHT_LAYERS}
    stored = [w for w in made.graph.initializer if w.name in weights]
    for tensor in reversed(stored):
        name, values = tensor.name, numpy_helper.to_array(tensor)
        scale, steps = per_channel(values)
        made.graph.initializer.remove(tensor)
        parts = [
            numpy_helper.from_array(steps, f"{name}_int8"),
            numpy_helper.from_array(scale, f"{name}_scale"),
        ]
        made.graph.initializer.extend(parts)
        inputs = [part.name for part in parts]
        made.graph.node.insert(
            0, helper.make_node("DequantizeLinear", inputs, [name], f"{name}_widen", axis=0)
        )
    return made


def per_channel(weights: Floats) -> tuple[Floats, NDArray[np.int8]]:
    """(scale of each output channel, int8 steps from -127 to 127), symmetric: weights near scale * steps."""
    import numpy as np

    scale = np.abs(weights.reshape(len(weights), -1)).max(1).astype(np.float32) / 127
    scale[scale == 0] = 1
    wide = scale.reshape(-1, *[1] * (weights.ndim - 1))
    return scale, np.rint(weights / wide).clip(-127, 127).astype(np.int8)
