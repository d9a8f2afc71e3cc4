"""The definition as a baseline's network, from an artifact's sidecar; the runner's torch engines use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge.artifact import Artifact
from regnet_edge.errors import WeightsError

if TYPE_CHECKING:
    from regnet_edge.model import RegNet


def network(path: str) -> RegNet:
    """The module that the artifact was made from, in eval mode.

    Where its checkpoint is not at hand it is one with random weights, whose latency is the same.
    """
    from regnet_edge.model import build_latency_subject
    from regnet_edge.resolve import load

    spec = Artifact.load(Path(path), check_hash=False).request.model
    try:
        return load(spec).eval()
    except WeightsError:
        return build_latency_subject(spec.config)
