"""Advice among published checkpoints: their own figures, one law, and no guess that is not said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from regnet_edge.benchmarks.doubles.simulated import SimulatedDevice
from regnet_edge.benchmarks.law.advise import Adviser, Budget, size_law
from regnet_edge.benchmarks.law.ladder import zoo_rungs
from regnet_edge.benchmarks.law.points import MeasuredNet
from regnet_edge.benchmarks.law.published import (
    PublishedChoice,
    accuracy_front,
    chosen_from,
    judged,
    within,
)
from regnet_edge.benchmarks.law.study import fit_split
from regnet_edge.benchmarks.record.measurement import Measurement
from regnet_edge.benchmarks.record.results import write_line
from regnet_edge.benchmarks.workbench import Bench, Files
from regnet_edge.cli import cli
from regnet_edge.design_space.sampling import Regime, sample_anynets
from regnet_edge.design_space.spaces import ANYNET_X_A
from regnet_edge.errors import MeasurementError, UsageError, WeightsError
from regnet_edge.published_points import points
from regnet_edge.request import ModelSpec, Precision


@pytest.fixture(scope="module")
def choices() -> list[PublishedChoice]:
    rng = np.random.default_rng(0)
    device = SimulatedDevice(rng)
    measured = [device.record(name, config) for name, config in zoo_rungs()]
    measured += [
        device.record(f"n{i}", c)
        for i, c in enumerate(sample_anynets(ANYNET_X_A, 6, rng, Regime(5e7, 1.5e9)))
    ]
    nets = [MeasuredNet(m.model.name, m.model.config, 224, m.median_ms, m.artifact.bytes) for m in measured]
    return judged(Adviser(fit_split(nets, rng), size_law(nets)), chosen_from(points()))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results file of a simulated device in fp32 alone."""
    rng, path = np.random.default_rng(3), tmp_path_factory.mktemp("results") / "results.jsonl"
    device = SimulatedDevice(rng)
    with path.open("w", encoding="utf-8") as stream:
        for i, config in enumerate(sample_anynets(ANYNET_X_A, 9, rng, Regime(5e7, 1.5e9))):
            write_line(stream, device.record(f"net-{i}", config), rng)
    return path


def advise(results: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["advise", "--published", "--results", str(results), *arguments])


def test_every_figure_is_the_one_that_its_source_publishes() -> None:
    known = {p.title: p.top1 for p in points()}
    for title, top1 in (
        ("paper:regnetx_400mf at 224", 72.618),  # 27.382 % error in the authors' log
        ("paper:regnety_3.2gf at 224", 78.926),
        ("timm:regnety_160.deit_in1k at 288", 83.704),  # results-imagenet.csv
        ("timm:regnety_160.deit_in1k at 224", 83.0),
        ("torchvision:regnet_y_16gf.IMAGENET1K_SWAG_E2E_V1 at 384", 86.012),
    ):
        assert known[title] == top1


def test_licences_that_forbid_selling_are_those_of_swag_and_seer() -> None:
    barred = {p.name.split(".")[1] for p in points() if not p.for_sale}
    assert barred == {
        "seer", "seer_ft_in1k", "swag_ft_in1k", "swag_lc_in1k", "IMAGENET1K_SWAG_E2E_V1",
        "IMAGENET1K_SWAG_LINEAR_V1",
    }  # fmt: skip
    assert all(p.licence for p in points())


def test_one_checkpoint_at_two_resolutions_is_two_choices(choices: list[PublishedChoice]) -> None:
    at = {c.point.resolution: c for c in choices if c.point.name == "regnety_040.ra3_in1k"}
    assert (at[224].worth, at[288].worth) == (82.308, 83.048)
    assert at[288].interval.predicted_ms > 1.3 * at[224].interval.predicted_ms
    assert at[288].complexity.flops == pytest.approx(at[224].complexity.flops * (288 / 224) ** 2, rel=0.01)


def test_nothing_that_can_be_had_beats_the_front(choices: list[PublishedChoice]) -> None:
    front = accuracy_front(choices)
    for kept in front:
        better = [c for c in choices if c.worth > kept.worth and c.interval.high_ms <= kept.interval.high_ms]
        assert not better
    for other in {c.point.title for c in choices} - {c.point.title for c in front}:
        mine = next(c for c in choices if c.point.title == other)
        assert any(c.worth >= mine.worth and c.interval.high_ms <= mine.interval.high_ms for c in front)


