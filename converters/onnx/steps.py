"""How the graph of an .onnx reads its int8 or uint8 input and writes such an answer: the scale it states."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..steps import StatedSteps

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# the places of scale and zero point among the inputs of an op that takes steps, and of one that gives them
_TAKES = {"DequantizeLinear": 1, "QLinearConv": 1, "QLinearMatMul": 1, "QGemm": 1}
_GIVES = {"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6, "QGemm": 7, "QLinearSoftmax": 3}
_MOVES = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")  # numbers stay as they are


def input_steps(model: ModelProto, name: str, kind: type) -> StatedSteps | None:
    """As the first op reads that input of that type; None where it states no single scale."""
    names = {name}
    for node in model.graph.node:
        if not node.input or node.input[0] not in names:
            continue
        if node.op_type in _MOVES:
            names.update(node.output)
        elif node.op_type in _TAKES:
            return _stated(model, node, _TAKES[node.op_type], kind)
    return None


def output_steps(model: ModelProto, name: str, kind: type) -> StatedSteps | None:
    """As the last op writes that answer of that type; None where it states no single scale."""
    for node in reversed(model.graph.node):
        if name not in node.output:
            continue
        if node.op_type not in _MOVES:
            return _stated(model, node, _GIVES[node.op_type], kind) if node.op_type in _GIVES else None
        name = node.input[0]
    return None


def _stated(model: ModelProto, node: NodeProto, place: int, kind: type) -> StatedSteps | None:
    """From the scale and the zero point behind it, which is 0 where it is left out."""
    scale = _number(model, node.input[place])
    left_out = len(node.input) <= place + 1 or not node.input[place + 1]
    zero = np.zeros(()) if left_out else _number(model, node.input[place + 1])
    if scale is None or zero is None:
        return None
    return StatedSteps(float(scale.item()), int(zero.item()), np.dtype(kind))


def _number(model: ModelProto, name: str) -> NDArray[Any] | None:
    """The one number that the graph holds under that name, None where it holds none or several."""
    from onnx import numpy_helper

    stored = {i.name: i for i in model.graph.initializer if not i.external_data}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            stored[node.output[0]] = node.attribute[0].t
    tensor = stored.get(name)
    return None if tensor is None or math.prod(tensor.dims) != 1 else numpy_helper.to_array(tensor)
