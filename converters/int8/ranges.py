"""The range of a tensor from what calibration saw: the one meaning of minmax, percentile and mse.

Every target's quantizer and the simulation of int8 take their ranges from here, so that a method gives the
same range for the same values wherever it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Counts = NDArray[np.int64]

Method = Literal["minmax", "percentile", "mse"]
Observations = Callable[[], Iterable[Mapping[str, Floats]]]
KEPT = 0.9999  # share of the values that a percentile keeps, half of the rest lost on each side
BINS, STEPS = 2048, 128  # of a histogram; of the search for the least squared error
LEVELS = 255  # steps between the lowest and the highest int8
NARROWEST = LEVELS * 2**-12  # XNNPACK cannot rescale to the steps of a tensor that is all but dead


@dataclass(frozen=True, slots=True)
class Range:
    """Lowest and highest value that int8 represents; zero always lies between."""

    low: float
    high: float

    @property
    def scale(self) -> float:
        """Width of a step."""
        return (self.high - self.low) / LEVELS

    @property
    def zero_point(self) -> int:
        """The step, counted from the lowest, that stands for 0."""
        return round(-self.low / self.scale)

    def including(self, values: Floats) -> Range:
        """The range widened to hold these values."""
        return Range(min(self.low, float(values.min())), max(self.high, float(values.max())))

    def usable(self, narrowest: float = NARROWEST) -> Range:
        """The range, widened about zero if it is narrower than a runtime can use."""
        width = self.high - self.low
        if width >= narrowest:
            return self
        low = self.low / width * narrowest if width else 0.0
        return Range(low, low + narrowest)

    def histogram(self, values: Floats) -> Counts:
        """How many of the values lie in each of BINS equal parts."""
        width = np.float32((self.high - self.low) / BINS or 1)
        part = ((values.ravel() - np.float32(self.low)) / width).astype(np.int32)
        return np.bincount(np.clip(part, 0, BINS - 1, out=part), minlength=BINS)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bounds of those parts."""
        return np.linspace(self.low, self.high, BINS + 1)


NOTHING = Range(0.0, 0.0)  # before anything was seen


def ranges(method: Method, observe: Observations, narrowest: float = NARROWEST) -> dict[str, Range]:
    """The range of every tensor by name, none narrower than the runtime can use.

    observe() gives the tensors of each pass through the network by name; it is called once for minmax
    and once more, for the histograms between those extremes, for the other methods.
    """
    extremes: dict[str, Range] = {}
    for tensors in observe():
        for name, values in tensors.items():
            extremes[name] = extremes.get(name, NOTHING).including(values)
    counts = {name: np.zeros(BINS, np.int64) for name in extremes}
    for tensors in observe() if method != "minmax" else ():
        for name, values in tensors.items():
            counts[name] += extremes[name].histogram(values)
    return {n: chosen(method, full, counts[n]).usable(narrowest) for n, full in extremes.items()}


def chosen(method: Method, full: Range, counts: Counts) -> Range:
    """A method's range of values that lie in `full`, with `counts` in its parts (minmax needs none)."""
    if method == "minmax":
        return full
    return _percentile(counts, full) if method == "percentile" else _least_squares(counts, full)


def _percentile(counts: Counts, full: Range) -> Range:
    """All but the outermost values, half on each side."""
    share = counts.cumsum() / counts.sum()
    first = int(np.count_nonzero(share <= (1 - KEPT) / 2))
    last = int(np.count_nonzero(share < (1 + KEPT) / 2))
    return Range(min(0.0, float(full.edges[first])), max(0.0, float(full.edges[last + 1])))


def _least_squares(counts: Counts, full: Range) -> Range:
    """The range of least squared error: rounding within, clipping outside; first its top, then its bottom."""
    centers = (full.edges[1:] + full.edges[:-1]) / 2

    def error(r: Range) -> float:
        clipped = np.where(centers < r.low, centers - r.low, np.maximum(centers - r.high, 0))
        return float(counts @ np.where(clipped == 0, r.scale**2 / 12, clipped**2))

    shares = np.linspace(1, 0, STEPS, endpoint=False).tolist()
    best = min((Range(full.low, full.high * s) for s in shares), key=error)
    return min((Range(full.low * s, best.high) for s in shares), key=error)
