"""The law's pictures as SVG text: latency against flops, against activations, predicted against measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regnet_edge.drawing import COLORS, LINE, Picture, plain_ticks
from regnet_edge.files import write_text

from .points import MeasuredNet
from .study import LawStudy
from .terms import Array, matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FITTED, HELD_OUT = COLORS[:2]


def pictures(study: LawStudy) -> dict[str, str]:
    """SVG texts by file stem: flops, activations, predicted."""
    return {
        "flops": against(study, "flops", "flops (M multiply-adds)"),
        "activations": against(study, "activations", "activations (M elements)"),
        "predicted": predicted(study),
    }


def against(study: LawStudy, term: str, label: str) -> str:
    """Latency against one term, with the line that this term alone gives."""
    law = study.law(f"{term} alone")

    def draw(axes: Axes) -> None:
        for points, color, name in _groups(study):
            axes.scatter(_counts(points, term), [p.latency_ms for p in points], 22, color=color, label=name)
        x = np.linspace(0, _counts((*study.fitted, *study.held_out), term).max(), 2)
        axes.plot(x, np.stack([np.ones(2), x], axis=1) @ law.coefficients, color=LINE, lw=1, zorder=0)
        axes.set(xlabel=label, ylabel="latency (ms)", xlim=(0, None), ylim=(0, None))
        figures = f"Pearson {law.agreement.pearson:.2f}, median error {law.loo.median:.0%}"
        axes.set_title(f"{law.form.name}: {figures}")

    return _svg(draw)


def predicted(study: LawStudy) -> str:
    """Predicted against measured by the best law, with 90 % intervals of held-out networks."""
    law = study.best

    def draw(axes: Axes) -> None:
        for points, color, name in _groups(study):
            intervals = law.intervals([p.net for p in points])
            middle = np.array([i.predicted_ms for i in intervals])
            bars = np.abs(np.array([[i.low_ms, i.high_ms] for i in intervals]).T - middle)
            axes.errorbar(
                [p.latency_ms for p in points], middle, bars, fmt="o", ms=4, lw=0.8, color=color, label=name
            )
        span = [p.latency_ms for p in (*study.fitted, *study.held_out)]
        axes.plot([min(span), max(span)], [min(span), max(span)], color=LINE, lw=1, zorder=0)
        axes.set(xscale="log", yscale="log", xlabel="measured (ms)", ylabel="predicted (ms)")
        for axis in (axes.xaxis, axes.yaxis):
            plain_ticks(axis)
        axes.set_title(f"{law.form.name} form: {len(law.form.terms)} terms")

    return _svg(draw)


def _groups(study: LawStudy) -> list[tuple[Sequence[MeasuredNet], str, str]]:
    groups: list[tuple[Sequence[MeasuredNet], str, str]] = [(study.fitted, FITTED, "fitted")]
    return groups + ([(study.held_out, HELD_OUT, "set aside")] if study.held_out else [])


def _counts(points: Sequence[MeasuredNet], term: str) -> Array:
    return matrix([p.net for p in points], [term])[:, 0]


def _svg(draw: Callable[[Axes], None]) -> str:
    def with_legend(axes: Axes) -> None:
        draw(axes)
        axes.legend(frameon=False)

    return Picture.of(with_legend).svg()


def write(study: LawStudy, folder: Path) -> list[Path]:
    """The pictures as files in `folder`, named by precision and picture."""
    written = []
    for name, svg in pictures(study).items():
        path = folder / f"{_slug(str(study.condition))}-{name}.svg"
        write_text(path, svg)
        written.append(path)
    return written


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
