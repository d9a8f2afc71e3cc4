"""Whether samples gather around more than one value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def modes(samples_ms: NDArray[np.float64], apart: float = 0.05, mass: float = 0.25) -> tuple[float, ...]:
    """The values around which the samples gather, one or more.

    Peaks of a Gaussian kernel density of the logarithms (Silverman 1986, bandwidth 0.9 min(std, iqr / 1.34)
    n^-1/5) count as two when they lie 5 % apart, each holds a quarter of the samples, and the valley
    between them is lower than 0.6 of the lower one.
    """
    x = np.log(samples_ms)
    low, q1, q3, high = np.percentile(x, (1, 25, 75, 99))
    x = x[(x >= low) & (x <= high)]
    h = 0.9 * max(min(float(x.std()), float(q3 - q1) / 1.34), 1e-3) * len(x) ** -0.2
    grid = np.linspace(low - 3 * h, high + 3 * h, 512)
    density = _density(x, grid, h)
    return tuple(round(float(np.exp(grid[i])), 9) for i in _peaks(x, grid, density, apart, mass))


def _density(x: NDArray[np.float64], grid: NDArray[np.float64], h: float) -> NDArray[np.float64]:
    """Kernel density on the grid, from a histogram, so that its cost does not grow with the samples."""
    step = grid[1] - grid[0]
    counts, _ = np.histogram(x, bins=np.append(grid - step / 2, grid[-1] + step / 2))
    reach = np.arange(-len(grid) + 1, len(grid)) * step
    kernel = np.exp(-0.5 * (reach / h) ** 2)
    smooth: NDArray[np.float64] = np.convolve(counts, kernel, mode="valid")
    smooth /= smooth.max()
    return smooth


def _peaks(
    x: NDArray[np.float64], grid: NDArray[np.float64], density: NDArray[np.float64], apart: float, mass: float
) -> list[int]:
    inner = (density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:])
    kept: list[int] = []
    for i in (int(j) + 1 for j in np.flatnonzero(inner)):
        if not kept:
            kept.append(i)
            continue
        valley = kept[-1] + int(np.argmin(density[kept[-1] : i]))
        low_side, high_side = float(np.mean(x <= grid[valley])), float(np.mean(x > grid[valley]))
        deep = density[valley] < 0.6 * min(density[kept[-1]], density[i])
        if deep and grid[i] - grid[kept[-1]] >= apart and min(low_side, high_side) >= mass:
            kept.append(i)
        elif density[i] > density[kept[-1]]:
            kept[-1] = i
    return kept
