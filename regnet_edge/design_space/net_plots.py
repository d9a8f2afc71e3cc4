"""Pictures of networks: widths against block index, fits of the rule, and fronts of error against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regnet_edge.config import linear_widths
from regnet_edge.drawing import COLORS, LINE, Picture, plain_ticks

from .edf import Edf
from .plots import label
from .rule_fit import PAPER_SLOPE, PopulationFits, RuleFit
from .tables import Floats
from .trends import front

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMED = 6  # networks that get a colour and a place in the legend


@dataclass(frozen=True, slots=True)
class NetOutline:
    """A network for the picture of widths: the width of each block, and the rule that fits it."""

    name: str
    block_widths: tuple[int, ...]
    fit: RuleFit | None = None


def widths_picture(nets: Sequence[NetOutline], slopes: Sequence[float] = ()) -> Picture:
    """Width against block index on a logarithmic axis, u_j of each fit dashed, lines slope (j + 1) black.

    A few networks are named in colours; many are grey.
    """
    many = len(nets) > _NAMED

    def draw(axes: Axes) -> None:
        for i, net in enumerate(nets):
            color, alpha = (LINE, 0.5) if many else (COLORS[i % len(COLORS)], 1.0)
            name, lw, x = None if many else net.name, 1.2 if many else 1.8, range(len(net.block_widths))
            axes.step(x, net.block_widths, where="mid", lw=lw, color=color, alpha=alpha, label=name)
            if net.fit is not None:
                u = linear_widths(net.fit.depth, net.fit.w0, net.fit.wa)
                axes.plot(u, "--", lw=lw / 2, color=color, alpha=alpha)
        longest = max(len(n.block_widths) for n in nets)
        for slope in slopes:
            name = f"$w_j = {slope:.3g}\\,(j + 1)$" + (" (paper)" if slope == PAPER_SLOPE else "")
            axes.plot(
                slope * np.arange(1, longest + 1),
                color="black",
                lw=1.4,
                ls="-" if slope == slopes[0] else ":",
                label=name,
            )
        axes.set_yscale("log", base=2)
        plain_ticks(axes.yaxis, base=2, subs=(1,))
        axes.set(xlabel="block index j", ylabel="width")
        if slopes or not many:
            axes.legend(frameon=False, fontsize=9)

    return Picture.of(draw)


def e_fit_picture(fits: Sequence[PopulationFits]) -> Picture:
    """How near the rule is: the distribution of e_fit of each set, and e_fit against the value."""

    def fill(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for i, found in enumerate(fits):
            color = COLORS[i % len(COLORS)]
            edf = Edf.of(found.name, found.e_fit)
            name = f"{found.name} ({len(edf)})"
            left.step(edf.errors, edf.steps, where="post", color=color, lw=1.5, label=name)
            right.scatter(found.e_fit, found.networks.values, 12, color=color, alpha=0.7, lw=0)
        left.set(xlabel="$e_{fit}$", ylabel="share of networks below", ylim=(0, 1.02))
        right.set(xlabel="$e_{fit}$", ylabel=label(fits[0].networks.value))
        left.legend(frameon=False, fontsize=9)

    return Picture(fill, (6.6, 3.2))


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Networks that belong together in a picture of a front: cost and error, both (n,), and their names."""

    name: str
    cost: Floats
    error: Floats
    names: tuple[str, ...]


def front_picture(families: Sequence[Family], cost: str, error: str, *, lines: bool = False) -> Picture:
    """Error against cost; the networks that none beats are joined, or with `lines` each family is."""

    def draw(axes: Axes) -> None:
        for i, family in enumerate(families):
            order = np.argsort(family.cost)
            style = "os^D"[i // len(COLORS) % 4] + ("-" if lines else "")  # colours come round again
            axes.plot(
                family.cost[order],
                family.error[order],
                style,
                ms=4,
                lw=1.2,
                color=COLORS[i % len(COLORS)],
                label=family.name,
            )
        if not lines:
            x, y = (np.concatenate([getattr(f, k) for f in families]) for k in ("cost", "error"))
            best = list(front(x, y))
            axes.step(x[best], y[best], where="post", color=LINE, lw=1.2, zorder=0, label="front")
        spread = np.concatenate([f.cost for f in families])
        if spread.min() > 0 and spread.max() / spread.min() > 5:
            axes.set_xscale("log")
            plain_ticks(axes.xaxis)
        axes.set(xlabel=label(cost), ylabel=label(error))
        if len(families) > _NAMED:
            axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
        else:
            axes.legend(frameon=False, fontsize=9)

    return Picture.of(draw, (7.2, 3.8) if len(families) > _NAMED else (5.4, 3.8))
