"""A MIL program and images in, numbers out.

Every operation is computed by torch in float32 and its result rounded to the type the program declares.
So float16 programs keep float16 values between operations and accumulate in float32 inside them, which
is what Apple's GPU and Neural Engine document; they may still round elsewhere in a fused kernel.

A program is written for one batch size. torch.vmap runs it on several such batches at once, each with
the meaning it has alone. One that leaves its batch open is run with the default, or with the one it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regnet_edge.errors import ArtifactError, ConversionError, DataError

from . import NAME
from .ops import OPS
from .program import Constant, Operation, Program, Ref, Typed, load

IMAGES_AT_ONCE = 16  # fits the caches; more is not faster
_VARIADIC = frozenset({"values"})  # inputs that take a list of tensors even of one
_TORCH: Mapping[str, torch.dtype] = MappingProxyType(
    {
        "BOOL": torch.bool,
        "FLOAT32": torch.float32,
        "FLOAT64": torch.float64,
        "INT8": torch.int8,
        "INT16": torch.int16,
        "INT32": torch.int32,
        "INT64": torch.int64,
        "UINT8": torch.uint8,
        "UINT16": torch.int32,
        "UINT32": torch.int64,
        "INT4": torch.int8,
        "UINT1": torch.uint8,
        "UINT2": torch.uint8,
        "UINT3": torch.uint8,
        "UINT4": torch.uint8,
        "UINT6": torch.uint8,
    }
)


def rounded(value: Tensor, dtype: str) -> Tensor:
    """value as MIL's type holds it; float16 values stay in float32 tensors, which hold them exactly."""
    if dtype == "FLOAT16":
        return value.float().half().float()
    return value.to(_TORCH[dtype])


@dataclass(frozen=True, slots=True)
class Evaluator:
    """A program with everything constant computed once, and what is left to do for an image."""

    program: Program
    constants: Mapping[str, Any]
    steps: tuple[Operation, ...]

    @property
    def batch(self) -> int:
        """Images that the program takes at once."""
        return self.program.shape[0]

    def of_batch(self, images: int) -> Evaluator:
        """The same for that many images at once; raises DataError for a number that the package excludes."""
        allowed = self.program.batches
        if images not in allowed:
            raise DataError(
                f"{self.program.path} takes {allowed.start} to {allowed[-1]} images at once, not {images}"
            )
        return replace(self, program=replace(self.program, shape=(images, *self.program.shape[1:])))

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The program's result, (n, classes), for its inputs (n, channels, h, w), any n.

        Logits, or the probabilities in label order of a classifier (its last output).
        """
        return self.tensors(images, self.program.outputs[-1:])[0]

    def tensors(self, images: NDArray[np.float32], names: Sequence[str]) -> list[NDArray[np.float32]]:
        """The values of those names, images first, as float32; raises DataError for a wrong input shape."""
        expected = self.program.shape[1:]
        if images.shape[1:] != expected or not len(images):
            raise DataError(f"{self.program.path} takes images of shape {expected}, not {images.shape}")
        at_once = max(1, IMAGES_AT_ONCE // self.batch) * self.batch
        pieces = [self._piece(images[i : i + at_once], names) for i in range(0, len(images), at_once)]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]

    def _piece(self, images: NDArray[np.float32], names: Sequence[str]) -> list[NDArray[np.float32]]:
        missing = -len(images) % self.batch
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
        batches = torch.from_numpy(filled).reshape(-1, *self.program.shape)

        def forward(batch: Tensor) -> tuple[Tensor, ...]:
            values = self._values(batch, frozenset(names))
            return tuple(values[name].float() for name in names)

        with torch.no_grad():
            found = torch.vmap(forward)(batches)
        return [f.flatten(0, 1)[: len(images)].numpy() for f in found]

    def _values(
        self, batch: Tensor, wanted: frozenset[str]
    ) -> dict[str, Any]:  # a MIL value is a tensor, a text or a list
        """Values of the wanted names; others are dropped as soon as nothing reads them any more."""
        program = self.program
        values = {**self.constants, program.input.name: rounded(batch, program.input.dtype)}
        last = {name: i for i, op in enumerate(self.steps) for name in op.refs()}
        for i, op in enumerate(self.steps):
            values.update(execute(op, values, program.path))
            for name in op.refs():
                if last[name] == i and name not in wanted:
                    values.pop(name, None)
        return values


def prepare(program: Program) -> Evaluator:
    """An evaluator: operations that read constants only are computed now."""
    constants: dict[str, object] = {}
    steps: list[Operation] = []
    with torch.no_grad():
        for op in program.operations:
            if all(name in constants for name in op.refs()):
                constants.update(execute(op, constants, program.path))
            else:
                steps.append(op)
    return Evaluator(program, MappingProxyType(constants), tuple(steps))


def open_evaluator(path: Path) -> Evaluator:
    """The evaluator of a package on disk."""
    return prepare(load(path))


def execute(op: Operation, values: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Any]]:
    """Name and value of each of the operation's outputs."""
    if op.kind == "const":
        yield op.name, _constant(op.inputs["val"][0])
        return
    if op.kind not in OPS:
        raise ConversionError(
            f"{NAME} does not know the operation {op.kind} (it makes {op.name} in {path}); "
            "verify this file on macOS, or report this"
        )
    arguments = {key: _argument(key, a, values, path) for key, a in op.inputs.items()}
    try:
        result = OPS[op.kind](**arguments)
    except (TypeError, KeyError, NotImplementedError, RuntimeError, IndexError) as error:
        raise ConversionError(
            f"{NAME} cannot run {op.kind} {op.name} of {path} as it is written there "
            f"({(str(error).splitlines() or [''])[0]}); verify it on macOS, or report this"
        ) from error
    found = result if isinstance(result, tuple) else (result,)
    yield from ((o.name, _settled(v, o, path)) for o, v in zip(op.outputs, found, strict=True))


def _argument(key: str, arguments: tuple[Ref | Constant, ...], values: Mapping[str, Any], path: Path) -> Any:
    missing = [a.name for a in arguments if isinstance(a, Ref) and a.name not in values]
    if missing:
        raise ArtifactError(f"{path} reads {missing[0]} before anything computes it; convert the model again")
    found = [values[a.name] if isinstance(a, Ref) else _constant(a) for a in arguments]
    return found if key in _VARIADIC else found[0]


def _constant(value: Ref | Constant) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "u" and value.dtype.itemsize > 1:
        value = value.astype(np.int64)
    tensor = torch.from_numpy(np.array(value))
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _fits(shape: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    """Whether it is the declared shape, in which 0 stands for an open size."""
    return len(shape) == len(declared) and all(d in (0, n) for n, d in zip(shape, declared, strict=True))


def _settled(value: Tensor, declared: Typed, path: Path) -> Tensor:
    if declared.dtype in ("", "STRING"):
        return value  # a classifier's label and dictionary
    if not _fits(tuple(value.shape), declared.shape):
        raise ArtifactError(
            f"{declared.name} of {path} is declared as {declared.shape} and comes out as "
            f"{tuple(value.shape)}; the file contradicts itself: convert the model again"
        )
    return rounded(value, declared.dtype)
