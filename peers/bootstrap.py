"""The empirical bootstrap against a plain loop over the same networks, same run, one core.

Run: python peers/bootstrap.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from regnet_edge.design_space.bootstrap import FRACTION, RESAMPLES, best_indices

NETWORKS, REPEATS = 500, 5
LIMIT = 0.1  # of the loop's time

Numbers = NDArray[np.float64]


def plain_loop(errors: Numbers, rng: np.random.Generator) -> NDArray[np.int64]:
    """As the procedure is written down: draw a quarter with replacement, take the best, 10^4 times."""
    n, best = len(errors), np.empty(RESAMPLES, dtype=np.int64)
    for i in range(RESAMPLES):
        drawn = rng.integers(0, n, int(n * FRACTION))
        best[i] = drawn[np.argmin(errors[drawn])]
    return best


def least_seconds(
    work: Callable[[Numbers, np.random.Generator], NDArray[np.int64]], errors: Numbers
) -> float:
    """The least of several times, which other work on the machine lengthens least."""
    times = []
    for seed in range(REPEATS):
        rng = np.random.default_rng(seed)
        start = time.perf_counter()
        work(errors, rng)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print both times, their ratio, and how far apart the two intervals are."""
    rng = np.random.default_rng(0)
    errors, depth = rng.normal(20, 3, NETWORKS), rng.integers(4, 40, NETWORKS).astype(np.float64)
    fast, slow = least_seconds(best_indices, errors), least_seconds(plain_loop, errors)
    found = [depth[work(errors, np.random.default_rng(1))] for work in (best_indices, plain_loop)]
    intervals = [np.quantile(d, (0.025, 0.5, 0.975), method="inverted_cdf").tolist() for d in found]
    print(
        f"bootstrap of {NETWORKS} networks, {RESAMPLES:,} times: {fast * 1e3:.2f} ms, "
        f"loop {slow * 1e3:.0f} ms"
    )
    print(
        f"ratio {fast / slow:.4f} (at most {LIMIT}); best model's depth {intervals[0]}, loop's {intervals[1]}"
    )
    if fast > LIMIT * slow:
        raise SystemExit("the vectorised bootstrap is too slow beside the loop")


if __name__ == "__main__":
    main()
