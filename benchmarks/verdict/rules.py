"""Whether a figure can be believed: rules over an Observation, each of which gives its reason.

Thresholds are shares of the timed part (0.03: 3 %). Where the system does not tell something, the rule
that needs it is silent; where it tells nothing about other processes, that itself is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..record.measurement import Device, MeasuredPlan, Reason, Severity, Validity
from ..record.merge import SOME
from ..record.observation import Look, Observation
from ..runner import WARMUP_MAX_NS
from .modes import modes
from .shares import NS_PER_S, Shares, shares

CONTENTION = (0.01, 0.03)  # own threads ready but without a CPU: 3 % of the time lost is 3 % of the figure
STEAL = (0.01, 0.03)
OFF_CPU = (0.04, 0.10)  # a single thread that computes is on its CPU all the time
OTHER_CPUS = 0.15  # of one CPU; it shares caches and memory: a memory copy there costs about 2 %
CLOCK = (0.05, 0.10)
DRIFT = (0.04, 0.08)  # the median is off by half of it at most: 2 %
CALM_PER_MS, CALM = 0.03, 0.9  # so much of a burst has to be calm for each ms of a slice: see set_aside
HARDLY_CALM = 0.02
DISTURBED = (SOME, 0.5)  # of the fixed loops slow where nothing could be set aside
PROCESSES = 0.02  # two standard errors of the mean of the processes' medians
FEWEST = {"burst": 10, "sustained": 10, "cold": 3}
SPREAD = 0.5  # p90 above the median by so much


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a rule may look at."""

    seen: Observation
    plan: MeasuredPlan
    device: Device
    shares: Shares

    @property
    def looks(self) -> tuple[Look, ...]:
        """The looks of the timed part."""
        return self.seen.environment.during()

    @property
    def who(self) -> str:
        """The busiest other process, as the end of a sentence."""
        return f": {self.shares.busiest}" if self.shares.busiest else ""

    @property
    def lasting(self) -> Severity:
        """How bad a change during the run is: a sustained run is there to show it."""
        return "warning" if self.plan.mode == "sustained" else "invalid"


def _graded(value: float | None, limits: tuple[float, float]) -> Severity | None:
    if value is None or value < limits[0]:
        return None
    return "invalid" if value >= limits[1] else "warning"


def contended(case: Case) -> Iterator[Reason]:
    """Other processes ran on the CPUs of the measurement."""
    severity = _graded(case.shares.contention, CONTENTION)
    if severity:
        yield Reason(
            "foreign_cpu",
            severity,
            f"other processes took {case.shares.contention:.1%} of the pinned CPUs' time{case.who}",
        )


def stolen(case: Case) -> Iterator[Reason]:
    """The hypervisor gave the CPU to another machine."""
    severity = _graded(case.shares.steal, STEAL)
    if severity:
        yield Reason(
            "steal",
            severity,
            f"the hypervisor took {case.shares.steal:.1%} of the CPU time for other machines",
        )


def off_cpu(case: Case) -> Iterator[Reason]:
    """The measuring thread did not run all the time, for a reason that contention does not explain."""
    value = case.shares.off_cpu
    usual = case.seen.runtime.accelerator == "cpu" and case.plan.mode != "cold"
    severity = _graded(None if value is None else value - (case.shares.contention or 0), OFF_CPU)
    if severity and usual:
        yield Reason(
            "off_cpu",
            severity,
            f"the process was off its CPU {value:.1%} of the time (a quota, or it waited)",
        )


def busy_neighbours(case: Case) -> Iterator[Reason]:
    """The other CPUs worked: they share caches, memory and heat."""
    value = case.shares.others
    if value is not None and value >= OTHER_CPUS:
        yield Reason(
            "other_cpus", "warning", f"other CPUs were busy with {value:.0%} of one CPU's work{case.who}"
        )


def unseen(case: Case) -> Iterator[Reason]:
    """Nothing is known about other processes."""
    if case.shares.contention is None and case.shares.others is None:
        yield Reason(
            "unseen",
            "warning",
            "the system does not tell what else ran; close other programs",
        )


def unpinned(case: Case) -> Iterator[Reason]:
    """The run could move between CPUs."""
    if not case.seen.environment.pinned:
        yield Reason("unpinned", "note", "the system does not pin a process to CPUs, so the run could move")


