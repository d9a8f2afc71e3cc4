"""How to measure: Plan is what the user asked for, Trial one thing to measure, Job what a target is told.

Nothing here touches a process, a clock or a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.converters import target
from regnet_edge.errors import UsageError
from regnet_edge.request import Precision

from .foreign import ForeignFile
from .record.measurement import Cluster, MeasuredArtifact, MeasuredModel, MeasuredPlan, Mode
from .runner.engines import runtimes_of
from .runner.protocol import WARMUP_RULE

BASELINES = tuple(runtimes_of("torch"))  # the definition itself
FP32_BYTES = 4
MIN_RUNS: dict[Mode, int] = {"burst": 100, "sustained": 1024, "cold": 10}
MIN_SECONDS: dict[Mode, float] = {
    "burst": 3.0,
    "sustained": 60.0,
    "cold": 0.0,
}  # MLPerf Mobile's 60 s and 1024
PROCESSES: dict[Mode, int] = {"burst": 4, "sustained": 1, "cold": 1}
MAX_RUNS = 200_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of every artifact; raises UsageError where it cannot be meant.

    rounds: how often each is visited in ABBA order. processes: how many fresh processes share the runs and
    seconds of a visit, because a process's place in memory alone changes a latency by 1 or 2 %. retries:
    how often an invalid measurement is taken again, after waiting for quiet for at most quiet_s each time.
    """

    mode: Mode = "burst"
    threads: tuple[int, ...] = (1,)
    affinity: str = "big"
    min_runs: int = 100
    min_seconds: float = 3.0
    max_seconds: float = 60.0
    cooldown_s: float = 0.0
    rounds: int = 2
    retries: int = 0
    quiet_s: float = 60.0
    accelerator: str = "cpu"
    processes: int = 1

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise UsageError(f"unknown mode {self.mode!r}; choose from {', '.join(get_args(Mode))}")
        if not self.threads or min(self.threads) < 1:
            raise UsageError(f"--threads takes numbers of at least 1, such as 1,2,4, not {self.threads}")
        if self.min_runs < 1 or self.min_runs > MAX_RUNS:
            raise UsageError(f"--min-runs lies between 1 and {MAX_RUNS}, not at {self.min_runs}")
        if self.min_seconds < 0 or self.cooldown_s < 0:
            raise UsageError("--min-seconds and --cooldown are 0 or more seconds")
        if self.max_seconds < self.min_seconds:
            raise UsageError(
                f"--max-seconds {self.max_seconds:g} is less than --min-seconds {self.min_seconds:g}"
            )
        if self.rounds < 1 or self.retries < 0:
            raise UsageError("--rounds is at least 1 and --retry at least 0")
        if self.processes < 1:
            raise UsageError("--processes is at least 1")
        if self.processes > 1 and self.mode != "burst":
            raise UsageError(f"--processes is for mode burst; a {self.mode} series is not divided")
        parse_affinity(self.affinity)

    @property
    def share(self) -> Plan:
        """What one of the processes is asked for."""
        n = self.processes
        return replace(
            self, processes=1, min_runs=-(-self.min_runs // n),
            min_seconds=self.min_seconds / n, max_seconds=self.max_seconds / n,
        )  # fmt: skip

    @classmethod
    def of_mode(
        cls,
        mode: Mode,
        *,
        min_runs: int | None = None,
        min_seconds: float | None = None,
        max_seconds: float | None = None,
    ) -> Plan:
        """The mode's own numbers where none are given; at most a minute, or three times the least time."""
        if mode not in get_args(Mode):
            raise UsageError(f"unknown mode {mode!r}; choose from {', '.join(get_args(Mode))}")
        runs = MIN_RUNS[mode] if min_runs is None else min_runs
        least = MIN_SECONDS[mode] if min_seconds is None else min_seconds
        most = max(60.0, 3 * least) if max_seconds is None else max_seconds
        return cls(mode=mode, min_runs=runs, min_seconds=least, max_seconds=most, processes=PROCESSES[mode])


@dataclass(frozen=True, slots=True)
class Trial:
    """One artifact on one runtime with so many threads; batch: images a run of a file of any batch.

    Raises UsageError where a file of a fixed batch is asked for another one, or for more than it takes.
    """

    artifact: Artifact | ForeignFile
    runtime: str
    threads: int
    batch: int = 1

    def __post_init__(self) -> None:
        a = self.artifact
        if self.batch != 1 and not (isinstance(a, Artifact) and a.request.any_batch):
            raise UsageError(
                f"{a.path.name} has a batch of its own; leave --batch out, or convert it with --batch dynamic"
            )
        if isinstance(a, Artifact) and 1 < self.batch > (most := target(a.request.target).any_batch_up_to):
            raise UsageError(f"{a.path.name} takes {most:.0f} images at once at most, not {self.batch}")

    @property
    def images(self) -> int:
        """How many images a run takes."""
        a = self.artifact
        return self.batch if isinstance(a, ForeignFile) or a.request.any_batch else a.request.batch

    @property
    def name(self) -> str:
        """What progress and messages call it."""
        threads = f", {self.threads} threads" if self.threads > 1 else ""
        return f"{self.subject.file} ({self.runtime}{threads})"

    @property
    def model(self) -> MeasuredModel:
        """The network with its counts for one image."""
        if isinstance(self.artifact, ForeignFile):
            return self.artifact.model
        m = self.artifact.request.model
        c = m.complexity
        return MeasuredModel(
            m.name, m.config, m.resolution, self.images, c.flops, c.params, c.activations, m.weights.trained
        )

    @property
    def structure(self) -> Structure:
        """What was read inside the file."""
        a = self.artifact
        return a.subject.structure if isinstance(a, ForeignFile) else a.structure

    @property
    def input_shape(self) -> tuple[int, ...]:
        """NCHW of what a run takes."""
        if isinstance(self.artifact, ForeignFile):
            return self.artifact.shape
        request = self.artifact.request
        side = request.model.resolution
        return (self.images, request.model.config.in_channels, side, side)

    @property
    def takes_pixels(self) -> bool:
        """Whether the file of ours takes bytes, NHWC, and normalizes them itself."""
        return isinstance(self.artifact, Artifact) and self.artifact.request.takes_pixels

    @property
    def subject(self) -> MeasuredArtifact:
        """The file; a baseline is the definition in fp32, whatever the artifact's precision is."""
        a = self.artifact
        if isinstance(a, ForeignFile):
            return a.subject
        calibration = a.request.calibration
        made = MeasuredArtifact(
            a.path.name, a.request.target, a.request.precision, a.sha256, a.bytes, a.tool_versions,
            a.request.key, a.structure, calibration.sha256 if calibration else None,
        )  # fmt: skip
        if self.runtime not in BASELINES:
            return made
        size, fp32 = FP32_BYTES * a.request.model.complexity.params, _fp32()
        name = a.request.model.name
        return replace(
            made,
            file=name,
            target="torch",
            precision=fp32,
            bytes=size,
            tool_versions={},
            calibration_sha256=None,
        )


def _fp32() -> Precision:
    return "fp32"


@dataclass(frozen=True, slots=True)
class Job:
    """What a runner or the app is told, as JSON (schemas/job.schema.json).

    artifact is a path on the target. cpus are those it may use, fastest first; [] is any. If not
    exact, the `threads` quietest of them are taken. input_shape is NCHW; the input is
    x[i] = (i * 2654435761 mod 2^32) / 2^30 - 2 in that order. reference_ns is the usual time of the
    runner's fixed loop on these CPUs, None where it is not known yet. takes_pixels is for the app, whose
    runtimes do not all tell a file's input type.
    """

    version: int
    runtime: str
    artifact: str
    precision: Precision
    mode: Mode
    threads: int
    cpus: tuple[int, ...]
    exact: bool
    accelerator: str
    min_runs: int
    max_runs: int
    min_seconds: float
    max_seconds: float
    input_shape: tuple[int, ...]
    want_output: bool = False
    reference_ns: int | None = None
    takes_pixels: bool = False


JOB_VERSION = 1


def job_of(
    trial: Trial, plan: Plan, clusters: Sequence[Cluster], path: str, *, want_output: bool = False
) -> Job:
    """The job of a trial whose file lies at `path` on the target."""
    cpus, exact = cpus_of(plan.affinity, clusters, trial.threads)
    return Job(
        JOB_VERSION, trial.runtime, path, trial.subject.precision, plan.mode, trial.threads, cpus, exact,
        plan.accelerator, plan.min_runs, MAX_RUNS, plan.min_seconds, plan.max_seconds, trial.input_shape,
        want_output, takes_pixels=trial.takes_pixels,
    )  # fmt: skip


def measured_plan(plan: Plan, threads: int, round_: int, attempt: int) -> MeasuredPlan:
    """The plan as the record of one attempt holds it."""
    return MeasuredPlan(
        plan.mode, threads, plan.affinity, plan.min_runs, plan.min_seconds, plan.max_seconds,
        plan.cooldown_s, WARMUP_RULE if plan.mode != "cold" else "none", round_, attempt,
        plan.processes,
    )  # fmt: skip


def trials(
    artifacts: Sequence[Artifact | ForeignFile], plan: Plan, runtimes: Sequence[str] = (), batch: int = 1
) -> tuple[Trial, ...]:
    """Every artifact on its own runtime (or each of `runtimes`), for each number of threads.

    A baseline is measured once for each model, not once for each of its files.
    """
    by_key: dict[tuple[str, ...], Trial] = {}
    for artifact in artifacts:
        target = artifact.target if isinstance(artifact, ForeignFile) else artifact.request.target
        own = next(iter(runtimes_of(target)), target)  # another package's runtime is named as its target
        for runtime in _fitting(artifact, runtimes) or (own,):
            for threads in plan.threads:
                trial = Trial(artifact, own if runtime == "auto" else runtime, threads, batch)
                s = trial.subject
                key = (s.file, s.target, trial.runtime, str(threads), "" if s.target == "torch" else s.sha256)
                by_key.setdefault(key, trial)
    return tuple(by_key.values())


def _fitting(artifact: Artifact | ForeignFile, runtimes: Sequence[str]) -> list[str]:
    """The runtimes for it: the definition is no baseline of another's file."""
    return [r for r in runtimes if not (isinstance(artifact, ForeignFile) and r in BASELINES)]


def abba(trials: Sequence[Trial], rounds: int) -> Iterator[tuple[int, Trial]]:
    """(round, trial): forwards in even rounds, backwards in odd ones, so that a slow trend cancels out."""
    for i in range(rounds):
        for trial in trials if i % 2 == 0 else reversed(trials):
            yield i, trial


MOST_CPUS = 8192  # that Linux can be built for (NR_CPUS of x86-64)


def parse_affinity(affinity: str) -> tuple[int, ...]:
    """CPUs of `0x6` (a mask) or `1,2` or `1-2` (a list), () for `big`, `little` and `any`."""
    if affinity in ("big", "little", "any"):
        return ()
    try:
        cpus = _from_mask(affinity) if affinity.startswith("0x") else _from_list(affinity)
    except ValueError:
        cpus = ()
    if not cpus:
        raise UsageError(
            f"--affinity is big, little, any, a mask such as 0x6 or CPUs such as 1,2, not {affinity!r}"
        )
    return cpus


def _from_mask(text: str) -> tuple[int, ...]:
    mask = int(text, 16)
    if mask.bit_length() > MOST_CPUS:
        raise ValueError(f"there are no more than {MOST_CPUS} CPUs")
    return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)


