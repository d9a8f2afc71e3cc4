"""A .tflite read and run: the flatbuffer and the interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.errors import ArtifactError

from ..contents import filled
from ..quiet import quiet
from ..steps import StatedSteps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IDENTIFIER = b"TFL3"


def stated(tensor: Any) -> StatedSteps | None:
    """What the steps of an interpreter's tensor stand for, None where it holds the numbers themselves."""
    import numpy as np

    (scale, zero), kind = tensor["quantization"], np.dtype(tensor["dtype"])
    return StatedSteps(float(scale), int(zero), kind) if scale and kind.kind in "iu" else None


def to_steps(values: NDArray[np.float32], tensor: Any) -> NDArray[Any]:
    """Real numbers as the tensor of an interpreter takes them: floats as they are, or int8 steps."""
    steps = stated(tensor)
    return values if steps is None else steps.of(values)


def to_real(found: NDArray[Any], tensor: Any) -> NDArray[np.float32]:
    """The real numbers that a tensor of an interpreter stands for."""
    steps = stated(tensor)
    return found.astype("float32") if steps is None else steps.real(found)


def read_flatbuffer(path: Path) -> bytes:
    """The file's bytes; raises ArtifactError where they are no TFLite model."""
    data = path.read_bytes()
    if data[4:8] != IDENTIFIER:
        raise ArtifactError(f"{path} is not a TFLite file; convert the model again")
    return data


def open_interpreter(path: Path, threads: int | None = None, *, delegates: bool = True) -> Any:
    """An interpreter ready to run, open sizes at what is assumed; raises ArtifactError for a file it refuses.

    delegates: False for the file's own ops with their shapes, which a delegate keeps to itself.
    """
    from ai_edge_litert.interpreter import (  # type: ignore[import-untyped]  # ships no types
        Interpreter,
        OpResolverType,
    )

    read_flatbuffer(path)
    kind = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with quiet():
            interpreter = Interpreter(str(path), num_threads=threads, experimental_op_resolver_type=kind)
            _fill(interpreter)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ArtifactError(f"TFLite refuses {path} ({error}); convert the model again") from error
    return interpreter


def _fill(interpreter: Any) -> None:
    """Sizes that the file leaves open; XNNPACK refuses the one pixel that they are stored as."""
    for entry in interpreter.get_input_details():
        shape = signature(entry)
        if 0 in shape[1:]:
            interpreter.resize_tensor_input(entry["index"], filled(shape))


def signature(entry: Any) -> tuple[int, ...]:
    """The shape of an interpreter's input, 0 where it is open."""
    return tuple(max(0, int(n)) for n in entry.get("shape_signature", entry["shape"]))


def fit(interpreter: Any, shape: tuple[int, ...]) -> None:
    """Give the one input that shape, where the file leaves its size open."""
    entry = interpreter.get_input_details()[0]
    if tuple(entry["shape"]) != shape:
        interpreter.resize_tensor_input(entry["index"], shape)
        interpreter.allocate_tensors()
