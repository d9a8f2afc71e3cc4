"""The network that int8 starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regnet_edge.request import ModelSpec

from .equalize import equalized

if TYPE_CHECKING:
    from regnet_edge.model import RegNet


def network(model: ModelSpec, *, equalize: bool = False, weights: str = "") -> RegNet:
    """What is converted: the model's network, batch norms folded, its channels made even if asked for."""
    from regnet_edge.model import fold_batch_norm
    from regnet_edge.resolve import load

    folded = fold_batch_norm(load(model, weights))
    return equalized(folded) if equalize else folded
