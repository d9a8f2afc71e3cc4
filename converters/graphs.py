"""Each format's graph as `anatomy` reads it: what depends on the image, by kind, in an order that can run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from regnet_edge.errors import ConversionError

from . import INPUT_NAME
from .anatomy import Op, OpKind, flowing

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch.fx import Graph

_ONNX: Mapping[str, OpKind] = MappingProxyType(
    {
        "Conv": "conv",
        "Gemm": "linear",
        "Add": "add",
        "Mul": "mul",
        "Sigmoid": "sigmoid",
        "ReduceMean": "mean",
        "Relu": "activation",
        "Gelu": "activation",
        "QuantizeLinear": "same",
        "DequantizeLinear": "same",
        "Reshape": "form",
        "Flatten": "form",
    }
)
_TFLITE: Mapping[str, OpKind] = MappingProxyType(
    {
        "CONV_2D": "conv",
        "DEPTHWISE_CONV_2D": "conv",
        "FULLY_CONNECTED": "linear",
        "ADD": "add",
        "MUL": "mul",
        "LOGISTIC": "sigmoid",
        "MEAN": "mean",
        "RELU": "activation",
        "GELU": "activation",
        "QUANTIZE": "same",
        "DEQUANTIZE": "same",
        "PAD": "form",
        "RESHAPE": "form",
        "TRANSPOSE": "form",
    }
)
_MIL: Mapping[str, OpKind] = MappingProxyType(
    {
        "conv": "conv",
        "linear": "linear",
        "add": "add",
        "mul": "mul",
        "sigmoid": "sigmoid",
        "reduce_mean": "mean",
        "relu": "activation",
        "silu": "activation",
        "gelu": "activation",
        "quantize": "same",
        "dequantize": "same",
        "cast": "same",
        "reshape": "form",
    }
)
_FX: Mapping[str, OpKind] = MappingProxyType(
    {
        "conv2d": "conv",
        "linear": "linear",
        "add": "add",
        "mul": "mul",
        "sigmoid": "sigmoid",
        "mean": "mean",
        "relu": "activation",
        "silu": "activation",
        "gelu": "activation",
        "quantize_per_tensor": "same",
        "dequantize_per_tensor": "same",
        "flatten": "form",
    }
)
FX_OPERATIONS = frozenset({*_FX, "dequantize_per_channel"})


def of_onnx(model: ModelProto) -> tuple[Op, ...]:
    """Tensors by name; weights and what becomes of them before they are read are left out."""
    stored = {i.name for i in model.graph.initializer}
    live = [n for n in model.graph.node if any(name not in stored for name in n.input)]
    ops = [Op(_kind(_ONNX, n.op_type), tuple(n.input), n.output[0]) for n in live]
    return flowing(ops, INPUT_NAME)


def of_tflite(interpreter: Any) -> tuple[Op, ...]:
    """Tensors by number; what the delegate took over is there as it was before."""
    [entry] = interpreter.get_input_details()
    ops = [
        Op(_kind(_TFLITE, op["op_name"]), tuple(str(i) for i in op["inputs"]), str(op["outputs"][0]))
        for op in interpreter._get_ops_details()
        if op["op_name"] != "DELEGATE"
    ]
    return flowing(ops, str(entry["index"]))


def of_coreml(evaluator: Any) -> tuple[Op, ...]:
    """Tensors by name, of a program prepared for the MIL evaluator."""
    ops = [Op(_kind(_MIL, op.kind), tuple(op.refs()), op.outputs[0].name) for op in evaluator.steps]
    return flowing(ops, evaluator.program.input.name)


def of_fx(graph: Graph) -> tuple[Op, ...]:
    """Tensors by node name, of an exported module, quantized or not."""
    calls = [n for n in graph.nodes if n.op == "call_function" and "per_channel" not in n.name]
    ops = [
        Op(_kind(_FX, str(n.target).split(".")[-2]), tuple(i.name for i in n.all_input_nodes), n.name)
        for n in calls
    ]
    return flowing(ops, image_of(graph))


def image_of(graph: Graph) -> str:
    """Name of the one input that is no weight."""
    return next(
        str(n.name) for n in graph.nodes if n.op == "placeholder" and not n.name.startswith(("p_", "b_"))
    )


def _kind(kinds: Mapping[str, OpKind], name: str) -> OpKind:
    if name not in kinds:
        raise ConversionError(
            f"this file has an operation {name}, which no RegNet here has; convert the model again"
        )
    return kinds[name]
