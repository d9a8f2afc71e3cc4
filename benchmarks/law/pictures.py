"""The law's pictures as SVG text: latency against flops, against activations, predicted against measured.

Text stays text, so that a page can be searched and a picture reads on a phone; the same study gives the
same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regnet_edge.files import write_text

from .points import MeasuredNet
from .study import LawStudy
from .terms import Array, matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FITTED, HELD_OUT, LINE = "#1f5f8b", "#d1652b", "#8a8a8a"
SIZE_IN = (4.8, 3.5)
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "regnet-edge",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
}


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
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    law = study.best

    def draw(axes: Axes) -> None:
        for points, color, name in _groups(study):
            found = law.intervals([p.net for p in points])
            middle = np.array([i.predicted_ms for i in found])
            bars = np.abs(np.array([[i.low_ms, i.high_ms] for i in found]).T - middle)
            axes.errorbar(
                [p.latency_ms for p in points], middle, bars, fmt="o", ms=4, lw=0.8, color=color, label=name
            )
        span = [p.latency_ms for p in (*study.fitted, *study.held_out)]
        axes.plot([min(span), max(span)], [min(span), max(span)], color=LINE, lw=1, zorder=0)
        axes.set(xscale="log", yscale="log", xlabel="measured (ms)", ylabel="predicted (ms)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())
        axes.set_title(f"{law.form.name} form: {len(law.form.terms)} terms")

    return _svg(draw)


def _groups(study: LawStudy) -> list[tuple[Sequence[MeasuredNet], str, str]]:
    groups: list[tuple[Sequence[MeasuredNet], str, str]] = [(study.fitted, FITTED, "fitted")]
    return groups + ([(study.held_out, HELD_OUT, "set aside")] if study.held_out else [])


def _counts(points: Sequence[MeasuredNet], term: str) -> Array:
    return matrix([p.net for p in points], [term])[:, 0]


def _svg(draw: Callable[[Axes], None]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):  # type: ignore[arg-type]  # its keys are a Literal of 300 names
        figure = Figure(figsize=SIZE_IN, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.legend(frameon=False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": "regnet-edge"})
    text = stream.getvalue()
    return text[text.index("<svg") :]


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
