"""What is embedded in an .onnx: nodes before the network and behind it, written into the finished graph.

Before an int8 network the multiply-add is integers throughout: uint8 pixels, int8 factors and int32 summands
between a DequantizeLinear and the network's own QuantizeLinear, which every runtime fuses into one
convolution. Before any other it follows a Cast.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from regnet_edge.request import ExportRequest

from .. import INPUT_NAME, OUTPUT_NAME
from ..embed import MULTIPLY_ADD, Steps, multiply_adds, scale_and_bias
from ..outputs import INDICES, PROBABILITIES, SCORES, top_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

INPUT = "network_input"  # what the network read as `image` before


def embed(model: ModelProto, request: ExportRequest) -> ModelProto:
    """The model with what the request embeds; it changes in place, and is returned."""
    if request.takes_pixels:
        _take_pixels(model, request)
    _answer(model, request)
    return model


def _take_pixels(model: ModelProto, request: ExportRequest) -> None:
    """The input becomes uint8 NHWC; what read it reads the normalized image."""
    from onnx import TensorProto, helper

    graph = model.graph
    [entry] = graph.input
    sizes = [d.dim_value or d.dim_param for d in entry.type.tensor_type.shape.dim]
    for node in graph.node:
        node.input[:] = [INPUT if name == INPUT_NAME else name for name in node.input]
    shape = [sizes[0], *sizes[2:], sizes[1]]
    entry.CopyFrom(helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, shape))
    ours = [helper.make_node("Transpose", [INPUT_NAME], ["pixels"], "pixels", perm=[0, 3, 1, 2])]
    first = [node for node in graph.node if INPUT in node.input]
    if all(node.op_type == "QuantizeLinear" for node in first):
        ours += _in_integers(model, request)
    else:
        ours += _in_floats(model, request)
    for node in reversed(ours):
        graph.node.insert(0, node)


def _in_floats(model: ModelProto, request: ExportRequest) -> Iterator[NodeProto]:
    from onnx import TensorProto, helper

    if not multiply_adds(request):
        yield helper.make_node("Cast", ["pixels"], [INPUT], "cast", to=TensorProto.FLOAT)
        return
    scale, bias = scale_and_bias(request.model.preprocessing)
    yield helper.make_node("Cast", ["pixels"], ["pixels_float"], "cast", to=TensorProto.FLOAT)
    _store(model, "normalize_scale", scale.astype(np.float32).reshape(-1, 1, 1, 1))
    _store(model, "normalize_bias", bias.astype(np.float32))
    yield _convolution("pixels_float", "normalize_scale", "normalize_bias", len(scale))


def _in_integers(model: ModelProto, request: ExportRequest) -> Iterator[NodeProto]:
    """As `Steps` says, in QDQ form."""
    from onnx import helper

    steps = Steps.of(request.model.preprocessing)
    channels = len(steps.step)
    stored: dict[str, NDArray[Any]] = {
        "pixels_scale": np.array(1, np.float32),
        "pixels_zero": np.array(0, np.uint8),
        "normalize_steps": steps.factors.reshape(-1, 1, 1, 1),
        "normalize_step": steps.step,
        "normalize_zero": np.zeros(channels, np.int8),
        "normalize_bias_steps": steps.summands,
        "normalize_bias_zero": np.zeros(channels, np.int32),
    }
    for name, values in stored.items():
        _store(model, name, values)
    for inputs, output, axis in (
        (["pixels", "pixels_scale", "pixels_zero"], "pixels_real", None),
        (["normalize_steps", "normalize_step", "normalize_zero"], "normalize_scale", 0),
        (["normalize_bias_steps", "normalize_step", "normalize_bias_zero"], "normalize_bias", 0),
    ):
        along: dict[str, Any] = {} if axis is None else {"axis": axis}  # attributes
        yield helper.make_node("DequantizeLinear", inputs, [output], output, **along)
    yield _convolution("pixels_real", "normalize_scale", "normalize_bias", channels)


def _convolution(pixels: str, scale: str, bias: str, channels: int) -> NodeProto:
    from onnx import helper

    return helper.make_node(
        "Conv", [pixels, scale, bias], [INPUT], MULTIPLY_ADD, group=channels, kernel_shape=[1, 1]
    )


def _answer(model: ModelProto, request: ExportRequest) -> None:
    """Probabilities in the place of logits; the likeliest classes and their scores behind them."""
    from onnx import TensorProto, helper

    graph = model.graph
    if request.output:
        return
    [exit_] = graph.output
    batch = exit_.type.tensor_type.shape.dim[0]
    if "softmax" in request.embed:
        graph.node.append(helper.make_node("Softmax", [OUTPUT_NAME], [PROBABILITIES], "softmax", axis=-1))
        exit_.name = PROBABILITIES
    if "labels" not in request.embed:
        return
    _store(model, "top", np.array([top_of(request)], np.int64))
    graph.node.append(helper.make_node("TopK", [exit_.name, "top"], [SCORES, INDICES], "labels", axis=-1))
    shape = [batch.dim_value or batch.dim_param, top_of(request)]
    graph.output.append(helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, shape))
    graph.output.append(helper.make_tensor_value_info(INDICES, TensorProto.INT64, shape))


def _store(model: ModelProto, name: str, values: NDArray[Any]) -> None:
    from onnx import numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
