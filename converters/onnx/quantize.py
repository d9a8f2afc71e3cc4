"""A float ONNX model to int8 in QDQ form: each operation between a DequantizeLinear and a QuantizeLinear.

ONNX Runtime's own quantizer places those; ranges come from `quantize`. Its entropy calibration is not
used: with as many histogram bins as levels it changes nothing. Which integer types and which operations
run fastest depends on the CPU that the file is for; ARRANGEMENTS holds what was measured
(docs/quantization.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from regnet_edge.request import Calibration, ExportRequest

from .. import INPUT_NAME
from ..batches import filled_batches
from ..graph.locate import owned
from ..int8.ranges import ranges
from ..quiet import quiet
from .graph import _copy, gelus, of_onnx, tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto

    Floats = NDArray[np.float32]

WEIGHT_LAYERS = ("Conv", "Gemm")
QUANTIZED = (*WEIGHT_LAYERS, "Add", "Mul", "Relu", "Sigmoid", "Reshape")
Cpu = Literal["generic", "x86-vnni", "arm-dotprod"]


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


ARRANGEMENTS: Mapping[Cpu, Arrangement] = MappingProxyType(
    {
        "generic": Arrangement("u8", "u8", "unsigned by signed saturates at 16 bits on x86 without VNNI"),
        "x86-vnni": Arrangement("u8", "s8", "VNNI multiplies unsigned by signed"),
        "arm-dotprod": Arrangement(
            "u8", "s8", "Arm's int8 dot product, to which unsigned by signed is mapped"
        ),
    }
)


def quantized(
    model: ModelProto, request: ExportRequest, images: Floats | None, cpu: Cpu = "generic"
) -> ModelProto:
    """The model in the request's precision (fp16, int8 or w8), its doors float; `model` stays as it is.

    images: the calibration's, float32 (n, channels, r, r); cpu: where the file will run.
    """
    if request.precision == "w8":
        return _weights_only(model)
    if request.precision == "fp16":
        return _half(model)
    assert request.calibration is not None  # noqa: S101  # its constructor refuses int8 without
    assert images is not None  # noqa: S101  # and who calls brings the images
    chosen = ARRANGEMENTS[cpu]
    found = _ranges(model, request.calibration, images)
    spelt = [node.name for parts in gelus(model) for node in parts]  # one function: no rounding inside
    made = _with_qdq(model, chosen, found, [*_kept_in_float(model, request), *spelt])
    said = (("arrangement", chosen.name), ("arrangement_reason", chosen.reason), ("cpu", cpu))
    for key, value in said:
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
        quantizer.model.topological_sort()  # it appends; the format wants every node behind its inputs
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
    """Input and results of every operation by name, for each batch that the model takes (0: any)."""
    names = [INPUT_NAME, *(name for node in model.graph.node for name in node.output)]
    [entry] = model.graph.input
    return tensors(model, filled_batches(images, entry.type.tensor_type.shape.dim[0].dim_value or 1), names)


def _half(model: ModelProto) -> ModelProto:
    """Weights and arithmetic in float16 between a Cast at each door; ONNX Runtime's own converter."""
    from onnxruntime.quantization.onnx_model import ONNXModel  # type: ignore[import-untyped]  # ships no types
    from onnxruntime.transformers.float16 import convert_float_to_float16  # type: ignore[import-untyped]  # ships no types

    with quiet():
        made = ONNXModel(convert_float_to_float16(_copy(model), keep_io_types=True))
    made.topological_sort()  # it appends the casts; the format wants every node behind its inputs
    found: ModelProto = made.model
    return found


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
