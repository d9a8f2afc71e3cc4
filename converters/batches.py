"""Any number of images through a file of a fixed batch, or of any."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from regnet_edge.errors import ArtifactError
from regnet_edge.request import ExportRequest

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from . import Floats

SIZES = (1, 2, 3, 5, 8, 16)  # that a file of any batch is run with, in turn
MOST = 8  # images at once where the format wants a bound, for which a runtime may set memory aside


def answers(
    forward: Callable[[Any], Floats], images: NDArray[Any], request: ExportRequest, most: float = math.inf
) -> Floats:
    """Outputs (n, ...) of the request's file; one of any batch gets them in batches of SIZES up to most."""
    if not request.any_batch:
        return in_batches(forward, images, request.batch)
    import numpy as np

    found: list[Floats] = []
    start, sizes = 0, itertools.cycle(size for size in SIZES if size <= most)
    while start < len(images):
        piece = images[start : start + next(sizes)]
        found.append(forward(np.ascontiguousarray(piece)))
        if len(found[-1]) != len(piece):
            raise ArtifactError(f"{len(piece)} images at once gave {len(found[-1])} answers, not as many")
        start += len(piece)
    return np.concatenate(found)


def exported(
    net: nn.Module, example: torch.Tensor, request: ExportRequest, most: int | None = None
) -> torch.export.ExportedProgram:
    """The network's export for as many images as the example has; of any batch, for any number up to most."""
    import torch

    sizes = None
    if request.any_batch:
        example = torch.cat([example, example])  # an example of one would fix it at one
        sizes = ({0: torch.export.Dim("batch", max=most)},)
    with torch.no_grad():
        return torch.export.export(net, (example,), dynamic_shapes=sizes)


def in_batches(forward: Callable[[Any], Floats], images: NDArray[Any], batch: int) -> Floats:
    """Outputs (n, ...) of a file that takes exactly `batch` images; the last batch is filled up."""
    import numpy as np

    found = []
    for start in range(0, len(images), batch):
        piece = images[start : start + batch]
        filled = np.concatenate([piece, np.repeat(piece[-1:], batch - len(piece), axis=0)])
        found.append(forward(np.ascontiguousarray(filled))[: len(piece)])
    return np.concatenate(found)


def filled_batches(images: Floats, size: int) -> Iterator[Floats]:
    """The images in batches of `size`; the last one is filled up with its last image."""
    import numpy as np

    for start in range(0, len(images), size):
        yield np.ascontiguousarray(images[np.arange(start, start + size).clip(max=len(images) - 1)])
