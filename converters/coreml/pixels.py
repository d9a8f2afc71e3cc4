"""ImageType has one scale for all channels: the std that it divides by, and what the network does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from regnet_edge.request import Preprocessing

from .lower import Pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _common_std(preprocessing: Preprocessing) -> float:
    """The one std that ImageType's single scale can divide by: the geometric mean."""
    return math.exp(sum(map(math.log, preprocessing.std)) / len(preprocessing.std))


def pixels_of(preprocessing: Preprocessing) -> Pixels:
    """ImageType's numbers: pixels to (x - mean) / s with one s for all channels, before any padding."""
    s = _common_std(preprocessing)
    return Pixels(preprocessing.color, 1 / (255 * s), tuple(-m / s for m in preprocessing.mean))


def gains(preprocessing: Preprocessing) -> NDArray[np.float64]:
    """s / std of each channel: what the first convolution still has to multiply by."""
    import numpy as np

    std = np.array(preprocessing.std, np.float64)
    return np.ones_like(std) if len(set(preprocessing.std)) == 1 else _common_std(preprocessing) / std
