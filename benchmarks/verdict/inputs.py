"""What the verdict's rules read of an observation: the inputs of rules.json by name.

docs/verdict.md says of each how it is computed. What the system does not tell is left out, and the rules
that read it are not judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..record.measurement import Device, MeasuredPlan
from ..record.observation import AppState, Observation, Snapshot
from ..record.timing import NS_PER_MS
from .modes import modes
from .shares import NS_PER_S, Shares, shares

Reading = float | str | bool | tuple[float, ...]  # an int counts as a float
Readings = dict[str, Reading | None]
PHONE = {"adb": True, "app": True, "local": False, "ssh": False}
CALM_PER_MS, CALM = 0.03, 0.9  # so much of a burst has to be calm for each ms of a slice
FEWEST = 10  # samples whose shape says something


@dataclass(frozen=True, slots=True)
class Case:
    """Everything the inputs are computed from."""

    seen: Observation
    plan: MeasuredPlan
    device: Device
    shares: Shares

    @property
    def looks(self) -> tuple[Snapshot, ...]:
        """The looks of the timed part."""
        return self.seen.environment.during()


def inputs(seen: Observation, plan: MeasuredPlan, device: Device) -> Mapping[str, Reading]:
    """Every input that is known, by its name in rules.json."""
    case = Case(seen, plan, device, shares(seen.environment, plan.threads))
    parts = (_asked, _processors, _heat, _power, _clock, _calm, _processes, _series, _app, _page)
    told = {name: value for part in parts for name, value in part(case).items()}
    return {name: value for name, value in told.items() if value is not None}


def _asked(case: Case) -> Readings:
    return {
        "mode": case.plan.mode,
        "accelerator": case.seen.runtime.accelerator,
        "runtime": case.seen.runtime.name,
        "phone": PHONE.get(case.device.transport),
        "min_runs": case.plan.min_runs,
    }


def _processors(case: Case) -> Readings:
    s = case.shares
    return {
        "contention": s.contention,
        "steal": s.steal,
        "off_cpu": s.off_cpu,
        "off_cpu_unexplained": None if s.off_cpu is None else s.off_cpu - (s.contention or 0),
        "others": s.others,
        "others_seen": s.contention is not None or s.others is not None,
        "busiest": s.busiest or None,
        "pinned": bool(case.seen.environment.pinned),
    }


def _heat(case: Case) -> Readings:
    states = [max(k.cooling.values(), default=0) for k in case.looks] or [0]
    events = [k.throttle_events for k in case.looks if k.throttle_events is not None]
    status = [k.thermal_status for k in case.seen.environment.looks if k.thermal_status is not None]
    return {
        "cooling_first": states[0],
        "cooling_max": max(states),
        "throttled": max(events) - events[0] if events else None,
        "thermal_status_first": status[0] if status else None,
        "thermal_status_min": min(status, default=None),
        "thermal_status_max": max(status, default=None),
    }


def _power(case: Case) -> Readings:
    states = [k.power for k in case.seen.environment.looks]
    return {
        "saver": _any([p.saver for p in states]),
        "charging": _any([p.charging for p in states]),
        "battery_percent": min((p.percent for p in states if p.percent is not None), default=None),
    }


def _any(told: Sequence[bool | None]) -> bool | None:
    known = [t for t in told if t is not None]
    return any(known) if known else None


def _clock(case: Case) -> Readings:
    pinned = {f"cpu{c}" for c in case.seen.environment.pinned}
    looks = case.seen.environment.around_samples()
    khz = [[v for c, v in k.khz.items() if c in pinned or not pinned] for k in looks]
    reported = np.array([min(v) for v in khz if v], dtype=np.float64)
    return {"clock_fall": fall(reported), "loop_fall": _loops_fall(case, looks)}


def _loops_fall(case: Case, looks: Sequence[Snapshot]) -> float | None:
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


def _calm(case: Case) -> Readings:
    """How much of the series counts, and how much should.

    What came and went within a slice was not seen, and the longer a slice and the busier the neighbour the
    more of that there is: where a third was calm, runs of 11 ms still read 1 to 3 % too long.
    """
    timing, usual = case.seen.timing, case.seen.environment.reference_ns
    return {
        "set_aside": bool(timing.set_aside_ns),
        "kept_share": timing.kept_share,
        "aside_share": 1 - timing.kept_share,
        "kept_wanted": min(CALM, CALM_PER_MS * timing.slice_ms),
        "disturbed_share": timing.disturbed_share(usual) if usual else None,
    }


def _processes(case: Case) -> Readings:
    """How uncertain the figure is because fresh processes have other medians."""
    each = [float(np.median(part)) for part in case.seen.timing.each_ms]
    if len(each) < 2:
        return {}
    error = 2 * float(np.std(each, ddof=1)) / len(each) ** 0.5 / case.seen.timing.median_ms
    return {"processes_error": error, "process_low_ms": min(each), "process_high_ms": max(each)}


def _series(case: Case) -> Readings:
    timing = case.seen.timing
    warm_up_s = sum(timing.warmup_ns) / NS_PER_S
    minutes = sum(timing.samples_ns) / NS_PER_S / 60
    enough = timing.runs >= FEWEST
    values = modes(timing.samples_ms) if enough else ()
    return {
        "drift": timing.drift_per_minute * minutes,
        "warm_up_s": warm_up_s,
        "warm_up_share": warm_up_s * case.plan.processes / case.plan.max_seconds,
        "runs": timing.runs,
        "modes": len(values) if enough else None,
        "modes_ms": values if enough else None,
        "p90_over_median": timing.percentile_ms(90) / timing.median_ms if enough else None,
        "tool_runs_per_sample": float(case.seen.runtime.host_versions.get("runs_per_sample", "1")),
        "runs_per_sample": timing.runs_per_sample,
    }


def _app(case: Case) -> Readings:
    app = case.seen.environment.app or AppState()
    return {
        "emulated": _any([case.device.emulated, app.emulator]),
        "debuggable": app.debuggable,
        "build_type": app.build_type,
        "left_foreground": app.left_foreground,
        "clocks_locked": app.clocks_locked,
        "thermal_headroom": app.thermal_headroom,
    }


def _page(case: Case) -> Readings:
    environment, timing = case.seen.environment, case.seen.timing
    hidden, tick = environment.hidden_ns, environment.clock_tick_ns
    sample_ns = timing.median_ms * NS_PER_MS * timing.runs_per_sample
    return {
        "hidden_s": None if hidden is None else hidden / NS_PER_S,
        "tick_share": None if tick is None else tick / sample_ns,
    }
