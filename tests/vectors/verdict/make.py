"""Writes the verdict vectors: one file a rule of rules.json, with trials that do and that do not fire it.

`python tests/vectors/verdict/make.py`. What each trial must get is written down below by hand; where the
project judges otherwise, nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from regnet_edge import codec
from regnet_edge.benchmarks.doubles.fakes import DEVICE, looks, observation
from regnet_edge.benchmarks.record.measurement import Device, MeasuredPlan
from regnet_edge.benchmarks.record.observation import AppState, Observation, Power, Snapshot
from regnet_edge.benchmarks.verdict.inputs import inputs
from regnet_edge.benchmarks.verdict.rules import judge, rules

HERE = Path(__file__).parent
PLAN = MeasuredPlan("burst", 1, "1", 20, 0.2, 60.0, 0.0, "")
PHONE = replace(DEVICE, transport="app", label="phone (F1)", model="phone", abi="arm64-v8a")
PAGE = replace(DEVICE, transport="web", label="phone (Chrome 140)", model="phone", ram_bytes=None, soc="")
SLOW = (1_000_000, 1_000_000, 1_000_000, 1_200_000, 1_200_000)  # ns of the fixed loop at each look


def steady(n: int = 24, ms: float = 10.0, seed: int = 0) -> list[float]:
    """Samples in ms that scatter by half a percent."""
    return [round(v, 6) for v in ms * (1 + 0.005 * np.abs(np.random.default_rng(seed).standard_normal(n)))]


def quiet(samples: Sequence[float] = (), *, warm_up_s: float = 0.5, **around: Any) -> Observation:
    """A run on a machine that did what `around` says, nothing by default."""
    return observation(samples or steady(), looks(3.0, pieces=4, **around), warm_up_s=warm_up_s)


def looking(seen: Observation, *changes: dict[str, Any]) -> Observation:
    """The observation with fields of its looks changed, in turn; the last change is for all the rest."""
    each = [changes[min(i, len(changes) - 1)] for i in range(len(seen.environment.looks))]
    found = tuple(replace(k, **c) for k, c in zip(seen.environment.looks, each, strict=True))
    return around(seen, looks=found)


def around(seen: Observation, **changes: Any) -> Observation:
    """The observation with fields of its environment changed."""
    return replace(seen, environment=replace(seen.environment, **changes))


def timed(seen: Observation, **changes: Any) -> Observation:
    """The observation with fields of its timing changed."""
    return replace(seen, timing=replace(seen.timing, **changes))


def app(**told: Any) -> Observation:
    """What a phone's app saw that says so much of itself; the phone tells nothing of other CPUs."""
    usual = {"emulator": False, "debuggable": False, "build_type": "user", "left_foreground": False}
    trusted = AppState(**{**usual, "clocks_locked": True, "thermal_headroom": 0.4, **told})
    return around(quiet(), app=trusted)


def page(tick_ns: int = 5_000, hidden_ns: int = 0, together: int = 1) -> Observation:
    """What a browser saw: no CPU times, no memory, a clock of its own."""
    seen = quiet()
    blind = tuple(
        Snapshot("during", k.at_ns, k.samples, None, reference_ns=k.reference_ns)
        for k in seen.environment.looks
    )
    told = around(
        seen,
        ticks_per_s=None,
        pinned=(),
        looks=blind,
        clock_tick_ns=tick_ns,
        isolated=True,
        hidden_ns=hidden_ns,
    )
    return replace(timed(told, runs_per_sample=together), memory=None)


def processes(*medians_ms: float) -> Observation:
    """Four processes of six samples."""
    return timed(quiet([v for ms in medians_ms for v in steady(6, ms)]), runs_each=(6, 6, 6, 6))


def loops(*pattern: int) -> Observation:
    """A burst whose fixed loop took so long, where 100 ns are usual."""
    return timed(around(quiet(), reference_ns=100), loops_ns=pattern)


