"""How often the verdict is right, for real: `python -m regnet_edge.benchmarks.selftest model.tflite`.

On a quiet machine with at least two CPUs: a busy loop on the measured CPU has to be called invalid, quiet
runs valid, a memory copy on another CPU has to be named, pairs of valid runs and the runtime's own tool have
to agree. Takes some ten minutes with 20 runs each, and fails where a rate is missed.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import click

from regnet_edge.artifact import Artifact
from regnet_edge.errors import MeasurementError, RegNetEdgeError, UsageError
from regnet_edge.programs import finished
from regnet_edge.temporary import TemporaryFolder

from .hosts import Host, HostOptions, open_host
from .plan import Plan, Trial, trials
from .record.measurement import Measurement
from .session import QUIET_SHARE, RealWatch, Session, Watch

BUSY = "while True: pass"
COPY = (
    "import numpy as np\na = np.ones(1 << 25)\nb = np.empty_like(a)\n"
    "while True:\n    np.copyto(b, a)\n    np.copyto(a, b)"
)
PAIR_SHARE, TOOL_SHARE = 0.02, 0.05
TOOL_TRIES = 9
WAIT_S, LONGEST_WAIT_S = 5.0, 600.0


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something came true, of how many times, and how often it has to."""

    name: str
    times: int
    of: int
    wanted: int
    remark: str = ""

    @property
    def passed(self) -> bool:
        """Whether it is often enough."""
        return self.of > 0 and self.times >= self.wanted

    def line(self) -> str:
        """For people."""
        word = "ok" if self.passed else "MISSED"
        return f"{word} {self.name}: {self.times} of {self.of} (at least {self.wanted}){self.remark}"


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Measures one trial on one CPU of this machine, once at a time."""

    host: Host
    trial: Trial
    cpu: int
    other: int
    watch: Watch = field(default_factory=RealWatch)
    reference_ns: dict[tuple[int, ...], int] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: replace(Plan.of_mode("burst"), rounds=1))

    def measure(self) -> Measurement:
        """One measurement in fresh processes; raises MeasurementError."""
        plan = replace(self.plan, affinity=str(self.cpu))
        for moment in self._session(plan).run():
            if moment.kind == "failed":
                raise MeasurementError(moment.sentence)
            if moment.measurement is not None:
                return moment.measurement
        raise MeasurementError("nothing was measured; name an artifact that this machine can run")

    def _session(self, plan: Plan) -> Session:
        return Session(self.host, plan, [self.trial], watch=self.watch, reference_ns=self.reference_ns)

    def settle(self) -> None:
        """Wait until the machine is quiet; raises MeasurementError where it never is."""
        began = self.watch.seconds()
        while (self.host.busy() or 0.0) > QUIET_SHARE:
            if self.watch.seconds() - began > LONGEST_WAIT_S:
                raise MeasurementError(
                    "the machine is not quiet; end other jobs, then start the self-test again"
                )
            self.watch.sleep(WAIT_S)


@contextlib.contextmanager
def disturbance(code: str, cpu: int) -> Iterator[int]:
    """A process that runs Python code on that CPU for as long as the block lasts; gives its pid."""
    pinned = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\n{code}"
    process = subprocess.Popen([sys.executable, "-c", pinned])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def disturbed(
    bench: SelfTest, runs: int, code: str, cpu: int, noticed: Callable[[Measurement, int], bool]
) -> int:
    """How many of so many measurements notice the disturbance."""
    count = 0
    for _ in range(runs):
        bench.settle()
        with disturbance(code, cpu) as pid:
            bench.watch.sleep(1.0)
            count += noticed(bench.measure(), pid)
    return count


def names_neighbour(m: Measurement, pid: int) -> bool:
    """Whether a reason tells of the other CPU and of that process."""
    return any(r.rule == "other_cpus" and f"pid {pid})" in r.sentence for r in m.validity.reasons)


def was_shared(m: Measurement) -> bool:
    """Whether another system took so much of the core that the machine was not quiet, whatever we did."""
    return any(r.rule == "set_aside" and r.severity != "note" for r in m.validity.reasons)


def quiet_series(bench: SelfTest, runs: int, say: Callable[[str], None]) -> tuple[list[Measurement], int]:
    """(so many measurements that nothing disturbed, how many more another system disturbed)."""
    made: list[Measurement] = []
    shared = 0
    while len(made) < runs and shared < runs:
        bench.settle()
        m = bench.measure()
        reasons = "".join(f"; {r.sentence}" for r in m.validity.reasons if r.severity != "note")
        plain = f"{m.timing.kept_share:.0%} calm, all runs {m.timing.plain_median_ms:.4g} ms"
        say(f"  {m.median_ms:.4g} ms {m.validity.verdict} ({plain}){reasons}")
        if was_shared(m):
            shared += 1
        else:
            made.append(m)
    return made, shared


def agreeing(medians_ms: Sequence[float], share: float) -> tuple[int, int]:
    """(neighbouring pairs that agree within the share, pairs)."""
    pairs = list(pairwise(medians_ms))
    return sum(abs(a - b) <= share * min(a, b) for a, b in pairs), len(pairs)


def tool_median_ms(bench: SelfTest, runs: int = 300) -> float:
    """The median that litert-benchmark gives, pinned to the same CPU."""
    tool = Path(sys.executable).with_name("litert-benchmark")
    with TemporaryFolder() as folder:
        report = Path(folder) / "report.json"
        argv = [
            str(tool), "--model", str(bench.trial.artifact.path), "--num_runs", str(runs),
            "--warmup_runs", "50", "--num_threads", "1", "--result_json", str(report),
        ]  # fmt: skip
        with pinned(bench.cpu):
            done = finished(argv)
        if done.returncode or not report.is_file():
            raise MeasurementError(
                f"{tool} failed ({done.stderr.strip()[-200:]}); pip install ai-edge-litert"
            )
        return find_number(json.loads(report.read_text(encoding="utf-8")), "median_ms")


@contextlib.contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """This process, and what it starts, on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def find_number(data: object, key: str) -> float:
    """The first number of that name in nested JSON; raises MeasurementError."""
    waiting = [data]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, dict):
            if isinstance(value.get(key), int | float):
                return float(value[key])
            waiting += list(value.values())
        elif isinstance(value, list):
            waiting += value
    raise MeasurementError(f"the tool's report has no {key}; its version is another")


