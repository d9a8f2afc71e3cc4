"""What is inside any .pte: the kernels of its method forward, and the XNNPACK graphs that it hands over."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regnet_edge.artifact import Structure
from regnet_edge.errors import RegNetEdgeError

from ..contents import Contents, CountedLayer, TensorInfo, by_type, counted
from .apple import BACKEND
from .apple import structure as core_ml_structure
from .file import XNNPACK, ProgramContents, ReadProgram, _kernels, _nodes, is_bound, read_header, read_program

_KERNELS: Mapping[str, tuple[int, int]] = {  # where weight and bias are, by name
    "aten::convolution": (1, 2), "aten::linear": (1, 2), "aten::addmm": (2, 0), "aten::mm": (1, -1),
}  # fmt: skip
_FLOAT_BYTES = {"float32": 4, "float16": 2, "int8": 1, "uint8": 1, "int32": 4}
_SCALARS = {
    "FLOAT": "float32", "HALF": "float16", "CHAR": "int8", "BYTE": "uint8", "INT": "int32", "LONG": "int64",
}  # fmt: skip
_XNN_TYPES = {
    "fp32": "float32", "fp16": "float16", "qint8": "int8", "qcint8": "int8", "quint8": "uint8",
    "qint32": "int32", "qcint32": "int32", "qbint4": "int4", "qcint4": "int4",
}  # fmt: skip


def contents(path: Path) -> Contents:
    """The method's inside; raises ArtifactError where there is no method forward."""
    from . import NAMESPACE, metadata

    read = read_program(path)
    made = ProgramContents(tuple(tuple(_nodes(g)) for g in read.graphs), tuple(_kernels(read.plan)))
    values, plan = read.plan.values, read.plan
    ours = any(p.name.startswith(NAMESPACE) for p in read.program.execution_plan)
    return Contents(
        inputs=tuple(_info("", values[i].val) for i in plan.inputs),
        outputs=tuple(_info("", values[i].val) for i in plan.outputs if hasattr(values[i].val, "sizes")),
        structure=_structure(read, made, path),
        weights=by_type([*_stored_in_delegates(read), *_stored(read)]),
        counts=None if set(read.delegates) - {XNNPACK} else counted([*_delegated(read), *_plain(read)]),
        metadata=metadata(path) if ours else {},
        outside=dict(sorted(Counter(made.kernels).items())),
        remarks=(*_bound(read), *_remarks(read, made, path)),
        delegate="Core ML" if BACKEND in read.delegates else "XNNPACK",
    )


def _structure(read: ReadProgram, made: ProgramContents, path: Path) -> Structure:
    """Of the Core ML program inside where that is the whole network; else of the .pte's own ops."""
    if BACKEND in read.delegates:
        with contextlib.suppress(RegNetEdgeError):
            return core_ml_structure(path)
    return made.structure()


def _bound(read: ReadProgram) -> tuple[str, ...]:
    said = "the sizes of the input are the most that it takes: fewer images at once are taken too"
    return (said,) if is_bound(read.plan) else ()


def _remarks(read: ReadProgram, made: ProgramContents, path: Path) -> tuple[str, ...]:
    size = read_header(path).segments_bytes
    behind = f"{size:,} bytes of weights lie behind the program"
    if BACKEND in read.delegates:
        return (f"the network is a Core ML program inside, which only Apple's devices run; {behind}",)
    others = sorted(set(read.delegates) - {XNNPACK})
    if others:
        return (f"delegates {', '.join(others)}, whose inside is not read here", behind)
    if not read.graphs:
        return ("no delegate: every op runs a portable kernel, which is slow; lower it to XNNPACK", behind)
    if made.kernels:
        return ("XNNPACK's partitioner left the ops outside to portable kernels: they have no XNNPACK node, "
                "or their types or shapes are none it takes", behind)  # fmt: skip
    return (behind,)


def _info(name: str, value: Any) -> TensorInfo:
    if not hasattr(value, "sizes"):
        return TensorInfo(name, type(value).__name__.lower(), ())
    return TensorInfo(name, _scalar(value), tuple(value.sizes))


def _scalar(value: Any) -> str:
    return _SCALARS.get(value.scalar_type.name, str(value.scalar_type.name).lower())


def _stored(read: ReadProgram) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Constants of the program itself."""
    for value in (v.val for v in read.plan.values):
        if hasattr(value, "sizes") and value.data_buffer_idx > 0 and value.allocation_info is None:
            kind = _scalar(value)
            yield kind, tuple(value.sizes), math.prod(value.sizes) * _FLOAT_BYTES.get(kind, 8)


def _stored_in_delegates(read: ReadProgram) -> Iterator[tuple[str, tuple[int, ...], int]]:
    for tensor in (t for graph in read.graphs for t in _tensors(graph).values()):
        if tensor["constant_buffer_idx"]:
            kind = tensor.get("datatype", "xnn_datatype_fp32").removeprefix("xnn_datatype_")
            name = _XNN_TYPES.get(kind, kind)
            count = math.prod(tensor["dims"])
            yield name, tuple(tensor["dims"]), int(count * _FLOAT_BYTES.get(name, 0.5))


def _tensors(graph: Any) -> dict[int, Any]:
    """The tensors of a graph by id, a quantized one's as well."""
    unions = [v["xvalue_union"] for v in graph["xvalues"]]
    plain = [u.get("tensor_value", u) for u in unions]
    defaults = {"constant_buffer_idx": 0, "dims": [], "id_out": 0}
    return {t.get("id_out", 0): {**defaults, **t} for t in plain}


def _delegated(read: ReadProgram) -> Iterator[CountedLayer]:
    for graph in read.graphs:
        tensors = _tensors(graph)
        for node in graph["xnodes"]:
            kind, op = node["xnode_union_type"].removeprefix("XNN"), node["xnode_union"]
            if kind in ("Conv2d", "DepthwiseConv2d", "FullyConnected"):
                yield _of_node(kind, op, tensors)


def _of_node(kind: str, op: Mapping[str, Any], tensors: Mapping[int, Any]) -> CountedLayer:
    def dims(field: str) -> list[int]:
        return list(tensors.get(op.get(field, 0), {"dims": []})["dims"])

    kernel, out, bias = dims("filter_id"), dims("output_id"), dims("bias_id")
    groups = op.get("groups", 1) * op.get("group_output_channels", 0)
    channels = (kernel[0] if kernel else 0) if kind == "FullyConnected" else groups
    return CountedLayer(math.prod(out[1:]), math.prod(kernel), channels, math.prod(bias) if bias else 0)


def _plain(read: ReadProgram) -> Iterator[CountedLayer]:
    """Layers that run portable kernels, whose arguments are values of the program."""
    plan = read.plan
    for instruction in (i.instr_args for chain in plan.chains for i in chain.instructions):
        if getattr(instruction, "op_index", None) is None:
            continue
        name = plan.operators[instruction.op_index].name
        if name in _KERNELS:
            yield _of_kernel(name, [plan.values[i].val for i in instruction.args])


def _of_kernel(name: str, given: list[Any]) -> CountedLayer:
    weight, bias = _KERNELS[name]
    kernel, out = list(given[weight].sizes), list(given[-1].sizes)
    channels = kernel[1] if name in ("aten::addmm", "aten::mm") else kernel[0]
    stored = given[bias] if bias >= 0 else None
    count = math.prod(stored.sizes) if stored is not None and hasattr(stored, "sizes") else 0
    return CountedLayer(math.prod(out[1:]), math.prod(kernel), channels, count)
