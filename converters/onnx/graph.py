"""What an .onnx holds, and what it computes inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from regnet_edge.artifact import Artifact

from .. import INPUT_NAME
from ..graph.locate import Op, OpKind, _kind, flowing

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from regnet_edge.model import RegNet

    from .. import Floats, Reader


@dataclass(frozen=True, slots=True)
class OnnxReader:
    """Runs the file with the wanted tensors as further outputs."""

    model: Any
    ops: tuple[Op, ...]
    image: str = INPUT_NAME
    remark: str = ""

    def values(self, batches: Iterable[Floats], names: Sequence[str]) -> Iterator[dict[str, Floats]]:
        """Dequantized as the file does it."""

        return tensors(self.model, batches, names)


def reader(artifact: Artifact, _: RegNet, __: Floats) -> Reader:
    import onnx

    model = onnx.load(str(artifact.path))
    return OnnxReader(model, of_onnx(model))


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


def of_onnx(model: ModelProto) -> tuple[Op, ...]:
    """Tensors by name; weights and what becomes of them before they are read are left out."""
    stored = {i.name for i in model.graph.initializer}
    live = [n for n in model.graph.node if any(name not in stored for name in n.input)]
    spelt = gelus(model)
    whole = {parts[-1].output[0]: (parts[0].input[0],) for parts in spelt}
    inside = {node.output[0] for parts in spelt for node in parts[:-1]}
    ops = [
        Op("activation", whole[out], out)
        if out in whole
        else Op(_kind(_ONNX, n.op_type), tuple(n.input), out)
        for n in live
        if (out := n.output[0]) not in inside
    ]
    return flowing(ops, INPUT_NAME)


def gelus(model: ModelProto) -> list[list[NodeProto]]:
    """The nodes of each GELU that is spelt out, as operator sets before 20 do: x/2 * (1 + erf(x/sqrt 2))."""
    stored = {i.name for i in model.graph.initializer}
    makers = {out: n for n in model.graph.node for out in n.output}
    found = []
    for erf in (n for n in model.graph.node if n.op_type == "Erf"):
        parts, outputs = [makers[erf.input[0]], erf], {erf.input[0], erf.output[0]}
        origin = {name for name in parts[0].input if name not in stored}
        for node in model.graph.node:
            live = {name for name in node.input if name not in stored}
            if node.op_type in ("Add", "Mul") and live and live <= outputs | origin:
                parts.append(node)
                outputs.update(node.output)
        found.append(parts)
    return found


def tensors(
    model: ModelProto, batches: Iterable[Floats], names: Sequence[str]
) -> Iterator[dict[str, Floats]]:
    """The tensors of those names, for each batch."""
    import onnxruntime  # type: ignore[import-untyped]  # ships no types
    from onnx import ValueInfoProto

    opened, computed = _copy(model), [name for name in names if name != INPUT_NAME]
    known = {output.name for output in model.graph.output}
    opened.graph.output.extend(ValueInfoProto(name=name) for name in computed if name not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(
        opened.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for batch in batches:
        found = dict(zip(computed, session.run(computed, {INPUT_NAME: batch}), strict=True))
        yield {name: batch if name == INPUT_NAME else found[name] for name in names}


def _copy(model: ModelProto) -> ModelProto:
    from onnx import ModelProto

    copied = ModelProto()
    copied.CopyFrom(model)
    return copied
