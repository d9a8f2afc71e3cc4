"""Measurements as a table sorted by latency: for the terminal, as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .measurement import Measurement, Timing, Verdict

MEGA, GIGA = 1e6, 1e9
HEADINGS = (
    "artifact", "runtime", "threads", "MFlops", "MActs", "MB", "median ms", "interval ms", "p90 ms",
    "RAM MB", "load ms", "first ms", "verdict",
)  # fmt: skip
BRIEF = tuple(h for h in HEADINGS if h not in ("load ms", "first ms"))  # for a terminal


@dataclass(frozen=True, slots=True)
class Row:
    """All rounds of one subject: figures over the samples of the rounds that count.

    Those are the valid ones, or all where none is; of several attempts at a round, the last.
    """

    rounds: tuple[Measurement, ...]
    timing: Timing
    verdict: Verdict

    @property
    def first(self) -> Measurement:
        """What the rounds have in common can be read here."""
        return self.rounds[0]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not plainly valid, each sentence once."""
        told = [r.sentence for m in self.rounds for r in m.validity.reasons if r.severity != "note"]
        return tuple(dict.fromkeys(told))


def rows(measurements: Iterable[Measurement]) -> tuple[Row, ...]:
    """One a subject, fastest first."""
    groups: dict[tuple[str, ...], dict[int, Measurement]] = {}
    for m in measurements:
        groups.setdefault(m.subject, {})[m.plan.round] = m
    return tuple(sorted((_row(tuple(g.values())) for g in groups.values()), key=lambda r: r.timing.median_ms))


def _row(rounds: Sequence[Measurement]) -> Row:
    counted = tuple(m for m in rounds if m.valid) or tuple(rounds)
    worst = ("valid", "warnings", "invalid")
    verdict = max((m.validity.verdict for m in counted), key=worst.index)
    return Row(counted, pooled(counted), verdict)


def pooled(rounds: Sequence[Measurement]) -> Timing:
    """The samples of all rounds as one series."""
    each = [m.timing for m in rounds]
    return Timing(
        loads_ns=tuple(n for t in each for n in t.loads_ns),
        first_runs_ns=tuple(n for t in each for n in t.first_runs_ns),
        warmup_ns=tuple(n for t in each for n in t.warmup_ns),
        samples_ns=tuple(n for t in each for n in t.samples_ns),
        runs_each=tuple(n for t in each for n in t.runs_each or (t.runs,)),
    )


def cells(row: Row, rng: np.random.Generator) -> tuple[str, ...]:
    """The row's texts under HEADINGS."""
    m, t = row.first, row.timing
    low, high = t.median_interval_ms(rng)
    return (
        m.artifact.file,
        m.runtime.name + ("" if m.runtime.accelerator == "cpu" else f" {m.runtime.accelerator}"),
        str(m.plan.threads),
        f"{m.model.flops / MEGA:.1f}",
        f"{m.model.activations / MEGA:.2f}",
        f"{m.artifact.bytes / MEGA:.2f}",
        figure(t.median_ms),
        f"{figure(low)}-{figure(high)}",
        figure(t.percentile_ms(90)),
        f"{max(r.memory.peak_bytes - r.memory.before_bytes for r in row.rounds) / MEGA:.1f}",
        figure(t.load_ms),
        figure(t.first_run_ms),
        row.verdict,
    )


def figure(value_ms: float) -> str:
    """Four significant digits, at most four behind the point."""
    return f"{value_ms:.{min(4, max(0, 3 - int(np.floor(np.log10(max(value_ms, 1e-9))))))}f}"


def as_csv(rows: Sequence[Row], rng: np.random.Generator) -> str:
    """Comma-separated values with a heading."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADINGS)
    writer.writerows(cells(row, rng) for row in rows)
    return out.getvalue()


def as_markdown(rows: Sequence[Row], rng: np.random.Generator) -> str:
    """A table for a README or an issue, numbers to the right."""
    rules = ["---"] * 2 + ["---:"] * (len(HEADINGS) - 3) + ["---"]
    lines = [HEADINGS, tuple(rules), *(cells(row, rng) for row in rows)]
    return "".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |\n" for line in lines)
