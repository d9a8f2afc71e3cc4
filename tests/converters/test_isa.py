"""Files on emulated AArch64: what counts as equal, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.cli.verify import command
from regnet_edge.converters import target
from regnet_edge.converters.guests import arm64, environments
from regnet_edge.converters.guests.arm64 import Emulated, Isa
from regnet_edge.converters.proof.isa import measure, quantum
from regnet_edge.errors import ToolError, UsageError
from regnet_edge.request import Calibration, ExportRequest


@pytest.fixture
def first(tiny, tmp_path) -> Artifact:
    """What a sidecar says of an fp32 file; the file itself is never run."""
    request = ExportRequest(tiny, "onnx", precision="fp32")
    return Artifact(tmp_path / "a.onnx", request, "", 1, {}, Structure(1, 0, {}), 0.0)


STEP = np.float32(0.25)
GRID = (np.arange(40, dtype=np.float32).reshape(4, 10) - 17) * STEP


@pytest.mark.parametrize(("steps", "passes"), [(0, True), (1, True), (2, False)])
def test_int8_may_differ_by_one_quantum_and_no_more(first, steps, passes):
    int8 = replace(
        first,
        request=replace(first.request, precision="int8", calibration=Calibration("test", "cd" * 32, 8, 0)),
    )
    there = GRID.copy()
    there[2, 3] += steps * STEP
    found = measure(int8, GRID, there, "there", "here")
    assert (found.passed, found.identical, found.quanta) == (passes, steps == 0, steps)


def test_fp32_must_come_above_110_db(first):
    assert measure(first, GRID, GRID * np.float32(1 + 1e-6), "there", "here").passed
    assert not measure(first, GRID, GRID * np.float32(1 + 1e-5), "there", "here").passed


def test_outputs_of_no_grid_have_no_quantum():
    assert quantum(GRID) == STEP
    assert quantum(np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)) is None


@pytest.mark.parametrize("text", ["riscv", "arm64:", "arm64:cortex-a5", "arm64:cortex-a76:x"])
def test_what_is_no_instruction_set_is_refused(text):
    with pytest.raises(UsageError, match="choose from"):
        Isa.parse(text)


def test_a_native_machine_takes_no_cpu(monkeypatch):
    monkeypatch.setattr(arm64.platform, "machine", lambda: "aarch64")
    assert Isa.parse("arm64") == Isa()
    with pytest.raises(UsageError, match="leave out :cortex-a76"):
        Isa.parse("arm64:cortex-a76")


def test_on_an_arm64_machine_a_file_is_run_there_and_compared_with_the_definition(
    tiny, tmp_path, monkeypatch, made_here
):
    made = made_here(ExportRequest(tiny, "onnx"), tmp_path)
    monkeypatch.setattr(arm64.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(Emulated, "run", lambda *_: pytest.fail("nothing is emulated there"))
    done = CliRunner().invoke(command, [str(made.path), "--isa", "arm64", "-n", "4", "--json"])
    assert done.exit_code == 0, done.output
    [found] = json.loads(done.stdout)["files"]
    assert found["parity"]["evaluator"].startswith("onnxruntime ")
    assert "qemu" not in found["parity"]["evaluator"]


def test_what_has_no_runtime_there_is_named_and_left_out(first, monkeypatch):
    coreml = replace(first, path=first.path.with_suffix(".mlpackage"))
    coreml = replace(coreml, request=replace(first.request, target="coreml"))
    monkeypatch.setattr(arm64.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(environments, "require", lambda _: None)
    for artifact in (first, coreml):
        artifact.path.write_bytes(b"x")
        Artifact.describe(artifact.path, artifact.request, first.structure, {}, 1.0).save()
    monkeypatch.setattr(Emulated, "run", lambda _, a, images: np.tile(GRID[0], (len(images), 1)))
    monkeypatch.setattr(type(target("onnx")), "run", lambda _, a, images: np.tile(GRID[0], (len(images), 1)))
    paths = [str(p) for p in sorted(first.path.parent.iterdir())]
    done = CliRunner().invoke(command, [*paths, "--isa", "arm64:cortex-a53", "-n", "2", "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    [found] = json.loads(done.stdout)["files"]
    assert (found["file"], found["identical"], found["passed"]) == (str(first.path), True, True)
    assert found["evaluator"].endswith("emulated AArch64 (qemu) cortex-a53")
    assert "left out: a.mlpackage, because" in done.stderr
    refused = CliRunner().invoke(command, [str(coreml.path), "--isa", "arm64"]).exception
    assert isinstance(refused, UsageError)


def test_a_missing_environment_and_a_target_without_runtime_are_one_sentence(first, tmp_path, monkeypatch):
    monkeypatch.setattr(arm64.platform, "machine", lambda: "x86_64")
    coreml = replace(first, request=replace(first.request, target="coreml"))
    with pytest.raises(UsageError, match=r"has no runtime on emulated AArch64; give \.tflite"):
        Emulated().check(coreml)
    monkeypatch.setenv("REGNET_EDGE_ENVIRONMENTS", str(tmp_path))
    refused = CliRunner().invoke(command, [str(first.path), "--isa", "arm64"]).exception
    assert isinstance(refused, ToolError)
    assert "regnet-edge env create arm64" in str(refused)
    both = [str(first.path), "--isa", "arm64", "--reference", "timm:x"]
    refused = CliRunner().invoke(command, both).exception
    assert isinstance(refused, UsageError)
