"""Blame as a picture: signal to noise along the network, gathered as a line and each layer's own as a dot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regnet_edge.drawing import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .blame import Blame

GATHERED, OWN, WORST, LINE = "#1f5f8b", "#8a8a8a", "#d1652b", "#dddddd"
CEILING_DB = 80.0  # above it nothing is lost; float files lie there
NAMED = 3  # layers whose names are written, the worst ones
SIZE_IN = (8.0, 3.6)


def picture(found: Blame) -> Picture:
    """The same for the same losses."""
    return Picture.of(lambda axes: _draw(axes, found), SIZE_IN)


def _draw(axes: Axes, found: Blame) -> None:
    layers = found.layers
    main = [i for i, x in enumerate(layers) if ".se." not in x.name]  # a gate's own line would hide the rest
    axes.plot(
        main, [_shown(layers[i].sqnr_db) for i in main], color=GATHERED, lw=1.5, label="gathered so far"
    )
    axes.scatter(range(len(layers)), [_shown(x.own_db) for x in layers], 14, color=OWN, label="layer's own")
    worst = sorted(range(len(layers)), key=lambda i: layers[i].own_db)[:NAMED]
    label = "worst: " + ", ".join(layers[i].name for i in worst)
    axes.scatter(worst, [_shown(layers[i].own_db) for i in worst], 24, color=WORST, label=label)
    named = [i for i, x in enumerate(layers) if x.kind == "add" or x.name in ("stem", "head")]
    for i in named:
        axes.axvline(i, color=LINE, lw=0.6, zorder=0)
    axes.set_xticks(named, [layers[i].name for i in named], rotation=90, fontsize=8)
    axes.set(ylabel="signal to noise (dB)", ylim=(min(0.0, *(x.own_db for x in layers)), None))
    axes.set_title(f"{found.file}, {found.images} images")
    axes.legend(frameon=False, fontsize=9)


def _shown(decibels: float) -> float:
    return min(decibels, CEILING_DB)
