"""(w0, wa, wm) of any network whose widths do not fall, and how far the rule is from it (paper sec. 3.3).

e_fit is the mean over the blocks of |log(w_j / wfit_j)|, with the depth fixed to the network's. w0 and wm
go by a grid; wa does not, because for given w0 and wm the blocks change their step at known values of wa,
w0 (wm^(k-1/2) - 1) / j, and between two of them nothing changes: going through them in order gives the
best wa, and the whole interval of equally good ones, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from regnet_edge.config import MAX_WIDTH, WIDTH_QUANTUM, AnyNetConfig, RegNetConfig, adjust_groups
from regnet_edge.errors import ConfigError, DataError, UsageError

from .tables import Floats, Scored, Shape

PAPER_SLOPE = 48.0  # w_j = 48 (j + 1), the paper's line for the best 20 of AnyNetX_E at 360-400 MF
_SAME = 1e-12  # sums of costs that differ by less are the same
_NO_INTERVAL = 1e-9  # relative; two breakpoints closer than this are one


@dataclass(frozen=True, slots=True)
class Grid:
    """What is searched: w0 and wm by steps, ends included, and every wa up to a limit."""

    w0: tuple[int, int] = (WIDTH_QUANTUM, 320)
    wm: tuple[float, float] = (1.5, 3.0)
    wm_step: float = 0.01
    max_wa: float = 256.0

    def __post_init__(self) -> None:
        low, high = self.w0
        if not WIDTH_QUANTUM <= low <= high or low % WIDTH_QUANTUM:
            raise UsageError(
                f"w0 goes from a positive multiple of {WIDTH_QUANTUM} up, not from {low} to {high}"
            )
        if not 1 < self.wm[0] <= self.wm[1] or not self.wm_step > 0 or not self.max_wa > 0:
            raise UsageError("wm goes from above 1 up by a positive step, and wa to a positive limit")

    @property
    def w0s(self) -> Floats:
        """Multiples of 8."""
        return np.arange(self.w0[0], self.w0[1] + 1, WIDTH_QUANTUM, dtype=np.float64)

    @property
    def wms(self) -> Floats:
        """Rounded to the step's digits, so that 2.24 is the number that people write."""
        count = round((self.wm[1] - self.wm[0]) / self.wm_step) + 1
        return np.round(self.wm[0] + self.wm_step * np.arange(count), 9)


GRID = Grid()
COARSE = Grid(wm_step=0.05)  # for populations: 31 values of wm


@dataclass(frozen=True, slots=True)
class RuleFit:
    """The rule nearest to a network: e_fit, the triple, the interval of wa that gives the same network.

    group_width is None where the network's groups did not take part; equals is the number of pairs (w0, wm)
    of the grid with the same e_fit, so that the triple is one of them.
    """

    depth: int
    w0: int
    wa: float
    wm: float
    e_fit: float
    wa_low: float
    wa_high: float
    equals: int
    group_width: int | None = None
    bottleneck_ratio: float = 1.0

    def rule(self) -> RegNetConfig:
        """The rule as a network's definition; without groups in the fit every stage is one group."""
        g = self.group_width or 1
        return RegNetConfig(self.depth, self.w0, self.wa, self.wm, g, self.bottleneck_ratio)

    def block_widths(self) -> tuple[int, ...]:
        """Width of each block that the rule gives, adjusted to the groups where they took part."""
        config = self.rule().anynet()
        return tuple(s.width for s in config.stages for _ in range(s.depth))


def fit_rule(
    widths: Sequence[int],
    grid: Grid = GRID,
    *,
    group_width: int | None = None,
    bottleneck_ratio: float = 1.0,
) -> RuleFit:
    """The best rule for the width of each block; with a group width, the adjustment is part of the rule.

    Raises ConfigError where the widths fall.
    """
    target = np.asarray(widths, dtype=np.float64)
    if len(target) < 1 or (np.diff(target) < 0).any() or target[0] < 1:
        raise ConfigError("the linear rule fits widths that do not fall; these do, or there is no block")
    adjust = None if group_width is None else (group_width, bottleneck_ratio)
    found = [_best_of_w0(target, w0, grid, adjust) for w0 in grid.w0s]
    errors, lows, highs = (np.stack(values) for values in zip(*found, strict=True))
    least = errors.min()
    equal = errors <= least + _SAME
    # of equally good ones, the one whose wa may vary most
    i, j = np.unravel_index(np.argmax(np.where(equal, highs - lows, -1.0)), errors.shape)
    low, high = float(lows[i, j]), float(highs[i, j])
    e_fit = float(least) if least > _SAME else 0.0
    return RuleFit(
        len(target), int(grid.w0s[i]), _short(low, high), float(grid.wms[j]), e_fit, low, high,
        int(equal.sum()), group_width, bottleneck_ratio,
    )  # fmt: skip


