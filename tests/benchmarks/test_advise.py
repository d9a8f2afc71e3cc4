"""Advice keeps to the budget, measures before it picks, and says where it guesses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from regnet_edge.benchmarks.doubles.simulated import SimulatedDevice
from regnet_edge.benchmarks.law.advise import (
    AdvisedNet,
    Adviser,
    Budget,
    finalists,
    front,
    pick,
    size_law,
    try_out,
)
from regnet_edge.benchmarks.law.points import MeasuredNet
from regnet_edge.benchmarks.law.study import fit_split
from regnet_edge.benchmarks.record.measurement import Measurement
from regnet_edge.benchmarks.record.results import write_line
from regnet_edge.benchmarks.workbench import Bench, Files
from regnet_edge.cli._advice import print_tried
from regnet_edge.complexity import complexity
from regnet_edge.config import AnyNetConfig
from regnet_edge.design_space.sampling import Regime, sample_anynets
from regnet_edge.design_space.spaces import ANYNET_X_A, REGNET_Y, within_caps
from regnet_edge.errors import ConversionError, MeasurementError, UsageError
from regnet_edge.request import Precision

BUDGET = Budget(15.0, max_params=8e6)
DRAWS = 60


@pytest.fixture(scope="module")
def adviser() -> Adviser:
    rng = np.random.default_rng(0)
    device = SimulatedDevice(rng)
    space = replace(ANYNET_X_A, se_ratios=(0.0, 0.25))
    configs = sample_anynets(space, 28, rng, Regime(50e6, 1.5e9, max_params=12e6, max_activations=15e6))
    points = []
    for i, config in enumerate(configs):
        m = device.record(f"net-{i}", config)
        points.append(MeasuredNet(m.model.name, config, 224, m.median_ms, m.artifact.bytes))
    return Adviser(fit_split(points, rng), size_law(points))


@pytest.fixture(scope="module")
def choices(adviser: Adviser) -> list[AdvisedNet]:
    return adviser.search(BUDGET, np.random.default_rng(1), draws=DRAWS)


class Shop:
    """Builds by writing down a name, measures by the formula; `slow` files take three times as long."""

    def __init__(self, broken: str = "", slow: Sequence[str] = ()) -> None:
        self.device = SimulatedDevice(np.random.default_rng(5), network_noise=0.0)
        self.choices: dict[str, AdvisedNet] = {}
        self.broken, self.slow = broken, slow

    def build(self, choice: AdvisedNet) -> Path:
        if choice.name == self.broken:
            raise ConversionError("the file computes something else; nothing was kept")
        self.choices[f"{choice.name}.tflite"] = choice
        return Path(f"{choice.name}.tflite")

    def measure(self, files: Sequence[Path]) -> Iterator[Measurement]:
        for file in files:
            choice = self.choices[file.name]
            factor = 3.0 if choice.name in self.slow else 1.0
            yield self.device.record(choice.name, choice.rule.anynet(), 224, file=file.name, factor=factor)


def test_choices_keep_to_every_limit_and_to_the_refined_space(choices: list[AdvisedNet]) -> None:
    assert choices
    for choice in choices:
        assert choice.interval.high_ms <= BUDGET.latency_ms
        assert choice.complexity.params <= 8e6
        c = choice.complexity
        assert within_caps(*(np.array(v) for v in (c.flops, c.params, c.activations)))
        assert 12 <= choice.rule.depth <= 28
        assert choice.complexity == complexity(choice.rule.anynet())
    assert {c.rule.se_ratio for c in choices} == {0.0, 0.25}
    flops = [c.complexity.flops for c in choices]
    assert flops == sorted(flops, reverse=True)


def test_a_larger_budget_buys_more_flops_and_a_file_limit_fewer(
    adviser: Adviser, choices: list[AdvisedNet]
) -> None:
    rng = np.random.default_rng(1)
    more = adviser.search(Budget(30.0), rng, draws=DRAWS)
    assert more[0].complexity.flops > choices[0].complexity.flops
    small = adviser.search(Budget(30.0, max_bytes=8e6), rng, draws=DRAWS)
    assert max(c.bytes for c in small) <= 8e6
    assert max(c.complexity.params for c in small) < 2.1e6


def test_the_budget_holds_on_the_device_for_nearly_every_choice(choices: list[AdvisedNet]) -> None:
    device = SimulatedDevice(np.random.default_rng(9))
    times = [device.record(c.name, c.rule.anynet()).median_ms for c in choices]
    assert np.mean(np.array(times) <= BUDGET.latency_ms) > 0.85


def test_the_same_seed_gives_the_same_advice(adviser: Adviser, choices: list[AdvisedNet]) -> None:
    again = adviser.search(BUDGET, np.random.default_rng(1), draws=DRAWS)
    assert [c.name for c in again] == [c.name for c in choices]


def test_a_space_can_be_named(adviser: Adviser) -> None:
    found = adviser.search(BUDGET, np.random.default_rng(1), [REGNET_Y], DRAWS)
    assert {c.rule.se_ratio for c in found} == {0.25}


def test_an_impossible_budget_is_refused(adviser: Adviser) -> None:
    with pytest.raises(MeasurementError, match=r"no RegNet drawn keeps to 0\.1 ms and the other limits"):
        adviser.search(Budget(0.1), np.random.default_rng(0), draws=10)
    with pytest.raises(UsageError, match="a budget is positive"):
        Budget(0.0)


def test_no_choice_of_the_front_is_beaten_by_another(choices: list[AdvisedNet]) -> None:
    kept = front(choices)
    assert kept[0] == choices[0]
    for choice in kept:
        assert not any(
            c.complexity.flops > choice.complexity.flops and c.interval.high_ms < choice.interval.high_ms
            for c in choices
        )


def test_finalists_are_like_what_was_measured_where_such_exist(choices: list[AdvisedNet]) -> None:
    top = finalists([replace(choices[0], inside=False), *(replace(c, inside=True) for c in choices[1:])])
    assert [c.name for c in top] == [c.name for c in choices[1:6]]
    outside = [replace(c, inside=False) for c in choices]
    assert len(finalists(outside)) == 5


def test_sizes_follow_the_measured_files(adviser: Adviser) -> None:
    assert adviser.size == pytest.approx([20_000, 4.0], rel=0.01)


def test_the_pick_has_the_most_flops_of_those_that_hold_when_measured(choices: list[AdvisedNet]) -> None:
    top = finalists(choices)
    bench = Shop(broken=top[0].name, slow=[top[1].name])
    tried = try_out(top, bench.build, bench.measure)
    assert [t.choice for t in tried] == top
    assert tried[0].failure.startswith("the file computes something else")
    assert tried[0].latency is None
    assert not tried[1].fits(BUDGET)
    chosen = pick(tried, BUDGET)
    assert chosen is tried[2]


def test_where_nothing_holds_nothing_is_picked(choices: list[AdvisedNet]) -> None:
    top = finalists(choices)
    bench = Shop(slow=[c.name for c in top])
    assert pick(try_out(top, bench.build, bench.measure), BUDGET) is None
    small = replace(BUDGET, max_bytes=1.0)
    honest = Shop()
    assert pick(try_out(top, honest.build, honest.measure), small) is None


def test_a_disturbed_measurement_decides_nothing(
    choices: list[AdvisedNet], capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Shop()
    top = finalists(choices)[:1]
    bench.device = replace(bench.device, disturbed=frozenset({f"{top[0].name}.tflite"}))
    tried = try_out(top, bench.build, bench.measure)
    assert tried[0].latency is not None
    assert pick(tried, BUDGET) is None
    print_tried(tried, BUDGET, lambda c: c.name)
    assert "measure again when the machine is quiet" in capsys.readouterr().out


def test_the_command_shows_the_front_and_measures_before_it_picks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regnet_edge.cli.advise import command

    device, rng, results = (
        SimulatedDevice(np.random.default_rng(0)),
        np.random.default_rng(0),
        tmp_path / "r.jsonl",
    )
    with results.open("w", encoding="utf-8") as stream:
        for i, config in enumerate(sample_anynets(ANYNET_X_A, 24, rng, Regime(50e6, 1.5e9))):
            for precision in ("fp32", "int8"):
                write_line(stream, device.record(f"net-{i}", config, precision=precision), rng)
    made: dict[str, AnyNetConfig] = {}

    def make(self: Files, name: str, config: AnyNetConfig, wanted: Sequence[Precision]) -> list[Path]:
        made[f"{name}.tflite"] = config
        return [Path(f"{name}.tflite")]

    monkeypatch.setattr(Files, "make", make)
    monkeypatch.setattr(Files, "verify", lambda self, path: None)
    monkeypatch.setattr("regnet_edge.cli._advice.require_same_device", lambda *_: None)
    monkeypatch.setattr(
        Bench,
        "measure",
        lambda self, paths: (device.record(p.stem, made[p.name], file=p.name) for p in paths),
    )
    arguments = ["--results", str(results), "--budget-ms", "15", "--draws", "50"]
    told = CliRunner().invoke(command, [*arguments, "--precision", "fp32", "--convert"])
    assert told.exit_code == 0, told.output
    assert "90 % interval" in told.output
    assert "predicted and measured" in told.output
    assert len(made) == 5
    assert "pick regnet" in told.output
    vague = CliRunner().invoke(command, arguments)
    assert isinstance(vague.exception, UsageError)
    assert "say which with --precision" in str(vague.exception)