def heat(case: Case) -> Iterator[Reason]:
    """The system slowed the CPU because it was hot."""
    states = [max(k.cooling.values(), default=0) for k in case.looks]
    if max(states) > 0:
        severity: Severity = case.lasting if max(states) > states[0] else "warning"
        yield Reason(
            "thermal",
            severity,
            f"the kernel slowed the CPU for heat (state {max(states)}); let it cool",
        )
    events = [k.throttle_events for k in case.looks if k.throttle_events is not None]
    if events and max(events) > events[0]:
        n = max(events) - events[0]
        yield Reason("thermal", case.lasting, f"the CPU was throttled {n} times during the run; let it cool")


def thermal_status(case: Case) -> Iterator[Reason]:
    """Android's thermal status rose, or was never none."""
    known = [k.thermal_status for k in case.seen.environment.looks if k.thermal_status is not None]
    if known and max(known) != min(known):
        yield Reason(
            "thermal",
            case.lasting,
            f"the thermal status changed from {known[0]} to {max(known)} during the run; let the device cool",
        )
    elif known and known[0] > 0:
        yield Reason(
            "thermal", "warning", f"the thermal status was {known[0]} all along; let the device cool"
        )


def power(case: Case) -> Iterator[Reason]:
    """Power saver, charger, low battery."""
    states = [k.power for k in case.seen.environment.looks]
    if any(p.saver for p in states):
        yield Reason("power_saver", "invalid", "the power saver was on; turn it off and measure again")
    if case.device.transport == "adb" and any(p.charging for p in states):
        yield Reason("charger", "warning", "the device was charging, which warms it")


def slow_clock(case: Case) -> Iterator[Reason]:
    """The clock fell below the run's own plateau: as the kernel reports it, else as the fixed loop shows."""
    pinned = {f"cpu{c}" for c in case.seen.environment.pinned}
    looks = case.seen.environment.around_samples()
    khz = [[v for c, v in k.khz.items() if c in pinned or not pinned] for k in looks]
    reported = np.array([min(v) for v in khz if v], dtype=np.float64)
    for what, loss, counts in (
        ("the CPU's clock", fall(reported), True),
        ("a fixed loop (so probably the clock)", _loops_fall(case, looks), not case.seen.timing.set_aside_ns),
    ):
        severity = _graded(loss, CLOCK)
        if severity:
            worst: Severity = severity if counts and case.plan.mode != "sustained" else "warning"
            yield Reason("clock", worst, f"{what} fell {loss:.0%} below its plateau during the run")
            return


def _loops_fall(case: Case, looks: Sequence[Look]) -> float | None:
    """How far the fixed loop's speed fell.

    Of a burst, which sets aside what was disturbed for a moment, its fastest quarter has to have fallen.
    """
    usual = case.seen.environment.reference_ns
    known = 1 / usual if usual else 0.0
    loops = case.seen.timing.loops_ns
    if loops and case.plan.mode == "burst":
        return fall(1 / np.array(loops, dtype=np.float64), known, end=75)
    return fall(np.array([1 / k.reference_ns for k in looks if k.reference_ns], dtype=np.float64), known)


