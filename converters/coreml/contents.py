"""What is inside any .mlpackage that holds a program, read from its specification."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from regnet_edge.complexity import Complexity
from regnet_edge.errors import RegNetEdgeError

from ..contents import Contents, CountedLayer, TensorInfo, by_type, counted
from .mil.evaluator import prepare
from .mil.program import Operation, Program, Ref, Typed, load

_LAYERS = ("conv", "linear")
_NAMES = {"FLOAT16": "float16", "FLOAT32": "float32", "INT8": "int8", "UINT8": "uint8", "INT32": "int32"}


def contents(path: Path) -> Contents:
    """The main function's inside."""
    program = load(path)
    outputs = {o.name: o for op in program.operations for o in op.outputs}
    given = _info(program.input)
    image = (
        (f"the input is a {program.color} image of 0..255; its scale and bias are inside",)
        if program.color
        else ()
    )
    allowed = program.batches
    many = (f"{allowed.start} to {allowed[-1]} images at once",) if len(allowed) > 1 else ()
    return Contents(
        inputs=(given,),
        outputs=tuple(_info(outputs[name]) for name in program.outputs if name in outputs),
        structure=program.structure,
        weights=by_type(_stored(program)),
        counts=_counts(program, outputs),
        metadata=program.metadata,
        remarks=(
            *image,
            *many,
            *_at_the_default(program),
            "Core ML decides at loading which ops the CPU, GPU or Neural Engine runs",
        ),
    )


def _info(typed: Typed) -> TensorInfo:
    return TensorInfo(typed.name, _NAMES.get(typed.dtype, typed.dtype.lower()), typed.shape)


def _stored(program: Program) -> Iterator[tuple[str, tuple[int, ...], int]]:
    for op in program.operations:
        for arguments in op.inputs.values():
            for a in arguments:
                if isinstance(a, np.ndarray) and a.ndim:
                    yield a.dtype.name, a.shape, a.nbytes


def _at_the_default(program: Program) -> tuple[str, ...]:
    """The remark about counts of images whose size is left open; empty where it is not."""
    if 0 not in program.input.shape[1:]:
        return ()
    size = "x".join(map(str, program.shape))
    return (f"its input's size is open; counted for the {size} that the package begins with",)


def _counts(program: Program, outputs: Mapping[str, Typed]) -> Complexity | None:
    """Of the sizes that the program declares; where it leaves them open, of those of one run."""
    return counted(_layers(program, outputs)) or counted(_layers(program, {**outputs, **_computed(program)}))


def _computed(program: Program) -> Mapping[str, Typed]:
    """What the layers make of one input of the default size; empty where our evaluator cannot run it."""
    made = [op.outputs[0] for op in program.operations if op.kind in _LAYERS]
    try:
        evaluator = prepare(program)
        found = evaluator.tensors(np.zeros(program.shape, np.float32), [out.name for out in made])
    except RegNetEdgeError:
        return {}
    return {out.name: replace(out, shape=value.shape) for out, value in zip(made, found, strict=True)}


def _layers(program: Program, outputs: Mapping[str, Typed]) -> Iterator[CountedLayer]:
    for op in program.operations:
        if op.kind not in _LAYERS:
            continue
        out = outputs[op.name].shape
        kernel, bias = _shape(op, "weight", outputs), _shape(op, "bias", outputs)
        channels = kernel[0] if kernel else 0
        yield CountedLayer(math.prod(out[1:]), math.prod(kernel), channels, math.prod(bias) if bias else 0)


def _shape(op: Operation, name: str, outputs: Mapping[str, Typed]) -> tuple[int, ...]:
    found: Any = next(iter(op.inputs.get(name, ())), None)
    if isinstance(found, Ref):
        return outputs[found.name].shape if found.name in outputs else ()
    return tuple(found.shape) if isinstance(found, np.ndarray) else ()
