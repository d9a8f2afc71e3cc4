"""The paper's pictures of distributions and trends, each as a value that becomes SVG, PNG or PDF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from regnet_edge.drawing import COLORS, LINE, Picture, plain_ticks

from .bootstrap import Best
from .edf import LEVEL, Edf, random_search
from .tables import Booleans, Floats, Scored
from .trends import ComplexityTrend, ParameterPair, Trends

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_IN = (3.1, 2.7)
_MOST_STEPS = 1500  # of an EDF; more cannot be seen
_MEANT_IN_MILLIONS = ("flops", "params", "activations", "acts")
_LABELS = {
    "error": "error (%)", "min_test_top1": "error (%)", "top1_error": "top-1 error (%)",
    "top1_err": "top-1 error (%)", "latency_ms": "latency (ms)",
}  # fmt: skip


def label(column: str) -> str:
    """What stands beside an axis."""
    short = column.rsplit(".", 1)[-1]
    return f"{short} (M)" if short in _MEANT_IN_MILLIONS else _LABELS.get(short, short.replace("_", " "))


def shown(column: str, numbers: Floats) -> Floats:
    """Numbers as they stand in a picture: counts in millions."""
    return numbers / 1e6 if column.rsplit(".", 1)[-1] in _MEANT_IN_MILLIONS else numbers


def edf_picture(edfs: Sequence[Edf], value: str, level: float = LEVEL) -> Picture:
    """EDFs as steps: pointwise bands filled, simultaneous ones dotted, numbers of networks in the legend."""

    def draw(axes: Axes) -> None:
        for edf, color in zip(edfs, _colors(len(edfs)), strict=True):
            _draw_edf(axes, edf, color, level, simultaneous=len(edfs) <= 3)
        axes.set(xlabel=label(value), ylabel="share of networks below", ylim=(0, 1.02))
        axes.legend(frameon=False, fontsize=9, loc="lower right")

    return Picture.of(draw)


def _draw_edf(axes: Axes, edf: Edf, color: str, level: float, *, simultaneous: bool) -> None:
    seen = np.unique(np.linspace(0, len(edf) - 1, _MOST_STEPS).astype(np.int64))
    x, steps = edf.errors[seen], edf.steps[seen]
    label = f"{edf.name} ({len(edf)})"
    axes.step(np.append(x[:1], x), np.append(0, steps), where="post", color=color, lw=1.6, label=label)
    low, high = edf.pointwise(level)
    axes.fill_between(x, low[seen], high[seen], step="post", color=color, alpha=0.15, lw=0)
    if simultaneous:
        for bound in edf.simultaneous(level):
            axes.step(x, bound[seen], ":", where="post", color=color, lw=0.8)


def _colors(count: int) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(count)]


def search_picture(edfs: Sequence[Edf], value: str, most: int = 64) -> Picture:
    """The least value that a random search of k networks finds: mean and two standard deviations."""

    def draw(axes: Axes) -> None:
        for edf, color in zip(edfs, _colors(len(edfs)), strict=True):
            found = random_search(edf, most)
            k = [s.networks for s in found]
            mean, sd = np.array([s.mean for s in found]), np.array([s.sd for s in found])
            axes.plot(k, mean, "o-", ms=3, color=color, label=edf.name)
            axes.fill_between(k, mean - 2 * sd, mean + 2 * sd, color=color, alpha=0.15, lw=0)
        axes.set(xlabel="networks tried", ylabel=f"least {label(value)} found")
        axes.set_xscale("log", base=2)
        plain_ticks(axes.xaxis, base=2, subs=(1,))
        axes.legend(frameon=False, fontsize=9)

    return Picture.of(draw)


def bootstrap_picture(found: Scored, bests: Sequence[Best]) -> Picture:
    """The value against each parameter, with the best model's interval shaded and its median as a line."""

    def fill(figure: Figure) -> None:
        for axes, best in zip(_panels(figure, len(bests)), bests, strict=False):
            x = shown(best.parameter, found.column(best.parameter))
            low, median, high = shown(best.parameter, np.array([best.low, best.median, best.high]))
            axes.axvspan(low, high, color=COLORS[0], alpha=0.15, lw=0)
            axes.axvline(median, color=COLORS[0], lw=1.4)
            axes.scatter(x, found.values, 9, color=LINE, alpha=0.7, lw=0)
            _log_where_it_spreads(axes, x)
            axes.set(xlabel=label(best.parameter), ylabel=label(found.value))

    return Picture(fill, _size(len(bests)))


