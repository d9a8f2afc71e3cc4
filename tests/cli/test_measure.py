"""Latency as the objective: samples and populations measured, then judged by it (on a simulated device)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from regnet_edge.benchmarks import workbench
from regnet_edge.benchmarks.doubles.simulated import SimulatedDevice
from regnet_edge.benchmarks.law.ladder import LOCK_FILE, WORK
from regnet_edge.benchmarks.record.measurement import Measurement
from regnet_edge.cli import bootstrap, cli, front, measure
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.design_space import records
from regnet_edge.errors import RegNetEdgeError
from regnet_edge.files import alone


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> dict[str, AnyNetConfig]:
    """A device that no clock is read on; what was converted, by name."""
    known: dict[str, AnyNetConfig] = {}
    simulated = SimulatedDevice(np.random.default_rng(0))

    def make(
        files: workbench.Files, name: str, config: AnyNetConfig, precisions: Sequence[str]
    ) -> list[Path]:
        known[name] = config
        files.folder.mkdir(parents=True, exist_ok=True)
        return [files.folder / f"{name}@{files.resolution}@{p}.tflite" for p in precisions]

    def record(_bench: workbench.Bench, paths: Sequence[Path]) -> Iterator[Measurement]:
        for path in paths:
            name, side, precision = path.stem.split("@")
            yield simulated.record(name, known[name], int(side), precision, file=path.name)

    monkeypatch.setattr(workbench.Files, "make", make)
    monkeypatch.setattr(workbench.Bench, "measure", record)
    return known


def run(verb: str, *arguments: str | Path) -> str:
    command = {"measure": measure.command, "bootstrap": bootstrap.command, "front": front.command}[verb]
    done = CliRunner().invoke(command, [str(a) for a in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_a_sample_of_a_space_is_measured_and_judged_and_goes_on_where_it_stopped(
    device: dict[str, AnyNetConfig], tmp_path: Path
) -> None:
    asked = ["AnyNetX_A:stages=2", "--flops", "1e6-8e6", "-r", "32", "--out", tmp_path]
    assert json.loads(run("measure", *asked, "-n", "6", "--json"))["added"] == 24
    first = dict(device)
    assert json.loads(run("measure", *asked, "-n", "8", "--json"))["added"] == 8
    assert first.items() <= device.items()
    found = json.loads(run("bootstrap", tmp_path / "results.jsonl", "--match", "flops", "--json"))
    assert set(found) == {"fp32", "int8"}
    assert {"depth", "width_2", "group_width_1"} <= {b["parameter"] for b in found["int8"]}


@pytest.mark.parametrize("verb", ["measure", "ladder"])
def test_two_never_fill_one_folder_at_once(tmp_path: Path, verb: str) -> None:
    out = tmp_path / "out"
    asked = {"measure": ("AnyNetX_A", "-n", "1"), "ladder": ("--plan-only", "--max-mf", "900")}[verb]
    with alone(out / LOCK_FILE, WORK):
        done = CliRunner().invoke(cli, [verb, *asked, "--out", str(out)])
        assert isinstance(done.exception, RegNetEdgeError)
        assert f"another measuring fills {out}" in str(done.exception)
        assert [p.name for p in out.iterdir()] == [LOCK_FILE]
    assert not list(out.iterdir())


def test_a_trained_population_is_measured_as_it_was_trained_and_joined_in_a_front(
    device: dict[str, AnyNetConfig], tmp_path: Path
) -> None:
    configs = [
        AnyNetConfig((Stage(1, 8 * w, 8), Stage(d, 16 * w, 8)), num_classes=10)
        for w, d in ((1, 1), (2, 1), (2, 4), (4, 2))
    ]
    made = [
        records.Record(records.TrainingSubject("A", i, c, 32, 1), 1, 1, 1, 40.0 - 5 * i, images=10)
        for i, c in enumerate(configs)
    ]
    records.append(tmp_path / "sweep" / "records.jsonl", made)
    run("measure", tmp_path / "sweep", "--precision", "int8", "--out", tmp_path / "measured")
    assert device == {f"a-{i:03d}": c for i, c in enumerate(configs)}
    arguments = [tmp_path / "sweep", "--latency", tmp_path / "measured" / "results.jsonl", "--json"]
    points = json.loads(run("front", *arguments))["points"]
    assert {p["name"] for p in points} == {"A 0", "A 1", "A 2", "A 3"}
    assert all(p["cost"] > 0 for p in points)
    assert next(p for p in points if p["name"] == "A 3")["on_front"]


def test_what_cannot_be_measured_gets_one_sentence(tmp_path: Path) -> None:
    config = AnyNetConfig((Stage(1, 8, 8),), num_classes=10)
    subjects = [records.TrainingSubject(arm, 0, config, side, 1) for arm, side in (("A", 16), ("B", 32))]
    records.append(
        tmp_path / "records.jsonl", [records.Record(s, 1, 1, 1, 30.0, images=10) for s in subjects]
    )
    for arguments, sentence in [
        ([tmp_path], "trained at 16, 32 pixels; choose arms of one size"),
        ([tmp_path, "--arm", "C"], "no trained network of C; its arms are A, B"),
        ([tmp_path, "--flops", "1-2"], "leave the window out"),
        (["AnyNetX_A", "--arm", "A"], "leave it out"),
    ]:
        done = CliRunner().invoke(measure.command, [*map(str, arguments), "--out", str(tmp_path / "out")])
        assert isinstance(done.exception, RegNetEdgeError), done.output
        assert done.exception.exit_code == 2
        assert sentence in str(done.exception)
