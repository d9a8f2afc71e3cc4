"""Plans, records, the runner, sessions and the command line of the benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

from regnet_edge import codec
from regnet_edge.artifact import Artifact, Structure
from regnet_edge.benchmarks import schema
from regnet_edge.benchmarks.doubles.fakes import DEVICE, FakeEngine, FakeHost, FakeWatch, looks, observation
from regnet_edge.benchmarks.output import compared
from regnet_edge.benchmarks.plan import Plan, Trial, abba, cpus_of, job_of, parse_affinity, trials
from regnet_edge.benchmarks.record import latency
from regnet_edge.benchmarks.record.measurement import Cluster, Device, Measurement
from regnet_edge.benchmarks.record.merge import merged
from regnet_edge.benchmarks.record.observation import Observation
from regnet_edge.benchmarks.record.results import parse_line, read_lines, write_line
from regnet_edge.benchmarks.record.timing import Timing
from regnet_edge.benchmarks.report import table
from regnet_edge.benchmarks.runner import series as runner_series
from regnet_edge.benchmarks.runner.engines import to_type
from regnet_edge.benchmarks.runner.engines.litert import taken_by
from regnet_edge.benchmarks.runner.machine import Machine, keep_busiest
from regnet_edge.benchmarks.runner.protocol import WARMUP_MAX_NS, fixed_image
from regnet_edge.benchmarks.runner.series import PATIENCE, Series, sample, warm_up
from regnet_edge.benchmarks.selftest import Rate, SelfTest, agreeing, find_number, quiet_series, rates
from regnet_edge.benchmarks.selftest import disturbed as count_noticed
from regnet_edge.benchmarks.session import Moment, Session
from regnet_edge.benchmarks.verdict.shares import shares
from regnet_edge.cli import cli
from regnet_edge.config import RegNetConfig
from regnet_edge.errors import DeviceError, MeasurementError, RegNetEdgeError, UnknownNameError, UsageError
from regnet_edge.request import IMAGENET, ExportRequest, ModelSpec, WeightsRef

CONFIG = RegNetConfig(depth=2, w0=8, wa=0, wm=2, group_width=8, num_classes=10).anynet()
SMALL = replace(IMAGENET, resolution=32)
MakeArtifact = Callable[..., Artifact]


@pytest.fixture
def make_artifact(tmp_path: Path) -> MakeArtifact:
    def make(name: str = "net.tflite", target: str = "tflite", data: bytes = b"net") -> Artifact:
        path = tmp_path / name
        path.write_bytes(data)
        model = ModelSpec("net", CONFIG, WeightsRef("untrained"), SMALL)
        made = Artifact.describe(
            path, ExportRequest(model, target), Structure(9, 2, {"CONV": 9}), {"t": "1"}, 1.0
        )
        made.save()
        return made

    return make


def quiet(ms: float = 10.0, n: int = 120) -> Observation:
    return observation(list(ms * (1 + 0.005 * np.abs(np.random.default_rng(0).standard_normal(n)))))


def disturbed() -> Observation:
    return observation([10.0] * 120, looks(3.0, waited=0.5))


def session(host: FakeHost, made: Sequence[Trial], **changes: Any) -> Session:
    plan = changes.pop("plan", Plan(rounds=1))
    return Session(host, plan, made, watch=FakeWatch(), **changes)


def measured(moments: Sequence[Moment]) -> list[Measurement]:
    return [m.measurement for m in moments if m.measurement is not None]


def one(make_artifact: MakeArtifact, seen: Observation | None = None) -> Measurement:
    made = trials([make_artifact()], Plan())
    [m] = measured(list(session(FakeHost([seen or quiet()]), made).run()))
    return m


# ------------------------------------------------------------ plans


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("big", ()),
        ("any", ()),
        ("0x6", (1, 2)),
        ("0x1", (0,)),
        ("1,3", (1, 3)),
        ("2-4", (2, 3, 4)),
        ("7", (7,)),
    ],
)
def test_an_affinity_is_a_cluster_a_mask_or_a_list(text: str, cpus: tuple[int, ...]) -> None:
    assert parse_affinity(text) == cpus


@pytest.mark.parametrize("text", ["", "huge", "0x0", "0xzz", "1,,2", "-1"])
def test_any_other_affinity_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--affinity is big"):
        parse_affinity(text)


def test_cpus_come_from_the_cluster_that_is_meant() -> None:
    clusters = (Cluster((4, 5), 2), Cluster((0, 1, 2, 3), 1))
    assert cpus_of("big", clusters, 2) == ((4, 5), False)
    assert cpus_of("little", clusters, 1) == ((0, 1, 2, 3), False)
    assert cpus_of("0x30", clusters, 1) == ((4, 5), True)
    with pytest.raises(UsageError, match="3 threads do not fit on 2 CPUs"):
        cpus_of("big", clusters, 3)
    with pytest.raises(UsageError, match="the device has no CPU 9"):
        cpus_of("9", clusters, 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"threads": (0,)}, "--threads"),
        ({"min_runs": 0}, "--min-runs"),
        ({"min_seconds": 9.0, "max_seconds": 1.0}, "is less than"),
        ({"rounds": 0}, "--rounds"),
        ({"processes": 0}, "--processes"),
        ({"processes": 2, "mode": "sustained"}, "is for mode burst"),
        ({"cooldown_s": -1.0}, "--cooldown"),
        ({"mode": "warm"}, "unknown mode"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Plan(**changes)


def test_a_mode_brings_its_own_numbers() -> None:
    assert (Plan.of_mode("sustained").min_runs, Plan.of_mode("sustained").max_seconds) == (1024, 180)
    assert Plan.of_mode("burst", min_runs=7).min_runs == 7


def test_processes_share_the_runs_and_seconds_of_a_visit(make_artifact: MakeArtifact) -> None:
    host = FakeHost([quiet()])
    plan = replace(Plan.of_mode("burst"), rounds=1)
    [m] = measured(list(session(host, trials([make_artifact()], plan), plan=plan).run()))
    assert [(j.min_runs, j.min_seconds, j.max_seconds) for j in host.jobs] == [(25, 0.75, 15.0)] * 4
    assert (m.plan.processes, m.plan.min_runs, m.plan.min_seconds) == (4, 100, 3.0)
    assert m.timing.runs_each == (120,) * 4
    assert [(j.cpus, j.exact) for j in host.jobs] == [((0, 1), False), *[((1,), True)] * 3]
    assert len({k.process for k in m.environment.looks}) == 4


def test_a_speed_that_was_seen_is_told_to_later_processes_on_cpus_of_one_kind(
    make_artifact: MakeArtifact,
) -> None:
    seen = replace(quiet(), environment=replace(quiet().environment, reference_ns=90))
    for affinity, threads, told in (
        ("big", 1, [None, 90]),
        ("any", 1, [None, None]),
        ("big", 2, [None, None]),
    ):
        plan = Plan(rounds=1, processes=2, affinity=affinity, threads=(threads,))
        host = TwoKinds([seen])
        list(session(host, trials([make_artifact()], plan), plan=plan).run())
        assert [j.reference_ns for j in host.jobs] == told


class TwoKinds(FakeHost):
    """A host with big and little CPUs."""

    def device(self) -> Device:
        return replace(DEVICE, clusters=(Cluster((2, 3), 2), Cluster((0, 1), 1)))


def test_visits_are_in_abba_order(make_artifact: MakeArtifact) -> None:
    made = trials([make_artifact("a.tflite"), make_artifact("b.tflite", data=b"other")], Plan())
    assert [(r, t.artifact.path.name[0]) for r, t in abba(made, 2)] == [
        (0, "a"),
        (0, "b"),
        (1, "b"),
        (1, "a"),
    ]


def test_a_baseline_is_measured_once_a_model(make_artifact: MakeArtifact) -> None:
    files = [make_artifact("a.tflite"), make_artifact("a.onnx", "onnx", b"other")]
    made = trials(files, Plan(), ("auto", "torch"))
    assert [(t.subject.file, t.runtime) for t in made] == [
        ("a.tflite", "litert"), ("net", "torch"), ("a.onnx", "onnxruntime"),
    ]  # fmt: skip


def test_a_job_says_everything_that_a_target_needs(make_artifact: MakeArtifact) -> None:
    [trial] = trials([make_artifact()], Plan())
    job = job_of(trial, Plan(), (Cluster((0, 1)),), "/there/net.tflite")
    assert (job.runtime, job.threads, job.cpus, job.exact) == ("litert", 1, (0, 1), False)
    assert job.input_shape == (1, 3, 32, 32)
    assert not job.takes_pixels
    assert isinstance(trial.artifact, Artifact)
    pixels = replace(trial.artifact, request=replace(trial.artifact.request, embed=("normalize",)))
    assert job_of(replace(trial, artifact=pixels), Plan(), (), "/there/net.pte").takes_pixels
    text = json.loads(codec.canonical(job))
    jsonschema.validate(text, schema.job_schema())


# ------------------------------------------------------------ records


def test_the_schema_files_are_those_of_the_dataclasses() -> None:
    for name, text in schema.files().items():
        assert (schema.folder() / name).read_text() == text, "run python -m regnet_edge.benchmarks.schema"


def test_a_record_fits_its_schema_and_reads_back_as_it_was(
    make_artifact: MakeArtifact, tmp_path: Path
) -> None:
    m = one(make_artifact)
    path = tmp_path / "results.jsonl"
    with path.open("w") as stream:
        write_line(stream, m, np.random.default_rng(0))
        stream.write('{"cut": "sho')
    [line] = path.read_text().splitlines()[:1]
    jsonschema.validate(json.loads(line), schema.measurement_schema())
    assert read_lines(path) == (m,)
    assert json.loads(line)["summary"]["p50_ms"] == pytest.approx(m.median_ms, rel=1e-5)


def test_an_observation_fits_the_schema_that_runner_and_app_follow() -> None:
    made = schema.measurement_schema()
    jsonschema.validate(codec.to_json(quiet()), {**made["$defs"]["Observation"], "$defs": made["$defs"]})


@pytest.mark.parametrize("line", ["{}", "[]", "nonsense", '{"version": 99}'])
def test_a_line_that_is_no_record_is_named(line: str, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="is not a measurement"):
        parse_line(line)
    path = tmp_path / "r.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(MeasurementError, match="line 1"):
        read_lines(path)


def test_only_figures_that_can_be_believed_are_usable(make_artifact: MakeArtifact) -> None:
    good, bad = one(make_artifact), one(make_artifact, disturbed())
    assert [m for m in (good, bad) if m.valid] == [good]


def test_a_timing_without_samples_cannot_exist() -> None:
    with pytest.raises(MeasurementError, match="no samples"):
        Timing((1,), (1,), (), ())
    with pytest.raises(MeasurementError, match="clock is broken"):
        Timing((1,), (1,), (), (5, 0))


def test_percentiles_are_those_of_the_raw_samples() -> None:
    t = Timing((4_000_000,), (9_000_000,), (), tuple(range(1_000_000, 102_000_000, 1_000_000)))
    assert (t.min_ms, t.median_ms, t.percentile_ms(90), t.max_ms, t.mad_ms) == (1.0, 51.0, 91.0, 101.0, 25.0)
    assert (t.load_ms, t.first_run_ms, t.runs) == (4.0, 9.0, 101)


def test_the_interval_of_the_median_holds_the_true_one_nineteen_times_of_twenty() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        t = Timing((1,), (1,), (), tuple(int(v) for v in 1e6 * (10 + rng.exponential(1, 200))))
        low, high = t.median_interval_ms(rng, resamples=300)
        held += low <= 10 + np.log(2) <= high
    assert 180 <= held <= 198


def of_processes(*medians_ms: float, n: int = 40, noise: float = 0.01, seed: int = 0) -> Timing:
    rng = np.random.default_rng(seed)
    parts = [m * (1 + noise * rng.standard_normal(n)) for m in medians_ms]
    each = tuple(n for _ in parts)
    return Timing((1,), (1,), (), tuple(int(1e6 * v) for p in parts for v in p), runs_each=each)


def test_the_interval_of_the_median_holds_the_true_one_where_processes_differ() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for i in range(100):
        t = of_processes(*(10 * (1 + 0.01 * rng.standard_normal(8))), seed=i)
        low, high = t.median_interval_ms(rng, resamples=200)
        held += low <= 10 <= high
    alone = Timing((1,), (1,), (), t.samples_ns).median_interval_ms(rng, resamples=200)
    assert 85 <= held <= 99
    assert high - low > 1.5 * (alone[1] - alone[0])


def test_samples_that_are_not_those_of_their_processes_are_refused() -> None:
    with pytest.raises(MeasurementError, match="not those of its processes"):
        Timing((1,), (1,), (), (5, 6), runs_each=(1, 2))


def in_process(ms: float, aside: int = 0, loop_ns: int = 100) -> Observation:
    """20 runs at `ms`, `aside` more set aside, by a process whose fixed loop took so long."""
    seen = observation([ms] * 20)
    timing = replace(seen.timing, set_aside_ns=(9,) * aside, loops_ns=(loop_ns,) * 3, slices=(20, aside))
    return replace(seen, timing=timing, environment=replace(seen.environment, reference_ns=100))


def test_fresh_processes_merge_into_one_measurement() -> None:
    found = merged([in_process(10.0), in_process(11.0, aside=4), in_process(12.0)])
    assert found.timing.runs_each == (20, 20, 20)
    assert [float(np.median(p)) for p in found.timing.each_ms] == [10.0, 11.0, 12.0]
    assert len(found.timing.loads_ns) == len(found.timing.first_runs_ns) == 3
    assert found.timing.slices == (20, 0, 0, 20, 4, 0, 20, 0)
    assert len(found.timing.slices) == len(found.timing.loops_ns) - 1
    assert [len(s) for s in found.environment.stretches()] == [9, 9, 9]
    assert shares(found.environment, 1).contention == 0.0
    assert shares(found.environment, 1).seconds == pytest.approx(0.66)
    jsonschema.validate(
        codec.to_json(found), {**schema.measurement_schema()["$defs"]["Observation"],
                               "$defs": schema.measurement_schema()["$defs"]}
    )  # fmt: skip


def test_a_process_without_a_calm_moment_is_set_aside_where_others_had_some() -> None:
    found = merged([in_process(10.0), in_process(16.0, loop_ns=150), in_process(10.0)])
    assert found.timing.runs_each == (20, 0, 20)
    assert len(found.timing.set_aside_ns) == 20
    assert found.timing.median_ms == 10.0
    one = merged([in_process(16.0, loop_ns=150), in_process(10.0), in_process(16.0, loop_ns=150)])
    assert one.timing.runs_each == (0, 20, 0)
    every = merged([in_process(16.0, loop_ns=150)] * 3)
    assert every.timing.runs_each == (20, 20, 20)
    assert every.timing.set_aside_ns == ()


def test_one_process_is_what_it_saw() -> None:
    assert merged([quiet()]) == quiet()


# ------------------------------------------------------------ the runner, with a clock that is told


def test_warm_up_ends_when_three_windows_agree() -> None:
    watch = FakeWatch()
    engine = FakeEngine(watch, lambda i: 20_000_000 if i < 16 else 10_000_000)
    assert len(warm_up(engine.run, watch.ns, 60.0)) == 16 + 2 * 10 + 10
    watch = FakeWatch()
    restless = FakeEngine(watch, lambda i: 10_000_000 * (1 + i // 10 % 3))
    assert sum(warm_up(restless.run, watch.ns, 60.0)) >= WARMUP_MAX_NS
    assert 10**9 <= sum(warm_up(restless.run, watch.ns, 1.0)) < 1.05 * 10**9


def job(**changes: Any) -> dict[str, Any]:
    base = {"mode": "burst", "min_runs": 30, "max_runs": 1000, "min_seconds": 1.0, "max_seconds": 9.0}
    return {**base, "threads": 1, **changes}


@pytest.mark.parametrize(
    ("changes", "runs"),
    [
        ({}, 100),
        ({"min_runs": 150}, 150),
        ({"max_runs": 40}, 40),
        ({"min_runs": 10**6, "max_runs": 10**6, "max_seconds": 2.0}, 200),
    ],
)
def test_sampling_ends_by_runs_and_seconds(changes: dict[str, Any], runs: int, tmp_path: Path) -> None:
    watch = FakeWatch()
    engine = FakeEngine(watch, lambda _: 10_000_000)
    machine = Machine(str(tmp_path), watch.ns, watch.sleep)
    series = sample(engine.run, job(**changes), machine)
    samples, aside = series.split()
    assert len(samples) == pytest.approx(runs, abs=26)  # whole pieces of a quarter of a second
    assert set(samples) == {10_000_000}
    assert aside == []
    assert [k["samples"] for k in series.looks][0 :: len(series.looks) - 1] == [0, len(samples)]
    assert engine.runs == len(samples) + len(series.looks) - 1


def series_at(
    slowed: Callable[[float], float],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    run_ns: int = 10_000_000,
    **changes: Any,
) -> Series:
    """A series whose runs and fixed loop take slowed(seconds) times as long as usual, each by itself."""
    watch = FakeWatch()

    def loop(_: object) -> int:
        ns = round(100_000 * slowed(watch.seconds()))
        watch.now_ns += ns
        return ns

    monkeypatch.setattr(runner_series, "loop_ns", loop)
    monkeypatch.setattr(runner_series, "reference_ns", loop)
    engine = FakeEngine(watch, lambda _: round(run_ns * slowed(watch.seconds())))
    return sample(engine.run, job(**changes), Machine(str(tmp_path), watch.ns, watch.sleep))


@pytest.mark.parametrize("run_ns", [300_000, 10_000_000])
def test_a_burst_sets_aside_what_something_slowed_for_a_moment(
    run_ns: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    series = series_at(lambda s: 1.5 if s % 0.3 < 0.1 else 1.0, monkeypatch, tmp_path, run_ns, max_runs=10**5)
    samples, aside = series.split()
    assert set(samples) == {run_ns}
    assert run_ns * 3 // 2 in aside
    assert sum(samples) >= 0.95e9
    assert 1.4 <= series.seconds() < 3.0
    counts = [k["samples"] for k in series.looks]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, len(samples))


def test_every_run_of_a_series_has_its_place_between_two_loops(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    series = series_at(lambda s: 1.5 if s % 0.3 < 0.1 else 1.0, monkeypatch, tmp_path, 300_000)
    samples, aside = series.split()
    assert len(series.slices) == len(series.loops_ns) - 1
    assert sum(map(len, series.slices)) == len(samples) + len(aside)
    assert max(map(len, series.slices)) == 4  # of 0.3 ms each, until 1 ms is over


def test_a_loop_that_is_slow_once_costs_its_own_slices_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ticks = iter(range(10**6))

    def interrupted(_: float) -> float:
        return 1.2 if next(ticks) % 40 == 7 else 1.0

    samples, aside = series_at(interrupted, monkeypatch, tmp_path, run_ns=3_000_000).split()
    assert len(aside) < 0.15 * (len(samples) + len(aside))


def test_a_burst_that_was_slowed_for_good_counts_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    series = series_at(lambda _: 1.4, monkeypatch, tmp_path, reference_ns=100_000)
    samples, aside = series.split()
    assert aside == []
    assert set(samples) == {14_000_000}
    assert PATIENCE <= series.seconds() < PATIENCE + 0.6


def test_threads_that_spin_beside_the_loop_are_no_disturbance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone = [{"reference_ns": 100_000}]
    watch = FakeWatch()
    monkeypatch.setattr(runner_series, "loop_ns", lambda _: 140_000)
    monkeypatch.setattr(runner_series, "reference_ns", lambda _: 100_000)
    engine = FakeEngine(watch, lambda _: 10_000_000)
    machine = Machine(str(tmp_path), watch.ns, watch.sleep)
    many = sample(engine.run, job(threads=2, reference_ns=100_000), machine, alone)
    assert (many.usual_ns(), many.split()[1]) == (140_000, [])
    one = sample(engine.run, job(reference_ns=100_000), machine, alone)
    assert one.usual_ns() == 100_000
    assert not one.calm().any()


def test_a_burst_does_not_wait_for_a_calm_moment_where_another_process_has_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine_waits = iter(range(0, 10**12, 200_000_000))
    monkeypatch.setattr(Machine, "own_wait_ns", lambda _: next(machine_waits))
    series = series_at(lambda _: 2.0, monkeypatch, tmp_path, reference_ns=100_000)
    assert series.is_hopeless()
    assert 1.0 <= series.seconds() < 1.6


def test_a_sustained_series_keeps_what_was_slowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    series = series_at(lambda s: 1.4 if s > 0.5 else 1.0, monkeypatch, tmp_path, mode="sustained")
    samples, aside = series.split()
    assert (aside, 14_000_000 in samples) == ([], True)


def test_only_the_busiest_processes_stay_in_the_looks() -> None:
    def listed(ticks: int) -> list[dict[str, Any]]:
        return [{"pid": i, "name": "p", "cpu": 0, "ticks": ticks * i} for i in range(20)]

    seen = [{"processes": listed(1)}, {"processes": []}, {"processes": listed(3)}]
    keep_busiest(seen)
    assert [p["pid"] for p in seen[2]["processes"]] == [15, 16, 17, 18, 19]


def test_a_fixed_image_is_the_same_everywhere() -> None:
    x = fixed_image((1, 3, 2, 2)).ravel()
    expected = [(i * 2654435761 % 2**32) / 2**30 - 2 for i in range(12)]
    assert x.dtype == np.float32
    assert x == pytest.approx(np.array(expected, np.float32))


def test_an_integer_input_is_quantized_by_its_scale() -> None:
    image = np.array([-2.0, 0.0, 1.0, 9.0], np.float32)
    assert to_type(image, np.int8, 0.02, -5).tolist() == [-105, -5, 45, 127]
    assert to_type(image, np.float32, 0.0, 0).dtype == np.float32


def test_delegated_ops_are_those_between_a_delegates_inputs_and_outputs() -> None:
    ops = [
        {"index": 0, "inputs": [0], "outputs": [1]},
        {"index": 1, "inputs": [1, 9], "outputs": [2]},
        {"index": 2, "inputs": [2], "outputs": [3]},
    ]
    assert taken_by({"inputs": [0, 9], "outputs": [2]}, ops) == {0, 1}


# ------------------------------------------------------------ sessions


def test_each_artifact_is_visited_in_every_round_and_its_figures_come_from_the_sidecar(
    make_artifact: MakeArtifact,
) -> None:
    made = trials([make_artifact("a.tflite"), make_artifact("b.tflite", data=b"b")], Plan())
    found = measured(list(session(FakeHost([quiet()]), made, plan=Plan(rounds=2)).run()))
    assert [m.artifact.file[0] for m in found] == ["a", "b", "b", "a"]
    assert [m.plan.round for m in found] == [0, 0, 1, 1]
    c = made[0].artifact.request.model.complexity
    assert (found[0].model.flops, found[0].model.params, found[0].model.activations) == (
        c.flops, c.params, c.activations,
    )  # fmt: skip
    assert found[0].artifact.structure.grouped_convs == 2
    assert found[0].provenance.utc == FakeWatch().utc()


def test_an_invalid_measurement_is_taken_again_within_the_limit(make_artifact: MakeArtifact) -> None:
    made = trials([make_artifact()], Plan())
    host = FakeHost([disturbed(), disturbed(), quiet()])
    moments = list(session(host, made, plan=Plan(rounds=1, retries=5)).run())
    assert [m.validity.verdict for m in measured(moments)] == ["invalid", "invalid", "valid"]
    assert [m.plan.attempt for m in measured(moments)] == [0, 1, 2]
    again = session(FakeHost([disturbed()]), made, plan=Plan(rounds=1, retries=2))
    assert len(measured(list(again.run()))) == 3


def test_waiting_for_quiet_has_an_end(make_artifact: MakeArtifact) -> None:
    made = trials([make_artifact()], Plan())
    loud = session(FakeHost([disturbed()], idle=False), made, plan=Plan(rounds=1, retries=1, quiet_s=30))
    list(loud.run())
    assert 30 <= loud.watch.seconds() <= 40


def test_a_refused_artifact_does_not_stop_the_others(make_artifact: MakeArtifact) -> None:
    made = trials([make_artifact("a.tflite"), make_artifact("b.tflite", data=b"b")], Plan())
    host = FakeHost(["the runtime refuses it", quiet()])
    moments = list(session(host, made, plan=Plan(rounds=2)).run())
    assert [m.sentence for m in moments if m.kind == "failed"] == ["the runtime refuses it"]
    assert [m.artifact.file for m in measured(moments)] == ["b.tflite", "b.tflite"]


def test_what_does_not_fit_is_refused_before_anything_runs(make_artifact: MakeArtifact) -> None:
    plan = Plan(threads=(1, 4))
    host = FakeHost([quiet()])
    with pytest.raises(UsageError, match="4 threads do not fit"):
        list(session(host, trials([make_artifact()], plan), plan=plan).run())
    assert host.jobs == []


def test_resume_leaves_out_what_is_there(make_artifact: MakeArtifact) -> None:
    plan = Plan(rounds=2)
    made = trials([make_artifact()], plan)
    seen = replace(quiet(), runtime=replace(quiet().runtime, name="litert"))
    first = measured(list(session(FakeHost([seen]), made, plan=plan).run()))
    moments = list(session(FakeHost([seen]), made, plan=plan, done=first[:1]).run())
    assert [m.kind for m in moments] == ["skipped", "starting", "measured"]


def test_delegation_comes_from_the_sidecar_where_the_runtime_does_not_tell(
    make_artifact: MakeArtifact,
) -> None:
    artifact = make_artifact()
    whole = replace(artifact, structure=Structure(9, 2, {"CONV": 9}, delegated_ops=40, partitions=1))
    [m] = measured(list(session(FakeHost([quiet()]), trials([whole], Plan())).run()))
    assert (m.runtime.delegated_ops, m.runtime.partitions) == (40, 1)
    [m] = measured(list(session(FakeHost([quiet()]), trials([artifact], Plan())).run()))
    assert m.runtime.delegated_ops is None


def test_output_parity_compares_two_logit_vectors() -> None:
    same = compared("here", np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    assert (same.sqnr_db, same.cosine, same.max_abs_error) == (200.0, 1.0, 0.0)
    near = compared("here", np.array([1.1, 2.0]), np.array([1.0, 2.0]))
    assert near.sqnr_db == pytest.approx(27, abs=0.1)
    for broken in (np.array([np.nan, 2.0]), np.array([np.inf, 2.0])):
        far = compared("here", broken, np.array([1.0, 2.0]))
        assert (far.sqnr_db, far.cosine, far.max_abs_error > 1e38) == (-200.0, 0.0, True)


# ------------------------------------------------------------ tables


def test_a_table_is_sorted_by_latency_and_pools_the_rounds_that_count(make_artifact: MakeArtifact) -> None:
    made = trials([make_artifact("a.tflite"), make_artifact("b.tflite", data=b"b")], Plan())
    host = FakeHost([quiet(20), quiet(5), disturbed(), quiet(22)])
    found = measured(list(session(host, made, plan=Plan(rounds=2)).run()))
    slow_last = latency.latencies(found)
    assert [r.first.artifact.file for r in slow_last] == ["b.tflite", "a.tflite"]
    assert [r.verdict for r in slow_last] == ["valid", "valid"]
    assert [len(r.rounds) for r in slow_last] == [1, 2]
    assert slow_last[1].timing.runs == 240


def test_a_table_goes_out_as_csv_and_markdown(make_artifact: MakeArtifact) -> None:
    rows = latency.latencies([one(make_artifact)])
    heading, line = table.as_csv(rows, np.random.default_rng(0)).splitlines()
    assert heading == ",".join(table.HEADINGS)
    assert line.startswith("net.tflite,fake,1,")
    assert line.endswith(",valid")
    markdown = table.as_markdown(rows, np.random.default_rng(0)).splitlines()
    assert len(markdown) == 3
    assert markdown[0].count("|") == markdown[2].count("|") == len(table.HEADINGS) + 1


# ------------------------------------------------------------ the self-test's arithmetic


def test_pairs_agree_within_a_share() -> None:
    assert agreeing([10.0, 10.1, 10.5], 0.02) == (1, 2)
    assert Rate("x", 19, 20, 19).passed
    assert not Rate("x", 0, 0, 0).passed
    assert find_number({"a": [{"median_ms": 3}]}, "median_ms") == 3.0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not pin processes")
def test_the_self_test_counts_what_the_verdict_notices(make_artifact: MakeArtifact) -> None:
    [trial] = trials([make_artifact("a.onnx", "onnx")], Plan())
    cpu = min(os.sched_getaffinity(0))
    deaf = SelfTest(FakeHost([quiet()]), trial, cpu, cpu, FakeWatch())
    found = {r.name: (r.times, r.of, r.passed) for r in rates(deaf, 2, lambda _: None)}
    assert found == {
        "quiet runs called valid": (2, 2, True),
        "pairs of valid runs within 2 %": (2, 2, True),
        "busy loop on the same CPU called invalid": (0, 2, False),
        "memory copy on another CPU named": (0, 2, False),
    }
    alert = SelfTest(FakeHost([disturbed()]), trial, cpu, cpu, FakeWatch())
    assert count_noticed(alert, 2, "pass", cpu, lambda m, _: not m.valid) == 2


def test_the_self_test_does_not_count_runs_that_another_system_disturbed(make_artifact: MakeArtifact) -> None:
    [trial] = trials([make_artifact()], Plan())
    timing = replace(quiet().timing, set_aside_ns=(10_000_000,) * 900, slices=(1,) * 1020)
    shared = replace(quiet(), timing=timing)
    bench = SelfTest(FakeHost([shared, quiet(), quiet()]), trial, 0, 0, FakeWatch())
    plain = replace(bench, plan=Plan(rounds=1))
    made, more = quiet_series(plain, 2, lambda _: None)
    assert (len(made), more) == (2, 1)
    assert "; 1 more shared" in Rate("r", 2, 2, 2, "; 1 more shared their core").line()
    never = replace(plain, host=FakeHost([shared]))
    assert quiet_series(never, 3, lambda _: None) == ([], 3)


def test_the_self_test_gives_up_where_it_is_never_quiet(make_artifact: MakeArtifact) -> None:
    [trial] = trials([make_artifact()], Plan())
    with pytest.raises(MeasurementError, match="the machine is not quiet"):
        SelfTest(FakeHost([quiet()], idle=False), trial, 0, 0, FakeWatch()).settle()


# ------------------------------------------------------------ the command line


@pytest.fixture
def onnx_artifact(tmp_path: Path) -> Path:
    """A real network of one convolution, in a real file."""
    import onnx

    helper = onnx.helper
    weights = onnx.numpy_helper.from_array(np.ones((10, 3, 32, 32), np.float32), "w")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w"], ["c"]),
            helper.make_node("Flatten", ["c"], ["logits"]),
        ],
        "net",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, 10])],
        [weights],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    model = ModelSpec("net", CONFIG, WeightsRef("untrained"), SMALL)
    Artifact.describe(path, ExportRequest(model, "onnx"), Structure(1, 0, {"Conv": 1}), {}, 1.0).save()
    return path


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(cli, ["benchmark", *map(str, arguments)])


QUICK = (
    "--min-seconds",
    "0.2",
    "--max-seconds",
    "2",
    "--min-runs",
    "20",
    "--affinity",
    "any",
    "--processes",
    "2",
)


def test_a_real_network_is_measured_recorded_and_exported(onnx_artifact: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    exports = ("--export-csv", tmp_path / "t.csv", "--export-markdown", tmp_path / "t.md")
    done = run(onnx_artifact, *QUICK, "-o", out, *exports)
    assert done.exit_code == 0, done.output
    first, second = read_lines(out)
    for line in out.read_text().splitlines():
        jsonschema.validate(json.loads(line), schema.measurement_schema())
    assert (first.plan.round, second.plan.round) == (0, 1)
    assert first.runtime.name == "onnxruntime"
    assert len(first.environment.pinned) == 1
    assert first.timing.runs + len(first.timing.set_aside_ns) >= 20
    assert first.plan.processes == len(first.timing.runs_each) == 2
    assert first.memory.peak_bytes >= first.memory.after_load_bytes > first.memory.before_bytes > 10**6
    assert "net.onnx" in done.output
    assert (tmp_path / "t.csv").read_text().count("\n") == 2
    assert (tmp_path / "t.md").read_text().count("\n") == 3


def test_a_cold_measurement_has_a_process_a_sample(onnx_artifact: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    done = run(onnx_artifact, "--mode", "cold", "--min-runs", "2", "--rounds", "1", "-o", out, "--json")
    assert done.exit_code == 0, done.output
    [m] = read_lines(out)
    assert len(m.timing.loads_ns) == m.timing.runs == 2
    assert m.timing.first_runs_ns == m.timing.samples_ns
    assert json.loads(done.stdout.splitlines()[-1])["version"] == 1


def test_measured_lines_stay_when_a_later_artifact_fails(onnx_artifact: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    model = ModelSpec("net", CONFIG, WeightsRef("untrained"), SMALL)
    Artifact.describe(broken, ExportRequest(model, "onnx"), Structure(1, 0, {}), {}, 1.0).save()
    out = tmp_path / "r.jsonl"
    out.write_text('{"version":1,"half a li')
    done = run(broken, onnx_artifact, *QUICK, "--rounds", "1", "-o", out)
    assert isinstance(done.exception, MeasurementError)
    assert str(done.exception).startswith("broken.onnx (onnxruntime): this machine: the runtime failed with")
    assert [m.artifact.file for m in read_lines(out)] == ["net.onnx"]
    again = run(onnx_artifact, *QUICK, "--rounds", "1", "-o", out, "--resume")
    assert len(read_lines(out)) == (1 if "already there" in again.output else 2)


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        ((), UsageError, "name at least one artifact"),
        (("missing.tflite",), RegNetEdgeError, "no artifact at missing.tflite"),
        (("x.tflite", "--threads", "many"), UsageError, "--threads takes numbers"),
        (("x.tflite", "--affinity", "huge"), UsageError, "--affinity is big"),
        (("NET", "--host", "telepathy"), UnknownNameError, "unknown host 'telepathy'"),
        (("NET", "--host", "ssh://a:b@c"), UsageError, "leave the password out"),
        (("NET", "--host", "ssh:c"), UsageError, "write ssh://user@host"),
        (("NET", "--host", "local:x"), UsageError, "takes nothing after it"),
        (("NET", "--python", "/nowhere/python"), DeviceError, "/nowhere/python is not installed"),
    ],
)
def test_every_refusal_is_one_sentence(
    arguments: tuple[str, ...],
    kind: type[Exception],
    sentence: str,
    make_artifact: MakeArtifact,
    tmp_path: Path,
) -> None:
    net = str(make_artifact().path)
    done = run(*(net if a == "NET" else a for a in arguments), "-o", tmp_path / "r.jsonl")
    assert isinstance(done.exception, kind)
    assert sentence in str(done.exception)


def test_help_shows_an_example_and_loads_no_numpy() -> None:
    code = (
        "import sys\nfrom regnet_edge.cli import cli\n"
        "try:\n    cli.main(['benchmark', '--help'], standalone_mode=True)\nexcept SystemExit:\n    pass\n"
        "assert not {'numpy', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "regnet-edge benchmark model.pte --host ssh://pi@board" in done.stdout


def test_the_fake_device_is_one() -> None:
    assert DEVICE.clusters[0].cpus == (0, 1)


def test_the_page_on_benchmarks_names_every_option() -> None:
    from regnet_edge.cli.benchmark import command

    page = (Path(__file__).parents[2] / "docs" / "benchmark.md").read_text()
    options = {o for p in command.params for o in p.opts if o.startswith("-")}
    assert {o for o in options if f"`{o}`" not in page} == set()
