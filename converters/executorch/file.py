"""What is inside a .pte: its program, the XNNPACK graphs it carries, and its own metadata.

Everything is read from the file, not from objects still in memory. The file is a flatbuffer with the
identifier ET12 and a header that says where the weights begin; each XNNPACK graph is a flatbuffer of
its own inside it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from regnet_edge.artifact import Structure
from regnet_edge.errors import ArtifactError
from regnet_edge.temporary import TemporaryFolder

from .runtime import module

_HEAD_BYTES = 40  # root offset, identifier, then the extended header
_IDENTIFIER, _HEADER_MAGIC = slice(4, 8), slice(8, 12)
_PROGRAM_SIZE, _SEGMENTS_START, _SEGMENTS_SIZE = slice(16, 24), slice(24, 32), slice(32, 40)
_CONVOLUTIONS = ("Conv2d", "DepthwiseConv2d")
XNNPACK = "XnnpackBackend"
_CONVERT = "Convert"  # to int8 or back: counted half as each


@dataclass(frozen=True, slots=True)
class Header:
    """Sizes in bytes of the program and of the segments (the weights) behind it."""

    program_bytes: int
    segments_start: int
    segments_bytes: int

    @property
    def file_bytes(self) -> int:
        """The least size of a whole file."""
        return max(self.program_bytes, self.segments_start + self.segments_bytes)


def read_header(path: Path) -> Header:
    """The header; raises ArtifactError where the file is missing, foreign or cut short."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise ArtifactError(f"cannot read {path} ({error.strerror}); convert the model again") from error
    if head[_IDENTIFIER] != b"ET12" or head[_HEADER_MAGIC] != b"eh00":
        raise ArtifactError(f"{path} is not an ExecuTorch program (ET12); convert the model again")
    fields = (head[part] for part in (_PROGRAM_SIZE, _SEGMENTS_START, _SEGMENTS_SIZE))
    header = Header(*(int.from_bytes(field, "little") for field in fields))
    size = path.stat().st_size
    if size < header.file_bytes:
        raise ArtifactError(
            f"{path} is cut short ({size} of {header.file_bytes} bytes); convert the model again"
        )
    return header


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of an XNNPACK graph by kind (Conv2d, Sigmoid), with its groups (1 where it has none)."""

    kind: str
    groups: int = 1


@dataclass(frozen=True, slots=True)
class ProgramContents:
    """The nodes of each XNNPACK graph, and the names of the kernels that run outside them."""

    partitions: tuple[tuple[Node, ...], ...]
    kernels: tuple[str, ...]

    def structure(self) -> Structure:
        """The counts that a sidecar carries."""
        nodes = [node for partition in self.partitions for node in partition]
        convs = [node for node in nodes if node.kind in _CONVOLUTIONS]
        converts = sum(node.kind == _CONVERT for node in nodes)
        return Structure(
            convs=len(convs),
            grouped_convs=sum(node.groups > 1 for node in convs),
            ops=dict(sorted(Counter([*(node.kind for node in nodes), *self.kernels]).items())),
            delegated_ops=len(nodes),
            partitions=len(self.partitions),
            quantize=converts - converts // 2,
            dequantize=converts // 2,
        )


def read_contents(path: Path) -> ProgramContents:
    """What the file computes; only the program is read, not the weights behind it."""
    program = read_program(path)
    nodes = tuple(tuple(_nodes(graph)) for graph in program.graphs)
    return ProgramContents(nodes, tuple(_kernels(program.plan)))


@dataclass(frozen=True, slots=True)
class ReadProgram:
    """A file's method forward as its tools spell it, and the XNNPACK graphs in it as JSON values."""

    program: Any
    plan: Any
    graphs: tuple[Any, ...]
    delegates: tuple[str, ...]


def read_program(path: Path) -> ReadProgram:
    """The program; raises ArtifactError where it has no method forward."""
    program, plan = _forward(path)
    graphs = _graphs(_blobs(path, program, plan, XNNPACK))
    return ReadProgram(program, plan, tuple(graphs), tuple(d.id for d in plan.delegates))