def _log_where_it_spreads(axes: Axes, x: Floats) -> None:
    told = x[np.isfinite(x)]
    if len(told) and told.min() > 0 and told.max() / told.min() >= 8:
        axes.set_xscale("log", base=2)
        plain_ticks(axes.xaxis, base=2, subs=(1,))


def _size(count: int, columns: int = 3) -> tuple[float, float]:
    across = min(count, columns)
    return PANEL_IN[0] * max(across, 1), PANEL_IN[1] * max(-(-count // columns), 1)


def _panels(figure: Figure, count: int, columns: int = 3) -> list[Axes]:
    """`count` pairs of axes in rows; places left over stay empty."""
    across, down = min(count, columns), -(-count // columns)
    grid: list[Axes] = list(figure.subplots(down, across, squeeze=False).flat)
    for spare in grid[count:]:
        spare.set_axis_off()
    return grid[:count]


def pairs_picture(found: Scored, pairs: Sequence[ParameterPair]) -> Picture:
    """Two parameters at a time, each network a dot that is the darker the better it is."""
    from scipy.stats import rankdata  # type: ignore[import-untyped]  # scipy ships no types

    rank = rankdata(found.values) / len(found)

    def fill(figure: Figure) -> None:
        for axes, p in zip(_panels(figure, len(pairs)), pairs, strict=False):
            x, y = shown(p.x, found.column(p.x)), shown(p.y, found.column(p.y))
            dots = axes.scatter(_spread(x), _spread(y), 16, c=rank, cmap="viridis", vmin=0, vmax=1, lw=0)
            axes.set(xlabel=label(p.x), ylabel=label(p.y))
            axes.set_title(f"R² {p.r2[0]:.2f}, {p.r2[1]:.2f}, both {p.r2[2]:.2f}", fontsize=9)
        bar = figure.colorbar(dots, ax=axes)
        bar.set_label(f"rank of {found.value.rsplit('.', 1)[-1]}, 0 best")

    return Picture(fill, _size(len(pairs)))


def _spread(numbers: Floats) -> Floats:
    """Numbers pulled apart a little where few values carry many dots, always the same way."""
    known = np.unique(numbers[np.isfinite(numbers)])
    if len(known) > 12 or len(known) < 2:
        return numbers
    gap = float(np.diff(known).min())
    return numbers + gap * 0.35 * (np.random.default_rng(0).random(len(numbers)) - 0.5)


def complexity_picture(
    x: Floats, trends: Sequence[tuple[ComplexityTrend, Floats]], chosen: Booleans
) -> Picture:
    """Numbers against flops with the best-fitting form; `chosen` marks the networks it was fitted to."""

    def fill(figure: Figure) -> None:
        for axes, (trend, y) in zip(_panels(figure, len(trends)), trends, strict=False):
            axes.scatter(x[~chosen] / 1e6, shown(trend.y, y[~chosen]), 9, color=LINE, alpha=0.5, lw=0)
            axes.scatter(x[chosen] / 1e6, shown(trend.y, y[chosen]), 14, color=COLORS[1], lw=0)
            line = np.linspace(x[chosen].min(), x[chosen].max(), 100)
            axes.plot(line / 1e6, shown(trend.y, trend.best.at(line)), color=COLORS[0], lw=1.4)
            axes.set(xlabel="flops (M)", ylabel=label(trend.y), xlim=(0, None), ylim=(0, None))
            exponent = trend.exponent
            axes.set_title(f"{trend.best.form}: R² {trend.best.r2:.2f}; F^{exponent.value:.2f}", fontsize=9)

    return Picture(fill, _size(len(trends)))


def complexity_of(found: Scored, made: Trends) -> Picture:
    """The picture of a set's trends with flops, the networks that were fitted marked."""
    best = np.zeros(len(found), dtype=np.bool_)
    best[np.argsort(found.values, kind="stable")[: made.fitted]] = True
    return complexity_picture(found.column("flops"), [(t, found.column(t.y)) for t in made.complexity], best)
