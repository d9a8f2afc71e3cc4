"""A MIL program as values, read from a package: operations with typed outputs, constants as arrays."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regnet_edge.artifact import Structure
from regnet_edge.errors import ArtifactError
from regnet_edge.request import Color

from .blobs import reader
from .package import MlPackage, read_package
from .proto import messages

Constant = NDArray[Any] | str | tuple[Any, ...]
Blobs = Callable[[str, int], memoryview]


# MIL data type: numpy's, or bits of an unsigned integer narrower than a byte, packed lowest bits first
_NUMPY: Mapping[str, type[np.generic]] = MappingProxyType(
    {
        "BOOL": np.bool_,
        "FLOAT16": np.float16,
        "FLOAT32": np.float32,
        "FLOAT64": np.float64,
        "INT8": np.int8,
        "INT16": np.int16,
        "INT32": np.int32,
        "INT64": np.int64,
        "UINT8": np.uint8,
        "UINT16": np.uint16,
        "UINT32": np.uint32,
    }
)


_BITS: Mapping[str, int] = MappingProxyType(
    {"UINT1": 1, "UINT2": 2, "UINT3": 3, "UINT4": 4, "UINT6": 6, "INT4": 4}
)


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of that name, an input's or an operation's output."""

    name: str


@dataclass(frozen=True, slots=True)
class Typed:
    """A name with MIL's data type (FLOAT16, INT32, STRING, ...; empty for a dictionary) and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: each input is one or more references or constants."""

    kind: str
    inputs: Mapping[str, tuple[Ref | Constant, ...]]
    outputs: tuple[Typed, ...]

    @property
    def name(self) -> str:
        """Name of its first output, which identifies it."""
        return self.outputs[0].name

    def refs(self) -> Iterator[str]:
        """Names it reads."""
        return (a.name for arguments in self.inputs.values() for a in arguments if isinstance(a, Ref))


# The first system that opens a version of the specification, as coremltools' deployment targets have it.
_FIRST_IOS: Mapping[int, str] = MappingProxyType(
    {6: "iOS 15, ", 7: "iOS 16, ", 8: "iOS 17, ", 9: "iOS 18, ", 10: "iOS 26, "}
)


@dataclass(frozen=True, slots=True)
class Program:
    """The main function of a package. shape: the input's, the package's default where sizes are open.

    color: the order of channels where the input is an image of 0..255, None where it is a tensor. batches:
    how many images at once the package allows. specification: the version of Core ML's file format.
    """

    path: Path
    input: Typed
    shape: tuple[int, ...]
    batches: range
    color: Color | None
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str]
    specification: int

    @property
    def structure(self) -> Structure:
        """Operations by kind, without plain constants."""
        ops = Counter(op.kind for op in self.operations if op.kind != "const")
        constants = {op.name: op.inputs["val"][0] for op in self.operations if op.kind == "const"}
        grouped = sum(_groups(op, constants) > 1 for op in self.operations if op.kind == "conv")
        return Structure(
            convs=ops["conv"],
            grouped_convs=grouped,
            ops=dict(sorted(ops.items())),
            quantize=ops["quantize"],
            dequantize=ops["dequantize"],
            folded_by="Core ML",
            output="probabilities" if ops["classify"] else "logits",
            needs=f"{_FIRST_IOS.get(self.specification, '')}Core ML specification {self.specification}",
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """A classifier's names of classes."""
        constants = {op.name: op.inputs["val"][0] for op in self.operations if op.kind == "const"}
        for op in self.operations:
            if op.kind == "classify":
                (classes,) = op.inputs["classes"]
                found: Any = constants.get(classes.name, ()) if isinstance(classes, Ref) else classes
                return tuple(str(name) for name in found)
        return ()


def _groups(conv: Operation, constants: Mapping[str, Ref | Constant]) -> int:
    (groups,) = conv.inputs.get("groups", (np.int32(1),))
    value = constants[groups.name] if isinstance(groups, Ref) else groups
    return int(np.asarray(value))


def load(path: Path) -> Program:
    """The program of a package on disk; raises ArtifactError where the package is not whole."""
    package = read_package(path)
    function = package.spec.mlProgram.functions.get("main")
    if function is None or function.opset not in function.block_specializations:
        raise ArtifactError(f"{path} has no function main; convert the model again")
    if len(function.inputs) != 1 or len(package.spec.description.input) != 1:
        raise ArtifactError(f"{path} takes {len(function.inputs)} inputs, and only one is understood here")
    given, described = _typed(function.inputs[0]), package.spec.description.input[0].type
    block, blobs = function.block_specializations[function.opset], reader(package.file)
    return Program(
        path=path,
        input=given,
        shape=_default(described, given),
        batches=_batches(described, given),
        color=_color(described),
        operations=tuple(_operation(o, package, blobs) for o in block.operations),
        outputs=tuple(block.outputs),
        metadata=MappingProxyType(dict(package.spec.description.metadata.userDefined)),
        specification=package.spec.specificationVersion,
    )


def _default(described: Any, given: Typed) -> tuple[int, ...]:
    """The input's shape; where it is open, the one that the package's description begins with."""
    usual = tuple(int(n) for n in described.multiArrayType.shape)
    if described.WhichOneof("Type") == "imageType":
        usual = (*given.shape[:2], described.imageType.height, described.imageType.width)
    if len(usual) != len(given.shape):
        return given.shape
    return tuple(n or usual[i] for i, n in enumerate(given.shape))


def _batches(described: Any, given: Typed) -> range:
    """The first size of the input: its own, or from the lower to the upper bound where it is open."""
    fixed = _default(described, given)[0] if given.shape else 1
    sizes = described.multiArrayType.shapeRange.sizeRanges
    if not given.shape or given.shape[0] or not sizes:
        return range(fixed, fixed + 1)
    upper = sizes[0].upperBound
    return range(sizes[0].lowerBound, (upper if upper > 0 else sys.maxsize - 1) + 1)


def _color(described: Any) -> Color | None:
    if described.WhichOneof("Type") != "imageType":
        return None
    spaces = messages().FeatureTypes_pb2.ImageFeatureType
    found: dict[int, Color] = {spaces.BGR: "BGR", spaces.GRAYSCALE: "GRAY"}
    return found.get(described.imageType.colorSpace, "RGB")


def _typed(named: Any) -> Typed:
    if named.type.WhichOneof("type") != "tensorType":
        return Typed(named.name, "", ())
    tensor = named.type.tensorType
    return Typed(named.name, _dtype_name(tensor), _shape(tensor))


def _dtype_name(tensor: Any) -> str:
    return str(messages().MIL_pb2.DataType.Name(tensor.dataType))


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(d.constant.size) for d in tensor.dimensions)