def aside(runs: int, slice_runs: int = 1) -> Observation:
    """A burst of which so many runs were set aside."""
    slices = (slice_runs,) * ((24 + runs) // slice_runs)
    return timed(quiet(), set_aside_ns=(10_000_000,) * runs, slices=slices)


QUIET = quiet()
BLIND = tuple(replace(k, own_wait_ns=None, cpus=(), processes=()) for k in QUIET.environment.looks)
KHZ = (2_000_000, 2_000_000, 2_000_000, 1_400_000)
HELD_BACK = looking(QUIET, *({"own_cpu_ns": (k.own_cpu_ns or 0) // 2} for k in QUIET.environment.looks))
LOOP_FELL = quiet(references_ns=SLOW)
UP, LITTLE_UP, DOWN = (
    quiet([round(v, 6) for v in np.linspace(begin, end, 24)])
    for begin, end in ((10, 12), (10, 10.5), (12, 10))
)
COOLS, HEATS = {"cooling": {"cpu": 0}}, {"cooling": {"cpu": 2}}
CALM, WARM = {"thermal_status": 0}, {"thermal_status": 2}
FOUR, SEVEN = {"throttle_events": 4}, {"throttle_events": 7}
TAIL = [10.0, 10.01, 10.02, 10.03, 10.04, 10.05, 30.0] * 4
SUSTAINED = {"mode": "sustained"}
TICKS_ONLY = {"own_wait_ns": None}
NO_POWER = {"power": Power()}
BUSY_PHONE = {"power": Power(False, 18.0, 30.0, False)}
FULL_PHONE = {"power": Power(False, 80.0, 30.0, False)}


@dataclass(frozen=True, slots=True)
class Trial:
    """A series and what it must get: the severity of the file's rule ('' if silent) and the verdict."""

    rule: str
    name: str
    severity: str
    verdict: str
    seen: Observation
    plan: dict[str, Any] = field(default_factory=dict)
    device: Device = DEVICE


TRIALS = (
    Trial("emulated", "an emulator's app", "invalid", "invalid", app(emulator=True), device=PHONE),
    Trial("emulated", "an emulated board", "invalid", "invalid",
          QUIET, device=replace(DEVICE, emulated=True)),
    Trial("emulated", "a real phone", "", "valid", app(), device=PHONE),
    Trial("emulated", "a machine that does not say", "", "valid", QUIET),
    Trial("foreign_cpu", "half the time without a CPU", "invalid", "invalid", quiet(waited=0.5)),
    Trial("foreign_cpu", "2 % without a CPU", "warning", "warnings", quiet(waited=0.02)),
    Trial("foreign_cpu", "no account of waiting, but of the CPU's ticks", "invalid", "invalid",
          looking(quiet(waited=0.4), TICKS_ONLY)),
    Trial("foreign_cpu", "nobody else ran", "", "valid", QUIET),
    Trial("steal", "5 % taken", "invalid", "invalid", quiet(steal=0.05)),
    Trial("steal", "2 % taken", "warning", "warnings", quiet(steal=0.02)),
    Trial("steal", "nothing taken", "", "valid", QUIET),
    Trial("off_cpu", "half of its own CPU", "invalid", "invalid",
          HELD_BACK),
    Trial("off_cpu", "an accelerator computes", "", "valid",
          replace(HELD_BACK,
                  runtime=replace(QUIET.runtime, accelerator="gpu"))),
    Trial("other_cpus", "the other CPU was busy", "warning", "warnings", quiet(others=1.0, who="cp")),
    Trial("other_cpus", "a little of it", "", "valid", quiet(others=0.1)),
    Trial("unseen", "nothing is told of others", "warning", "warnings", around(QUIET, looks=BLIND)),
    Trial("unseen", "ticks of each CPU", "", "valid", looking(QUIET, TICKS_ONLY)),
    Trial("unpinned", "free to move", "note", "valid", around(QUIET, pinned=())),
    Trial("unpinned", "pinned", "", "valid", QUIET),
    Trial("cooling", "slowed from the third look on", "invalid", "invalid",
          looking(QUIET, COOLS, COOLS, HEATS)),
    Trial("cooling", "slowed all along", "warning", "warnings", looking(QUIET, {"cooling": {"cpu": 1}})),
    Trial("cooling", "slowed while sustained", "warning", "warnings",
          looking(QUIET, COOLS, HEATS), SUSTAINED),
    Trial("cooling", "cool", "", "valid", looking(QUIET, COOLS)),
    Trial("throttled", "three times", "invalid", "invalid", looking(QUIET, FOUR, SEVEN)),
    Trial("throttled", "three times while sustained", "warning", "warnings",
          looking(QUIET, FOUR, SEVEN), SUSTAINED),
    Trial("throttled", "only before", "", "valid", looking(QUIET, FOUR)),
    Trial("thermal_status_changed", "none to moderate", "invalid", "invalid",
          looking(QUIET, CALM, WARM)),
    Trial("thermal_status_changed", "while sustained", "warning", "warnings",
          looking(QUIET, CALM, WARM), SUSTAINED),
    Trial("thermal_status_changed", "none all along", "", "valid", looking(QUIET, CALM)),
    Trial("thermal_status_high", "light all along", "warning", "warnings",
          looking(QUIET, {"thermal_status": 1})),
    Trial("thermal_status_high", "not told", "", "valid", QUIET),
    Trial("thermal_headroom", "slowed soon", "warning", "warnings", app(thermal_headroom=1.05), device=PHONE),
    Trial("thermal_headroom", "cool", "", "valid", app(), device=PHONE),
    Trial("power_saver", "on", "invalid", "invalid", looking(QUIET, NO_POWER, {"power": Power(saver=True)})),
    Trial("power_saver", "off", "", "valid", looking(QUIET, {"power": Power(saver=False)})),
    Trial("charger", "a phone on its charger", "warning", "warnings",
          looking(QUIET, {"power": Power(True, 80.0)}), device=replace(DEVICE, transport="adb")),
    Trial("charger", "a laptop on its charger", "", "valid", looking(QUIET, {"power": Power(True, 80.0)})),
    Trial("charger", "a browser cannot say what it runs on", "", "warnings",
          looking(page(), {"power": Power(True, 80.0)}), device=PAGE),
    Trial("battery", "18 %", "warning", "warnings", looking(app(), BUSY_PHONE), device=PHONE),
    Trial("battery", "80 %", "", "valid", looking(app(), FULL_PHONE), device=PHONE),
    Trial("battery", "a laptop at 18 %", "", "valid", looking(QUIET, BUSY_PHONE)),
    Trial("debuggable", "debuggable", "warning", "warnings", app(debuggable=True), device=PHONE),
    Trial("debuggable", "a release build", "", "valid", app(), device=PHONE),
    Trial("system_build", "userdebug", "warning", "warnings", app(build_type="userdebug"), device=PHONE),
    Trial("system_build", "eng", "warning", "warnings", app(build_type="eng"), device=PHONE),
    Trial("system_build", "user", "", "valid", app(), device=PHONE),
    Trial("system_build", "not told", "", "valid", app(build_type=None), device=PHONE),
    Trial("background", "the app was left", "invalid", "invalid", app(left_foreground=True), device=PHONE),
    Trial("background", "the app stayed", "", "valid", app(), device=PHONE),
    Trial("clocks_free", "the system chooses", "note", "valid", app(clocks_locked=False), device=PHONE),
    Trial("clocks_free", "locked", "", "valid", app(), device=PHONE),
    Trial("clocks_free", "not told", "", "valid", app(clocks_locked=None), device=PHONE),
    Trial("hidden", "for a second", "invalid", "invalid", page(hidden_ns=1_000_000_000), device=PAGE),
    Trial("hidden", "never", "", "warnings", page(), device=PAGE),
    Trial("coarse_clock", "a tick of 1.5 ms for runs of 10 ms", "invalid", "invalid",
          page(1_500_000), device=PAGE),
    Trial("coarse_clock", "a tick of 0.3 ms", "warning", "warnings", page(300_000), device=PAGE),
    Trial("coarse_clock", "a tick of 0.3 ms, three runs together", "", "warnings",
          page(300_000, 0, 3), device=PAGE),
    Trial("clock_reported", "a third less", "invalid", "invalid",
          looking(QUIET, *({"khz": {"cpu0": 1, "cpu1": f}} for f in KHZ))),
    Trial("clock_reported", "a third less while sustained", "warning", "warnings",
          looking(QUIET, *({"khz": {"cpu1": f}} for f in KHZ)),
          SUSTAINED),
    Trial("clock_reported", "another CPU's clock", "", "valid",
          looking(QUIET, *({"khz": {"cpu0": f, "cpu1": KHZ[0]}} for f in KHZ))),
    Trial("clock_loop", "the loop a fifth longer", "invalid", "invalid", LOOP_FELL),
    Trial("clock_loop", "the loop a fifth longer while sustained", "warning", "warnings", LOOP_FELL,
          SUSTAINED),
    Trial("clock_loop", "slower all along than the session knows it", "invalid", "invalid",
          around(quiet(references_ns=(1_400_000,) * 5), reference_ns=1_000_000)),
    Trial("clock_loop", "the same speed all along", "", "valid", quiet(references_ns=(1_400_000,) * 5)),
    Trial("clock_loop", "a neighbour that comes and goes", "", "warnings", loops(*(100, 100, 130) * 10)),
    Trial("clock_loop", "the reported clock says it already", "", "invalid",
          looking(LOOP_FELL, *({"khz": {"cpu1": f}} for f in KHZ))),
    Trial("set_aside_little", "a quarter", "note", "valid", aside(8)),
    Trial("set_aside_little", "nothing", "", "valid", QUIET),
    Trial("set_aside_much", "nine tenths", "warning", "warnings", aside(216)),
    Trial("set_aside_much", "nearly everything", "invalid", "invalid", aside(2376)),
    Trial("set_aside_much", "a quarter", "", "valid", aside(8)),
    Trial("disturbed", "half of the loops slow", "invalid", "invalid", loops(*(100, 160) * 15)),
    Trial("disturbed", "a third of the loops slow", "warning", "warnings", loops(*(100, 100, 160) * 10)),
    Trial("disturbed", "a twentieth", "", "valid", loops(*((100,) * 19 + (160,)) * 2)),
    Trial("processes", "one is 6 % slower", "warning", "warnings", processes(10.0, 10.6, 10.1, 10.4)),
    Trial("processes", "alike", "", "valid", processes(10.0, 10.1, 9.9, 10.0)),
    Trial("drift_slower", "by a fifth", "invalid", "invalid", UP),
    Trial("drift_slower", "by 5 %", "warning", "warnings", LITTLE_UP),
    Trial("drift_slower", "by a fifth while sustained", "warning", "warnings",
          UP, SUSTAINED),
    Trial("drift_slower", "steady", "", "valid", QUIET),
    Trial("drift_faster", "by a fifth", "invalid", "invalid", DOWN),
    Trial("drift_faster", "slower instead", "", "invalid", UP),
    Trial("warm_up", "15 s without an end", "warning", "warnings", quiet(warm_up_s=15.0)),
    Trial("warm_up", "all of a process's 2 s", "warning", "warnings", quiet(warm_up_s=2.0),
          {"max_seconds": 8.0, "processes": 4}),
    Trial("warm_up", "half a second", "", "valid", QUIET),
    Trial("few_runs", "24 of 100", "warning", "warnings", QUIET, {"min_runs": 100}),
    Trial("few_runs", "5 of 20", "invalid", "invalid", quiet(steady(5))),
    Trial("few_runs", "5 of 10 cold starts", "warning", "warnings",
          quiet(steady(5)), {"mode": "cold", "min_runs": 10}),
    Trial("few_runs", "enough", "", "valid", QUIET),
    Trial("few_runs_left", "24 of 100, 8 set aside", "warning", "warnings", aside(8), {"min_runs": 100}),
    Trial("few_runs_left", "enough left", "", "valid", aside(8)),
    Trial("multimodal", "two values", "warning", "warnings", quiet([10.0, 11.5] * 12)),
    Trial("multimodal", "one value", "", "valid", QUIET),
    Trial("spread", "a long tail", "warning", "warnings", quiet(TAIL)),
    Trial("spread", "two values say it already", "", "warnings", quiet([10.0, 10.0, 16.0] * 8)),
    Trial("spread", "close together", "", "valid", QUIET),
    Trial("means", "a tool's mean of 5 runs", "warning", "warnings",
          replace(QUIET, runtime=replace(QUIET.runtime, host_versions={"runs_per_sample": "5"}))),
    Trial("means", "single runs", "", "valid", QUIET),
    Trial("timed_together", "three runs a sample", "warning", "warnings", timed(QUIET, runs_per_sample=3)),
    Trial("timed_together", "single runs", "", "valid", QUIET),
)  # fmt: skip


def judged(trial: Trial) -> dict[str, Any]:
    """The trial as the file holds it; raises ValueError where the project judges otherwise than it must."""
    plan = replace(PLAN, **trial.plan)
    given = {"seen": trial.seen, "plan": plan, "device": trial.device}
    found = judge(trial.seen, plan, trial.device)
    rule = next(r for r in rules() if r.id == trial.rule)
    severity = next((r.severity for r in found.reasons if r.rule == rule.name), "")
    alone = sum(r.name == rule.name for r in rules()) == 1
    if found.verdict != trial.verdict or ((trial.severity or alone) and severity != trial.severity):
        raise ValueError(f"{trial.rule}, {trial.name}: {found}")
    return {
        "name": trial.name,
        "fires": bool(trial.severity),
        **{name: codec.to_json(value) for name, value in given.items()},
        "inputs": codec.to_json(dict(inputs(trial.seen, plan, trial.device))),
        "validity": codec.to_json(found),
    }


def texts() -> Iterator[tuple[str, str]]:
    """The name and the text of each file: one case a line."""
    for rule in rules():
        cases = [json.dumps(judged(t), separators=(",", ":")) for t in TRIALS if t.rule == rule.id]
        yield f"{rule.id}.json", f'{{"rule": "{rule.id}", "cases": [\n' + ",\n".join(cases) + "\n]}\n"


def main() -> None:
    """Write every file anew."""
    for name, text in texts():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
