"""What is inside any .onnx, read from its graph; sizes that are left open count as one image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regnet_edge.complexity import Complexity
from regnet_edge.errors import ArtifactError

from ..contents import Contents, CountedLayer, TensorInfo, at_a_size, by_type, counted, filled
from .external import named_beside

Shapes = Mapping[str, tuple[int, ...]]
_KERNEL = {"Conv": 1, "Gemm": 1, "MatMul": 1, "QLinearConv": 3, "QLinearMatMul": 3, "ConvInteger": 1}
_KERNEL |= {"MatMulInteger": 1, "FusedConv": 1, "QGemm": 3}
_BIAS = {"Conv": 2, "Gemm": 2, "FusedConv": 2, "QLinearConv": 8, "QGemm": 6}


def contents(path: Path) -> Contents:
    """The graph's inside; raises ArtifactError where it is no ONNX model."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    from . import metadata, structure

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ArtifactError(f"{path} is not an ONNX file; export it again") from error
    graph, stored = model.graph, {i.name for i in model.graph.initializer}
    inputs = tuple(_info(i) for i in graph.input if i.name not in stored)
    beside = named_beside(model)
    weights = [(_type(i.data_type), tuple(i.dims), _bytes(i)) for i in graph.initializer]
    return Contents(
        inputs=inputs,
        outputs=tuple(_info(o) for o in graph.output),
        structure=structure(path),
        weights=by_type(weights),
        counts=_counts(model, stored, path),
        metadata=metadata(path),
        remarks=(
            *at_a_size(inputs),
            *(f"its weights lie in {name}{_missing(path, name)}" for name in beside),
        ),
        beside=beside,
    )


def _missing(path: Path, name: str) -> str:
    return "" if (path.parent / name).is_file() else ", which is not beside it: put that file there"


def _type(number: int) -> str:
    import onnx

    name = str(onnx.TensorProto.DataType.Name(number)).lower()
    return "float32" if name == "float" else name


def _bytes(tensor: Any) -> int:
    import onnx

    width = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return int(math.prod(tensor.dims) * width)


def _sizes(value: Any) -> tuple[int, ...]:
    return tuple(d.dim_value if d.HasField("dim_value") else 0 for d in value.type.tensor_type.shape.dim)


def _info(value: Any) -> TensorInfo:
    return TensorInfo(value.name, _type(value.type.tensor_type.elem_type), _sizes(value))


def _counts(model: Any, stored: set[str], path: Path) -> Complexity | None:
    """From the shapes that follow from the graph; where some do not, from those of one run."""
    inferred = _inferred(model)
    found = counted(_layers(model, stored, inferred))
    return found or counted(_layers(model, stored, {**inferred, **_computed(model, stored, path)}))


def _computed(model: Any, stored: set[str], path: Path) -> Shapes:
    """What the layers answer to one image, for open sizes and for ops that ONNX does not know.

    Empty where the file takes no image or its runtime refuses it.
    """
    import onnx
    import onnxruntime  # type: ignore[import-untyped]  # ships no types

    layers = [node.output[0] for node in model.graph.node if node.op_type in _KERNEL]
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    known = {output.name for output in model.graph.output}
    seen.graph.output.extend(onnx.ValueInfoProto(name=name) for name in layers if name not in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    given = {i.name: _one_image(i) for i in model.graph.input if i.name not in stored}
    if any(image is None for image in given.values()):
        return {}
    try:
        session = onnxruntime.InferenceSession(
            seen.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return {n: f.shape for n, f in zip(layers, session.run(layers, given), strict=True)}
    except Exception:  # noqa: BLE001  # its pybind exceptions share no base but Exception
        return {}


def _one_image(value: Any) -> NDArray[Any] | None:
    """Zeros as that input takes them, open sizes filled; None where it is no image."""
    import onnx

    shape = filled(_sizes(value))
    if len(shape) != 4:
        return None
    return np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


def _inferred(model: Any) -> Shapes:
    """The shape of every tensor that follows from the graph, an open batch taken as one image."""
    import onnx

    one = onnx.ModelProto()
    one.CopyFrom(model)
    stored = {i.name for i in model.graph.initializer}
    for i in one.graph.input:
        dims = i.type.tensor_type.shape.dim
        if i.name not in stored and dims and not dims[0].HasField("dim_value"):
            dims[0].dim_value = 1
    del one.graph.value_info[:]  # the exporter's own, with the open batch in them
    for o in one.graph.output:
        o.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(one, data_prop=True).graph
    every = (*inferred.input, *inferred.value_info, *inferred.output)
    return {v.name: _sizes(v) for v in every} | {i.name: tuple(i.dims) for i in model.graph.initializer}


def _layers(model: Any, stored: set[str], shapes: Shapes) -> Iterator[CountedLayer]:
    """Every layer whose kernel is stored, or dequantized from what is stored."""
    fixed = set(stored)
    for node in model.graph.node:
        if all(name in fixed or not name for name in node.input):
            fixed.update(node.output)
        place = _KERNEL.get(node.op_type)
        if place is None or place >= len(node.input) or node.input[place] not in fixed:
            continue
        kernel, out = shapes.get(node.input[place], ()), shapes.get(node.output[0], ())
        at = _BIAS.get(node.op_type, len(node.input))
        bias = math.prod(shapes.get(node.input[at], (0,))) if at < len(node.input) and node.input[at] else 0
        yield _layer(node.op_type, kernel, out, bias)


def _layer(kind: str, kernel: tuple[int, ...], out: tuple[int, ...], bias: int) -> CountedLayer:
    if not kernel or not out:
        return CountedLayer(0, math.prod(kernel), 0, bias)
    channels = out[1] if "Conv" in kind else out[-1]
    return CountedLayer(math.prod(out[1:]), math.prod(kernel), channels, bias)