def _best_of_w0(
    target: Floats, w0: float, grid: Grid, adjust: tuple[int, float] | None
) -> tuple[Floats, Floats, Floats]:
    """Least e_fit for each wm, and the ends of its interval of wa, each of shape (wms,)."""
    wm, depth = grid.wms, len(target)
    steps = np.arange(_steps(w0, grid, depth) + 1, dtype=np.float64)
    cost = np.abs(np.log(target[:, None, None] / _step_widths(w0, wm, steps, adjust)))
    j = np.arange(1, depth)
    # block j goes from step k - 1 to k at this wa, which adds the difference of their costs
    bounds = w0 * (wm[:, None] ** (steps[1:] - 0.5) - 1)
    at = (bounds[None] / j[:, None, None]).transpose(1, 0, 2).reshape(len(wm), -1)
    adds = (cost[1:, :, 1:] - cost[1:, :, :-1]).transpose(1, 0, 2).reshape(len(wm), -1)
    order = np.argsort(at, axis=1)
    at = np.take_along_axis(at, order, axis=1)
    adds = np.take_along_axis(adds, order, axis=1)
    begins = np.concatenate((np.zeros((len(wm), 1)), at), axis=1)
    ends = np.concatenate((at, np.full((len(wm), 1), np.inf)), axis=1)
    start = cost[:, :, 0].sum(axis=0)
    totals = start[:, None] + np.concatenate((np.zeros((len(wm), 1)), np.cumsum(adds, axis=1)), axis=1)
    ends = np.minimum(ends, grid.max_wa)
    totals[ends <= begins * (1 + _NO_INTERVAL)] = np.inf
    rows, best = np.arange(len(wm)), np.argmin(totals, axis=1)
    return totals[rows, best] / depth, begins[rows, best], ends[rows, best]


def _steps(w0: float, grid: Grid, depth: int) -> int:
    """Steps that the last block can reach within the grid."""
    return int(np.ceil(np.log1p(grid.max_wa * (depth - 1) / w0) / np.log(grid.wm[0]) + 0.5))


def _step_widths(w0: float, wm: Floats, steps: Floats, adjust: tuple[int, float] | None) -> Floats:
    """w0 wm^k as multiples of 8, adjusted to the groups where a network can be so wide; (wms, steps)."""
    widths: Floats = np.round(w0 * wm[:, None] ** steps / WIDTH_QUANTUM) * WIDTH_QUANTUM
    if adjust is None:
        return widths
    known, place = np.unique(widths, return_inverse=True)
    widest = MAX_WIDTH * min(adjust[1], 1.0)
    adjusted = [adjust_groups(int(w), *adjust)[0] if w <= widest else w for w in known]
    return np.array(adjusted, dtype=np.float64)[place].reshape(widths.shape)


def _short(low: float, high: float) -> float:
    """A number well inside (low, high) with as few digits as it takes."""
    inner_low, inner_high = low + (high - low) * 0.05, high - (high - low) * 0.05
    middle = (low + high) / 2
    for digits in range(12):
        rounded = round(middle, digits)
        if inner_low < rounded < inner_high:
            return rounded
    return middle


def fit_shape(shape: Shape, grid: Grid = GRID) -> RuleFit:
    """The best rule for a network: with its groups where one group width and ratio explain all stages."""
    group, ratio = shape.shared_group, shape.shared_ratio
    if group is None or ratio is None:
        return fit_rule(shape.block_widths, grid)
    return fit_rule(shape.block_widths, grid, group_width=group, bottleneck_ratio=ratio)


@dataclass(frozen=True, slots=True)
class NetFit:
    """A network's block widths and the rule nearest to it; given_back where the rule makes just these."""

    name: str
    block_widths: tuple[int, ...]
    fit: RuleFit
    given_back: bool


