"""What a .tflite holds, and what it computes inside."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from regnet_edge.artifact import Artifact

from ..graph.locate import Op, OpKind, _kind, flowing
from ..quiet import quiet
from .runtime import to_real, to_steps

if TYPE_CHECKING:
    from regnet_edge.model import RegNet

    from .. import Floats, Reader


@dataclass(frozen=True, slots=True)
class TFLiteReader:
    """Runs the file with every tensor kept."""

    interpreter: Any
    ops: tuple[Op, ...]
    image: str
    remark: str = ""

    def values(self, batches: Iterable[Floats], names: Sequence[str]) -> Iterator[dict[str, Floats]]:
        """Dequantized with each tensor's own scale; names are tensor numbers."""
        details = {str(d["index"]): d for d in self.interpreter.get_tensor_details()}
        for batch in batches:
            nhwc = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
            self.interpreter.set_tensor(int(self.image), to_steps(nhwc, details[self.image]))
            self.interpreter.invoke()
            yield {name: self._value(details[name]) for name in names}

    def _value(self, detail: Any) -> Floats:
        real = to_real(self.interpreter.get_tensor(detail["index"]), detail)
        return real.transpose(0, 3, 1, 2) if real.ndim == 4 else real


def reader(artifact: Artifact, _: RegNet, __: Floats) -> Reader:

    with quiet():
        interpreter = observing(artifact.path.read_bytes())
    [entry] = interpreter.get_input_details()
    return TFLiteReader(interpreter, of_tflite(interpreter), str(entry["index"]))


_TFLITE: Mapping[str, OpKind] = MappingProxyType(
    {
        "CONV_2D": "conv",
        "DEPTHWISE_CONV_2D": "conv",
        "FULLY_CONNECTED": "linear",
        "ADD": "add",
        "MUL": "mul",
        "LOGISTIC": "sigmoid",
        "MEAN": "mean",
        "RELU": "activation",
        "GELU": "activation",
        "QUANTIZE": "same",
        "DEQUANTIZE": "same",
        "PAD": "form",
        "RESHAPE": "form",
        "TRANSPOSE": "form",
    }
)


def of_tflite(interpreter: Any) -> tuple[Op, ...]:
    """Tensors by number; what the delegate took over is there as it was before."""
    [entry] = interpreter.get_input_details()
    ops = [
        Op(_kind(_TFLITE, op["op_name"]), tuple(str(i) for i in op["inputs"]), str(op["outputs"][0]))
        for op in interpreter._get_ops_details()
        if op["op_name"] != "DELEGATE"
    ]
    return flowing(ops, str(entry["index"]))


def observing(content: bytes) -> Any:
    """An interpreter that keeps every tensor, on one thread."""
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]  # ships no types

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # keeping every tensor costs memory, which is what it is for here
        interpreter = Interpreter(
            model_content=content, num_threads=1, experimental_preserve_all_tensors=True
        )
    interpreter.allocate_tensors()
    return interpreter