def fall(speeds: NDArray[np.float64], known: float = 0.0, end: float = 50) -> float | None:
    """How far a percentile of the last third lies below the plateau.

    That is the 75th percentile of all, or a higher one known. None for few looks.
    """
    if len(speeds) < 4:
        return None
    plateau = max(float(np.percentile(speeds, 75)), known)
    return float(1 - np.percentile(speeds[-(len(speeds) // 3 or 1) :], end) / plateau)


def set_aside(case: Case) -> Iterator[Reason]:
    """Part of a burst did not count because something slowed the CPU, or all did though something did.

    What came and went within a slice was not seen, and the longer a slice and the busier the neighbour the
    more of that there is: where a third was calm, runs of 11 ms still read 1 to 3 % too long.
    """
    timing, usual = case.seen.timing, case.seen.environment.reference_ns
    if timing.set_aside_ns:
        kept, wanted = timing.kept_share, min(CALM, CALM_PER_MS * timing.slice_ms)
        severity: Severity = "note" if kept >= wanted else "warning" if kept >= HARDLY_CALM else "invalid"
        rest = "" if severity == "note" else "; the rest is probably slowed too: wait for a calm moment"
        yield Reason("set_aside", severity, f"{1 - kept:.0%} of the series was set aside: {SLOWED}{rest}")
    elif usual and case.plan.mode == "burst":
        share = timing.disturbed_share(usual)
        if found := _graded(share, DISTURBED):
            yield Reason("set_aside", found, f"{SLOWED} {share:.0%} of the time, and no part of it was calm")


def differing(case: Case) -> Iterator[Reason]:
    """Fresh processes have other medians than the mean of a few can make good."""
    each = [float(np.median(part)) for part in case.seen.timing.each_ms]
    if len(each) > 1 and case.plan.mode != "cold":
        error = 2 * float(np.std(each, ddof=1)) / len(each) ** 0.5 / case.seen.timing.median_ms
        if error > PROCESSES:
            yield Reason(
                "processes",
                "warning",
                f"fresh processes have medians from {min(each):.4g} to {max(each):.4g} ms: "
                f"the figure is uncertain by {error:.1%}",
            )


def drifting(case: Case) -> Iterator[Reason]:
    """The latency itself changed from beginning to end."""
    if case.plan.mode == "cold" or case.seen.timing.runs < FEWEST["burst"]:
        return
    minutes = sum(case.seen.timing.samples_ns) / NS_PER_S / 60
    change = case.seen.timing.drift_per_minute * minutes
    severity = _graded(abs(change), DRIFT)
    if severity:
        worst: Severity = "warning" if case.plan.mode == "sustained" else severity
        how = "slower" if change > 0 else "faster"
        yield Reason(
            "drift", worst, f"the series became {abs(change):.1%} {how} from its beginning to its end"
        )


def unsettled(case: Case) -> Iterator[Reason]:
    """The warm-up ended because its time was over."""
    if sum(case.seen.timing.warmup_ns) >= 0.98 * WARMUP_MAX_NS:
        yield Reason("warm_up", "warning", "the series was not steady when the warm-up's time was over")


def few_runs(case: Case) -> Iterator[Reason]:
    """Fewer samples than asked for."""
    runs = case.seen.timing.runs
    if runs < case.plan.min_runs:
        severity: Severity = "invalid" if runs < FEWEST[case.plan.mode] else "warning"
        aside = case.seen.timing.set_aside_ns
        advice = "the others were set aside" if aside else "allow more with --max-seconds"
        yield Reason("few_runs", severity, f"{runs} runs instead of {case.plan.min_runs}; {advice}")


def spread(case: Case) -> Iterator[Reason]:
    """The samples scatter, or gather around two values."""
    timing = case.seen.timing
    if timing.runs < FEWEST["burst"]:
        return
    found = modes(timing.samples_ms)
    if len(found) > 1:
        values = " and ".join(f"{v:.3g}" for v in found)
        yield Reason(
            "multimodal", "warning", f"the samples gather around {values} ms: the median lies between"
        )
    elif timing.percentile_ms(90) > (1 + SPREAD) * timing.median_ms:
        yield Reason("spread", "warning", "a tenth of the samples is more than half above the median")


def means(case: Case) -> Iterator[Reason]:
    """A native tool's samples are means of several runs."""
    runs = case.seen.runtime.host_versions.get("runs_per_sample", "1")
    if runs != "1" and case.plan.mode != "cold":
        yield Reason(
            "means", "warning", f"{case.seen.runtime.name} prints no single runs: each sample is a mean"
        )


SLOWED = "a fixed loop was slow (the clock, or another system on the same core)"
RULES: tuple[Callable[[Case], Iterator[Reason]], ...] = (
    contended, stolen, off_cpu, busy_neighbours, unseen, unpinned, heat, thermal_status, power, slow_clock,
    set_aside, differing, drifting, unsettled, few_runs, spread, means,
)  # fmt: skip


def judge(seen: Observation, plan: MeasuredPlan, device: Device) -> Validity:
    """The verdict over what a target saw, with every reason; a note alone does not change it."""
    case = Case(seen, plan, device, shares(seen.environment, plan.threads))
    reasons = tuple(reason for rule in RULES for reason in rule(case))
    severities = {r.severity for r in reasons}
    if "invalid" in severities:
        return Validity("invalid", reasons)
    return Validity("warnings" if "warning" in severities else "valid", reasons)
