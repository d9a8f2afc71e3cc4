"""Measured networks as points of a law, by the condition they were measured under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import MeasurementError, UsageError

from ..record.latency import FileLatency, latencies
from ..record.measurement import Measurement
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
        return f"{self.device}, {self.without_device}"

    @property
    def without_device(self) -> str:
        """Runtime, precision, threads and the rest, where the device is known."""
        threads = f"{self.threads} thread{'s' if self.threads != 1 else ''}"
        on = f" ({self.accelerator})" if self.accelerator != "cpu" else ""
        batch = f", batch {self.batch}" if self.batch != 1 else ""
        pin = f" on {self.affinity}" if self.affinity else ""
        return f"{self.runtime}{on} {self.precision}, {threads}{pin}, {self.mode}{batch}"


@dataclass(frozen=True, slots=True)
class MeasuredNet:
    """A measured network as a law sees it: the latency and the bytes of its file."""

    name: str
    config: AnyNetConfig
    resolution: int
    latency_ms: float
    bytes: int

    def __post_init__(self) -> None:
        if not self.latency_ms > 0:
            raise MeasurementError(f"{self.name} has no positive latency; measure it again")

    @classmethod
    def of(cls, latency: FileLatency) -> MeasuredNet:
        """The network of a measured file."""
        model, artifact = latency.first.model, latency.first.artifact
        if model.config is None:
            raise MeasurementError(f"{model.name} is another tool's file; a law is fitted to RegNets only")
        return cls(model.name, model.config, model.resolution, latency.median_ms, artifact.bytes)

    @property
    def net(self) -> Net:
        """Its layers."""
        return Net.of(self.config, self.resolution)

    @property
    def key(self) -> tuple[AnyNetConfig, int]:
        """What makes two points the same network, whatever it is called."""
        return self.config, self.resolution


def points_by_condition(measurements: Iterable[Measurement]) -> dict[Condition, tuple[MeasuredNet, ...]]:
    """The files whose latency is valid, one point a RegNet, grouped by what they share."""
    valid = [x for x in latencies(measurements) if x.valid and x.first.model.config is not None]
    by_condition: dict[Condition, list[FileLatency]] = {}
    for latency in sorted(valid, key=lambda x: (repr(Condition.of(x.first)), *_network(x.first))):
        by_condition.setdefault(Condition.of(latency.first), []).append(latency)
    return {c: tuple(map(MeasuredNet.of, of_one)) for c, of_one in by_condition.items()}


def _network(m: Measurement) -> tuple[str, str]:
    return m.model.name, m.artifact.sha256


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
    chosen = {c: p for c, p in points.items() if wanted(c)}
    if not chosen:
        have = "; ".join(map(str, points)) or "nothing valid"
        raise MeasurementError(f"no valid measurement is of that kind; the results hold {have}")
    return chosen


def the_one(by_condition: Mapping[Condition, T]) -> tuple[Condition, T]:
    """The only condition and its value; raises UsageError where there are several."""
    if len(by_condition) > 1:
        raise UsageError(
            f"the results hold {len(by_condition)} conditions ({'; '.join(map(str, by_condition))}); "
            "say which with --precision, --runtime, --threads or --device"
        )
    [(condition, value)] = by_condition.items()
    return condition, value
