"""Whether samples gather around more than one value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POINTS = 512  # of the density
DEEP = 0.6  # of the lower peak: a valley below that parts two


def modes(samples_ms: NDArray[np.float64], apart: float = 0.05, mass: float = 0.25) -> tuple[float, ...]:
    """The values around which the samples gather, one or more.

    Peaks of a Gaussian kernel density of the logarithms (Silverman 1986, bandwidth 0.9 min(std, iqr / 1.34)
    n^-1/5) count as two when they lie 5 % apart, each holds a quarter of the samples, and the valley
    between them is lower than 0.6 of the lower one.
    """
    from scipy.signal import find_peaks  # type: ignore[import-untyped]  # scipy ships no types

    x = np.log(samples_ms)
    low, q1, q3, high = np.percentile(x, (1, 25, 75, 99))
    x = x[(x >= low) & (x <= high)]
    h = 0.9 * max(min(float(x.std()), float(q3 - q1) / 1.34), 1e-3) * len(x) ** -0.2
    grid = np.linspace(low - 3 * h, high + 3 * h, POINTS)
    density = _density(x, grid, h)
    kept: list[int] = []
    for peak in map(int, find_peaks(density)[0]):
        if not kept or _parted(x, grid, density, kept[-1], peak, apart, mass):
            kept.append(peak)
        elif density[peak] > density[kept[-1]]:
            kept[-1] = peak
    return tuple(round(float(np.exp(grid[i])), 9) for i in kept)


def _density(x: NDArray[np.float64], grid: NDArray[np.float64], h: float) -> NDArray[np.float64]:
    """Kernel density on the grid, from a histogram, so that its cost does not grow with the samples."""
    from scipy.ndimage import gaussian_filter1d  # type: ignore[import-untyped]  # scipy ships no types

    step = grid[1] - grid[0]
    counts, _ = np.histogram(x, bins=np.append(grid - step / 2, grid[-1] + step / 2))
    smooth: NDArray[np.float64] = gaussian_filter1d(counts.astype(np.float64), h / step, mode="constant")
    return smooth


def _parted(
    x: NDArray[np.float64], grid: NDArray[np.float64], density: NDArray[np.float64],
    left: int, right: int, apart: float, mass: float,
) -> bool:  # fmt: skip
    """Whether two peaks are two values."""
    valley = left + int(np.argmin(density[left:right]))
    below = float(np.mean(x <= grid[valley]))
    deep = density[valley] < DEEP * min(density[left], density[right])
    return bool(deep and grid[right] - grid[left] >= apart and min(below, 1 - below) >= mass)
