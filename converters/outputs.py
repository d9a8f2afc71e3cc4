"""What a file answers with: its outputs by name, in their order, with their shapes for one image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regnet_edge.complexity import stages
from regnet_edge.request import ExportRequest

from . import OUTPUT_NAME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from . import Floats

PROBABILITIES, SCORES, INDICES = "probabilities", "scores", "indices"
TOP = 5  # how many classes `labels` names


@dataclass(frozen=True, slots=True)
class Output:
    """One output: its name and its shape for one image, (classes,) or (channels, h, w)."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers that is."""
        return math.prod(self.shape)


def outputs_of(request: ExportRequest) -> tuple[Output, ...]:
    """Every output of the request's file; the first is what the network answers."""
    if request.output:
        return tuple(Output(name, _shape(request, name)) for name in request.output)
    classes = request.model.config.num_classes
    answer = Output(PROBABILITIES if "softmax" in request.embed else OUTPUT_NAME, (classes,))
    if "labels" not in request.embed:
        return (answer,)
    return (answer, Output(SCORES, (top_of(request),)), Output(INDICES, (top_of(request),)))


def _shape(request: ExportRequest, stage: str) -> tuple[int, int, int]:
    """(width, side, side) of a stage's result."""
    last = [block for block in request.model.config.blocks() if block.name.startswith(f"{stage}.")][-1]
    side = next(p.size for p in stages(request.model.config, request.model.resolution) if p.name == stage)
    return last.c_out, side, side


def top_of(request: ExportRequest) -> int:
    """How many classes a file with labels names, the likeliest first."""
    return min(TOP, request.model.config.num_classes)


def side_by_side(values: Sequence[NDArray[Any]]) -> Floats:
    """A file's outputs for a batch as one array (n, numbers): each flattened, in their order."""
    return np.concatenate([np.reshape(v, (len(v), -1)).astype(np.float32) for v in values], axis=1)


def apart(found: Floats, request: ExportRequest) -> Mapping[str, Floats]:
    """What `side_by_side` joined, by name, each (n, size)."""
    whole = outputs_of(request)
    ends = np.cumsum([o.size for o in whole])[:-1]
    return {o.name: part for o, part in zip(whole, np.split(found, ends, axis=1), strict=True)}


def first(found: Floats, request: ExportRequest) -> Floats:
    """The first output's part, (n, size)."""
    return found[:, : outputs_of(request)[0].size]
