"""Any number of images through a file of a fixed batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from . import Floats


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
