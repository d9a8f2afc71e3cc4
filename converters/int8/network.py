"""The network that int8 starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regnet_edge.request import ExportRequest

from .equalize import equalized

if TYPE_CHECKING:
    from regnet_edge.model import RegNet


def network(request: ExportRequest, weights: str = "") -> RegNet:
    """What a request converts: its network, batch norms folded, even if it asks for that."""
    from regnet_edge.model import fold_batch_norm
    from regnet_edge.resolve import load

    folded = fold_batch_norm(load(request.model, weights))
    return equalized(folded) if request.equalize else folded
