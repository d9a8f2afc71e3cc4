"""A .tflite cut into pieces, one a layer of the definition: the interpreter tells no times of its ops.

A piece is the file's own operators with their own weights and quantization, in a file whose inputs and
outputs are what the layer reads and makes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regnet_edge.artifact import Artifact

from ..graph.locate import Op, owners
from ..profiled import CALL, Piece, Place, TimedOp
from ..quiet import quiet
from .graph import observing, of_tflite
from .runtime import IDENTIFIER

CONVERSION = ":conversion"  # ends the name of a piece that only changes types
FLOAT = ":float"  # ends the name of a piece that computes in floating point


@dataclass(frozen=True, slots=True)
class ProfiledTFLite:
    """Cuts the file; the pieces' names say where they belong."""

    def pieces(self, artifact: Artifact, folder: Path) -> list[Piece]:
        """A piece a layer and a piece a conversion, and one that does nothing."""
        cutter = Cutter.of(artifact.path.read_bytes())
        with quiet():
            interpreter = observing(artifact.path.read_bytes())
        [entry] = interpreter.get_input_details()
        ops = of_tflite(interpreter)
        belongs = owners(ops, str(entry["index"]), artifact.request.model.config)
        found = []
        for i, (name, tensors) in enumerate(_groups(ops, belongs)):
            content = cutter.piece(tensors)
            found.append(_written(folder / f"{i:03d}.tflite", name + cutter.mark(tensors), content))
        return [*found, _written(folder / "call.tflite", CALL, cutter.nothing())]

    def places(self, artifact: Artifact, seen: Sequence[TimedOp]) -> list[Place]:
        """As the names say."""
        return [_place(op.name) for op in seen]


def _written(path: Path, name: str, content: bytes) -> Piece:
    path.write_bytes(content)
    return Piece(name, path)


def _place(name: str) -> Place:
    point, _, what = name.partition(":")
    if name == CALL:
        return Place("")
    return Place(point, f":{what}" == CONVERSION, f":{what}" == FLOAT)


def _groups(ops: Sequence[Op], belongs: dict[str, str]) -> Iterator[tuple[str, list[int]]]:
    """(piece, output tensors of its operators) in the order in which they run; conversions stand alone."""
    layers: dict[str, list[int]] = {}
    for op in ops:
        point = belongs[op.output]
        if op.kind == "same":
            yield point + CONVERSION, [int(op.output)]
        else:
            layers.setdefault(point, []).append(int(op.output))
    yield from layers.items()


@dataclass(frozen=True, slots=True)
class Cutter:
    """A model in memory, and how a few of its operators become a model of their own."""

    model: Any
    graph: Any
    producers: dict[int, Any]

    @classmethod
    def of(cls, content: bytes) -> Cutter:
        """The model of a file's content."""
        from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-untyped]  # ships no types

        from . import _gather_buffers

        model = schema.ModelT.InitFromPackedBuf(content)
        _gather_buffers(model, content)
        [graph] = model.subgraphs
        return cls(model, graph, {int(t): op for op in graph.operators for t in op.outputs})

    def mark(self, outputs: Sequence[int]) -> str:
        """What the piece's name ends with where it computes in floating point."""
        from ai_edge_litert import schema_py_generated as schema

        ops = [self.producers[t] for t in outputs]
        converts = any(self._code(op) in ("QUANTIZE", "DEQUANTIZE") for op in ops)
        kinds = {self.graph.tensors[t].type for t in outputs}
        return "" if converts or kinds.isdisjoint({schema.TensorType.FLOAT32}) else FLOAT

    def _code(self, op: Any) -> str:
        from ai_edge_litert import schema_py_generated as schema

        code = self.model.operatorCodes[op.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return next(str(k) for k, v in vars(schema.BuiltinOperator).items() if v == number)

    def piece(self, outputs: Sequence[int]) -> bytes:
        """The file of the operators that make those tensors, with what prepares their constants."""
        ops = self._with_constants([self.producers[t] for t in outputs])
        made = {int(t) for op in ops for t in op.outputs}
        read = {int(t) for op in ops for t in op.inputs if t >= 0}
        inputs = sorted(t for t in read - made if not self._stored(t))
        ends = [t for t in outputs if not any(t in op.inputs for op in ops)]
        return self._packed(ops, sorted(read | made), inputs, ends)

    def _stored(self, tensor: int) -> bool:
        data = self.model.buffers[self.graph.tensors[tensor].buffer].data
        return data is not None and len(data) > 0

    def _with_constants(self, ops: Sequence[Any]) -> list[Any]:
        """The operators in the file's order, with those that make their weights out of constants."""
        kept, waiting = {id(op): op for op in ops}, list(ops)
        while waiting:
            for tensor in map(int, waiting.pop().inputs):
                maker = self.producers.get(tensor)
                if maker is not None and id(maker) not in kept and self._constant(maker):
                    kept[id(maker)] = maker
                    waiting.append(maker)
        return [op for op in self.graph.operators if id(op) in kept]

    def _constant(self, op: Any) -> bool:
        return all(t < 0 or self._stored(int(t)) for t in op.inputs)

    def _packed(
        self, ops: Sequence[Any], tensors: Sequence[int], inputs: Sequence[int], ends: Sequence[int]
    ) -> bytes:
        place = {tensor: i for i, tensor in enumerate(tensors)} | {-1: -1}
        model, graph = copy.copy(self.model), copy.copy(self.graph)
        graph.tensors = [copy.copy(self.graph.tensors[t]) for t in tensors]
        model.buffers = [self.model.buffers[0]]
        for tensor in graph.tensors:
            model.buffers.append(self.model.buffers[tensor.buffer])
            tensor.buffer = len(model.buffers) - 1
        graph.operators = [_moved(op, place) for op in ops]
        graph.inputs, graph.outputs = [place[t] for t in inputs], [place[t] for t in ends]
        model.subgraphs, model.signatureDefs = [graph], None
        model.metadata = model.metadataBuffer = None
        return _bytes(model)

    def nothing(self) -> bytes:
        """A file of the absolute value of one number."""
        from ai_edge_litert import schema_py_generated as schema

        model, graph, op = copy.copy(self.model), copy.copy(self.graph), schema.OperatorT()
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ABS
        model.operatorCodes, model.buffers = [code], [schema.BufferT()]
        op.opcodeIndex, op.inputs, op.outputs = 0, [0], [1]
        graph.tensors = [_number(b"x"), _number(b"y")]
        graph.operators, graph.inputs, graph.outputs = [op], [0], [1]
        model.subgraphs, model.signatureDefs = [graph], None
        model.metadata = model.metadataBuffer = None
        return _bytes(model)


def _moved(op: Any, place: dict[int, int]) -> Any:
    moved = copy.copy(op)
    moved.inputs, moved.outputs = [place[int(t)] for t in op.inputs], [place[int(t)] for t in op.outputs]
    return moved


def _number(name: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [1], schema.TensorType.FLOAT32, 0
    return tensor


def _bytes(model: Any) -> bytes:
    import flatbuffers  # type: ignore[import-untyped]  # ships no types

    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())
