"""A file seen as an FX graph."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from .locate import Op, OpKind, _kind, flowing

if TYPE_CHECKING:
    from torch.fx import Graph

_FX: Mapping[str, OpKind] = MappingProxyType(
    {
        "conv2d": "conv",
        "linear": "linear",
        "add": "add",
        "mul": "mul",
        "sigmoid": "sigmoid",
        "mean": "mean",
        "relu": "activation",
        "silu": "activation",
        "gelu": "activation",
        "quantize_per_tensor": "same",
        "dequantize_per_tensor": "same",
        "flatten": "form",
    }
)


FX_OPERATIONS = frozenset({*_FX, "dequantize_per_channel"})


def of_fx(graph: Graph) -> tuple[Op, ...]:
    """Tensors by node name, of an exported module, quantized or not."""
    calls = [n for n in graph.nodes if n.op == "call_function" and "per_channel" not in n.name]
    ops = [
        Op(_kind(_FX, str(n.target).split(".")[-2]), tuple(i.name for i in n.all_input_nodes), n.name)
        for n in calls
    ]
    return flowing(ops, image_of(graph))


def image_of(graph: Graph) -> str:
    """Name of the one input that is no weight."""
    return next(
        str(n.name) for n in graph.nodes if n.op == "placeholder" and not n.name.startswith(("p_", "b_"))
    )
