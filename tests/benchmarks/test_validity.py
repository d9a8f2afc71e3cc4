"""The verdict: what it notices and what it lets pass, without a clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from regnet_edge.benchmarks.doubles.fakes import DEVICE, looks, observation
from regnet_edge.benchmarks.record.measurement import MeasuredPlan, Validity
from regnet_edge.benchmarks.record.observation import Environment, Observation, Power, Snapshot
from regnet_edge.benchmarks.record.timing import Timing
from regnet_edge.benchmarks.runner.affinity import quietest
from regnet_edge.benchmarks.runner.device import clusters, device
from regnet_edge.benchmarks.runner.machine import Machine
from regnet_edge.benchmarks.verdict.inputs import fall
from regnet_edge.benchmarks.verdict.modes import modes
from regnet_edge.benchmarks.verdict.rules import judge
from regnet_edge.benchmarks.verdict.shares import shares

PLAN = MeasuredPlan("burst", 1, "1", 100, 3.0, 60.0, 0.0, "")


def series(n: int = 300, ms: float = 10.0, noise: float = 0.005, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return list(ms * (1 + noise * np.abs(rng.standard_normal(n))))


def verdict_of(seen: Observation, **changes: object) -> Validity:
    return judge(seen, replace(PLAN, **changes), DEVICE)  # type: ignore[arg-type]  # a test's shorthand


def rules(validity: Validity) -> dict[str, str]:
    return {r.rule: r.severity for r in validity.reasons}


def with_looks(**changes: object) -> Observation:
    """A quiet run in which the last half of the looks has these fields."""
    seen = observation(series())
    around = seen.environment.looks
    half = len(around) // 2
    changed = around[:half] + tuple(replace(k, **changes) for k in around[half:])  # type: ignore[arg-type]
    return replace(seen, environment=replace(seen.environment, looks=changed))


def test_a_quiet_run_is_valid_without_a_word() -> None:
    for seed in range(20):
        assert verdict_of(observation(series(seed=seed))) == Validity("valid")


@pytest.mark.parametrize(
    ("around", "rule", "verdict"),
    [
        ({"waited": 0.5}, "foreign_cpu", "invalid"),
        ({"waited": 0.02}, "foreign_cpu", "warnings"),
        ({"others": 1.0}, "other_cpus", "warnings"),
        ({"steal": 0.05}, "steal", "invalid"),
        ({"references_ns": [1_000_000] * 6 + [1_200_000] * 3}, "clock", "invalid"),
        ({"references_ns": [1_000_000] * 6 + [1_070_000] * 3}, "clock", "warnings"),
    ],
)
def test_what_others_do_is_noticed(around: dict[str, object], rule: str, verdict: str) -> None:
    found = verdict_of(observation(series(), looks(3.0, **around)))  # type: ignore[arg-type]
    assert rule in rules(found)
    assert found.verdict == verdict


def test_the_busiest_process_is_named() -> None:
    found = verdict_of(observation(series(), looks(3.0, others=1.0, who="cp")))
    assert found.reasons[0].sentence == (
        "other CPUs were busy with 100% of one CPU's work: cp (pid 99) used 100% of CPU 0"
    )


def test_a_foreign_share_is_found_from_ticks_where_the_scheduler_keeps_no_account() -> None:
    around = tuple(replace(k, own_wait_ns=None) for k in looks(3.0, waited=0.4))
    assert rules(verdict_of(observation(series(), around)))["foreign_cpu"] == "invalid"


@pytest.mark.parametrize(
    ("changes", "rule", "severity"),
    [
        ({"cooling": {"cooling_device0:cpufreq-cpu0": 2}}, "thermal", "invalid"),
        ({"throttle_events": 3}, "thermal", None),
        ({"thermal_status": 2}, "thermal", "warning"),
        ({"power": Power(saver=True)}, "power_saver", "invalid"),
        ({"khz": {"cpu1": 1_000_000}}, "clock", None),
    ],
)
def test_heat_and_power_are_noticed(changes: dict[str, object], rule: str, severity: str | None) -> None:
    assert rules(verdict_of(with_looks(**changes))).get(rule) == severity


def test_throttling_that_begins_during_the_run_makes_it_invalid() -> None:
    seen = with_looks(throttle_events=5)
    first = tuple(
        replace(k, throttle_events=0) if k.throttle_events is None else k for k in seen.environment.looks
    )
    found = verdict_of(replace(seen, environment=replace(seen.environment, looks=first)))
    assert rules(found)["thermal"] == "invalid"


def test_a_reported_clock_below_its_plateau_is_invalid_in_a_burst_and_a_warning_when_sustained() -> None:
    seen = observation(series())
    around = seen.environment.looks
    khz = [2_000_000] * 6 + [1_400_000] * 3
    slowed = tuple(replace(k, khz={"cpu0": 1, "cpu1": f}) for k, f in zip(around, khz, strict=True))
    seen = replace(seen, environment=replace(seen.environment, looks=slowed))
    assert rules(verdict_of(seen))["clock"] == "invalid"
    assert rules(verdict_of(seen, mode="sustained"))["clock"] == "warning"
    aside = replace(seen, timing=replace(seen.timing, set_aside_ns=(10_000_000,)))
    assert rules(verdict_of(aside))["clock"] == "invalid"


def test_a_charging_phone_is_a_warning_only() -> None:
    phone = replace(DEVICE, transport="adb")
    found = judge(with_looks(power=Power(charging=True, percent=80.0)), PLAN, phone)
    assert found.verdict == "warnings"
    assert rules(found) == {"charger": "warning"}


def test_the_thermal_status_of_a_phone_that_changes_makes_the_run_invalid() -> None:
    seen = with_looks(thermal_status=2)
    cool = tuple(replace(k, thermal_status=k.thermal_status or 0) for k in seen.environment.looks)
    found = verdict_of(replace(seen, environment=replace(seen.environment, looks=cool)))
    assert found.reasons[0].sentence.startswith("the thermal status changed from 0 to 2")


@pytest.mark.parametrize(
    ("samples", "rule", "severity"),
    [
        (list(np.linspace(10, 12, 300)), "drift", "invalid"),
        (list(np.linspace(10, 10.5, 300)), "drift", "warning"),
        (series(50), "few_runs", "warning"),
        (series(5), "few_runs", "invalid"),
        ([10.0, 11.5] * 150, "multimodal", "warning"),
        ([10.0, 10.0, 16.0] * 100, "multimodal", "warning"),
    ],
)
def test_the_series_itself_is_judged(samples: list[float], rule: str, severity: str) -> None:
    assert rules(verdict_of(observation(samples))).get(rule) == severity


def test_a_warm_up_that_never_became_steady_is_a_warning() -> None:
    assert "warm_up" in rules(verdict_of(observation(series(), warm_up_s=15.0)))


def test_where_nothing_can_be_seen_the_verdict_says_so() -> None:
    blind = tuple(Snapshot("during", k.at_ns, k.samples, 0) for k in looks(3.0))
    seen = replace(observation(series()), environment=Environment(100, (), blind))
    assert rules(verdict_of(seen)) == {"unseen": "warning", "unpinned": "note"}


def test_a_process_that_a_quota_holds_back_is_noticed() -> None:
    around = tuple(replace(k, own_cpu_ns=k.own_cpu_ns // 2) for k in looks(3.0))
    assert rules(verdict_of(observation(series(), around)))["off_cpu"] == "invalid"


def test_shares_are_of_the_timed_part_only() -> None:
    timed = looks(3.0)
    before = replace(timed[0], phase="before", at_ns=-(10**10))
    found = shares(Environment(100, (1,), (before, *timed)), 1)
    assert (found.seconds, found.contention, found.others, found.steal) == (3.0, 0.0, 0.0, 0.0)


def test_modes_of_one_hump_is_one_and_of_two_are_two() -> None:
    rng = np.random.default_rng(0)
    one = 10 * np.exp(0.01 * rng.standard_normal(500))
    skewed = 10 + rng.exponential(0.2, 500)
    two = np.concatenate([one, 1.2 * one])
    assert len(modes(one)) == len(modes(skewed)) == 1
    assert modes(two) == pytest.approx((10.0, 12.0), rel=0.02)
    assert len(modes(np.full(100, 3.0))) == 1


def test_fall_needs_a_few_readings() -> None:
    assert fall(np.ones(3)) is None
    assert fall(np.array([2.0] * 6 + [1.0] * 3)) == pytest.approx(0.5)


def test_the_drift_of_a_series_is_per_minute_and_ignores_spikes() -> None:
    n = 600
    ns = np.full(n, 100_000_000.0) * np.linspace(1, 1.1, n)  # about a minute, a tenth slower at its end
    ns[::50] *= 5
    drift = Timing((1,), (1,), (), tuple(int(v) for v in ns)).drift_per_minute
    minutes = ns.sum() / 60e9
    assert drift == pytest.approx(0.1 / 1.05 / minutes, rel=0.03)  # of the median, in the time it all took


# ------------------------------------------------------------ what the runner reads on fixture trees


def write(root: Path, files: dict[str, str]) -> Machine:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return Machine(str(root), clock=lambda: 5, sleep=lambda _: None)


CPU = "sys/devices/system/cpu"


def test_a_look_reads_clocks_heat_and_power(tmp_path: Path) -> None:
    machine = write(
        tmp_path,
        {
            "proc/stat": "cpu  0 0 0 0\ncpu0 10 1 2 100 5 1 1 3 0 0\ncpu1 20 0 0 100\n",
            "proc/loadavg": "0.50 0.4 0.3 1/100 42\n",
            "proc/self/task/7/schedstat": "100 40 3\n",
            "proc/self/task/8/schedstat": "100 2 3\n",
            "proc/self/status": "Name:\tx\nVmHWM:\t    20 kB\nVmRSS:\t    12 kB\n",
            "proc/99/stat": "99 (a (b) c) R 1 1 1 0 -1 0 0 0 0 0 30 4 0 0 20 0 1 0 5" + " 0" * 16 + " 1 0 0",
            f"{CPU}/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
            f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "2\n",
            f"{CPU}/cpu1/thermal_throttle/core_throttle_count": "1\n",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "61000\n",
            "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
            "sys/class/thermal/cooling_device0/cur_state": "1\n",
            "sys/class/thermal/cooling_device1/type": "fan\n",
            "sys/class/thermal/cooling_device1/cur_state": "3\n",
            "sys/class/power_supply/BAT0/type": "Battery\n",
            "sys/class/power_supply/BAT0/capacity": "55\n",
            "sys/class/power_supply/BAT0/status": "Discharging\n",
            "sys/class/power_supply/BAT0/temp": "301\n",
            "sys/firmware/acpi/platform_profile": "low-power\n",
        },
    )
    look = machine.look("during", 4, reference_ns=9, full=True)
    assert look["cpus"][0] == {"cpu": 0, "busy": 15, "steal": 3, "total": 123}
    assert look["processes"] == [{"pid": 99, "name": "a (b) c", "cpu": 1, "ticks": 34}]
    assert (look["at_ns"], look["samples"], look["reference_ns"]) == (5, 4, 9)
    assert look["own_wait_ns"] == 42
    assert look["khz"] == {"cpu0": 1_500_000}
    assert look["thermal_mc"] == {"zone0:cpu-thermal": 61_000}
    assert look["cooling"] == {"cooling_device0:cpufreq-cpu0": 1}
    assert look["throttle_events"] == 3
    assert look["power"] == {"charging": False, "percent": 55, "battery_c": 30.1, "saver": True}
    assert look["load_1min"] == 0.5
    assert machine.status_bytes("VmRSS") == 12 * 1024


def test_a_machine_that_tells_nothing_gives_an_empty_look(tmp_path: Path) -> None:
    look = Machine(str(tmp_path)).look("before", 0)
    assert look["cpus"] == look["processes"] == []
    assert look["own_wait_ns"] is look["throttle_events"] is look["load_1min"] is None


def test_a_raspberry_pi_that_throttles_now_is_counted(tmp_path: Path) -> None:
    machine = write(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n"})
    assert machine.throttle_events() == 2


def test_clusters_come_from_cpufreq_policies_fastest_first(tmp_path: Path) -> None:
    files = {}
    for first, cpus, khz in ((0, "0 1 2 3", 1_800_000), (4, "4 5", 2_800_000), (6, "6", 2_800_000)):
        folder = f"{CPU}/cpufreq/policy{first}"
        files |= {f"{folder}/related_cpus": cpus, f"{folder}/cpuinfo_max_freq": str(khz)}
        files[f"{folder}/scaling_governor"] = "schedutil\n"
    found = clusters(write(tmp_path, files))
    assert found == [
        {"cpus": [4, 5, 6], "max_khz": 2_800_000, "governor": "schedutil"},
        {"cpus": [0, 1, 2, 3], "max_khz": 1_800_000, "governor": "schedutil"},
    ]


def test_clusters_come_from_capacities_where_no_clock_can_be_read(tmp_path: Path) -> None:
    stat = "cpu 0 0 0 0\n" + "".join(f"cpu{i} 0 0 0 0\n" for i in range(3))
    files = {"proc/stat": stat, f"{CPU}/cpu2/cpu_capacity": "1024", f"{CPU}/cpu0/cpu_capacity": "400"}
    files[f"{CPU}/cpu1/cpu_capacity"] = "400"
    assert [c["cpus"] for c in clusters(write(tmp_path, files))] == [[2], [0, 1]]


def test_the_quietest_cpus_are_taken_and_of_equals_the_last(tmp_path: Path) -> None:
    machine = write(tmp_path, {"proc/stat": "cpu0 0 0 0 0\ncpu1 0 0 0 0\ncpu2 0 0 0 0\n"})

    def pass_time(_: float) -> None:
        write(tmp_path, {"proc/stat": "cpu0 1 0 0 0\ncpu1 1 0 0 0\ncpu2 9 0 0 0\n"})

    machine.sleep = pass_time
    assert quietest(machine, [0, 1, 2], 1) == [1]


def test_a_device_is_described_by_what_its_files_say(tmp_path: Path) -> None:
    told = device(
        write(
            tmp_path,
            {
                "proc/device-tree/model": "Example Board 5\0",
                "proc/cpuinfo": "processor: 0\nmodel name : Example CPU\n",
                "proc/meminfo": "MemTotal:  2048 kB\n",
                "etc/os-release": 'PRETTY_NAME="Example OS 1"\n',
                "proc/stat": "cpu0 0 0 0 0\n",
            },
        )
    )
    assert told["model"] == "Example Board 5"
    assert told["soc"] == "Example CPU"
    assert told["ram_bytes"] == 2048 * 1024
    assert told["os"].startswith("Example OS 1, ")
    assert told["emulated"] is None


@pytest.mark.parametrize(("shown", "true", "emulated"), [(183, 62, True), (183, 183, None), (40, None, None)])
def test_a_process_whose_kernel_runs_another_instruction_set_is_emulated(
    tmp_path: Path, shown: int, true: int | None, emulated: bool | None
) -> None:
    for place, number in (("self", shown), ("thread-self", true)):
        if number is not None:
            program = tmp_path / "proc" / place / "exe"
            program.parent.mkdir(parents=True)
            program.write_bytes(b"\x7fELF" + bytes(14) + number.to_bytes(2, "little") + bytes(44))
    assert device(Machine(str(tmp_path)))["emulated"] is emulated


def test_a_loop_slower_all_along_than_the_session_knows_it_is_told() -> None:
    seen = observation(series(), looks(3.0, references_ns=[140] * 9))
    assert "clock" not in rules(verdict_of(seen))
    known = replace(seen, environment=replace(seen.environment, reference_ns=100))
    assert rules(verdict_of(known))["clock"] == "invalid"


@pytest.mark.parametrize(
    ("aside", "slice_runs", "verdict"),
    [
        (100, 1, "valid"),
        (900, 1, "warnings"),
        (900, 10, "warnings"),
        (100, 3, "warnings"),
        (20_000, 1, "invalid"),
    ],
)
def test_a_figure_of_what_little_was_calm_is_doubted_the_more_the_longer_nobody_looked(
    aside: int, slice_runs: int, verdict: str
) -> None:
    seen = observation(series())
    slices = (slice_runs,) * ((300 + aside) // slice_runs)
    timing = replace(seen.timing, set_aside_ns=(10_000_000,) * aside, slices=slices)
    found = verdict_of(replace(seen, timing=timing))
    assert found.verdict == verdict
    assert set(rules(found)) == {"set_aside"}
    if aside == 100:
        assert found.reasons[0].sentence.startswith("25% of the series was set aside")


def test_a_fast_network_is_believed_where_little_was_calm() -> None:
    seen = observation(series(3000, ms=0.5))
    timing = replace(seen.timing, set_aside_ns=(500_000,) * 27_000, slices=(4,) * 7500)
    assert verdict_of(replace(seen, timing=timing)).verdict == "valid"


def with_loops(loops: list[int]) -> Observation:
    seen = observation(series())
    timing = replace(seen.timing, loops_ns=tuple(loops))
    return replace(seen, timing=timing, environment=replace(seen.environment, reference_ns=100))


def test_a_burst_that_was_disturbed_all_along_without_a_calm_part_is_invalid() -> None:
    assert rules(verdict_of(with_loops([100, 160] * 200))) == {"set_aside": "invalid"}
    assert rules(verdict_of(with_loops([100, 100, 160] * 200))) == {"set_aside": "warning"}
    assert rules(verdict_of(with_loops(([100] * 19 + [160]) * 20))) == {}


def test_a_clock_that_fell_for_good_is_told_from_a_neighbour_that_comes_and_goes() -> None:
    fell = with_loops([100] * 250 + [130] * 150)
    assert rules(verdict_of(fell))["clock"] == "invalid"
    assert "clock" not in rules(verdict_of(with_loops([100, 130] * 200)))
    aside = replace(fell, timing=replace(fell.timing, set_aside_ns=(10_000_000,) * 100))
    assert rules(verdict_of(aside))["clock"] == "warning"  # what counts was measured before it fell


def test_processes_that_differ_by_more_than_a_few_can_make_good_are_told() -> None:
    def timing(*medians: float) -> Timing:
        samples = tuple(round(1e6 * ms) for m in medians for ms in series(60, m))
        return Timing((1,), (1,), (), samples, runs_each=(60,) * len(medians))

    def verdict(*medians: float) -> Validity:
        return verdict_of(replace(observation(series()), timing=timing(*medians)))

    assert rules(verdict(10.0, 10.1, 9.9, 10.0)) == {}
    found = verdict(10.0, 10.6, 10.1, 10.4)
    assert rules(found)["processes"] == "warning"
    assert "medians from 10.03 to 10.63 ms" in found.reasons[0].sentence
