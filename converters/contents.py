"""What is inside a file of any tool: its inputs and outputs, its ops, its weights, and its counts.

Counts follow the paper as `regnet_edge.complexity` does: multiply-adds of convolutions and linear layers with
stored weights, the elements of their outputs, for one image. A batch norm that was folded is a bias here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regnet_edge.artifact import Structure
from regnet_edge.complexity import Complexity
from regnet_edge.files import size_of
from regnet_edge.request import Precision

ASSUMED_SIDE = 224  # pixels of an image whose height and width are left open

_OF_TYPE: Mapping[str, Precision] = {
    "float32": "fp32", "float16": "fp16", "bfloat16": "fp16", "int8": "int8", "uint8": "int8",
}  # fmt: skip


_NO_WEIGHTS = ("bool", "int32", "int64")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A named tensor at the file's door; 0 in its shape is a size that is left open.

    scale and zero_point say which real number a whole one stands for, None where it is not quantized.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None

    @property
    def text(self) -> str:
        """For people: float32 1x3x224x224."""
        shape = "x".join(str(n or "any") for n in self.shape) or "one number"
        steps = "" if self.scale is None else f", real = {self.scale:.6g} * (whole - {self.zero_point})"
        return f"{self.type} {shape}{steps}"


@dataclass(frozen=True, slots=True)
class WeightType:
    """The stored numbers of one type, in bytes as the file holds them."""

    type: str
    tensors: int
    elements: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CountedLayer:
    """A convolution or linear layer: elements of its output for one image and of its kernel, channels out."""

    output: int
    kernel: int
    channels: int
    bias: int = 0

    @property
    def complexity(self) -> Complexity:
        """Multiply-adds, stored numbers and outputs of this layer."""
        return Complexity(self.output * self.kernel // self.channels, self.kernel + self.bias, self.output)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds; counts is None where the graph does not tell them.

    outside: what no delegate takes, op by count, with the reason where the format has delegates.
    beside: names of the files in the same folder that hold its weights.
    delegate: who takes the delegated ops.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    structure: Structure
    weights: tuple[WeightType, ...]
    counts: Complexity | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    outside: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    delegate: str = "XNNPACK"

    def companions(self, path: Path) -> tuple[Path, ...]:
        """Those files that are there, of the file at `path`."""
        return tuple(p for p in (path.parent / name for name in self.beside) if p.is_file())

    def bytes_of(self, path: Path) -> int:
        """What the file at `path` and the files of its weights take on the disk."""
        return size_of(path) + sum(size_of(p) for p in self.companions(path))

    @property
    def precision(self) -> Precision:
        """By the type of most stored numbers that are no sizes or biases; fp32 where none is stored."""
        held = (w for w in self.weights if w.type not in _NO_WEIGHTS)
        most = max(held, key=lambda w: w.elements, default=None)
        return _OF_TYPE.get(most.type, "int8") if most else "fp32"


def filled(shape: Sequence[int]) -> tuple[int, ...]:
    """An input's shape with its open sizes filled: one image of the assumed side."""
    return tuple(n or (ASSUMED_SIDE if i else 1) for i, n in enumerate(shape))


def at_a_size(inputs: Sequence[TensorInfo]) -> tuple[str, ...]:
    """The remark about counts of images whose size is left open; empty where it is not."""
    if not any(len(i.shape) == 4 and 0 in i.shape[1:] for i in inputs):
        return ()
    return (f"its input's size is open; counted for {ASSUMED_SIDE}x{ASSUMED_SIDE} pixels",)


def counted(layers: Iterable[CountedLayer]) -> Complexity | None:
    """The sum over the layers, None where there are none or a size is left open."""
    found = list(layers)
    if not found or any(not layer.output or not layer.channels for layer in found):
        return None
    return sum((layer.complexity for layer in found), Complexity())


def by_type(tensors: Iterable[tuple[str, Sequence[int], int]]) -> tuple[WeightType, ...]:
    """Stored tensors (type, shape, bytes) by type, the largest first."""
    found: dict[str, WeightType] = {}
    for name, shape, size in tensors:
        was = found.get(name, WeightType(name, 0, 0, 0))
        found[name] = WeightType(name, was.tensors + 1, was.elements + math.prod(shape), was.bytes + size)
    return tuple(sorted(found.values(), key=lambda w: -w.bytes))
