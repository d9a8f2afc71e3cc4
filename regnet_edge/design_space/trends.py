"""What good networks share: trends of parameters and of pairs, complexity against flops, diversity.

(Paper sec. 3.2, 4.) Trends are of any number that is better when smaller, be it an error or a latency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from regnet_edge.errors import DataError

from .bootstrap import FEWEST, Best, best_of
from .edf import Estimate
from .tables import Floats, Scored

FormName = Literal["linear", "root", "linear and root"]
PARAMETERS = ("depth", "w0", "wa", "wm", "bottleneck_ratio", "group_width", "se_ratio")
STAGE_PARAMETERS = ("depth", "width", "bottleneck_ratio", "group_width")
_CELLS = 4  # bins a side of a pair's table


@dataclass(frozen=True, slots=True)
class Trend:
    """One parameter against the value: the best model's interval and the rank correlation.

    spearman is positive where larger parameters have larger (worse) values; p_value is of no correlation.
    log_r2 is that of log(value) on log(parameter), None where one of them is not above 0 or does not vary.
    """

    parameter: str
    best: Best
    spearman: float
    p_value: float
    log_r2: float | None
    least: float
    most: float


def parameters(found: Scored) -> tuple[str, ...]:
    """The parameters that vary among these networks, each once: shared ones first, then by stage."""
    known = found.table.columns
    stages = sorted({int(c.rsplit("_", 1)[1]) for c in known if _is_stage_column(c)})
    by_stage = tuple(f"{p}_{i}" for p in STAGE_PARAMETERS for i in stages)
    wanted = (_known(name, known) for name in (*PARAMETERS, *by_stage))
    told = {name: found.column(name) for name in wanted if name and _varies(found, name)}
    first = {column.tobytes(): name for name, column in reversed(told.items())}
    return tuple(name for name, column in told.items() if first[column.tobytes()] == name)


def _is_stage_column(column: str) -> bool:
    name, _, number = column.rpartition("_")
    return name in STAGE_PARAMETERS and number.isdigit()


def _known(name: str, columns: Sequence[str]) -> str:
    return next((c for c in columns if c == name or c.endswith(f".{name}")), "")


def _varies(found: Scored, name: str) -> bool:
    numbers = found.column(name)
    told = numbers[np.isfinite(numbers)]
    return len(told) >= len(found) / 2 and len(np.unique(told)) > 1


def trend(found: Scored, parameter: str, rng: np.random.Generator) -> Trend:
    """The trend of one parameter, over the networks that have it."""
    from scipy.stats import spearmanr  # type: ignore[import-untyped]  # scipy ships no types

    best = best_of(found, parameter, rng)
    numbers = found.column(parameter)
    told = np.isfinite(numbers)
    x, y = numbers[told], found.values[told]
    flat = np.ptp(x) == 0 or np.ptp(y) == 0
    rho, p = (0.0, 1.0) if flat else spearmanr(x, y)
    return Trend(parameter, best, float(rho), float(p), _log_r2(x, y), float(x.min()), float(x.max()))


def _log_r2(x: Floats, y: Floats) -> float | None:
    if min(x.min(), y.min()) <= 0 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(np.log(x), np.log(y))[0, 1] ** 2)


@dataclass(frozen=True, slots=True)
class Cell:
    """Networks whose two parameters lie in these ranges, ends included, and their median value."""

    x: tuple[float, float]
    y: tuple[float, float]
    networks: int
    median: float


@dataclass(frozen=True, slots=True)
class ParameterPair:
    """Two parameters together: cells from low to high, and how much the second adds to the first.

    r2 are shares of the ranks' variance that medians by x, by y and by both explain; with as many cells
    as here, `chance` is what parameters without any bearing would reach together.
    """

    x: str
    y: str
    cells: tuple[Cell, ...]
    r2: tuple[float, float, float]
    chance: float

    @property
    def best(self) -> Cell:
        """The cell with the least median among those of at least 3 networks, or among all."""
        large = [c for c in self.cells if c.networks >= 3]
        return min(large or self.cells, key=lambda c: c.median)


def pair(found: Scored, x: str, y: str) -> ParameterPair:
    """The trend of two parameters, over the networks that have both; raises DataError where few do."""
    from scipy.stats import rankdata

    a, b = found.column(x), found.column(y)
    told = np.isfinite(a) & np.isfinite(b)
    if told.sum() < 2 * _CELLS:
        raise DataError(
            f"{int(told.sum())} networks of {found.name} have both {x} and {y}; a pair takes {2 * _CELLS}"
        )
    a, b, values = a[told], b[told], found.values[told]
    rows, columns = _bins(a), _bins(b)
    both = rows * _CELLS + columns
    cells = tuple(_cell(a[both == c], b[both == c], values[both == c]) for c in np.unique(both))
    ranks = rankdata(values)
    r2 = (_explained(ranks, rows), _explained(ranks, columns), _explained(ranks, both))
    chance = (len(cells) - 1) / max(len(values) - 1, 1)
    return ParameterPair(x, y, cells, r2, min(chance, 1.0))


def _bins(numbers: Floats) -> Floats:
    """Which of at most 4 groups of about equal size each number is in; equal numbers stay together."""
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _CELLS + 1)[1:-1], method="inverted_cdf"))
    return np.searchsorted(edges, numbers, side="left").astype(np.float64)


def _cell(a: Floats, b: Floats, values: Floats) -> Cell:
    x, y = (float(a.min()), float(a.max())), (float(b.min()), float(b.max()))
    return Cell(x, y, len(values), float(np.median(values)))


def _explained(ranks: Floats, groups: Floats) -> float:
    """Share of the variance that lies between groups (the correlation ratio)."""
    _, place = np.unique(groups, return_inverse=True)
    sizes = np.bincount(place)
    means = np.bincount(place, weights=ranks) / sizes
    whole = float(np.sum((ranks - ranks.mean()) ** 2))
    return float(np.sum(sizes * (means - ranks.mean()) ** 2)) / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class ComplexityFit:
    """y = sum of coefficients times terms of flops, and its R2.

    linear: c0 + c1 F. root: c0 + c1 sqrt(F). linear and root: c0 F + c1 sqrt(F), as the paper has run time.
    """

    form: FormName
    coefficients: tuple[float, float]
    r2: float

    def at(self, flops: Floats) -> Floats:
        """The fitted y."""
        fitted: Floats = _terms(self.form, flops) @ np.array(self.coefficients)
        return fitted


@dataclass(frozen=True, slots=True)
class ComplexityTrend:
    """How one number grows with flops: three forms, and the exponent of y = c F^p with its interval."""

    y: str
    networks: int
    fits: tuple[ComplexityFit, ...]
    exponent: Estimate

    @property
    def best(self) -> ComplexityFit:
        """The form with the largest R2."""
        return max(self.fits, key=lambda f: f.r2)


def _terms(form: FormName, flops: Floats) -> Floats:
    root, one = np.sqrt(flops), np.ones_like(flops)
    columns = {"linear": (one, flops), "root": (one, root), "linear and root": (flops, root)}
    return np.stack(columns[form], axis=1)


def complexity_trend(x: Floats, y: Floats, name: str) -> ComplexityTrend:
    """The trend of y with flops x, both positive, of shape (n,); raises DataError for fewer than 4 flops."""
    from scipy.stats import linregress, t

    told = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    x, y = x[told], y[told]
    if len(np.unique(x)) < 4:
        raise DataError(
            f"a trend of {name} with flops takes at least 4 networks of different flops, not {len(x)}"
        )
    forms: tuple[FormName, ...] = ("linear", "root", "linear and root")
    line = linregress(np.log(x), np.log(y))
    half = float(line.stderr * t.ppf(0.975, len(x) - 2))
    exponent = Estimate(float(line.slope), float(line.slope) - half, float(line.slope) + half)
    return ComplexityTrend(name, len(x), tuple(_complexity_fit(f, x, y) for f in forms), exponent)


def _complexity_fit(form: FormName, x: Floats, y: Floats) -> ComplexityFit:
    rows = _terms(form, x)
    scale = rows.max(axis=0)
    found, *_ = np.linalg.lstsq(rows / scale, y, rcond=None)
    rest = float(np.sum((y - rows / scale @ found) ** 2))
    whole = float(np.sum((y - y.mean()) ** 2))
    first, second = (found / scale).tolist()
    return ComplexityFit(form, (first, second), 1 - rest / whole if whole else 0.0)


@dataclass(frozen=True, slots=True)
class Spread:
    """How far a number varies: least, quartiles, most, and the standard deviation of its logarithm."""

    column: str
    least: float
    q1: float
    median: float
    q3: float
    most: float
    log_sd: float


def diversity(
    found: Scored, columns: Sequence[str] = ("depth", "params", "activations")
) -> tuple[Spread, ...]:
    """The spread of each column that the networks have: how diverse a space stayed."""
    known = found.table.columns
    spreads = []
    for column in columns:
        name = _known(column, known) or (_known("acts", known) if column == "activations" else "")
        numbers = found.column(name) if name else np.array([])
        told = numbers[np.isfinite(numbers) & (numbers > 0)]
        if len(told) > 1:
            spreads.append(spread_of(name, told))
    return tuple(spreads)


def spread_of(name: str, numbers: Floats) -> Spread:
    """The spread of at least 2 numbers; those at 0 have no part in that of the logarithm."""
    least, q1, middle, q3, most = np.quantile(numbers, (0, 0.25, 0.5, 0.75, 1)).tolist()
    above = numbers[numbers > 0]
    log_sd = float(np.log(above).std(ddof=1)) if len(above) > 1 else 0.0
    return Spread(name, least, q1, middle, q3, most, log_sd)


def front(cost: Floats, error: Floats) -> tuple[int, ...]:
    """Indices of the networks that none other beats in both numbers, cheapest first."""
    order = np.lexsort((error, cost))
    found: list[int] = []
    for i in order.tolist():
        if not found or error[i] < error[found[-1]]:
            found.append(i)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Trends:
    """All trends of one set; `fitted` is the number of best networks whose complexity was fitted."""

    name: str
    value: str
    networks: int
    parameters: tuple[Trend, ...]
    pairs: tuple[ParameterPair, ...]
    fitted: int
    complexity: tuple[ComplexityTrend, ...]
    diversity: tuple[Spread, ...]


def study_trends(
    found: Scored, wanted: Sequence[str], pairs: Sequence[tuple[str, str]], best: float, seed: int
) -> Trends:
    """The trends of the parameters and pairs that are named, or of every parameter that varies.

    Raises DataError for fewer than 4 networks.
    """
    if len(found) < FEWEST:
        have = "one network" if len(found) == 1 else f"{len(found)} networks"
        raise DataError(f"{found.name} has {have}, and a trend takes at least {FEWEST}; add records")
    rng = np.random.default_rng(seed)
    told = tuple(trend(found, p, rng) for p in wanted or parameters(found))
    fitted = max(1, round(len(found) * best))
    return Trends(
        found.name, found.value, len(found), told, tuple(pair(found, *p) for p in pairs), fitted,
        complexity_trends(found.best(fitted)), diversity(found),
    )  # fmt: skip


def complexity_trends(found: Scored) -> tuple[ComplexityTrend, ...]:
    """The trends with flops of what these networks have: params, activations, latency; none for few flops."""
    known = found.table.columns
    flops = _known("flops", known)
    wanted = (
        "params",
        "activations",
        "acts",
        "latency_ms",
        found.value if found.value.endswith("_ms") else "",
    )
    names = list(dict.fromkeys(n for n in (_known(c, known) for c in wanted if c) if n))
    if not flops or len(np.unique(found.column(flops))) < 4:
        return ()
    return tuple(complexity_trend(found.column(flops), found.column(n), n) for n in names)
