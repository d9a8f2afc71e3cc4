"""Measurements as a table sorted by latency: for the terminal, as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from ..record.latency import FileLatency, figure

MEGA, GIGA = 1e6, 1e9
HEADINGS = (
    "artifact", "runtime", "threads", "MFlops", "MActs", "MB", "median ms", "interval ms", "p90 ms",
    "RAM MB", "load ms", "first ms", "verdict",
)  # fmt: skip


BRIEF = tuple(h for h in HEADINGS if h not in ("load ms", "first ms"))  # for a terminal


def cells(row: FileLatency, rng: np.random.Generator) -> tuple[str, ...]:
    """The row's texts under HEADINGS."""
    m, t = row.first, row.timing
    low, high = t.median_interval_ms(rng)
    return (
        m.shown_file,
        m.runtime.name + ("" if m.runtime.accelerator == "cpu" else f" {m.runtime.accelerator}"),
        str(m.plan.threads),
        _millions(m.model.flops, 1),
        _millions(m.model.activations, 2),
        f"{m.artifact.bytes / MEGA:.2f}",
        figure(t.median_ms),
        f"{figure(low)}-{figure(high)}",
        figure(t.percentile_ms(90)),
        "-" if row.added_mb is None else f"{row.added_mb:.1f}",
        figure(t.load_ms),
        figure(t.first_run_ms),
        row.verdict,
    )


def _millions(count: int | None, digits: int) -> str:
    return "unknown" if count is None else f"{count / MEGA:.{digits}f}"


def as_csv(rows: Sequence[FileLatency], rng: np.random.Generator) -> str:
    """Comma-separated values with a heading."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADINGS)
    writer.writerows(cells(row, rng) for row in rows)
    return out.getvalue()


def as_markdown(rows: Sequence[FileLatency], rng: np.random.Generator) -> str:
    """A table for a README or an issue, numbers to the right."""
    rules = ["---"] * 2 + ["---:"] * (len(HEADINGS) - 3) + ["---"]
    lines = [HEADINGS, tuple(rules), *(cells(row, rng) for row in rows)]
    return "".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |\n" for line in lines)
