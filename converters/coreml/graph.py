"""What an .mlpackage holds, and what it computes inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from regnet_edge.artifact import Artifact

from ..graph.locate import Op, OpKind, _kind, flowing

if TYPE_CHECKING:
    from regnet_edge.model import RegNet

    from .. import Floats, Reader


@dataclass(frozen=True, slots=True)
class CoreMLReader:
    """Runs the package's program in the MIL evaluator, on a Mac too."""

    evaluator: Any
    ops: tuple[Op, ...]
    image: str
    remark: str = ""

    def values(self, batches: Iterable[Floats], names: Sequence[str]) -> Iterator[dict[str, Floats]]:
        """Dequantized as the program does it."""
        for batch in batches:
            yield dict(zip(names, self.evaluator.tensors(batch, list(names)), strict=True))


def reader(artifact: Artifact, _: RegNet, __: Floats) -> Reader:
    from .mil.evaluator import open_evaluator

    evaluator = open_evaluator(artifact.path)
    return CoreMLReader(evaluator, of_coreml(evaluator), evaluator.program.input.name)


_MIL: Mapping[str, OpKind] = MappingProxyType(
    {
        "conv": "conv",
        "linear": "linear",
        "add": "add",
        "mul": "mul",
        "sigmoid": "sigmoid",
        "reduce_mean": "mean",
        "relu": "activation",
        "silu": "activation",
        "gelu": "activation",
        "quantize": "same",
        "dequantize": "same",
        "cast": "same",
        "reshape": "form",
    }
)


def of_coreml(evaluator: Any) -> tuple[Op, ...]:
    """Tensors by name, of a program prepared for the MIL evaluator."""
    ops = [Op(_kind(_MIL, op.kind), tuple(op.refs()), op.outputs[0].name) for op in evaluator.steps]
    return flowing(ops, evaluator.program.input.name)