def fit_net(name: str, config: AnyNetConfig, grid: Grid = GRID) -> NetFit:
    """The best rule for a network's definition; raises ConfigError where its widths fall."""
    ratios = tuple(s.bottleneck_ratio for s in config.stages)
    shape = Shape(config.depths, config.widths, config.group_widths, ratios)
    fit = fit_shape(shape, grid)
    return NetFit(name, shape.block_widths, fit, fit.block_widths() == shape.block_widths)


@dataclass(frozen=True, slots=True)
class FitSummary:
    """e_fit of a population in numbers: 10 %, median, 90 %, and the median of its best quarter."""

    name: str
    networks: int
    falling: int
    low: float
    median: float
    high: float
    best_median: float
    spearman: float
    p_value: float


@dataclass(frozen=True, slots=True, eq=False)
class PopulationFits:
    """e_fit of each network whose widths do not fall, (n,), beside its value; falling ones are counted.

    spearman is the rank correlation of e_fit and the value, with its p-value: positive where better
    networks are nearer to the rule.
    """

    name: str
    networks: Scored
    e_fit: Floats
    falling: int
    spearman: float
    p_value: float

    def summary(self) -> FitSummary:
        """The fits in numbers."""
        low, middle, high = np.quantile(self.e_fit, (0.1, 0.5, 0.9)).tolist()
        order = np.argsort(self.networks.values, kind="stable")
        best = float(np.median(self.e_fit[order[: max(1, len(order) // 4)]]))
        return FitSummary(
            self.name, len(self.e_fit), self.falling, low, middle, high, best, self.spearman, self.p_value
        )


def fit_population(found: Scored, grid: Grid = COARSE) -> PopulationFits:
    """The fits of a population; raises DataError where fewer than 3 networks have widths that do not fall."""
    from scipy.stats import spearmanr  # type: ignore[import-untyped]  # scipy ships no types

    shapes = [r.shape for r in found.table.records]
    rising = np.array([s is not None and s.rises for s in shapes])
    kept = found.taken(rising)
    if len(kept) < 3:
        raise DataError(
            f"{found.name} has {len(kept)} networks whose widths are told and do not fall; the rule's fit "
            "takes at least 3"
        )
    known: dict[Shape, float] = {}
    errors = [
        known.setdefault(s, fit_rule(s.block_widths, grid).e_fit) if s not in known else known[s]
        for s in (r.shape for r in kept.table.records)
        if s is not None
    ]
    e_fit = np.array(errors)
    flat = np.ptp(e_fit) == 0 or np.ptp(kept.values) == 0
    told = (0.0, 1.0) if flat else spearmanr(e_fit, kept.values)
    falling = int((~rising).sum())
    return PopulationFits(found.name, kept, e_fit, falling, float(told[0]), float(told[1]))


def fit_populations(
    sets: Sequence[Scored], grid: Grid = COARSE
) -> tuple[tuple[PopulationFits, ...], tuple[str, ...]]:
    """The fits of each set that has enough such networks, and a sentence on each that has not.

    Raises DataError where none has.
    """
    fits, without = [], []
    for found in sets:
        try:
            fits.append(fit_population(found, grid))
        except DataError as error:
            without.append(str(error))
    if not fits:
        raise DataError(without[0])
    return tuple(fits), tuple(without)


@dataclass(frozen=True, slots=True)
class LineFit:
    """w_j = slope (j + 1) through several networks' blocks: the best slope, and errors as mean |log|."""

    networks: int
    slope: float
    error: float
    paper_error: float


def line_fit(shapes: Sequence[Shape]) -> LineFit:
    """The line nearest to all blocks of these networks, beside the paper's 48 (j + 1).

    The slope with the least mean |log(w_j / (slope (j + 1)))| is the median of w_j / (j + 1).
    """
    told = [np.array(s.block_widths, dtype=np.float64) for s in shapes if s.widths]
    if not told:
        raise DataError("no network tells its widths; a line takes depths and widths of each stage")
    ratios = np.concatenate([w / np.arange(1, len(w) + 1) for w in told])
    slope = float(np.exp(np.median(np.log(ratios))))
    errors = [float(np.mean(np.abs(np.log(ratios / s)))) for s in (slope, PAPER_SLOPE)]
    return LineFit(len(told), slope, *errors)
