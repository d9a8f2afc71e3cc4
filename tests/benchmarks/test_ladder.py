"""A ladder's plan is drawn once, told apart by design, and climbed to the end whatever interrupts it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.benchmarks.doubles.fakes import FakeHost, observation
from regnet_edge.benchmarks.doubles.simulated import SimulatedDevice
from regnet_edge.benchmarks.law.fit import SPLIT
from regnet_edge.benchmarks.law.ladder import (
    PLAN_FILE,
    Climb,
    LadderPlan,
    LadderProgress,
    LadderSettings,
    Rung,
    draw,
    estimate,
    held_out_beside,
    make_all,
    padded_mf,
    plan_in,
    valid_visits,
    visits,
)
from regnet_edge.benchmarks.law.terms import Net, matrix
from regnet_edge.benchmarks.plan import Plan as MeasuringPlan
from regnet_edge.benchmarks.record.measurement import Measurement
from regnet_edge.benchmarks.record.results import read_lines
from regnet_edge.benchmarks.workbench import Bench, Files, precisions
from regnet_edge.complexity import complexity
from regnet_edge.config import AnyNetConfig, RegNetConfig
from regnet_edge.errors import ConversionError, MeasurementError, UnknownNameError, UsageError
from regnet_edge.request import ExportRequest, ModelSpec, Precision, WeightsRef

SETTINGS = LadderSettings("tflite", ("fp32", "int8"), nets=16, pool=200)
OTHER = replace(SETTINGS, precisions=("fp32",))
ZOO = [("regnetx_400mf", RegNetConfig(22, 24, 24.48, 2.54, 16).anynet())]


@pytest.fixture(scope="module")
def plan() -> LadderPlan:
    return draw(SETTINGS, ZOO)


class Stopped(Exception):  # noqa: N818  # the user stopped it, which is no error
    """Somebody pressed Ctrl-C."""


class Device:
    """A simulated device that finds networks by file name, and stops after `limit` visits."""

    def __init__(self, plan: LadderPlan, limit: int = 10**6, disturbed: frozenset[str] = frozenset()) -> None:
        self.device = SimulatedDevice(np.random.default_rng(0), disturbed=disturbed)
        self.configs: dict[str, AnyNetConfig] = {r.name: r.config for r in plan.rungs}
        self.limit = limit
        self.seen: list[str] = []

    def make(self, rung: Rung) -> list[Path]:
        return [Path(f"{rung.name}@fp32.tflite"), Path(f"{rung.name}@int8.tflite")]

    def measure(self, files: Sequence[Path]) -> Iterator[Measurement]:
        for file in files:
            if len(self.seen) == self.limit:
                raise Stopped
            name, precision = file.stem.split("@")
            self.seen.append(file.name)
            yield self.device.record(
                name, self.configs[name], 224, "int8" if precision == "int8" else "fp32", file=file.name
            )


def climb(bench: Device, plan: LadderPlan, results: Path, told: list[LadderProgress]) -> int:
    files = make_all(plan.rungs, bench.make, told.append)
    return Climb(2, 0, results, told.append).run(files, bench.measure)


def test_a_plan_has_networks_set_aside_the_zoo_and_the_designed_ones(plan: LadderPlan) -> None:
    assert Counter(r.role for r in plan.rungs) == {"holdout": 5, "zoo": 1, "design": 10}
    assert len(plan.rungs) == SETTINGS.nets
    for rung in plan.rungs:
        counts = complexity(rung.config)
        assert rung.role == "zoo" or 50e6 <= counts.flops <= 1500e6
        assert padded_mf(rung.config, 224) <= 4000
    aside = [r.config for r in plan.rungs if r.role == "holdout"]
    assert len({g for c in aside for g in c.group_widths}) > 2
    assert len({s.bottleneck_ratio for c in aside for s in c.stages}) > 1


def test_the_same_settings_draw_the_same_plan_and_holdout_does_not_depend_on_the_zoo(
    plan: LadderPlan,
) -> None:
    assert draw(SETTINGS, ZOO) == plan
    other = draw(OTHER, [("y", RegNetConfig(16, 48, 27.89, 2.09, 8).anynet())])
    assert other.held_out == plan.held_out
    assert draw(replace(OTHER, seed=1), ZOO).held_out != plan.held_out


def test_flops_and_activations_are_less_alike_on_the_ladder_than_among_regnets(plan: LadderPlan) -> None:
    nets = [Net.of(r.config, 224) for r in plan.rungs if r.role != "holdout"]
    flops, activations = matrix(nets, ("flops", "activations")).T
    assert abs(np.corrcoef(flops, activations)[0, 1]) < 0.9
    assert np.linalg.matrix_rank(matrix(nets, SPLIT.terms)) == min(len(nets), len(SPLIT.terms))


def test_a_plan_file_reads_back_and_a_folder_keeps_its_plan(
    plan: LadderPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regnet_edge.benchmarks.law.ladder.zoo_rungs", lambda: ZOO)
    assert plan_in(tmp_path, SETTINGS) == plan == LadderPlan.load(tmp_path / PLAN_FILE)
    assert plan_in(tmp_path, SETTINGS) == plan
    with pytest.raises(UsageError, match="holds a ladder of other settings"):
        plan_in(tmp_path, OTHER)
    assert held_out_beside(tmp_path / "results.jsonl") == plan.held_out
    assert held_out_beside(tmp_path / "sub" / "results.jsonl") == frozenset()
    (tmp_path / PLAN_FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(MeasurementError, match=r"is not a ladder's plan"):
        plan_in(tmp_path, SETTINGS)


def test_settings_that_cannot_carry_a_law_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 16 networks, not 5"):
        LadderSettings("tflite", ("fp32",), nets=5)
    with pytest.raises(UsageError, match="pass --precision fp32"):
        LadderSettings("tflite", ())


def test_visits_go_there_and_back_and_leave_out_what_is_done() -> None:
    files = [Path(name) for name in "abcd"]
    order = [f.name for f in visits(files, 2, Counter(), seed=0)]
    assert sorted(order[:4]) == list("abcd")
    assert order[4:] == order[3::-1]
    left = [f.name for f in visits(files, 2, Counter({order[0]: 2, order[1]: 1}), seed=0)]
    assert left == [n for n in order[2:] if n != order[0]]


def test_an_interrupted_ladder_goes_on_where_it_stopped(plan: LadderPlan, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    first = Device(plan, limit=17)
    with pytest.raises(Stopped):
        climb(first, plan, results, [])
    with results.open("a", encoding="utf-8") as stream:
        stream.write('{"version": 1, "cut')  # killed in the middle of a line
    second = Device(plan)
    assert climb(second, plan, results, []) == 64 - 17
    whole = Device(plan)
    climb(whole, plan, tmp_path / "whole.jsonl", [])
    assert first.seen + second.seen == whole.seen
    assert set(valid_visits(read_lines(results)).values()) == {2}
    assert climb(Device(plan), plan, results, []) == 0


def test_invalid_visits_are_repeated_but_not_for_ever(plan: LadderPlan, tmp_path: Path) -> None:
    bad = "holdout-01@fp32.tflite"
    bench = Device(plan, disturbed=frozenset({bad}))
    told: list[LadderProgress] = []
    climb(bench, plan, tmp_path / "results.jsonl", told)
    assert Counter(bench.seen)[bad] == 4
    assert all(n == 2 for name, n in Counter(bench.seen).items() if name != bad)
    assert any(p.remark.startswith("invalid: ") for p in told)
    rounds = [m.plan.round for m in read_lines(tmp_path / "results.jsonl") if m.artifact.file != bad]
    assert Counter(rounds) == {0: 31, 1: 31}


def test_a_network_that_cannot_be_converted_is_told_and_left_out(plan: LadderPlan) -> None:
    told: list[LadderProgress] = []

    def make(rung: Rung) -> list[Path]:
        if rung.role != "zoo":
            raise ConversionError("the converter failed; see regnet-edge doctor")
        return [Path(rung.name)]

    assert make_all(plan.rungs, make, told.append) == [Path("regnetx_400mf")]
    assert sum(p.remark != "" for p in told) == 15
    with pytest.raises(MeasurementError, match="none of the networks could be converted"):
        make_all(plan.rungs[:2], make, told.append)


def test_progress_tells_how_long_the_rest_will_take(plan: LadderPlan, tmp_path: Path) -> None:
    seconds = iter(range(1000))
    told: list[LadderProgress] = []
    make_all(plan.rungs, Device(plan).make, told.append, clock=lambda: float(next(seconds)))
    assert told[3].done == 4
    assert told[3].elapsed_s == 4
    assert told[3].left_s == 12


def test_an_estimate_shrinks_with_what_is_done(plan: LadderPlan) -> None:
    whole = estimate(plan, rounds=2, visit_s=5)
    assert whole.measure_s == 16 * 2 * 2 * 5
    assert estimate(plan, 2, 5, made=16, measured=60).minutes == pytest.approx(4 * 5 / 60)
    assert "converting" in str(whole)


def test_the_default_ladder_fits_into_half_an_hour() -> None:
    plan = draw(replace(SETTINGS, nets=40), ZOO)
    assert estimate(plan, rounds=2, visit_s=5).minutes < 30


# ---- the workbench: real files, a host that is a list of answers


def artifact(folder: Path, rung: Rung) -> Path:
    model = ModelSpec(rung.name, rung.config, WeightsRef("untrained"))
    path = folder / f"{rung.name}-224-fp32.tflite"
    path.write_bytes(b"file")
    Artifact.describe(path, ExportRequest(model, "tflite"), Structure(1, 0, {}), {}, 0.0).save()
    return path


def test_a_bench_measures_each_visit_in_order_and_tells_what_failed(plan: LadderPlan, tmp_path: Path) -> None:
    one, two = (artifact(tmp_path, rung) for rung in plan.rungs[:2])
    quick, told = observation([1.0] * 40), list[str]()
    host = FakeHost([quick, "the runtime refuses the file; convert it again", quick, quick])
    bench = Bench("local", MeasuringPlan(rounds=1, min_runs=10), ("regnet-edge",), told.append)
    found = list(bench.measure_on(host, [one, two, one]))
    assert [m.artifact.file for m in found] == [one.name, one.name]
    assert found[0].model.config == plan.rungs[0].config
    assert len(told) == 1
    assert "the runtime refuses the file" in told[0]


def test_precisions_are_words_between_commas() -> None:
    assert precisions("fp32, int8") == ("fp32", "int8")
    with pytest.raises(UnknownNameError, match="unknown precision 'int9'"):
        precisions("fp32,int9")


def test_the_command_plans_measures_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regnet_edge.cli.ladder import command

    def make(self: Files, name: str, config: AnyNetConfig, wanted: Sequence[Precision]) -> list[Path]:
        bench.configs[name] = config
        return [Path(f"{name}@{p}.tflite") for p in wanted]

    bench = Device(LadderPlan(SETTINGS, ()))
    monkeypatch.setattr("regnet_edge.benchmarks.law.ladder.zoo_rungs", lambda: ZOO)
    monkeypatch.setattr(Files, "make", make)
    monkeypatch.setattr(Bench, "staying", lambda self: contextlib.nullcontext(bench.measure))
    arguments = ["--nets", "16", "--out", str(tmp_path)]
    planned = CliRunner().invoke(command, [*arguments, "--plan-only"])
    assert planned.exit_code == 0, planned.output
    assert "16 networks (5 set aside, 1 published, 10 designed) in fp32, int8: about" in planned.output
    assert not (tmp_path / "results.jsonl").exists()
    measured = CliRunner().invoke(command, arguments)
    assert "64 measurements added" in measured.output
    assert "0 measurements added" in CliRunner().invoke(command, arguments).output