def _from_list(text: str) -> tuple[int, ...]:
    cpus: set[int] = set()
    for word in text.split(","):
        first, _, last = word.partition("-")
        if not 0 <= int(first) <= int(last or first) < MOST_CPUS:
            raise ValueError(f"{word} names no CPUs")
        cpus |= set(range(int(first), int(last or first) + 1))
    return tuple(sorted(cpus))


def cpus_of(affinity: str, clusters: Sequence[Cluster], threads: int) -> tuple[tuple[int, ...], bool]:
    """(CPUs, whether exactly those); raises UsageError where there are fewer CPUs than threads."""
    exact = parse_affinity(affinity)
    if not clusters and not exact:
        return (), False  # the target does not tell its CPUs: it may use any
    every = tuple(c for cluster in clusters for c in cluster.cpus)
    ends = {"big": clusters[:1], "little": clusters[-1:], "any": clusters}
    cpus = exact or tuple(c for cluster in ends[affinity] for c in cluster.cpus)
    if set(exact) - set(every):
        missing = ", ".join(str(c) for c in sorted(set(exact) - set(every)))
        raise UsageError(
            f"the device has no CPU {missing}; it has {', '.join(str(c) for c in sorted(every))}"
        )
    if len(cpus) < threads:
        raise UsageError(
            f"{threads} threads do not fit on {len(cpus)} CPUs ({affinity}); change --threads or --affinity"
        )
    return cpus, bool(exact)
