"""What is inside any .tflite, read from its flatbuffer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regnet_edge.complexity import Complexity
from regnet_edge.errors import ArtifactError

from ..contents import Contents, CountedLayer, TensorInfo, at_a_size, by_type, counted
from .runtime import open_interpreter, read_flatbuffer

_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def contents(path: Path) -> Contents:
    """The first subgraph's inside; ops outside a delegate are known once a runtime has loaded it."""
    from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]  # ships no types

    from . import metadata, structure

    model = schema.Model.GetRootAs(read_flatbuffer(path), 0)
    graph = model.Subgraphs(0)
    types = {v: k.lower() for k, v in vars(schema.TensorType).items() if not k.startswith("_")}
    inputs = tuple(_info(graph.Tensors(graph.Inputs(i)), types) for i in range(graph.InputsLength()))
    outputs = tuple(_info(graph.Tensors(graph.Outputs(i)), types) for i in range(graph.OutputsLength()))
    stored = _stored(model, graph)
    return Contents(
        inputs=inputs,
        outputs=outputs,
        structure=structure(path),
        weights=by_type((types[t.Type()], _shape(t), size) for t, size in stored),
        counts=_counts(schema, model, graph, path, inputs),
        metadata=metadata(path),
        remarks=(*at_a_size(inputs), "the runtime decides at loading what XNNPACK takes; benchmark tells it"),
    )


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength()))


def _info(tensor: Any, types: dict[int, str]) -> TensorInfo:
    signed = tuple(max(0, int(tensor.ShapeSignature(i))) for i in range(tensor.ShapeSignatureLength()))
    steps = tensor.Quantization()
    name, kind, shape = tensor.Name().decode(errors="replace"), types[tensor.Type()], signed or _shape(tensor)
    if steps is None or steps.ScaleLength() != 1:
        return TensorInfo(name, kind, shape)
    return TensorInfo(name, kind, shape, float(steps.Scale(0)), int(steps.ZeroPoint(0)))


def _batch(inputs: tuple[TensorInfo, ...]) -> int:
    return (inputs[0].shape[0] or 1) if inputs and inputs[0].shape else 1


def _stored(model: Any, graph: Any) -> list[tuple[Any, int]]:
    """Tensors whose numbers lie in the file, with their bytes; a buffer may lie behind the flatbuffer."""
    every = (graph.Tensors(i) for i in range(graph.TensorsLength()))
    sized = ((t, model.Buffers(t.Buffer())) for t in every)
    return [(t, size) for t, b in sized if (size := b.DataLength() or int(b.Size()))]


def _counts(
    schema: Any, model: Any, graph: Any, path: Path, inputs: tuple[TensorInfo, ...]
) -> Complexity | None:
    """Of the sizes that are stored; where the file leaves them open, of those that the runtime works out."""
    if not at_a_size(inputs):
        return counted(_layers(schema, model, graph, {}, _batch(inputs)))
    try:
        interpreter = open_interpreter(path, delegates=False)
    except ArtifactError:  # the assumed size is none of the file's
        return None
    seen = {d["index"]: tuple(int(n) for n in d["shape"]) for d in interpreter.get_tensor_details()}
    return counted(_layers(schema, model, graph, seen, 1))


def _layers(
    schema: Any, model: Any, graph: Any, seen: Mapping[int, tuple[int, ...]], batch: int
) -> Iterator[CountedLayer]:
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = model.OperatorCodes(op.OpcodeIndex())
        if names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] not in _LAYERS:
            continue
        kernel = _shape(graph.Tensors(op.Inputs(1)))
        out = seen.get(op.Outputs(0), _shape(graph.Tensors(op.Outputs(0))))
        bias = _shape(graph.Tensors(op.Inputs(2))) if op.InputsLength() > 2 and op.Inputs(2) >= 0 else (0,)
        yield CountedLayer(math.prod(out) // batch, math.prod(kernel), out[-1], math.prod(bias))
