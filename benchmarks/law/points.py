"""Measured networks as points of a law, by the condition they were measured under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np

from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import MeasurementError, UsageError

from ..record.measurement import Measurement
from ..record.results import usable
from .terms import Net

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Condition:
    """What the points of one law share."""

    device: str
    runtime: str
    accelerator: str
    precision: str
    threads: int
    affinity: str
    mode: str
    batch: int

    @classmethod
    def of(cls, m: Measurement) -> Condition:
        """The condition that a measurement was made under."""
        return cls(
            m.device.label, m.runtime.name, m.runtime.accelerator, m.artifact.precision,
            m.plan.threads, m.plan.affinity, m.plan.mode, m.model.batch,
        )  # fmt: skip

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads != 1 else ''}"
        on = f" ({self.accelerator})" if self.accelerator != "cpu" else ""
        batch = f", batch {self.batch}" if self.batch != 1 else ""
        pin = f" on {self.affinity}" if self.affinity else ""
        return f"{self.device}, {self.runtime}{on} {self.precision}, {threads}{pin}, {self.mode}{batch}"


@dataclass(frozen=True, slots=True)
class MeasuredNet:
    """A measured network as a law sees it: the median over the valid rounds, bytes of its file."""

    name: str
    config: AnyNetConfig
    resolution: int
    latency_ms: float
    bytes: int

    def __post_init__(self) -> None:
        if not self.latency_ms > 0:
            raise MeasurementError(f"{self.name} has no positive latency; measure it again")

    @property
    def net(self) -> Net:
        """Its layers."""
        return Net.of(self.config, self.resolution)

    @property
    def key(self) -> tuple[AnyNetConfig, int]:
        """What makes two points the same network, whatever it is called."""
        return self.config, self.resolution


def points_by_condition(measurements: Iterable[Measurement]) -> dict[Condition, tuple[MeasuredNet, ...]]:
    """The valid measurements, one point a network, grouped by what they share."""
    valid = sorted(usable(measurements), key=lambda m: (repr(Condition.of(m)), *_network(m)))
    found: dict[Condition, tuple[MeasuredNet, ...]] = {}
    for condition, group in groupby(valid, key=Condition.of):
        rounds = groupby(group, key=_network)
        found[condition] = tuple(_point(list(r)) for _, r in rounds)
    return found


def _network(m: Measurement) -> tuple[str, str]:
    return m.model.name, m.artifact.sha256


def _point(rounds: Sequence[Measurement]) -> MeasuredNet:
    model = rounds[0].model
    latency = float(np.median([m.median_ms for m in rounds]))
    return MeasuredNet(model.name, model.config, model.resolution, latency, rounds[0].artifact.bytes)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which conditions somebody asked for; an empty field takes all, a device or runtime by a part of it."""

    device: str = ""
    runtime: str = ""
    precision: str = ""
    threads: int | None = None

    def __call__(self, condition: Condition) -> bool:
        """Whether the condition is among them."""
        return (
            self.device.lower() in condition.device.lower()
            and self.runtime.lower() in condition.runtime.lower()
            and self.precision in ("", condition.precision)
            and self.threads in (None, condition.threads)
        )


def select(
    measurements: Sequence[Measurement], wanted: Wanted = Wanted()
) -> dict[Condition, tuple[MeasuredNet, ...]]:
    """The points of the wanted conditions; raises MeasurementError where there are none."""
    points = points_by_condition(measurements)
    found = {c: p for c, p in points.items() if wanted(c)}
    if not found:
        have = "; ".join(map(str, points)) or "nothing valid"
        raise MeasurementError(f"no valid measurement is of that kind; the results hold {have}")
    return found


def the_one(found: Mapping[Condition, T]) -> tuple[Condition, T]:
    """The only condition and its value; raises UsageError where there are several."""
    if len(found) > 1:
        raise UsageError(
            f"the results hold {len(found)} conditions ({'; '.join(map(str, found))}); say which with "
            "--precision, --runtime, --threads or --device"
        )
    [(condition, value)] = found.items()
    return condition, value
