"""Two error distributions compared: how far apart, how sure, and which is better where.

Differences are the first minus the second, so that a negative one says that the first has the smaller errors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from regnet_edge.errors import DataError

from .edf import LEVEL, Edf, Estimate, Integers
from .tables import Floats, Scored

RESAMPLES = 2000
SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9)  # no best network: resampling says nothing of an extreme
FEW = 10  # networks: percentile intervals of fewer hold the truth clearly less often than they say
_AT_ONCE = 2_000_000  # numbers of a chunk of resamples
_SLACK = 1e-12
_TWO_SIDED_80 = 2.8016  # z(0.975) + z(0.8)


@dataclass(frozen=True, slots=True)
class QuantileDifference:
    """Both errors at one share of the networks, and their difference with its interval."""

    share: float
    first: float
    second: float
    difference: Estimate

    @property
    def better(self) -> str:
        """`first`, `second`, or `open` where the interval holds 0."""
        if not self.difference.excludes_zero:
            return "open"
        return "first" if self.difference.value < 0 else "second"


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two sets: the largest vertical distance with its p-value, the area between, and each quantile.

    The area between two EDFs up to an error E is the difference of mean(max(0, E - e)); with E beyond both
    it is the difference of the means, and `area` has that sign: negative, the first is better. detectable
    is the difference of means that so many networks would show in 4 of 5 such studies, at 5 %.
    """

    first: str
    second: str
    ks: float
    p_value: float
    area: Estimate
    quantiles: tuple[QuantileDifference, ...]
    detectable: float
    paired: bool
    networks: tuple[int, int]

    @property
    def sentence(self) -> str:
        """What it comes to."""
        a = self.area
        figures = (
            f"mean difference {a.value:+.3g} [{a.low:+.3g}, {a.high:+.3g}], "
            f"KS {self.ks:.3f}, p {self.p_value:.3g}"
        )
        if min(self.networks) < FEW:
            few = f"fewer than {FEW} networks give intervals that are too narrow"
            return f"{self.first} against {self.second}: {few} ({figures})"
        if not a.excludes_zero:
            return f"{self.first} and {self.second} cannot be told apart ({figures})"
        better, worse = (self.first, self.second) if a.value < 0 else (self.second, self.first)
        return f"{better} is better than {worse} ({figures})"


def ks_distance(a: Edf, b: Edf) -> float:
    """The largest vertical distance between two EDFs."""
    errors = np.union1d(a.errors, b.errors)
    above = np.nextafter(errors, np.inf)
    return float(np.abs(a.at(above) - b.at(above)).max())


