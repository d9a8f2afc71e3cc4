"""How diverse the networks of a space are, and how near its rule they lie: from samples, without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regnet_edge.drawing import COLORS, Picture

from .edf import Edf
from .plots import label, shown
from .rule_fit import COARSE, Grid, fit_rule
from .sampling import Regime, sample
from .spaces import Space
from .table_files import of_config
from .tables import Floats, NetRow, NetTable, Scored
from .trends import Spread, spread_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("depth", "params", "activations", "e_fit")


@dataclass(frozen=True, slots=True)
class SpaceSpread:
    """A sample of a space: the spread of depth, params, activations and e_fit, and how many networks fall.

    e_fit is of the networks whose widths do not fall, without groups; it is left out where fewer than 2 are.
    """

    name: str
    networks: int
    falling: int
    spreads: tuple[Spread, ...]


def sampled(space: Space, n: int, seed: int, regime: Regime, grid: Grid = COARSE) -> Scored:
    """n networks of a space as a table, with e_fit where widths do not fall, compared by their flops."""
    drawn = sample(space, n, seed, regime).drawn
    rows = []
    for d in drawn:
        shape, counts = of_config(d.config), d.complexity
        numbers = {
            **shape.numbers(),
            "flops": counts.flops,
            "params": counts.params,
            "activations": counts.activations,
        }
        if shape.rises:
            numbers["e_fit"] = fit_rule(shape.block_widths, grid).e_fit
        rows.append(NetRow(f"{space.name} {d.draw}", {k: float(v) for k, v in numbers.items()}, {}, shape))
    flops = np.array([r.numbers["flops"] for r in rows])
    return Scored(space.name, "flops", flops, NetTable(space.name, tuple(rows)))


def spread(found: Scored) -> SpaceSpread:
    """The spread of a sample."""
    told = {c: _column(found, c) for c in COLUMNS}
    falling = sum(r.shape is not None and not r.shape.rises for r in found.table.records)
    spreads = tuple(spread_of(c, x) for c, x in told.items() if len(x) > 1)
    return SpaceSpread(found.name, len(found), falling, spreads)


def _column(found: Scored, name: str) -> Floats:
    if name not in found.table.columns:
        return np.array([])
    numbers = found.column(name)
    return numbers[np.isfinite(numbers)]


def spread_picture(samples: Sequence[Scored]) -> Picture:
    """The distribution of depth, params, activations and e_fit in each space."""

    def fill(figure: Figure) -> None:
        for axes, column in zip(figure.subplots(1, len(COLUMNS)), COLUMNS, strict=True):
            for i, found in enumerate(samples):
                numbers = _column(found, column)
                if len(numbers) > 1:
                    edf = Edf.of(found.name, shown(column, numbers))
                    axes.step(
                        edf.errors, edf.steps, where="post", color=COLORS[i % len(COLORS)], label=edf.name
                    )
            axes.set(xlabel="$e_{fit}$" if column == "e_fit" else label(column), ylim=(0, 1.02))
            if column == "params":
                axes.set_xscale("log")
        figure.axes[0].set_ylabel("share of networks below")
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=9)

    return Picture(fill, (9.6, 3.2))
