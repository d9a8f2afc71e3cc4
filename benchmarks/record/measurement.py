"""What a measurement holds: who was measured, where, how, every raw sample, and whether to believe it.

One Measurement is one JSON line, described by `regnet_edge/schemas/measurement.schema.json`. The part that
the target itself sees (a board's runner, the phone's app) is an Observation. Percentiles are properties of
the raw samples; the `summary` in a line is for other tools and is left aside when the line is read.
Times are integers in ns of a monotonic clock, memory in bytes, shares and drifts fractions of 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from regnet_edge import codec
from regnet_edge.artifact import Structure
from regnet_edge.config import AnyNetConfig
from regnet_edge.request import Precision

from .observation import Environment, Memory, Runtime
from .timing import Timing

T = TypeVar("T")
VERSION = 1
Transport = Literal["local", "ssh", "adb", "app", "web"]
Mode = Literal["burst", "sustained", "cold"]
Verdict = Literal["valid", "warnings", "invalid"]
Severity = Literal["note", "warning", "invalid"]


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """The network and its counts for one image at `resolution`; config is None for another's file.

    Counts are None where the file's graph does not tell them.
    """

    name: str
    config: AnyNetConfig | None
    resolution: int
    batch: int
    flops: int | None
    params: int | None
    activations: int | None
    trained: bool


@dataclass(frozen=True, slots=True)
class MeasuredArtifact:
    """The file, as its sidecar describes it; target is `torch` for the definition itself."""

    file: str
    target: str
    precision: Precision
    sha256: str
    bytes: int
    tool_versions: Mapping[str, str]
    request_key: str
    structure: Structure
    calibration_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """CPUs of one kind; max_khz and governor are None where the system does not say."""

    cpus: tuple[int, ...]
    max_khz: int | None = None
    governor: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """Where it ran; `label` names it in tables and groups records, such as `Pixel 8 (Tensor G3)`.

    transport `app` is a phone that measured by itself, `web` a browser. emulated is None where nothing tells.
    """

    transport: Transport
    label: str
    manufacturer: str
    model: str
    soc: str
    os: str
    abi: str
    ram_bytes: int | None
    clusters: tuple[Cluster, ...]
    serial: str = ""
    emulated: bool | None = None


@dataclass(frozen=True, slots=True)
class MeasuredPlan:
    """How it was asked for; round counts the visits of the ABBA order, attempt those of --retry.

    Runs and seconds are those of all `processes` together.
    """

    mode: Mode
    threads: int
    affinity: str
    min_runs: int
    min_seconds: float
    max_seconds: float
    cooldown_s: float
    warmup_rule: str
    round: int = 0
    attempt: int = 0
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a verdict fell; `rule` is a short stable name, such as `foreign_cpu`."""

    rule: str
    severity: Severity
    sentence: str


@dataclass(frozen=True, slots=True)
class Validity:
    """Whether the figure can be believed, and why not."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputParity:
    """How near the device's own output of the fixed input comes to `reference` on the measuring host."""

    reference: str
    max_abs_error: float
    sqnr_db: float
    cosine: float


@dataclass(frozen=True, slots=True)
class MeasurementProvenance:
    """When, by which command and with which versions it was made."""

    utc: str
    command: tuple[str, ...]
    tool_versions: Mapping[str, str]
    git_revision: str | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One artifact, measured once in a fresh process; several rounds give several of these."""

    model: MeasuredModel
    artifact: MeasuredArtifact
    device: Device
    plan: MeasuredPlan
    runtime: Runtime
    timing: Timing
    memory: Memory | None
    environment: Environment
    validity: Validity
    provenance: MeasurementProvenance
    parity: OutputParity | None = None

    @property
    def valid(self) -> bool:
        """Whether the figure may be used: valid, or valid with warnings."""
        return self.validity.verdict != "invalid"

    @property
    def median_ms(self) -> float:
        """Median latency of one run (of `model.batch` images)."""
        return self.timing.median_ms

    @property
    def shown_file(self) -> str:
        """The file's name, with the images of a run where those are several."""
        return self.artifact.file + (f" x{self.model.batch}" if self.model.batch != 1 else "")

    @property
    def setting(self) -> tuple[str, ...]:
        """What files share that may be compared: device, runtime, accelerator, threads, pin, mode, batch."""
        m = self
        return (
            m.device.label, m.runtime.name, m.runtime.accelerator, str(m.plan.threads), m.plan.affinity,
            m.plan.mode, str(m.model.batch),
        )  # fmt: skip

    @property
    def subject(self) -> tuple[str, ...]:
        """What rounds of one thing share: the file and its setting."""
        return (self.artifact.file, self.artifact.sha256, *self.setting)

    def to_json(self, rng: np.random.Generator) -> Mapping[str, object]:
        """JSON values of the record with its summary."""
        return {"version": VERSION, "summary": summary(self.timing, rng), **codec.to_json(self)}


def summary(timing: Timing, rng: np.random.Generator) -> dict[str, float]:
    """The derived figures of a line, for readers that do not compute them."""
    low, high = timing.median_interval_ms(rng)
    figures = {f"p{q}_ms": timing.percentile_ms(q) for q in (5, 50, 90, 95, 99)}
    names = ("min_ms", "max_ms", "mean_ms", "std_ms", "mad_ms", "load_ms", "first_run_ms", "drift_per_minute")
    figures |= {name: getattr(timing, name) for name in names}
    figures |= {"median_low_ms": low, "median_high_ms": high}
    return {"runs": timing.runs, **{k: round(v, 6) for k, v in figures.items()}}