def compare(
    a: Edf,
    b: Edf,
    rng: np.random.Generator,
    *,
    until: float = np.inf,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Contrast:
    """Two independent sets; intervals by resampling networks, within their bins where they have bins."""
    top = min(until, float(max(a.errors[-1], b.errors[-1])))
    weights, errors = (a.weights, b.weights), (a.errors, b.errors)
    chunks = _chunks(resamples, len(a) + len(b))
    draws = [
        _differences((_drawn(a, k, rng), _drawn(b, k, rng)), errors, weights, top, shares=SHARES)
        for k in chunks
    ]
    p_value = _ks_p(a, b, rng, resamples)
    noise = float(np.sqrt(a.sd**2 / a.effective + b.sd**2 / b.effective))
    return _told(a, b, np.concatenate(draws), top, level, p_value, noise, paired=False)


def compare_paired(
    first: Scored,
    second: Scored,
    by: str,
    rng: np.random.Generator,
    *,
    until: float = np.inf,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Contrast:
    """Sets whose networks go in pairs, such as two spaces sampled by the same draws (column `by`).

    Pairs are resampled, not networks, and the p-value of KS comes from exchanging within pairs.
    """
    one, two = pairs(first, second, by)
    a, b = Edf.of(first.name, one), Edf.of(second.name, two)
    top = min(until, float(max(one.max(), two.max())))
    n = len(one)
    equal = np.full(n, 1 / n)
    draws = []
    for k in _chunks(resamples, 2 * n):
        which = rng.integers(0, n, (k, n))
        draws.append(_differences((which, which), (one, two), (equal, equal), top, shares=SHARES))
    noise = float(np.std(one - two, ddof=1) / np.sqrt(n))
    p_value = _paired_p(one, two, rng, resamples)
    return _told(a, b, np.concatenate(draws), top, level, p_value, noise, paired=True)


def pairs(first: Scored, second: Scored, by: str) -> tuple[Floats, Floats]:
    """Values of both sets for each label that both have under `by`, each (pairs,).

    Raises DataError where fewer than 2 pairs are found or a label stands twice in a set.
    """
    sides = []
    for s in (first, second):
        known = s.table.resolve(by)
        labels = [r.label(known) for r in s.table.records]
        if len(set(labels)) < len(labels):
            twice = next(x for x in labels if labels.count(x) > 1)
            raise DataError(
                f"{s.name} has {by}={twice} more than once, so that its pair is not clear; name another"
            )
        sides.append(dict(zip(labels, s.values.tolist(), strict=True)))
    both = [label for label in sides[0] if label and label in sides[1]]
    if len(both) < 2:
        raise DataError(
            f"{first.name} and {second.name} share {len(both)} values of {by}; pairs take at least 2"
        )
    return np.array([sides[0][x] for x in both]), np.array([sides[1][x] for x in both])


def _told(
    a: Edf, b: Edf, draws: Floats, top: float, level: float, p_value: float, noise: float, *, paired: bool
) -> Contrast:
    tail = (1 - level) / 2
    low, high = np.quantile(draws, (tail, 1 - tail), axis=0)
    whole = tuple(np.arange(len(e))[None, :] for e in (a, b))
    seen = _differences(whole, (a.errors, b.errors), (a.weights, b.weights), top, shares=SHARES)[0]
    found = [Estimate(float(v), float(x), float(y)) for v, x, y in zip(seen, low, high, strict=True)]
    at = [(share, a.quantile(share), b.quantile(share)) for share in SHARES]
    quantiles = tuple(QuantileDifference(*s, e) for s, e in zip(at, found[1:], strict=True))
    detectable = _TWO_SIDED_80 * noise
    ks, sizes = ks_distance(a, b), (len(a), len(b))
    return Contrast(a.name, b.name, ks, p_value, found[0], quantiles, detectable, paired, sizes)


def _chunks(resamples: int, networks: int) -> Iterator[int]:
    size = max(1, _AT_ONCE // networks)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def _drawn(edf: Edf, count: int, rng: np.random.Generator) -> Integers:
    """`count` resamples of a set's indices, (count, n), each network replaced by one of its stratum."""
    if not edf.strata.any():
        return rng.integers(0, len(edf), (count, len(edf)))
    by_stratum = np.argsort(edf.strata, kind="stable")
    sizes = np.bincount(edf.strata)
    begins = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    places = rng.random((count, len(edf))) * sizes[edf.strata]
    drawn: Integers = by_stratum[begins[edf.strata] + places.astype(np.int64)]
    return drawn


def _differences(
    which: tuple[Integers, ...],
    errors: tuple[Floats, Floats],
    weights: tuple[Floats, Floats],
    top: float,
    *,
    shares: tuple[float, ...],
) -> Floats:
    """First minus second of each resample: mean of min(e, top), then quantiles; (resamples, 1 + shares)."""
    sides = [_figures(w, e, p, top, shares) for w, e, p in zip(which, errors, weights, strict=True)]
    return sides[0] - sides[1]


def _figures(
    which: Integers, errors: Floats, weights: Floats, top: float, shares: tuple[float, ...]
) -> Floats:
    drawn = errors[which]
    # the place of a resample keeps its weight: strata are drawn from within themselves
    means = np.minimum(drawn, top) @ weights
    order = np.argsort(drawn, axis=1)
    rising = np.take_along_axis(drawn, order, axis=1)
    reached = np.cumsum(weights[order], axis=1)
    places = ((reached >= share - _SLACK).argmax(axis=1) for share in shares)
    quantiles = [rising[np.arange(len(rising)), p] for p in places]
    return np.stack([means, *quantiles], axis=1)


def _ks_p(a: Edf, b: Edf, rng: np.random.Generator, resamples: int) -> float:
    """Of no difference: scipy's for equal weights, else by exchanging networks within their bins."""
    if not (a.strata.any() or b.strata.any()):
        from scipy.stats import ks_2samp  # type: ignore[import-untyped]  # scipy ships no types

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # that it takes the asymptotic p-value instead
            return float(ks_2samp(a.errors, b.errors).pvalue)
    strata = np.concatenate((a.strata, b.strata))
    signs = np.concatenate((a.weights, -b.weights))
    errors = np.concatenate((a.errors, b.errors))
    slots = np.argsort(strata, kind="stable")

    def shuffled() -> Floats:
        mixed = np.empty_like(errors)
        mixed[slots] = errors[np.lexsort((rng.random(len(errors)), strata))]
        return mixed

    return _permutation_p(errors, signs, shuffled, resamples)


def _paired_p(one: Floats, two: Floats, rng: np.random.Generator, resamples: int) -> float:
    n = len(one)
    signs = np.concatenate((np.full(n, 1 / n), np.full(n, -1 / n)))

    def shuffled() -> Floats:
        swap = rng.random(n) < 0.5
        return np.concatenate((np.where(swap, two, one), np.where(swap, one, two)))

    return _permutation_p(np.concatenate((one, two)), signs, shuffled, resamples)


def _permutation_p(errors: Floats, signs: Floats, shuffled: Callable[[], Floats], resamples: int) -> float:
    """Share of exchanges, the seen one among them, that part the two sets as far."""
    seen = _signed_distance(errors, signs)
    as_far = sum(_signed_distance(shuffled(), signs) >= seen - _SLACK for _ in range(resamples))
    return (1 + as_far) / (1 + resamples)


def _signed_distance(errors: Floats, signs: Floats) -> float:
    """max |F_a - F_b| where the weights of b are negative; ties step together."""
    order = np.argsort(errors, kind="stable")
    rising = errors[order]
    gaps = np.cumsum(signs[order])
    last = np.append(rising[1:] != rising[:-1], True)
    return float(np.abs(gaps[last]).max())
