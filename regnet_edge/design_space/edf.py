"""Error distributions: the EDF with its bands, at equal complexity, and what a random search finds.

F(e) = 1/n sum_i 1[e_i < e] (paper sec. 3.1, equation 1). A normalised EDF weights the networks so that
every bin of complexity counts the same (Radosavovic et al. 2019, "On Network Design Spaces for Visual
Recognition").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regnet_edge.errors import DataError, UsageError

from .tables import Floats, Scored

Integers = NDArray[np.int64]

LEVEL = 0.95
SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)  # of the networks; 0 is the best one
_SLACK = 1e-12  # relative to 1; far more than sums of weights are off


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the bounds of its interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Summary:
    """An EDF in numbers: quantiles by share, and the half width of its simultaneous band."""

    name: str
    networks: int
    effective: float
    mean: float
    sd: float
    quantiles: dict[str, float]
    half_width: float


@dataclass(frozen=True, slots=True, eq=False)
class Edf:
    """An error distribution: errors (n,) in rising order, the weight of each, and its stratum.

    Weights sum to 1. Strata are the bins of complexity within which networks can be exchanged; all 0
    without weighting.
    """

    name: str
    errors: Floats
    weights: Floats
    strata: Integers

    def __post_init__(self) -> None:
        if len(self.errors) < 2:
            raise DataError(f"{self.name} has one network, and a distribution takes at least 2; add records")
        if not np.isfinite(self.errors).all() or (np.diff(self.errors) < 0).any():
            raise DataError(f"{self.name} has errors that are not finite and in rising order; use Edf.of")

    @classmethod
    def of(
        cls, name: str, errors: Floats, weights: Floats | None = None, strata: Integers | None = None
    ) -> Edf:
        """The distribution of errors in any order; equal weights unless given."""
        errors = np.asarray(errors, dtype=np.float64)
        n = len(errors)
        if np.isnan(errors).any():
            raise DataError(f"{name} has {int(np.isnan(errors).sum())} errors that are NaN; leave them out")
        order = np.argsort(errors, kind="stable")
        given = np.full(n, 1 / max(n, 1)) if weights is None else np.asarray(weights, dtype=np.float64)
        bins = np.zeros(n, dtype=np.int64) if strata is None else np.asarray(strata, dtype=np.int64)
        return cls(name, errors[order], given[order], bins[order])

    def __len__(self) -> int:
        """Number of networks."""
        return len(self.errors)

    @property
    def steps(self) -> Floats:
        """F just above each error, (n,)."""
        return np.minimum(np.cumsum(self.weights), 1.0)

    @property
    def effective(self) -> float:
        """Networks of equal weight that would tell as much: 1 / sum of squared weights (Kish 1965)."""
        return float(1 / np.sum(self.weights**2))

    @property
    def mean(self) -> float:
        """Weighted mean error: what the area over the EDF comes to."""
        return float(self.weights @ self.errors)

    @property
    def sd(self) -> float:
        """Weighted standard deviation with n - 1 in place of n."""
        spread = float(self.weights @ (self.errors - self.mean) ** 2)
        return float(np.sqrt(spread * self.effective / (self.effective - 1)))

    def at(self, errors: Floats) -> Floats:
        """F(e): the share of networks whose error is below e, of the shape of `errors`."""
        whole = np.concatenate(([0.0], self.steps))
        shares: Floats = whole[np.searchsorted(self.errors, errors, side="left")]
        return shares

    def quantile(self, share: float) -> float:
        """The least error that `share` of the networks do not exceed."""
        place = int(np.searchsorted(self.steps, share - _SLACK))
        return float(self.errors[min(place, len(self) - 1)])

    def summary(self, level: float = LEVEL) -> Summary:
        """The distribution in numbers."""
        shares = {f"{share:g}": self.quantile(share) for share in SHARES}
        half = self.half_width(level)
        return Summary(self.name, len(self), self.effective, self.mean, self.sd, shares, half)

    def pointwise(self, level: float = LEVEL) -> tuple[Floats, Floats]:
        """Bounds of F just above each error that hold at any one error (Clopper and Pearson 1934).

        Exact for equal weights; others count as `effective` networks.
        """
        from scipy.stats import beta  # type: ignore[import-untyped]  # scipy ships no types

        n, tail = self.effective, (1 - level) / 2
        below = self.steps * n
        above = np.maximum(n - below, 0.0)
        with np.errstate(invalid="ignore"):
            low = beta.ppf(tail, below, above + 1)
            high = np.where(above > n * _SLACK, beta.ppf(1 - tail, below + 1, above), 1.0)
        return np.nan_to_num(low), np.nan_to_num(high, nan=1.0)

    def half_width(self, level: float = LEVEL) -> float:
        """What F is off by at most, at all errors at once: Kolmogorov's exact quantile for n networks."""
        from scipy.stats import kstwo

        return float(kstwo.ppf(level, max(int(self.effective + _SLACK), 1)))

    def simultaneous(self, level: float = LEVEL) -> tuple[Floats, Floats]:
        """Bounds of F just above each error that hold at all errors at once."""
        half = self.half_width(level)
        return np.maximum(self.steps - half, 0.0), np.minimum(self.steps + half, 1.0)


