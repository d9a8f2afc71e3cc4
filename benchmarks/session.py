"""Measuring many artifacts on one host: ABBA order, judging, retrying, and keeping each record at once."""

from __future__ import annotations

import datetime
import importlib.metadata
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from regnet_edge.artifact import Artifact
from regnet_edge.errors import MeasurementError, ToolError
from regnet_edge.programs import finished

from .hosts import Host
from .plan import Job, Plan, Trial, abba, job_of, measured_plan
from .record.measurement import Device, Measurement, MeasurementProvenance, OutputParity
from .record.merge import merged
from .record.observation import Observation, Runtime
from .verdict.rules import judge

QUIET_SHARE = 0.10  # of all CPUs
LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What a session does now: `index` of `count` visits."""

    kind: Literal["starting", "waiting", "measured", "failed", "skipped"]
    index: int
    count: int
    trial: Trial
    round: int
    measurement: Measurement | None = None
    sentence: str = ""


class Watch(Protocol):
    """The clocks of a session; tests give one that costs no time."""

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""

    def seconds(self) -> float:
        """A monotonic clock."""

    def utc(self) -> str:
        """The time of day as ISO 8601."""


@dataclass(frozen=True, slots=True)
class RealWatch:
    """This machine's clocks."""

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def seconds(self) -> float:
        """Since some moment."""
        return time.monotonic()

    def utc(self) -> str:
        """To the second."""
        return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@dataclass(slots=True)
class Session:
    """Trials on a host under a plan. Iterating `run()` does the work; each record is whole when it comes.

    done holds earlier measurements (of --resume); parity says what a device's output is worth, if anybody
    asks. reference_ns is what it learns of the CPUs' speed. A refusal of one trial is a moment of kind
    `failed`; a lost device ends the session by DeviceError.
    """

    host: Host
    plan: Plan
    trials: Sequence[Trial]
    command: tuple[str, ...] = ()
    done: Sequence[Measurement] = ()
    parity: Callable[[Trial, Observation], OutputParity | None] | None = None
    watch: Watch = field(default_factory=RealWatch)
    reference_ns: dict[tuple[int, ...], int] = field(default_factory=dict)  # of the CPUs a job may use

    def run(self) -> Iterator[Moment]:
        """Every visit in ABBA order."""
        device = self.host.device()
        for trial in self.trials:
            job_of(trial, self.plan, device.clusters, "")  # refuses what does not fit before anything runs
        visits = list(abba(self.trials, self.plan.rounds))
        known = {visit_key(m) for m in self.done if m.valid}
        failed: list[Trial] = []
        for index, (round_, trial) in enumerate(visits):
            moment = Moment("starting", index, len(visits), trial, round_)
            if trial in failed:
                continue
            if self._key(device, trial, round_) in known:
                yield replace(moment, kind="skipped")
                continue
            for step in self._visit(device, moment):
                yield step
                if step.kind == "failed":
                    failed.append(trial)

    def _visit(self, device: Device, moment: Moment) -> Iterator[Moment]:
        """One measurement, and again while it is invalid and retries are left."""
        for attempt in range(self.plan.retries + 1):
            if attempt:
                yield replace(moment, kind="waiting")
                self._wait_for_quiet()
            yield moment
            self.watch.sleep(self.plan.cooldown_s)
            try:
                made = self._measure(device, moment, attempt)
            except MeasurementError as error:
                yield replace(moment, kind="failed", sentence=str(error))
                return
            yield replace(moment, kind="measured", measurement=made)
            if made.valid:
                return

    def _measure(self, device: Device, moment: Moment, attempt: int) -> Measurement:
        trial, want = moment.trial, self.parity is not None
        path = self.host.push(trial.artifact.path)
        for file in _beside(trial):
            self.host.push(file)
        job = job_of(trial, self.plan.share, device.clusters, path, want_output=want)
        seen = merged(list(self._processes(job, device)))
        plan = measured_plan(self.plan, trial.threads, moment.round, attempt)
        parity = self.parity(trial, seen) if self.parity else None
        return Measurement(
            trial.model, trial.subject, device, plan, completed(seen.runtime, trial), seen.timing,
            seen.memory, seen.environment, judge(seen, plan, device), self._provenance(), parity,
        )  # fmt: skip

    def _processes(self, job: Job, device: Device) -> Iterator[Observation]:
        """What each fresh process of a visit saw, all of them on the CPUs that the first one chose.

        Each is told the speed seen on the job's CPUs before, where they are of one kind.
        """
        alike = job.threads == 1 and any(set(job.cpus) <= set(c.cpus) for c in device.clusters)
        told = job
        for _ in range(self.plan.processes):
            seen = self.host.observe(replace(told, reference_ns=self.reference_ns.get(job.cpus)))
            usual, pinned = seen.environment.reference_ns, seen.environment.pinned
            if usual is not None and alike:
                self.reference_ns[job.cpus] = usual
            if pinned:
                told = replace(job, cpus=pinned, exact=True)
            yield seen

    def _wait_for_quiet(self) -> None:
        """Until the host's CPUs are idle, for at most the plan's time."""
        began = self.watch.seconds()
        while self.watch.seconds() - began < self.plan.quiet_s:
            busy = self.host.busy()
            if busy is None or busy < QUIET_SHARE:
                return
            self.watch.sleep(LOOK_S)

    def _provenance(self) -> MeasurementProvenance:
        versions = {n: importlib.metadata.version(n) for n in ("regnet-edge", "numpy")}
        return MeasurementProvenance(self.watch.utc(), self.command, versions, git_revision(Path.cwd()))

    def _key(self, device: Device, trial: Trial, round_: int) -> tuple[str, ...]:
        plan, subject = self.plan, trial.subject
        return (
            subject.file, subject.sha256, device.label, trial.runtime, plan.accelerator, str(trial.threads),
            plan.affinity, plan.mode, str(trial.model.batch), str(round_),
        )  # fmt: skip


def _beside(trial: Trial) -> tuple[Path, ...]:
    """What the file needs beside it: the definition its sidecar, another tool's the files of its weights."""
    if isinstance(trial.artifact, Artifact):
        return (trial.artifact.sidecar,) if trial.subject.target == "torch" else ()
    return trial.artifact.beside


def completed(runtime: Runtime, trial: Trial) -> Runtime:
    """The runtime's record with what the sidecar knows of delegation, where the runtime does not tell."""
    known = trial.structure
    if trial.subject.target == "torch" or runtime.delegated_ops is not None or known.delegated_ops is None:
        return runtime
    return replace(runtime, delegated_ops=known.delegated_ops, partitions=known.partitions)


def visit_key(m: Measurement) -> tuple[str, ...]:
    """What tells one visit from another, for --resume."""
    return (*m.subject, str(m.plan.round))


def git_revision(folder: Path) -> str | None:
    """The commit of the folder's checkout, None where there is none."""
    try:
        done = finished(["git", "-C", str(folder), "rev-parse", "HEAD"])
    except ToolError:
        return None
    return done.stdout.strip() or None