def _forward(path: Path) -> tuple[Any, Any]:
    """The program and its method forward, the delegates' parts unread."""
    module("executorch.exir._serialize._flatbuffer_program")
    from executorch.exir._serialize._flatbuffer_program import _flatbuffer_to_program  # type: ignore[import-untyped]  # ships no types

    header = read_header(path)
    with path.open("rb") as stream:
        program = _flatbuffer_to_program(stream.read(header.program_bytes))
    plan = next((p for p in program.execution_plan if p.name == "forward"), None)
    if plan is None:
        names = ", ".join(sorted(p.name for p in program.execution_plan))[:80]
        raise ArtifactError(f"{path} has no method forward, only {names}; export the model's forward")
    return program, plan


def delegates(path: Path) -> tuple[str, ...]:
    """The back-ends of the method forward, one for each part that is delegated."""
    return tuple(delegate.id for delegate in _forward(path)[1].delegates)


def takes_fewer(path: Path) -> bool:
    """Whether the sizes of the first input are only the most that the file takes."""
    return is_bound(_forward(path)[1])


def is_bound(plan: Any) -> bool:
    """The same of a method that has been read."""
    given = plan.values[plan.inputs[0]].val if plan.inputs else None
    return getattr(getattr(given, "shape_dynamism", None), "name", "") == "DYNAMIC_BOUND"


def delegated(path: Path, backend: str) -> list[bytes]:
    """What that back-end's compiler wrote for each part of the method forward."""
    return _blobs(path, *_forward(path), backend)


def _blobs(path: Path, program: Any, plan: Any, backend: str) -> list[bytes]:
    header = read_header(path)
    with path.open("rb") as stream:
        ours = [d for d in plan.delegates if d.id == backend]
        return [_delegate(stream, header, program, delegate.processed) for delegate in ours]


def _delegate(stream: BinaryIO, header: Header, program: Any, place: Any) -> bytes:
    """What the compiler of a delegate wrote, inline in the program or in a segment behind it."""
    if place.location.name == "INLINE":
        return bytes(program.backend_delegate_data[place.index].data)
    segment = program.segments[place.index]
    stream.seek(header.segments_start + segment.offset)
    return stream.read(segment.size)


def _kernels(plan: Any) -> Iterator[str]:
    for chain in plan.chains:
        for instruction in chain.instructions:
            index = getattr(instruction.instr_args, "op_index", None)
            if index is not None:
                yield plan.operators[index].name


def _graphs(blobs: Iterable[bytes]) -> Iterator[Any]:
    """Each XNNPACK graph as JSON values, through the schema and the compiler that wrote it."""
    from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import _get_schema_bytes  # type: ignore[import-untyped]  # ships no types

    module("executorch.exir._serialize._flatbuffer")
    from executorch.exir._serialize._flatbuffer import _flatc_decompile  # type: ignore[import-untyped]  # ships no types

    with TemporaryFolder() as name:
        folder = Path(name)
        schema, binary = folder / "schema.fbs", folder / "graph.bin"
        schema.write_bytes(_get_schema_bytes())
        for blob in blobs:
            binary.write_bytes(_flatbuffer_of(blob))
            _flatc_decompile(name, str(schema), str(binary), ["--raw-binary"])
            yield json.loads(_with_infinity((folder / "graph.json").read_text(encoding="utf-8")))


def _with_infinity(text: str) -> str:
    """JSON text in which the compiler's bare inf, an open end of a clamp, is what Python reads."""
    return re.sub(r": (-?)inf\b", r": \1Infinity", text)


def _flatbuffer_of(blob: bytes) -> bytes:
    from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import XNNHeader

    header = XNNHeader.from_bytes(blob[: XNNHeader.EXPECTED_LENGTH])
    return blob[header.flatbuffer_offset : header.flatbuffer_offset + header.flatbuffer_size]


def _nodes(graph: Any) -> Iterator[Node]:
    for node in graph["xnodes"]:
        kind = node["xnode_union_type"].removeprefix("XNN")
        yield Node(kind, node["xnode_union"].get("groups", 1))
