"""How one number of a network is drawn: uniform numbers in [0, 1) to values, with their probabilities.

Log-uniform draws follow the authors' code (pycls/sweep/random.py): a real number is drawn from the interval
widened below, then taken up to the next multiple, so that end values are drawn as often as their neighbours
on the log scale; rounding would halve them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regnet_edge.errors import UsageError

Floats = NDArray[np.float64]
Law = Literal["log", "uniform"]

_DIGITS = 9  # decimals kept of a multiple, so that 3 * 0.1 is 0.3


@dataclass(frozen=True, slots=True)
class Span:
    """Multiples of `quantum` from low to high, both included, log-uniform or uniform."""

    low: float
    high: float
    quantum: float = 1
    law: Law = "log"

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high < math.inf or self.quantum <= 0:
            raise UsageError(f"a range goes from a positive number up, not from {self.low} to {self.high}")
        for end in (self.low, self.high):
            if abs(end / self.quantum - round(end / self.quantum)) > 1e-6:
                raise UsageError(f"the range's end {end:g} is no multiple of {self.quantum:g}")
        if self.law not in ("log", "uniform"):
            raise UsageError(f"unknown law {self.law!r}; choose from log, uniform")

    @property
    def count(self) -> int:
        """How many values there are."""
        return round((self.high - self.low) / self.quantum) + 1

    @property
    def values(self) -> Floats:
        """Every value in order, (count,)."""
        return np.round(self.low + self.quantum * np.arange(self.count), _DIGITS)

    @property
    def start(self) -> float:
        """Where the log-uniform interval begins, below `low`."""
        return self.low - min(self.quantum, self.low / 2)

    @property
    def probabilities(self) -> Floats:
        """The probability of each value, (count,), in closed form."""
        if self.law == "uniform":
            return np.full(self.count, 1 / self.count)
        edges = np.log(np.concatenate([[self.start], self.values]))
        found: Floats = np.diff(edges) / (edges[-1] - edges[0])
        return found

    def at(self, u: Floats) -> Floats:
        """The values of uniform numbers in [0, 1), of u's shape."""
        if self.law == "uniform":
            steps = np.floor(u * self.count) + round(self.low / self.quantum)
        else:
            steps = np.ceil(self.start * (self.high / self.start) ** u / self.quantum)
        return np.clip(np.round(steps * self.quantum, _DIGITS), self.low, self.high)

    def holds(self, value: float) -> bool:
        """Whether the value lies in the range; the quantum is the sampler's, and not asked for."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


def log_weights(values: Sequence[float]) -> Floats:
    """Probabilities (n,) of rising values, log-uniform: each takes the interval down to the one before.

    The first takes that from its half, so that powers of two are equally likely.
    """
    edges = np.log(np.concatenate([[values[0] / 2], np.asarray(values, dtype=np.float64)]))
    found: Floats = np.diff(edges) / (edges[-1] - edges[0])
    return found


def choose(u: Floats, values: Sequence[float], weights: Floats | None = None) -> Floats:
    """The values of uniform numbers in [0, 1), of u's shape; equally likely without weights."""
    table: NDArray[Any] = np.asarray(values, dtype=np.float64)
    if weights is None:
        places = np.floor(u * len(table)).astype(np.int64)
    else:
        places = np.searchsorted(np.cumsum(weights), u, side="right")
    found: Floats = table[np.minimum(places, len(table) - 1)]
    return found
