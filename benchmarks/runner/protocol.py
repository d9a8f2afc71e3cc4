"""What the runner and whoever asks it agree on: the fixed input, the warm-up's rule, how it refuses.

The job is described by job.schema.json, the answer by measurement.schema.json#/$defs/Observation. Inside the
runner both are plain JSON (`Json`), because a board has nothing but the standard library to check them with;
the asking side checks both against their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Json = dict[str, Any]  # plain JSON, as said above
SLOW = 1.06  # times the fixed loop's usual time
WARMUP_MAX_NS = 15_000_000_000
WARMUP_RULE = (
    "until the medians of three windows (8 runs and 0.1 s at least) lie within 2 %, 15 s and a process's "
    "max_seconds at most; after each look around, one run is not counted"
)


class RunnerError(Exception):
    """One sentence for the caller; the runner prints it alone and ends with code 3."""


def fixed_image(shape: Sequence[int]) -> Any:
    """The input every target computes by itself: x[i] = (i * 2654435761 mod 2^32) / 2^30 - 2, in NCHW."""
    n = int(np.prod(shape))
    x = (np.arange(n, dtype=np.uint64) * np.uint64(2654435761)) % np.uint64(2**32)
    return (x.astype(np.float64) / 2**30 - 2).astype(np.float32).reshape(shape)


def fixed_pixels(image: Any) -> Any:
    """The same for a file that takes pixels: floor(64 (x + 2)) as uint8, NHWC."""
    steps = np.floor((image.astype(np.float64) + 2) * 64)
    return np.ascontiguousarray(np.clip(steps, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1))


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")
