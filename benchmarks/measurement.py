"""What a measurement holds: who was measured, where, how, every raw sample, and whether to believe it.

One Measurement is one JSON line, described by `regnet_edge/schemas/measurement.schema.json`. The part that
the target itself sees (a board's runner, the phone's app) is an Observation. Percentiles are properties of
the raw samples; the `summary` in a line is for other tools and is left aside when the line is read.
Times are integers in ns of a monotonic clock, memory in bytes, shares and drifts fractions of 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from regnet_edge import codec
from regnet_edge.artifact import Precision, Structure
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import MeasurementError

VERSION = 1
NS_PER_MS = 1e6
NS_PER_MIN = 60e9

Transport = Literal["local", "ssh", "adb"]
Mode = Literal["burst", "sustained", "cold"]
Verdict = Literal["valid", "warnings", "invalid"]
Severity = Literal["note", "warning", "invalid"]
Phase = Literal["before", "during", "after"]


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """The network: its definition, and its counts for one image at `resolution`."""

    name: str
    config: AnyNetConfig
    resolution: int
    batch: int
    flops: int
    params: int
    activations: int
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
    """Where it ran; `label` names it in tables and groups records, such as `Pixel 8 (Tensor G3)`."""

    transport: Transport
    label: str
    manufacturer: str
    model: str
    soc: str
    os: str
    abi: str
    ram_bytes: int
    clusters: tuple[Cluster, ...]
    serial: str = ""


@dataclass(frozen=True, slots=True)
class MeasuredPlan:
    """How it was asked for; round counts the visits of the ABBA order, attempt those of --retry."""

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


@dataclass(frozen=True, slots=True)
class Runtime:
    """What ran the file; ops in its graph and how many of them the accelerator took, None if unknown."""

    name: str
    version: str
    accelerator: str = "cpu"
    delegated_ops: int | None = None
    total_ops: int | None = None
    partitions: int | None = None
    host_versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timing:
    """Raw times in ns: loads and first runs (one a process), warm-up runs, then the samples.

    In mode cold every sample is a first run in a process of its own. set_aside_ns are runs of a burst
    during which something slowed a fixed loop on the same CPU. Raises MeasurementError without samples or
    with one that is not positive.
    """

    loads_ns: tuple[int, ...]
    first_runs_ns: tuple[int, ...]
    warmup_ns: tuple[int, ...]
    samples_ns: tuple[int, ...]
    set_aside_ns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.samples_ns:
            raise MeasurementError("the measurement has no samples; run it again with a longer --min-seconds")
        if min(self.samples_ns) <= 0:
            raise MeasurementError("a sample is not positive: this clock is broken, measure elsewhere")

    @property
    def samples_ms(self) -> NDArray[np.float64]:
        """The samples in ms, float64 of shape (runs,)."""
        return np.asarray(self.samples_ns, dtype=np.float64) / NS_PER_MS

    def percentile_ms(self, q: float) -> float:
        """The q-th percentile (0 to 100) of the samples."""
        return float(np.percentile(self.samples_ms, q))

    @property
    def runs(self) -> int:
        """Number of samples."""
        return len(self.samples_ns)

    @property
    def min_ms(self) -> float:
        """The fastest sample."""
        return self.percentile_ms(0)

    @property
    def max_ms(self) -> float:
        """The slowest sample."""
        return self.percentile_ms(100)

    @property
    def median_ms(self) -> float:
        """The figure that tables and laws use."""
        return self.percentile_ms(50)

    @property
    def mean_ms(self) -> float:
        """Mean of the samples."""
        return float(self.samples_ms.mean())

    @property
    def std_ms(self) -> float:
        """Standard deviation of the samples."""
        return float(self.samples_ms.std())

    @property
    def mad_ms(self) -> float:
        """Median absolute deviation from the median."""
        return float(np.median(np.abs(self.samples_ms - self.median_ms)))

    @property
    def load_ms(self) -> float:
        """Median time from the file to a network that can run."""
        return float(np.median(self.loads_ns) / NS_PER_MS)

    @property
    def first_run_ms(self) -> float:
        """Median time of a process's first run."""
        return float(np.median(self.first_runs_ns) / NS_PER_MS)

    @property
    def drift_per_minute(self) -> float:
        """Relative change of latency a minute (0.1: 10 % slower each minute), by the Theil-Sen slope.

        Medians of up to 32 equal pieces of the series stand for the samples, so spikes do not count.
        """
        pieces = np.array_split(self.samples_ms, min(32, self.runs))
        if len(pieces) < 3:
            return 0.0
        y = np.array([np.median(p) for p in pieces])
        ends = np.cumsum([p.sum() for p in pieces])
        t = ends - np.array([p.sum() for p in pieces]) / 2
        i, j = np.triu_indices(len(y), k=1)
        slope = np.median((y[j] - y[i]) / (t[j] - t[i]))  # Sen 1968: median of all pairwise slopes
        return float(slope / self.median_ms * NS_PER_MIN / NS_PER_MS)

    def median_interval_ms(
        self, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 1000
    ) -> tuple[float, float]:
        """(low, high) of the median by the moving-block bootstrap (Kuensch 1989).

        Blocks of n^(1/3) neighbours are drawn, because neighbouring samples resemble each other.
        """
        n = self.runs
        block = max(1, round(n ** (1 / 3)))
        starts = rng.integers(0, n - block + 1, size=(resamples, -(-n // block)))
        picks = (starts[:, :, None] + np.arange(block)).reshape(resamples, -1)[:, :n]
        medians = np.median(self.samples_ms[picks], axis=1)
        tail = (1 - confidence) / 2
        low, high = np.quantile(medians, (tail, 1 - tail))
        return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of the measuring process: before the file is loaded, after it, at the peak."""

    before_bytes: int
    after_load_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class CpuTicks:
    """Counters of one CPU since boot, in ticks: busy leaves out idle, iowait and steal."""

    cpu: int
    busy: int
    steal: int
    total: int


@dataclass(frozen=True, slots=True)
class ProcessTicks:
    """CPU time of another process since it began, in ticks, and the CPU it ran on last."""

    pid: int
    name: str
    cpu: int
    ticks: int


@dataclass(frozen=True, slots=True)
class Power:
    """Battery and power saver; None where the system does not say."""

    charging: bool | None = None
    percent: float | None = None
    battery_c: float | None = None
    saver: bool | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look around the machine, between samples; counters are since boot or process start.

    at_ns is monotonic, samples how many were kept before, reference_ns the time of a fixed loop of
    integer work (a slower loop is a lower clock), own_wait_ns how long own threads stood ready to run
    without a CPU. cooling holds the state of each device that cools by slowing the CPU (0: not at all);
    thermal_status is Android's 0 (none) to 6 (shutdown).
    """

    phase: Phase
    at_ns: int
    samples: int
    own_cpu_ns: int
    own_wait_ns: int | None = None
    reference_ns: int | None = None
    cpus: tuple[CpuTicks, ...] = ()
    processes: tuple[ProcessTicks, ...] = ()
    load_1min: float | None = None
    khz: Mapping[str, int] = field(default_factory=dict)
    thermal_mc: Mapping[str, int] = field(default_factory=dict)
    cooling: Mapping[str, int] = field(default_factory=dict)
    throttle_events: int | None = None
    thermal_status: int | None = None
    power: Power = field(default_factory=Power)


@dataclass(frozen=True, slots=True)
class Environment:
    """What else happened on the machine: looks in order, the CPUs that the run was pinned to.

    reference_ns is the fixed loop's usual time on these CPUs, as far as the session knows.
    """

    ticks_per_s: int
    pinned: tuple[int, ...]
    looks: tuple[Look, ...]
    reference_ns: int | None = None

    def during(self) -> tuple[Look, ...]:
        """The looks of the timed part, from just before the first sample to just after the last."""
        return tuple(k for k in self.looks if k.phase == "during")

    def around_samples(self) -> tuple[Look, ...]:
        """Those of the timed part that are next to a piece that was kept."""
        looks = self.during()
        counts = [looks[0].samples, *(k.samples for k in looks), looks[-1].samples]
        return tuple(
            k
            for k, (a, b, c) in zip(looks, zip(counts, counts[1:], counts[2:], strict=False), strict=False)
            if a < b or b < c
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """What the target itself reports: the one JSON value that a runner or the app prints.

    output holds the logits of the first image of the fixed input, if they were asked for.
    """

    runtime: Runtime
    timing: Timing
    memory: Memory
    environment: Environment
    output: tuple[float, ...] | None = None


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
class Provenance:
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
    memory: Memory
    environment: Environment
    validity: Validity
    provenance: Provenance
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
    def subject(self) -> tuple[str, ...]:
        """What rounds of the same thing share: device, file, runtime, accelerator, threads, pin, mode."""
        m = self
        return (
            m.device.label, m.artifact.file, m.artifact.sha256, m.runtime.name, m.runtime.accelerator,
            str(m.plan.threads), m.plan.affinity, m.plan.mode,
        )  # fmt: skip

    def to_json(self, rng: np.random.Generator) -> dict[str, Any]:
        """JSON values of the record with its summary."""
        return {"version": VERSION, "summary": summary(self.timing, rng), **codec.to_json(self)}


def summary(timing: Timing, rng: np.random.Generator) -> dict[str, Any]:
    """The derived figures of a line, for readers that do not compute them."""
    low, high = timing.median_interval_ms(rng)
    figures = {f"p{q}_ms": timing.percentile_ms(q) for q in (5, 50, 90, 95, 99)}
    names = ("min_ms", "max_ms", "mean_ms", "std_ms", "mad_ms", "load_ms", "first_run_ms", "drift_per_minute")
    figures |= {name: getattr(timing, name) for name in names}
    figures |= {"median_low_ms": low, "median_high_ms": high}
    return {"runs": timing.runs, **{k: round(v, 6) for k, v in figures.items()}}


def write_line(stream: TextIO, measurement: Measurement, rng: np.random.Generator) -> None:
    """Append the record as one line and flush it, so that a later failure loses nothing."""
    stream.write(json.dumps(measurement.to_json(rng), separators=(",", ":"), ensure_ascii=False) + "\n")
    stream.flush()


def parse_line(line: str) -> Measurement:
    """The record of one line; raises MeasurementError with the field that does not fit."""
    try:
        data = json.loads(line)
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise ValueError(f"it is not a measurement of version {VERSION}")
        fields = {k: v for k, v in data.items() if k not in ("version", "summary")}
        return codec.from_json(fields, Measurement)
    except ValueError as error:
        raise MeasurementError(f"a line is not a measurement ({error}); measure again") from error


def read_lines(path: Path) -> tuple[Measurement, ...]:
    """Every record of a results file; raises MeasurementError naming the line that cannot be read.

    A last line without its newline is one that was cut short while it was written, and is left out.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MeasurementError(f"cannot read {path} ({error}); give a file that benchmark wrote") from error
    whole = text[: text.rfind("\n") + 1].splitlines()
    return tuple(_numbered(path, number, line) for number, line in enumerate(whole, 1) if line.strip())


def _numbered(path: Path, number: int, line: str) -> Measurement:
    try:
        return parse_line(line)
    except MeasurementError as error:
        raise MeasurementError(f"{path}, line {number}: {error}") from error


def usable(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """Those that are valid or valid with warnings, in their order."""
    return tuple(m for m in measurements if m.valid)
