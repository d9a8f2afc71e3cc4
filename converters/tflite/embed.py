"""What is embedded in a .tflite: operators before the network and behind it, written into the finished file.

Pixels reach an int8 network through QUANTIZE, which moves their zero, and one int8 convolution that answers
in the steps of the network's own input: nothing is float. Any other network gets them through CAST and the
same convolution in float.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regnet_edge.request import ExportRequest

from .. import INPUT_NAME, OUTPUT_NAME
from ..embed import MULTIPLY_ADD, Steps, multiply_adds, scale_and_bias
from ..outputs import INDICES, PROBABILITIES, SCORES, top_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIFT = -128  # zero of int8 steps that stand for 0..255


@dataclass(slots=True)
class Editor:
    """Adds tensors and operators to a model's one graph; schema is ai_edge_litert's own."""

    schema: Any
    model: Any

    @property
    def graph(self) -> Any:
        """The one graph."""
        [graph] = self.model.subgraphs
        return graph

    def tensor(
        self,
        name: str,
        kind: int,
        shape: list[int],
        values: NDArray[Any] | None = None,
        steps: tuple[Any, Any] | None = None,
    ) -> int:
        """Index of a new tensor; steps: (scales, zero points), per output channel where there are several."""
        tensor, buffer = self.schema.TensorT(), self.schema.BufferT()
        if values is not None:
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.name, tensor.type, tensor.shape = name.encode(), kind, shape
        tensor.buffer, tensor.hasRank = len(self.model.buffers) - 1, True
        if steps is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = [float(s) for s in np.atleast_1d(steps[0])]
            tensor.quantization.zeroPoint = [int(z) for z in np.atleast_1d(steps[1])]
            tensor.quantization.quantizedDimension = len(shape) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(
        self, name: str, inputs: list[int], outputs: list[int], version: int = 1, **options: Any
    ) -> Any:
        """An operator of that name; options are its fields, under the name of their class."""
        op, code = self.schema.OperatorT(), getattr(self.schema.BuiltinOperator, name)
        op.opcodeIndex, op.inputs, op.outputs = self._code(code, version), inputs, outputs
        for kind, fields in options.items():
            op.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            op.builtinOptions = getattr(self.schema, f"{kind}T")()
            for field, value in fields.items():
                setattr(op.builtinOptions, field, value)
        return op

    def _code(self, builtin: int, version: int) -> int:
        """Index of the operator's code, which is added where the model has none of that version or above."""
        for i, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                code.version = max(code.version, version)
                return i
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def inputs(self) -> Any:
        """The signature's inputs, one."""
        return self.model.signatureDefs[0].inputs if self.model.signatureDefs else []

    def outputs(self) -> Any:
        """The signature's outputs."""
        return self.model.signatureDefs[0].outputs if self.model.signatureDefs else []


def embed(model: Any, request: ExportRequest) -> None:
    """Write what the request embeds into a model of the schema's object interface."""
    from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]  # ships no types

    editor = Editor(schema, model)
    if request.takes_pixels:
        _take_pixels(editor, request)
    _answer(editor, request)


def _take_pixels(editor: Editor, request: ExportRequest) -> None:
    """A new input, uint8 NHWC; what read the old one reads the normalized image."""
    graph, kinds = editor.graph, editor.schema.TensorType
    [old] = graph.inputs
    shape = [int(n) for n in graph.tensors[old].shape]
    readers = [op for op in graph.operators if old in list(op.inputs)]
    codes = [editor.model.operatorCodes[op.opcodeIndex] for op in readers]
    quantize = editor.schema.BuiltinOperator.QUANTIZE
    stepped = next(
        (op.outputs[0] for op, c in zip(readers, codes, strict=True) if c.builtinCode == quantize), old
    )
    graph.tensors[old].name = b"network_input"
    if graph.tensors[stepped].type == kinds.INT8:
        pixels = editor.tensor(INPUT_NAME, kinds.UINT8, shape, steps=(1.0, 0))
        graph.operators[:] = [op for op in graph.operators if list(op.outputs) != [stepped]]
        ops = _in_integers(editor, request, pixels, stepped)
    else:
        pixels = editor.tensor(INPUT_NAME, kinds.UINT8, shape)
        ops = _in_floats(editor, request, pixels, old)
    graph.operators[:] = [*ops, *graph.operators]
    graph.inputs = [pixels]
    for entry in editor.inputs():
        entry.tensorIndex = pixels


