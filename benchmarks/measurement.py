"""What a measurement holds: who was measured, where, how, every raw sample, and whether to believe it.

One Measurement is one JSON line, described by `regnet_edge/schemas/measurement.schema.json`. The part that
the target itself sees (a board's runner, the phone's app) is an Observation. Percentiles are properties of
the raw samples; the `summary` in a line is for other tools and is left aside when the line is read.
Times are integers in ns of a monotonic clock, memory in bytes, shares and drifts fractions of 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, groupby
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from regnet_edge import codec
from regnet_edge.artifact import Precision, Structure
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import MeasurementError

from .runner import SLOW

T = TypeVar("T")

VERSION = 1
SOME = 0.25  # of the fixed loops slow: the series was disturbed
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
    during which something slowed a fixed loop on the same CPU. loops_ns are that loop's times in order, and
    slices[i] is the number of runs between loops i and i + 1, so that every run has its place. runs_each is
    the number of samples of each process, () of a single one. Raises MeasurementError without samples or
    with one that is not positive.
    """

    loads_ns: tuple[int, ...]
    first_runs_ns: tuple[int, ...]
    warmup_ns: tuple[int, ...]
    samples_ns: tuple[int, ...]
    set_aside_ns: tuple[int, ...] = ()
    loops_ns: tuple[int, ...] = ()
    slices: tuple[int, ...] = ()
    runs_each: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.samples_ns:
            raise MeasurementError("the measurement has no samples; run it again with a longer --min-seconds")
        if min(self.samples_ns) <= 0:
            raise MeasurementError("a sample is not positive: this clock is broken, measure elsewhere")
        if self.runs_each and sum(self.runs_each) != len(self.samples_ns):
            raise MeasurementError("the samples are not those of its processes; measure again")

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
    def each_ms(self) -> list[NDArray[np.float64]]:
        """The samples of each process that has some, in ms."""
        ends = np.cumsum(self.runs_each or (self.runs,))
        return [part for part in np.split(self.samples_ms, ends[:-1]) if len(part)]

    @property
    def kept_share(self) -> float:
        """How much of the measured time counts: 1 where nothing was set aside."""
        return sum(self.samples_ns) / (sum(self.samples_ns) + sum(self.set_aside_ns))

    @property
    def plain_median_ms(self) -> float:
        """The median of all runs, set aside or not: what a tool that does not look around would say."""
        return float(np.median([*self.samples_ns, *self.set_aside_ns])) / NS_PER_MS

    @property
    def slice_ms(self) -> float:
        """How long the CPU was not looked at by the fixed loop, on average."""
        slices = sum(n > 0 for n in self.slices)
        return (sum(self.samples_ns) + sum(self.set_aside_ns)) / slices / NS_PER_MS if slices else 0.0

    def disturbed_share(self, usual_ns: int) -> float:
        """The share of the fixed loops that were slow, 0 without any."""
        return float(np.mean(np.array(self.loops_ns) > SLOW * usual_ns)) if self.loops_ns else 0.0

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

        Blocks of n^(1/3) neighbours are drawn, because neighbouring samples resemble each other. Where the
        samples come from several processes, processes are drawn first (Davison and Hinkley 1997, sec. 3.8),
        because where a process happens to lie in memory changes all of its runs.
        """
        medians = np.median(_drawn(self.each_ms, rng, resamples), axis=1)
        tail = (1 - confidence) / 2
        low, high = np.quantile(medians, (tail, 1 - tail))
        return float(low), float(high)


def _drawn(
    processes: Sequence[NDArray[np.float64]], rng: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    """Rows of as many samples as there are: processes drawn by their share of them, then blocks of each."""
    counts = np.array([len(p) for p in processes])
    first, size = np.cumsum(counts) - counts, -(-int(counts.sum()) // len(counts))
    chosen = rng.choice(len(counts), size=(resamples, len(counts)), p=counts / counts.sum())
    block = max(1, round(int(counts.min()) ** (1 / 3)))
    most = (counts - block + 1)[chosen]
    starts = first[chosen][..., None] + (rng.random((*chosen.shape, -(-size // block))) * most[..., None])
    picks = (starts.astype(np.int64)[..., None] + np.arange(block)).reshape(*chosen.shape, -1)[..., :size]
    drawn: NDArray[np.float64] = np.concatenate(processes)[picks.reshape(resamples, -1)]
    return drawn


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
    thermal_status is Android's 0 (none) to 6 (shutdown). process counts the fresh processes of a
    measurement; counters of own time begin anew with each.
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
    process: int = 0


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

    def stretches(self) -> tuple[tuple[Look, ...], ...]:
        """The looks of the timed part of each process."""
        return tuple(tuple(group) for _, group in groupby(self.during(), key=lambda k: k.process))

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


def merged(seen: Sequence[Observation]) -> Observation:
    """What several fresh processes saw, as one Observation.

    A process that hardly had a calm moment counts whole by itself; where another one had some, its samples
    are set aside like those of the other that were disturbed.
    """
    if len(seen) == 1:
        return seen[0]
    usual = min((s.environment.reference_ns for s in seen if s.environment.reference_ns), default=None)
    calm = [_had_calm(s) for s in seen]
    counted = [c or not any(calm) for c in calm]
    kept = [s.timing.samples_ns if c else () for s, c in zip(seen, counted, strict=True)]
    aside = [s.timing.set_aside_ns if c else s.timing.samples_ns for s, c in zip(seen, counted, strict=True)]
    before = [0, *accumulate(map(len, kept))]
    return replace(
        seen[0],
        timing=Timing(
            loads_ns=_joined(s.timing.loads_ns for s in seen),
            first_runs_ns=_joined(s.timing.first_runs_ns for s in seen),
            warmup_ns=max((s.timing.warmup_ns for s in seen), key=sum),
            samples_ns=_joined(kept),
            set_aside_ns=_joined(aside),
            loops_ns=_joined(s.timing.loops_ns for s in seen),
            slices=_joined(s.timing.slices if i == 0 else (0, *s.timing.slices) for i, s in enumerate(seen)),
            runs_each=tuple(map(len, kept)),
        ),
        memory=max((s.memory for s in seen), key=lambda m: m.peak_bytes),
        environment=replace(
            seen[0].environment,
            looks=_joined(
                _in_process(s.environment.looks, i, before[i], counted[i]) for i, s in enumerate(seen)
            ),
            reference_ns=usual,
        ),
    )


def _had_calm(seen: Observation) -> bool:
    """Whether something was set aside, or nothing had to be."""
    timing, usual = seen.timing, seen.environment.reference_ns
    return bool(timing.set_aside_ns) or usual is None or timing.disturbed_share(usual) < SOME


def _in_process(looks: Iterable[Look], process: int, before: int, counted: bool) -> tuple[Look, ...]:
    return tuple(replace(k, process=process, samples=before + counted * k.samples) for k in looks)


def _joined(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(chain.from_iterable(parts))


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
