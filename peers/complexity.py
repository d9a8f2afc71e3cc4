"""Vectorised complexity against a plain loop of the scalar form, same draws, same run, one core.

Run: python peers/complexity.py
"""

from __future__ import annotations

import time

import numpy as np

from regnet_edge.complexity import complexity
from regnet_edge.design_space.counts import RegNetDraws, evaluate

DRAWS, LOOPED = 1_000_000, 2_000


def draws(n: int, se_ratio: float) -> RegNetDraws:
    """n draws of the paper's RegNet space (sec. 3.3)."""
    rng = np.random.default_rng(0)
    return RegNetDraws(
        depth=rng.integers(1, 64, n),
        w0=8 * rng.integers(1, 32, n),
        wa=rng.uniform(8, 256, n),
        wm=rng.uniform(1.5, 3, n),
        group_width=2 ** rng.integers(0, 6, n),
        se_ratio=np.array([se_ratio]),
    )


def main() -> None:
    """Print draws a second of both forms, and their ratio, for X and Y nets."""
    for name, se_ratio in (("RegNetX", 0.0), ("RegNetY", 0.25)):
        many = draws(DRAWS, se_ratio)
        start = time.perf_counter()
        evaluate(many)
        fast = DRAWS / (time.perf_counter() - start)
        start = time.perf_counter()
        for i in range(LOOPED):
            complexity(many.config(i).anynet())
        slow = LOOPED / (time.perf_counter() - start)
        times = f"{fast / slow:,.0f} times"
        print(f"{name}: vectorised {fast:,.0f} draws/s, scalar loop {slow:,.0f} draws/s, {times}")


if __name__ == "__main__":
    main()