def _operation(message: Any, package: MlPackage, blobs: Blobs) -> Operation:
    outputs = tuple(_typed(o) for o in message.outputs)
    if not outputs or message.blocks:
        raise ArtifactError(
            f"{package.path} has a {message.type or 'nameless'} operation with control flow or no output, "
            "which no RegNet has; convert the model again"
        )
    inputs = {k: tuple(_binding(b, blobs) for b in v.arguments) for k, v in message.inputs.items()}
    attributes = {k: (_constant(v, blobs),) for k, v in message.attributes.items() if k != "name"}
    return Operation(message.type, MappingProxyType({**attributes, **inputs}), outputs)


def _binding(message: Any, blobs: Blobs) -> Ref | Constant:
    if message.WhichOneof("binding") == "name":
        return Ref(message.name)
    return _constant(message.value, blobs)


def _constant(value: Any, blobs: Blobs) -> Constant:
    if value.WhichOneof("value") == "blobFileValue":
        data = blobs(value.blobFileValue.fileName, value.blobFileValue.offset)
        return _array(value.type.tensorType, data)
    if value.immediateValue.WhichOneof("value") == "list":
        items = (_constant(v, blobs) for v in value.immediateValue.list.values)
        return tuple(i.item() if isinstance(i, np.ndarray) else i for i in items)
    return _immediate(value.type.tensorType, value.immediateValue.tensor)


def _immediate(kind: Any, tensor: Any) -> Constant:
    field = tensor.WhichOneof("value")
    if field == "strings":
        strings = tuple(str(s) for s in tensor.strings.values)
        return strings[0] if kind.rank == 0 and len(strings) == 1 else strings
    if field == "bytes":
        return _array(kind, memoryview(tensor.bytes.values))
    values = getattr(tensor, field).values if field else ()
    return np.array(values, dtype=_NUMPY[_dtype_name(kind)]).reshape(_shape(kind))


def _array(kind: Any, data: memoryview) -> NDArray[Any]:
    dtype, shape = _dtype_name(kind), _shape(kind)
    if dtype in _BITS:
        return _unpack(data, dtype, shape)
    if dtype not in _NUMPY or len(data) != math.prod(shape) * np.dtype(_NUMPY[dtype]).itemsize:
        raise ArtifactError(
            f"a constant of {len(data)} bytes is no {dtype} tensor of shape {shape}; convert the model again"
        )
    return np.frombuffer(data, _NUMPY[dtype]).reshape(shape)


def _unpack(data: memoryview, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    width, count = _BITS[dtype], math.prod(shape)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    if len(bits) < width * count:
        raise ArtifactError(
            f"a constant of {len(data)} bytes is too short for {count} {dtype}; convert again"
        )
    digits = bits[: width * count].reshape(count, width)
    values = (digits << np.arange(width, dtype=np.uint8)).sum(axis=1, dtype=np.uint8).reshape(shape)
    if dtype == "INT4":
        values = ((values ^ 8).astype(np.int8) - 8).astype(np.int8)
    return np.asarray(values)
