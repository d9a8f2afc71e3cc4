"""A clock that moves when told, a machine without jobs, an engine that takes as long as it is told, and a
host that has them all: what measures and judges can be tried without a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regnet_edge.errors import MeasurementError

from ..plan import Job
from ..record.measurement import Cluster, Device
from ..record.observation import CpuTicks, Environment, Memory, Observation, ProcessTicks, Runtime, Snapshot
from ..record.timing import Timing

HZ = 100
NS_PER_S = 1_000_000_000
DEVICE = Device(
    transport="local", label="fake (F1)", manufacturer="Example", model="fake", soc="F1", os="none",
    abi="x86_64", ram_bytes=1 << 30, clusters=(Cluster((0, 1), 2_000_000, "performance"),),
)  # fmt: skip


@dataclass(slots=True)
class FakeWatch:
    """Clocks that move by sleeping only."""

    now_ns: int = 1

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.now_ns += round(seconds * NS_PER_S)

    def seconds(self) -> float:
        """Since the beginning."""
        return self.now_ns / NS_PER_S

    def ns(self) -> int:
        """The same in ns."""
        return self.now_ns

    def utc(self) -> str:
        """Always the same day."""
        return "2020-01-01T00:00:00+00:00"


@dataclass(slots=True)
class FakeEngine:
    """An engine whose i-th run takes `latency_ns(i)`."""

    watch: FakeWatch
    latency_ns: Callable[[int], int]
    runs: int = 0

    def run(self) -> None:
        """Move the clock on."""
        self.watch.now_ns += self.latency_ns(self.runs)
        self.runs += 1


def looks(
    seconds: float,
    *,
    pieces: int = 8,
    waited: float = 0.0,
    others: float = 0.0,
    steal: float = 0.0,
    references_ns: Sequence[int] = (),
    who: str = "stress",
) -> tuple[Snapshot, ...]:
    """Looks of a run pinned to CPU 1 of two.

    waited and steal are shares of CPU 1's time, others of CPU 0's; references_ns has one number a look.
    """
    speeds = list(references_ns) or [1_000_000] * (pieces + 1)
    return tuple(
        _look(i / (len(speeds) - 1) * seconds, i, waited, others, steal, speed, who)
        for i, speed in enumerate(speeds)
    )


def _look(at_s: float, i: int, waited: float, others: float, steal: float, speed: int, who: str) -> Snapshot:
    ticks = round(at_s * HZ)
    stolen, foreign = round(ticks * steal), round(ticks * max(waited, others))
    neighbour = CpuTicks(0, round(ticks * others), 0, ticks)
    own = CpuTicks(1, ticks - stolen, stolen, ticks)
    return Snapshot(
        phase="during",
        at_ns=round(at_s * NS_PER_S),
        samples=i,
        own_cpu_ns=round(at_s * (1 - waited - steal) * NS_PER_S),
        own_wait_ns=round(at_s * waited * NS_PER_S),
        reference_ns=speed,
        cpus=(neighbour, own),
        processes=(ProcessTicks(99, who, 0 if others else 1, foreign),),
    )


def observation(
    samples_ms: Sequence[float], around: Sequence[Snapshot] = (), *, warm_up_s: float = 0.5
) -> Observation:
    """An Observation of those samples on a machine that did what `around` says, nothing by default."""
    samples = tuple(round(s * 1e6) for s in samples_ms)
    warm = (round(warm_up_s * NS_PER_S / 4),) * 4 if warm_up_s else ()
    around = tuple(around) or looks(sum(samples) / NS_PER_S)
    return Observation(
        Runtime("fake", "1"),
        Timing((5_000_000,), (samples[0],), warm, samples),
        Memory(1 << 20, 2 << 20, 3 << 20),
        Environment(HZ, (1,), tuple(around)),
    )


@dataclass(slots=True)
class FakeHost:
    """A host that answers with `answers` in turn; one that is a sentence is a refusal, an error is raised."""

    answers: list[Observation | str | Exception]
    jobs: list[Job] = field(default_factory=list)
    idle: bool = True
    closed: bool = False

    def device(self) -> Device:
        """The fake device."""
        return DEVICE

    def push(self, file: Path) -> str:
        """Nothing is copied."""
        return f"/fake/{file.name}"

    def observe(self, job: Job) -> Observation:
        """The next answer; the last one for ever after."""
        self.jobs.append(job)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            raise MeasurementError(answer)
        return answer

    def busy(self) -> float | None:
        """Idle or not."""
        return 0.0 if self.idle else 1.0

    def close(self) -> None:
        """Remembered."""
        self.closed = True
