"""What one process saw: its timings, its memory, the machine around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from .timing import Timing

Phase = Literal["before", "during", "after"]


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
class Memory:
    """Resident memory of the measuring process: before the file is loaded, after it, at the peak."""

    before_bytes: int
    after_load_bytes: int
    peak_bytes: int

    @property
    def added_bytes(self) -> int:
        """What the network adds to a process that has loaded its runtime, at its peak."""
        return self.peak_bytes - self.before_bytes


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
class Snapshot:
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
    own_cpu_ns: int | None
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
class AppState:
    """What a measuring app says of itself and of its phone; None where it does not say.

    build_type is Android's Build.TYPE (user, userdebug or eng), thermal_headroom PowerManager's forecast,
    in which 1 is severe throttling.
    """

    emulator: bool | None = None
    debuggable: bool | None = None
    build_type: str | None = None
    left_foreground: bool | None = None
    clocks_locked: bool | None = None
    thermal_headroom: float | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """What else happened on the machine: looks in order, the CPUs that the run was pinned to.

    reference_ns is the fixed loop's usual time on these CPUs, as far as the session knows. app is what a
    phone's app says of itself. A browser tells its clock's tick, whether the page is isolated (which threads
    and a fine clock need), and how long it was hidden meanwhile.
    """

    ticks_per_s: int | None
    pinned: tuple[int, ...]
    looks: tuple[Snapshot, ...]
    reference_ns: int | None = None
    app: AppState | None = None
    clock_tick_ns: int | None = None
    isolated: bool | None = None
    hidden_ns: int | None = None

    def during(self) -> tuple[Snapshot, ...]:
        """The looks of the timed part, from just before the first sample to just after the last."""
        return tuple(k for k in self.looks if k.phase == "during")

    def stretches(self) -> tuple[tuple[Snapshot, ...], ...]:
        """The looks of the timed part of each process."""
        return tuple(tuple(group) for _, group in groupby(self.during(), key=lambda k: k.process))

    def around_samples(self) -> tuple[Snapshot, ...]:
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

    output holds the logits of the first image of the fixed input, if they were asked for, None for those
    that are no numbers; memory is None where nothing tells it.
    """

    runtime: Runtime
    timing: Timing
    memory: Memory | None
    environment: Environment
    output: tuple[float | None, ...] | None = None