def undisturbed(bench: SelfTest) -> list[float]:
    """Medians of the tool until its two lowest agree, as it does not know itself when it was disturbed."""
    medians_ms: list[float] = []
    while len(medians_ms) < TOOL_TRIES:
        medians_ms.append(tool_median_ms(bench))
        if len(medians_ms) > 1 and agreeing(sorted(medians_ms)[:2], PAIR_SHARE)[0]:
            break
    return medians_ms


def against_tool(bench: SelfTest, times: int, say: Callable[[str], None]) -> int:
    """How often our valid median and the tool's lowest lie within 5 %."""
    agreed = 0
    for _ in range(times):
        bench.settle()
        ours, theirs = bench.measure(), undisturbed(bench)
        told = ", ".join(f"{ms:.4g}" for ms in theirs)
        say(f"  ours {ours.median_ms:.4g} ms ({ours.validity.verdict}), litert-benchmark {told} ms")
        agreed += ours.valid and abs(ours.median_ms - min(theirs)) <= TOOL_SHARE * min(theirs)
    return agreed


def rates(bench: SelfTest, runs: int, say: Callable[[str], None]) -> Iterator[Rate]:
    """Every rate in turn."""
    series, shared = quiet_series(bench, runs + 1, say)
    quiet = series[:runs]
    valid = sum(m.validity.verdict == "valid" for m in quiet)
    aside = f"; {shared} more shared their core with another system" if shared else ""
    yield Rate("quiet runs called valid", valid, len(quiet), -(-len(quiet) * 19 // 20), aside)
    believed = [m.timing for m in series if m.validity.verdict == "valid"]
    agreed, pairs = agreeing([t.median_ms for t in believed], PAIR_SHARE)
    plain, _ = agreeing([t.plain_median_ms for t in believed], PAIR_SHARE)
    aside = f"; {plain} of {pairs} if nothing were set aside"
    yield Rate("pairs of valid runs within 2 %", agreed, pairs, -(-pairs * 19 // 20), aside)
    busy = disturbed(bench, runs, BUSY, bench.cpu, lambda m, _: m.validity.verdict == "invalid")
    yield Rate("busy loop on the same CPU called invalid", busy, runs, runs)
    copied = disturbed(bench, runs, COPY, bench.other, names_neighbour)
    yield Rate("memory copy on another CPU named", copied, runs, -(-runs * 18 // 20))
    if bench.trial.runtime == "litert":
        agreed = against_tool(bench, 3, say)
        yield Rate("agreement with litert-benchmark within 5 %", agreed, 3, 3)


def bench_for(artifact: Artifact, host: Host) -> SelfTest:
    """The last CPU measures, the first one disturbs; raises UsageError on a machine with one CPU."""
    cpus = sorted(c for cluster in host.device().clusters for c in cluster.cpus)
    if len(cpus) < 2:
        raise UsageError("the self-test needs two CPUs; run it on a machine that has them")
    [trial] = trials([artifact], Plan(), ())
    return SelfTest(host, trial, cpus[-1], cpus[0])


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--runs", type=click.IntRange(min=2), default=20, show_default=True)
def main(artifact: Path, runs: int) -> None:
    """Print each rate; exit code 1 where one is missed."""
    try:
        with contextlib.closing(open_host("local", HostOptions())) as host:
            counted = []
            for rate in rates(bench_for(Artifact.load(artifact), host), runs, click.echo):
                click.echo(rate.line())
                counted.append(rate)
    except RegNetEdgeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(0 if all(r.passed for r in counted) else 1)


if __name__ == "__main__":
    main()