@dataclass(frozen=True, slots=True)
class Norm:
    """Equal complexity: `bins` equal bins of a column between low and high, each of the same weight."""

    column: str
    bins: int
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.bins < 1 or not self.low < self.high:
            raise UsageError(
                f"equal complexity takes at least 1 bin over a range that rises, not {self.bins} from "
                f"{self.low:g} to {self.high:g}"
            )

    def edf(self, found: Scored) -> Edf:
        """The normalised EDF of the networks within the range."""
        complexity = found.column(self.column)
        inside = (complexity >= self.low) & (complexity <= self.high)
        weights, strata = norm_weights(complexity[inside], self, found.name)
        return Edf.of(found.name, found.values[inside], weights, strata)


def norm_weights(complexity: Floats, norm: Norm, name: str = "the table") -> tuple[Floats, Integers]:
    """Weights 1 / (networks in the bin) / bins, and each network's bin, both (n,).

    Raises DataError where a bin is empty: the range or the number of bins has to give.
    """
    counts, edges = np.histogram(complexity, bins=norm.bins, range=(norm.low, norm.high))
    if not counts.all():
        i = int(np.argmin(counts))
        raise DataError(
            f"{name} has no network with {norm.column} from {edges[i]:g} to {edges[i + 1]:g}, and every bin "
            f"must hold one; use {_most_bins(complexity, norm)} or a narrower range"
        )
    place = np.searchsorted(edges, complexity, side="right") - 1
    strata: Integers = np.minimum(place, norm.bins - 1)
    return 1 / counts[strata] / norm.bins, strata


def _most_bins(complexity: Floats, norm: Norm) -> str:
    span = (norm.low, norm.high)
    for bins in range(norm.bins - 1, 0, -1):
        if np.histogram(complexity, bins=bins, range=span)[0].all():
            return f"{bins} bin{'s' if bins > 1 else ''}"
    return "other networks"


def shared_range(sets: tuple[Scored, ...], column: str) -> tuple[float, float]:
    """The range of complexity that all sets reach; raises DataError where there is none."""
    spans = [(np.nanmin(c), np.nanmax(c)) for c in (s.column(column) for s in sets)]
    low, high = float(max(a for a, _ in spans)), float(min(b for _, b in spans))
    if not low < high:
        raise DataError(f"the sets have no common range of {column}; compare sets of similar size")
    return low, high


@dataclass(frozen=True, slots=True)
class RandomSearch:
    """The least error that a random search of k networks finds: mean and standard deviation."""

    networks: int
    mean: float
    sd: float


def random_search(edf: Edf, most: int = 4096) -> tuple[RandomSearch, ...]:
    """The search of k = 1, 2, 4 ... `most` networks drawn with replacement by their weights.

    Exact: the least of k draws is e_i with probability S_i^k - S_(i+1)^k, where S_i is the weight of the
    errors from e_i on. (The 2019 paper draws n // k times instead and has the same mean.)
    """
    rest = np.maximum(1 - np.concatenate(([0.0], np.cumsum(edf.weights))), 0.0)
    rest[-1] = 0.0
    found = []
    for k in 2 ** np.arange(int(np.log2(max(most, 1))) + 1):
        chances = rest[:-1] ** k - rest[1:] ** k
        mean = float(chances @ edf.errors)
        spread = float(chances @ (edf.errors - mean) ** 2)
        found.append(RandomSearch(int(k), mean, float(np.sqrt(spread))))
    return tuple(found)
