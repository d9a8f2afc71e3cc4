"""The lines of the page: one file on one runtime and device, with its rounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from regnet_edge.structure import sentences

from ..law.points import Condition
from ..law.terms import Array
from ..record.latency import FileLatency, figure, latencies
from ..record.measurement import Measurement
from ..record.observation import Snapshot
from ..record.timing import Timing

SERIES_SIZE = (640, 120)  # of the sample series, in SVG units
SERIES_BINS = 200


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement as the page shows it: its samples as an SVG path, and what is worth telling."""

    verdict: str
    reasons: tuple[str, ...]
    path: str
    top_ms: float
    bottom_ms: float
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PageRow:
    """One artifact under one condition: the latency of the file, and every measurement that was taken."""

    name: str
    file: str
    mf: float | None  # None where another tool's graph does not tell
    m_activations: float | None
    m_params: float | None
    mb: float
    median_ms: float
    low_ms: float
    high_ms: float
    p90_ms: float
    ram_mb: float | None  # what the network adds to a process that has loaded its runtime, at its peak
    verdict: str
    rounds: tuple[Round, ...]


def rows(
    measurements: Iterable[Measurement], rng: np.random.Generator
) -> dict[Condition, tuple[PageRow, ...]]:
    """A row an artifact, fastest first, grouped by what they share."""
    by_condition: dict[Condition, list[PageRow]] = {}
    for latency in latencies(measurements):
        by_condition.setdefault(Condition.of(latency.first), []).append(_row(latency, rng))
    return {c: tuple(by_condition[c]) for c in sorted(by_condition, key=repr)}


def _row(latency: FileLatency, rng: np.random.Generator) -> PageRow:
    first, timing = latency.first, latency.timing
    low_ms, high_ms = timing.median_interval_ms(rng)
    return PageRow(
        name=first.model.name,
        file=first.shown_file,
        mf=_millions(first.model.flops),
        m_activations=_millions(first.model.activations),
        m_params=_millions(first.model.params),
        mb=first.artifact.bytes / 1e6,
        median_ms=latency.median_ms,
        low_ms=low_ms,
        high_ms=high_ms,
        p90_ms=timing.percentile_ms(90),
        ram_mb=latency.added_mb,
        verdict=latency.verdict,
        rounds=tuple(_round(m) for m in latency.attempts),
    )


def _millions(count: int | None) -> float | None:
    return None if count is None else count / 1e6


def _round(m: Measurement) -> Round:
    bottom, top = series_range(m.timing)
    reasons = tuple(r.sentence for r in m.validity.reasons)
    return Round(m.validity.verdict, reasons, series_path(m.timing), top, bottom, facts(m))


def facts(m: Measurement) -> tuple[tuple[str, str], ...]:
    """What a reader wants to know of one measurement, as label and text."""
    t = m.timing
    return (
        ("runs", f"{t.runs}" + (f" ({1 - t.kept_share:.0%} set aside)" if t.set_aside_ns else "")),
        ("median of each process", ", ".join(figure(float(np.median(p))) for p in t.each_ms) + " ms"),
        ("min / p5 / p95 / max", " / ".join(figure(t.percentile_ms(q)) for q in (0, 5, 95, 100)) + " ms"),
        ("load, first run", f"{t.load_ms:.1f} ms, {t.first_run_ms:.1f} ms"),
        ("drift", f"{t.drift_per_minute:+.1%} a minute"),
        ("memory before, loaded, peak", _memory(m)),
        ("runtime", f"{m.runtime.name} {m.runtime.version} ({m.runtime.accelerator})"),
        ("inside", "; ".join(_inside(m))),
        ("threads, pin", f"{m.plan.threads}, {m.plan.affinity or 'none'}"),
        ("environment", _environment(m.environment.looks)),
        ("sha256", m.artifact.sha256[:16]),
        ("when", m.provenance.utc),
    )


def _inside(m: Measurement) -> tuple[str, ...]:
    """What the file has inside, with what the runtime itself says of delegation."""
    if m.artifact.target == "torch":
        return ("the definition itself",)
    seen = (m.runtime.delegated_ops, m.runtime.partitions)
    structure = replace(m.artifact.structure, delegated_ops=seen[0], partitions=seen[1])
    return sentences(structure)


def _memory(m: Measurement) -> str:
    if m.memory is None:
        return "not told"
    sizes = (m.memory.before_bytes, m.memory.after_load_bytes, m.memory.peak_bytes)
    return ", ".join(f"{size / 1e6:.0f}" for size in sizes) + " MB"


def _environment(looks: Sequence[Snapshot]) -> str:
    """Load, clock, temperature and battery where the system says them, from first look to last."""
    if not looks:
        return "not seen"
    first, last = looks[0], looks[-1]
    parts: list[str] = []
    if first.load_1min is not None and last.load_1min is not None:
        parts.append(f"load {first.load_1min:.2f} to {last.load_1min:.2f}")
    if last.khz:
        parts.append(f"clock {min(last.khz.values()) / 1e6:.2f} to {max(last.khz.values()) / 1e6:.2f} GHz")
    if last.thermal_mc:
        parts.append(f"at most {max(last.thermal_mc.values()) / 1e3:.0f} °C")
    if last.thermal_status is not None:
        parts.append(f"thermal status {last.thermal_status}")
    if last.power.percent is not None:
        parts.append(f"battery {last.power.percent:.0f} %" + (", charging" if last.power.charging else ""))
    return "; ".join(parts) or "this system tells nothing"


def series_range(timing: Timing) -> tuple[float, float]:
    """(bottom, top) in ms of the series picture; the rarest spikes are cut off at the top."""
    samples = timing.samples_ms
    top = max(float(np.percentile(samples, 99.5)), timing.median_ms * 1.05)
    return min(float(samples.min()), timing.median_ms * 0.95), top


def series_path(timing: Timing) -> str:
    """The samples in order as an SVG path; long series as the lowest and highest of each bin."""
    bottom, top = series_range(timing)
    values = _thinned(timing.samples_ms)
    width, height = SERIES_SIZE
    x = np.linspace(0, width, len(values)) if len(values) > 1 else np.array([0.0])
    y = height * (1 - (np.clip(values, bottom, top) - bottom) / (top - bottom))
    return "M" + " L".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _thinned(samples: Array) -> Array:
    if len(samples) <= 2 * SERIES_BINS:
        return samples
    bins = np.array_split(samples, SERIES_BINS)
    return np.array([v for b in bins for v in (b.min(), b.max())])
