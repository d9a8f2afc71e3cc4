"""Ladder, law and advice once for real: three tiny nets, made, measured and learnt from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from regnet_edge.artifact import Artifact
from regnet_edge.benchmarks.law import study as studies
from regnet_edge.benchmarks.law.advise import AdvisedNet, Adviser, Budget, pick, try_out
from regnet_edge.benchmarks.law.ladder import Climb, LadderProgress, Rung, make_all
from regnet_edge.benchmarks.law.points import select
from regnet_edge.benchmarks.plan import Plan
from regnet_edge.benchmarks.record.measurement import Measurement, Validity
from regnet_edge.benchmarks.record.results import read_lines
from regnet_edge.benchmarks.workbench import Bench, Files
from regnet_edge.cli import cli
from regnet_edge.config import AnyNetConfig, RegNetConfig
from regnet_edge.design_space.spaces import REGNET_X
from regnet_edge.request import ExportRequest, ModelSpec, WeightsRef

RUNGS = tuple(
    Rung(f"net-{w0}", RegNetConfig(2, w0, 0, 2, 8, num_classes=10).anynet(), "design") for w0 in (8, 16, 32)
)
SIZE = 32


def believed(measure: Iterator[Measurement]) -> Iterator[Measurement]:
    """The records as if the machine had been quiet, which a test cannot ask for."""
    for m in measure:
        yield m if m.valid else replace(m, validity=Validity("warnings", m.validity.reasons))


def test_a_ladder_is_measured_a_law_fitted_and_a_net_advised_that_keeps_to_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_here: Callable[..., Artifact]
) -> None:
    monkeypatch.setattr(studies, "MIN_POINTS", len(RUNGS))  # such a law is worth nothing, but all of it runs
    bench = Bench("local", Plan(rounds=1, min_runs=10, min_seconds=0.02, max_seconds=1.0, affinity="any"))
    told: list[LadderProgress] = []

    def made(name: str, config: AnyNetConfig) -> list[Path]:
        model = ModelSpec(name, config, WeightsRef("untrained")).at_resolution(SIZE)
        return [made_here(ExportRequest(model, "onnx"), tmp_path / "models").path]

    def measure(paths: Sequence[Path]) -> Iterator[Measurement]:
        yield from believed(bench.measure(paths))

    paths = make_all(RUNGS, lambda rung: made(rung.name, rung.config), told.append)
    results = tmp_path / "results.jsonl"
    assert Climb(1, 0, results, told.append).run(paths, measure) == 3
    assert [p.phase for p in told] == ["convert"] * 3 + ["measure"] * 3

    shown = CliRunner().invoke(cli, ["law", str(results)])
    assert shown.exit_code == 0, shown.output
    assert "3 networks fitted, 0 set aside" in shown.output

    rng, budget = np.random.default_rng(0), Budget(1000.0, max_params=4e6)
    [(condition, points)] = select(read_lines(results)).items()
    adviser = Adviser.of(studies.study(condition, points, rng))
    assert adviser.resolution == SIZE
    candidates = adviser.search(budget, rng, (REGNET_X,), draws=12)
    smallest = min(candidates, key=lambda c: c.complexity.params)

    def build(candidate: AdvisedNet) -> Path:
        [path] = made(candidate.name, candidate.rule.anynet())
        Files(path.parent, "onnx", SIZE).verify(path)
        return path

    chosen = pick(try_out([smallest], build, measure), budget)
    assert chosen is not None, "a small net runs within a second"
    assert chosen.latency is not None
    assert chosen.latency.first.model.config == smallest.rule.anynet()
    assert 0 < chosen.latency.median_ms <= budget.latency_ms
