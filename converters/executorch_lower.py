"""An exported program to an ExecuTorch program whose layers run in XNNPACK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def lower(program: torch.export.ExportedProgram, constants: Mapping[str, str]) -> Any:
    """ExecuTorch's own pipeline, delegating to XNNPACK; `program` stays as it is."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    edge = to_edge_transform_and_lower(
        program, partitioner=[XnnpackPartitioner()], constant_methods=dict(constants)
    )
    return edge.to_executorch()
