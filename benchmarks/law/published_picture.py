"""The picture of published accuracy against predicted latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from regnet_edge.drawing import COLORS, LINE, Picture, plain_ticks

from .published import PublishedChoice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_IN = (7.2, 4.8)
_COLORS = dict(zip(("paper", "timm", "torchvision"), COLORS, strict=False))
_NAMED = 8  # points of the front that carry their name: more would lie on each other
_APART = 0.7  # percent of top-1 between two names


def picture(
    choices: Sequence[PublishedChoice], front: Sequence[PublishedChoice], budget_ms: float, title: str
) -> Picture:
    """Every choice, hollow where it may not be sold, the front as a line, the budget as a bound."""

    def draw(axes: Axes) -> None:
        for source, color in _COLORS.items():
            mine = [c for c in choices if c.point.source == source]
            _points(axes, [c for c in mine if c.point.for_sale], color, source)
            _points(axes, [c for c in mine if not c.point.for_sale], color, f"{source}, not for sale")
        axes.step(
            [_ms(c) for c in front][::-1], [c.worth for c in front][::-1], where="post", color=LINE, lw=1
        )
        axes.axvline(budget_ms, color=LINE, lw=1, ls=":")
        for choice in _labelled(front, budget_ms):
            axes.annotate(
                f"{choice.point.entry.name}, {choice.point.resolution}", (_ms(choice), choice.worth),
                xytext=(-5, 3), textcoords="offset points", fontsize=7, ha="right",
            )  # fmt: skip
        least = min(map(_ms, choices)) / 4  # room for names, which stand left of their points
        axes.set_xlim(left=least)
        axes.set(xscale="log", xlabel="expected latency, upper bound (ms)", ylabel="published top-1 (%)")
        plain_ticks(axes.xaxis)
        axes.set_title(title, fontsize=8)
        axes.legend(frameon=False, fontsize=8, loc="lower right")

    return Picture.of(draw, SIZE_IN)


def _ms(choice: PublishedChoice) -> float:
    return choice.interval.high_ms


def _points(axes: Axes, choices: Sequence[PublishedChoice], color: str, label: str) -> None:
    if choices:
        sold = choices[0].point.for_sale
        axes.scatter(
            [_ms(c) for c in choices], [c.worth for c in choices], 20, label=label,
            facecolors=color if sold else "none", edgecolors=color,
        )  # fmt: skip


def _labelled(front: Sequence[PublishedChoice], budget_ms: float) -> list[PublishedChoice]:
    """Those nearest the budget by their rank on the front, without those that a name would lie upon."""
    fitting = next((i for i, c in enumerate(front) if _ms(c) <= budget_ms), len(front))
    first = max(0, min(fitting - _NAMED // 2, len(front) - _NAMED))
    near = front[first : first + _NAMED]
    return [c for i, c in enumerate(near) if i == 0 or near[i - 1].worth - c.worth > _APART]
