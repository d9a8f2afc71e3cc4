"""The report: one self-contained page of measurements, laws and what changed, readable on a phone.

This file turns measurements into values that the template prints; no figure is worked out in the template.
"""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np

from regnet_edge.config import AnyNetConfig
from regnet_edge.structure import sentences

from .law import MIN_POINTS, Condition, Law, Study, points_by_condition, study
from .measurement import Look, Measurement, Timing
from .pictures import pictures
from .table import figure, pooled
from .terms import Array, term

SERIES_SIZE = (640, 120)  # of the sample series, in SVG units
SERIES_BINS = 200
Change = Literal["faster", "slower", "same", "new", "gone"]


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
class Row:
    """One artifact under one condition: figures over the samples of its valid rounds, or all if none is."""

    name: str
    file: str
    mf: float
    m_activations: float
    m_params: float
    mb: float
    median_ms: float
    low_ms: float
    high_ms: float
    p90_ms: float
    ram_mb: float  # what the network adds to a process that has loaded its runtime, at its peak
    verdict: str
    rounds: tuple[Round, ...]


@dataclass(frozen=True, slots=True)
class LawLine:
    """One form of the law in the table of forms; errors in per cent."""

    name: str
    r2: float
    pearson: float
    spearman: float
    loo: tuple[float, float]
    held_out: tuple[float, float] | None
    best: bool


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit of a term costs, in ms, with its bootstrap interval."""

    term: str
    unit: str
    ms: float
    low_ms: float
    high_ms: float


@dataclass(frozen=True, slots=True)
class LawSection:
    """The law of one condition: conclusion, table of forms, prices of the best form, pictures."""

    conclusion: str
    fitted: int
    held_out: int
    lines: tuple[LawLine, ...]
    prices: tuple[Price, ...]
    tile: str
    pictures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Everything measured under one condition, fastest first."""

    title: str
    rows: tuple[Row, ...]
    law: LawSection | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One file then and now; ratio is new over old."""

    title: str
    file: str
    change: Change
    old_ms: float | None
    new_ms: float | None
    ratio: float | None

    @property
    def size(self) -> float:
        """|log ratio|: how large the change is, either way."""
        return abs(math.log(self.ratio)) if self.ratio else 0.0


@dataclass(frozen=True, slots=True)
class Page:
    """What the template prints."""

    title: str
    source: str
    devices: tuple[tuple[tuple[str, str], ...], ...]
    sections: tuple[Section, ...]
    differences: tuple[Difference, ...] | None
    valid: int
    total: int


def rows(measurements: Iterable[Measurement], rng: np.random.Generator) -> dict[Condition, tuple[Row, ...]]:
    """A row an artifact, fastest first, grouped by what they share."""
    ordered = sorted(measurements, key=_order)
    found: dict[Condition, tuple[Row, ...]] = {}
    for condition, group in groupby(ordered, key=Condition.of):
        made = [_row(list(rounds), rng) for _, rounds in groupby(group, key=lambda m: _order(m)[1:])]
        found[condition] = tuple(sorted(made, key=lambda r: r.median_ms))
    return found


def _order(m: Measurement) -> tuple[str, str, str]:
    return repr(Condition.of(m)), m.artifact.file, m.artifact.sha256


def _row(rounds: Sequence[Measurement], rng: np.random.Generator) -> Row:
    believed = [m for m in rounds if m.valid] or list(rounds)
    first, timing = rounds[0], pooled(believed)
    low_ms, high_ms = timing.median_interval_ms(rng)
    return Row(
        name=first.model.name,
        file=first.artifact.file,
        mf=first.model.flops / 1e6,
        m_activations=first.model.activations / 1e6,
        m_params=first.model.params / 1e6,
        mb=first.artifact.bytes / 1e6,
        median_ms=timing.median_ms,
        low_ms=low_ms,
        high_ms=high_ms,
        p90_ms=timing.percentile_ms(90),
        ram_mb=max(m.memory.peak_bytes - m.memory.before_bytes for m in believed) / 1e6,
        verdict=_worst(believed),
        rounds=tuple(_round(m) for m in rounds),
    )


def _worst(measurements: Sequence[Measurement]) -> str:
    verdicts = {m.validity.verdict for m in measurements}
    return next(v for v in ("invalid", "warnings", "valid") if v in verdicts)


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
    found = replace(m.artifact.structure, delegated_ops=seen[0], partitions=seen[1])
    return sentences(m.artifact.target, found)


def _memory(m: Measurement) -> str:
    sizes = (m.memory.before_bytes, m.memory.after_load_bytes, m.memory.peak_bytes)
    return ", ".join(f"{size / 1e6:.0f}" for size in sizes) + " MB"


def _environment(looks: Sequence[Look]) -> str:
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


def law_section(found: Study, *, with_pictures: bool = True) -> LawSection:
    """A study as the page and the command line show it."""
    best = found.best
    return LawSection(
        conclusion=found.conclusion(),
        fitted=len(found.fitted),
        held_out=len(found.held_out),
        lines=tuple(_law_line(found, law) for law in found.laws),
        prices=prices(best),
        tile=str(best.form.tile),
        pictures=tuple(pictures(found).items()) if with_pictures else (),
    )


def _law_line(found: Study, law: Law) -> LawLine:
    agreement, aside = law.agreement, found.held_out_errors(law)
    return LawLine(
        law.form.name, agreement.r2, agreement.pearson, agreement.spearman,
        (law.loo.median * 100, law.loo.p90 * 100),
        (aside.median * 100, aside.p90 * 100) if aside else None,
        law is found.best,
    )  # fmt: skip


def prices(law: Law) -> tuple[Price, ...]:
    """What each term of a law costs."""
    bounds = law.coefficient_intervals()
    return tuple(
        Price(name, term(name).unit, float(c), float(low), float(high))
        for name, c, (low, high) in zip(law.form.terms, law.coefficients, bounds, strict=True)
    )


def compare(
    new: dict[Condition, tuple[Row, ...]], old: dict[Condition, tuple[Row, ...]]
) -> tuple[Difference, ...]:
    """What got faster or slower beyond both intervals, largest change first; then what is new or gone."""
    now = {(str(c), r.file): r for c, rs in new.items() for r in rs}
    then = {(str(c), r.file): r for c, rs in old.items() for r in rs}
    found = [_difference(*key, now.get(key), then.get(key)) for key in sorted({*now, *then})]
    return tuple(sorted(found, key=lambda d: (d.ratio is None, -d.size, d.title, d.file)))


def _difference(title: str, file: str, now: Row | None, then: Row | None) -> Difference:
    if now is None or then is None:
        old_ms, new_ms = then.median_ms if then else None, now.median_ms if now else None
        return Difference(title, file, "new" if now else "gone", old_ms, new_ms, None)
    change: Change = (
        "faster" if now.high_ms < then.low_ms else "slower" if now.low_ms > then.high_ms else "same"
    )
    return Difference(title, file, change, then.median_ms, now.median_ms, now.median_ms / then.median_ms)


def device_facts(m: Measurement) -> tuple[tuple[str, str], ...]:
    """The device as label and text."""
    d = m.device
    clusters = "; ".join(
        f"CPU {','.join(map(str, c.cpus))}"
        + (f" to {c.max_khz / 1e6:.2f} GHz" if c.max_khz else "")
        + (f", {c.governor}" if c.governor else "")
        for c in d.clusters
    )
    told = (
        ("device", d.label),
        ("model", f"{d.manufacturer} {d.model}".strip()),
        ("SoC", d.soc),
        ("system", d.os),
        ("ABI", d.abi),
        ("memory", f"{d.ram_bytes / 1e9:.1f} GB"),
        ("cores", clusters),
        ("reached by", d.transport),
    )
    return tuple((label, text) for label, text in told if text)


def page(
    measurements: Sequence[Measurement],
    rng: np.random.Generator,
    *,
    title: str,
    source: str,
    held_out: Collection[tuple[AnyNetConfig, int]] = (),
    old: Sequence[Measurement] | None = None,
) -> Page:
    """Everything the page tells; a condition with enough networks has its law."""
    table = rows(measurements, rng)
    points = points_by_condition(measurements)
    laws = {
        c: law_section(study(c, p, rng, held_out))
        for c, p in points.items()
        if sum(x.key not in held_out for x in p) >= MIN_POINTS
    }
    devices = {m.device.label: device_facts(m) for m in measurements}
    return Page(
        title=title,
        source=source,
        devices=tuple(devices.values()),
        sections=tuple(Section(str(c), r, laws.get(c)) for c, r in table.items()),
        differences=None if old is None else compare(table, rows(old, rng)),
        valid=sum(m.valid for m in measurements),
        total=len(measurements),
    )


def render(found: Page) -> str:
    """The page as HTML text that needs nothing else."""
    from jinja2 import Environment, StrictUndefined

    folder = importlib.resources.files("regnet_edge.benchmarks") / "templates"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["ms"] = figure
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    return template.render(page=found, width=SERIES_SIZE[0], height=SERIES_SIZE[1])
