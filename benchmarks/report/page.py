"""The report: one self-contained page of measurements, laws and what changed, readable on a phone.

This file turns measurements into values that the template prints; no figure is worked out in the template.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from regnet_edge.config import AnyNetConfig

from ..law.points import points_by_condition
from ..law.study import MIN_POINTS, study
from ..record.latency import figure
from ..record.measurement import Measurement
from .choice import FirstView, first_view
from .compare import LatencyChange, compare
from .law_section import LawSection, law_section
from .rows import SERIES_SIZE, PageRow, rows


@dataclass(frozen=True, slots=True)
class ConditionSection:
    """Everything measured under one condition, fastest first."""

    title: str
    rows: tuple[PageRow, ...]
    law: LawSection | None


@dataclass(frozen=True, slots=True)
class Page:
    """What the template prints."""

    title: str
    source: str
    devices: tuple[tuple[tuple[str, str], ...], ...]
    first: FirstView
    sections: tuple[ConditionSection, ...]
    differences: tuple[LatencyChange, ...] | None
    valid: int
    total: int


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
        ("memory", f"{d.ram_bytes / 1e9:.1f} GB" if d.ram_bytes is not None else ""),
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
        first=first_view(table),
        sections=tuple(ConditionSection(str(c), r, laws.get(c)) for c, r in table.items()),
        differences=None if old is None else compare(table, rows(old, rng)),
        valid=sum(m.valid for m in measurements),
        total=len(measurements),
    )


def render(shown: Page) -> str:
    """The page as HTML text that needs nothing else."""
    from jinja2 import Environment, StrictUndefined

    folder = importlib.resources.files("regnet_edge.benchmarks") / "templates"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["ms"] = figure
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    return template.render(page=shown, width=SERIES_SIZE[0], height=SERIES_SIZE[1])