def _in_floats(editor: Editor, request: ExportRequest, pixels: int, network_input: int) -> list[Any]:
    kinds = editor.schema.TensorType
    shape = [int(n) for n in editor.graph.tensors[pixels].shape]
    types = {"inDataType": kinds.UINT8, "outDataType": kinds.FLOAT32}
    if not multiply_adds(request):
        return [editor.operator("CAST", [pixels], [network_input], CastOptions=types)]
    scale, bias = scale_and_bias(request.model.preprocessing)
    as_float = editor.tensor("pixels_float", kinds.FLOAT32, shape)
    factors = editor.tensor("normalize_scale", kinds.FLOAT32, [1, 1, 1, shape[3]], scale.astype(np.float32))
    summands = editor.tensor("normalize_bias", kinds.FLOAT32, [shape[3]], bias.astype(np.float32))
    editor.graph.tensors[network_input].name = MULTIPLY_ADD.encode()
    cast = editor.operator("CAST", [pixels], [as_float], CastOptions=types)
    return [cast, _convolution(editor, [as_float, factors, summands], network_input)]


def _in_integers(editor: Editor, request: ExportRequest, pixels: int, network_input: int) -> list[Any]:
    """As `Steps` says, in TFLite's words."""
    kinds = editor.schema.TensorType
    shape = [int(n) for n in editor.graph.tensors[pixels].shape]
    steps = Steps.of(request.model.preprocessing)
    zeros = np.zeros(shape[3], np.int64)
    moved = editor.tensor("pixels_int8", kinds.INT8, shape, steps=(1.0, SHIFT))
    factors = editor.tensor(
        "normalize_scale", kinds.INT8, [1, 1, 1, shape[3]], steps.factors, (steps.step, zeros)
    )
    summands = editor.tensor("normalize_bias", kinds.INT32, [shape[3]], steps.summands, (steps.step, zeros))
    editor.graph.tensors[network_input].name = MULTIPLY_ADD.encode()
    quantize = editor.operator("QUANTIZE", [pixels], [moved], QuantizeOptions={})
    return [quantize, _convolution(editor, [moved, factors, summands], network_input, version=3)]


def _convolution(editor: Editor, inputs: list[int], output: int, version: int = 1) -> Any:
    fields = {"strideW": 1, "strideH": 1, "depthMultiplier": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    return editor.operator(
        "DEPTHWISE_CONV_2D", inputs, [output], version, DepthwiseConv2DOptions={"padding": 1, **fields}
    )


def _answer(editor: Editor, request: ExportRequest) -> None:
    """Probabilities in the place of logits; the likeliest classes and their scores behind them."""
    graph, schema = editor.graph, editor.schema
    if request.output:
        return
    [answer] = graph.outputs
    like = graph.tensors[answer]
    if "softmax" in request.embed:
        steps = (1 / 256, SHIFT) if like.type == schema.TensorType.INT8 else None
        given, shape = answer, [int(n) for n in like.shape]
        answer = editor.tensor(PROBABILITIES, like.type, shape, steps=steps)
        graph.operators.append(
            editor.operator("SOFTMAX", [given], [answer], 2 if steps else 1, SoftmaxOptions={"beta": 1.0})
        )
        like.name, like = OUTPUT_NAME.encode(), graph.tensors[answer]
    graph.outputs = [answer]
    for entry in editor.outputs():
        entry.tensorIndex = answer
        entry.name = like.name if "softmax" in request.embed else entry.name
    if "labels" in request.embed:
        _name(editor, request, answer)


def _name(editor: Editor, request: ExportRequest, answer: int) -> None:
    """TOPK_V2 behind the answer, its two outputs behind that in the signature."""
    graph, kinds = editor.graph, editor.schema.TensorType
    like, top = graph.tensors[answer], top_of(request)
    shape = [int(like.shape[0]), top]
    k = editor.tensor("top", kinds.INT32, [], np.array(top, np.int32))
    scores = editor.tensor(SCORES, like.type, shape)
    graph.tensors[scores].quantization = like.quantization
    indices = editor.tensor(INDICES, kinds.INT32, shape)
    version = 2 if like.type == kinds.INT8 else 1
    graph.operators.append(
        editor.operator("TOPK_V2", [answer, k], [scores, indices], version, TopKV2Options={})
    )
    graph.outputs = [answer, scores, indices]
    for name, index in ((SCORES, scores), (INDICES, indices)):
        entry = editor.schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), index
        editor.outputs().append(entry)