def test_a_budget_below_every_net_names_the_fastest(choices: list[PublishedChoice]) -> None:
    with pytest.raises(MeasurementError, match=r"keeps to 0\.1 ms.*the fastest, \w+:regnet\w+\S* at 224"):
        within(choices, Budget(0.1))
    assert all(c.interval.high_ms <= 20 for c in within(choices, Budget(20)))
    assert all(c.complexity.params <= 6e6 for c in within(choices, Budget(20, max_params=6e6)))


def test_families_and_resolutions_can_be_asked_for() -> None:
    assert {p.entry.family for p in chosen_from(points(), "regnetx")} == {"RegNetX"}
    assert {p.resolution for p in chosen_from(points(), resolution=384)} == {384}
    with pytest.raises(UsageError, match="at 200 pixels; give --resolution one of 224, 288, 384"):
        chosen_from(points(), resolution=200)


def test_the_command_prints_the_front_the_pick_and_what_makes_its_file(results: Path, tmp_path: Path) -> None:
    asked = ("--budget-ms", "60", "--device", "simulated")
    plot = tmp_path / "front.svg"
    told = advise(results, *asked, "--plot", str(plot))
    assert told.exit_code == 0, told.output
    pick = next(line for line in told.output.splitlines() if line.startswith("pick "))
    command = next(line for line in told.output.splitlines() if line.startswith("next: "))
    assert "top-1 (" in pick
    assert "--target tflite --precision fp32" in command
    assert "not for sale" in plot.read_text()
    answer = json.loads(advise(results, *asked, "--json").stdout)
    assert answer["command"] in command
    assert answer["pick"]["interval"]["high_ms"] <= 60
    fits = [row["point"]["name"] for row in answer["front"] if row["fits"]]
    assert fits[0] == answer["pick"]["point"]["name"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--budget-ms", "20"], "measured on simulated device, and --host local is"),
        (["--budget-ms", "20", "--device", "simulated", "--convert"], "measured on simulated device"),
        (["--budget-ms", "20", "--precision", "int8"], "no valid measurement is of that kind"),
        (["--budget-ms", "20", "--device", "Pixel"], "no valid measurement is of that kind"),
        (["--budget-ms", "0.01", "--device", "simulated"], "no published net keeps to 0.01 ms"),
        (["--budget-ms", "20", "--draws", "50"], "--draws is about networks that nobody has trained"),
        (["--budget-ms", "20", "--device", "simulated", "--plot", "x.txt"], "a picture ends in"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(
    results: Path, arguments: list[str], sentence: str
) -> None:
    told = advise(results, *arguments)
    assert told.exit_code != 0
    assert sentence in str(told.exception)


def test_advice_without_results_says_how_a_law_comes_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(cli, ["advise", "--published", "--budget-ms", "9"])
    assert "regnet-edge ladder --out ladder" in str(told.exception)


def test_weights_out_of_reach_are_replaced_by_untrained_ones_and_it_is_said(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, made = SimulatedDevice(np.random.default_rng(1)), dict[str, ModelSpec]()

    def make(self: Files, model: ModelSpec, _: Sequence[Precision]) -> list[Path]:
        made[f"{model.name}.tflite"] = model
        return [Path(f"{model.name}.tflite")]

    def measure(self: Bench, paths: Sequence[Path]) -> Iterator[Measurement]:
        for path in paths:
            spec = made[path.name]
            yield device.record(spec.name, spec.config, spec.resolution, file=path.name)

    def unreachable(name: str) -> Path:
        raise WeightsError(f"{name} is not in the local cache and cannot be fetched (offline)")

    monkeypatch.setattr(Files, "make_model", make)
    monkeypatch.setattr(Files, "verify", lambda self, path: None)
    monkeypatch.setattr(Bench, "measure", measure)
    monkeypatch.setattr("regnet_edge.weights.packages.locate", unreachable)
    monkeypatch.setattr("regnet_edge.cli._advice.require_same_device", lambda *_: None)
    told = advise(results, "--budget-ms", "60", "--convert", "--out", str(tmp_path))
    assert told.exit_code == 0, told.output
    assert len(made) == 3
    assert {spec.weights.kind for spec in made.values()} == {"untrained"}
    assert told.output.count("untrained weights of the same shape stand in") == 3
    assert "cannot be fetched (offline)" in told.output
    assert "predicted and measured" in told.output
    assert "\npick " in told.output
