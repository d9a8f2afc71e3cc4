"""The empirical bootstrap: which value of a parameter the best networks have (paper sec. 3.2, appendix).

Draw 25 % of the networks with replacement, take the best one's value, 10^4 times; the middle 95 % of those
values are an interval of the best model's parameter, and of its error where the parameter is the error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regnet_edge.errors import DataError, UsageError

from .edf import LEVEL, Integers
from .tables import Floats, Scored

FRACTION = 0.25
RESAMPLES = 10_000
FEWEST = 4  # networks: a quarter of fewer is none


@dataclass(frozen=True, slots=True)
class Best:
    """A parameter of the best model: its interval and median, each a value that some network has."""

    parameter: str
    networks: int
    drawn: int
    low: float
    median: float
    high: float

    @property
    def narrows(self) -> bool:
        """Whether the interval is one single value."""
        return self.low == self.high


def best_indices(
    errors: Floats, rng: np.random.Generator, *, fraction: float = FRACTION, resamples: int = RESAMPLES
) -> Integers:
    """The index of the best network of each resample, (resamples,), without drawing the others.

    The least rank r of m draws from n ranks has P(r >= k) = (1 - k / n)^m, which one uniform number turns
    round; networks of equal error are as likely as each other, as when the first drawn one counts.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"the share that is drawn lies between 0 and 1, not at {fraction:g}")
    n = len(errors)
    m = max(1, round(n * fraction))
    order = np.argsort(errors, kind="stable")
    ranks = np.floor(n * (1 - rng.random(resamples) ** (1 / m))).astype(np.int64)
    rising = errors[order]
    begin = np.searchsorted(rising, rising[ranks], side="left")
    end = np.searchsorted(rising, rising[ranks], side="right")
    equals = begin + np.floor(rng.random(resamples) * (end - begin)).astype(np.int64)
    chosen: Integers = order[equals]
    return chosen


def best_of(
    found: Scored,
    parameter: str,
    rng: np.random.Generator,
    *,
    fraction: float = FRACTION,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Best:
    """The best model's value of a column, over the networks that have one.

    Raises UsageError where there is no such column and DataError where fewer than 4 networks have it.
    """
    values = found.values if parameter == found.value else found.column(parameter)
    told = np.isfinite(values)
    n = int(told.sum())
    if n < FEWEST:
        raise DataError(
            f"{found.name} has {n or 'no'} network{'s' if n != 1 else ''} with a number under {parameter}, "
            f"and a bootstrap takes at least {FEWEST}; add records"
        )
    best = best_indices(found.values[told], rng, fraction=fraction, resamples=resamples)
    tail = (1 - level) / 2
    low, middle, high = np.quantile(values[told][best], (tail, 0.5, 1 - tail), method="inverted_cdf")
    return Best(parameter, n, max(1, round(n * fraction)), float(low), float(middle), float(high))
