"""ExecuTorch files for Core ML: the program inside is proved here, and nothing claims to run the file."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from regnet_edge.artifact import Artifact
from regnet_edge.bundles.android import check_runtime
from regnet_edge.cli import cli
from regnet_edge.cli._converted import report
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign, isolated, target
from regnet_edge.converters.proof.metrics import sqnr_db
from regnet_edge.converters.run import Outcome
from regnet_edge.errors import ArtifactError, RegNetEdgeError, UsageError
from regnet_edge.request import Calibration, ExportRequest, ModelSpec, Preprocessing, WeightsRef

SMALL = AnyNetConfig((Stage(1, 16, 8, 1.0),), stem_width=8, se_ratio=0.25, num_classes=5)
HOW = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 32)
MODEL = ModelSpec("small", SMALL, WeightsRef("untrained"), HOW)
IMAGES = np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)


def request(precision: str = "fp32", **more) -> ExportRequest:
    return ExportRequest(MODEL, "executorch", precision, options={"delegate": "coreml"}, **more)


@pytest.fixture(scope="module")
def source(source_of) -> Source:
    return source_of(MODEL)


@pytest.fixture(scope="module")
def made(source, tmp_path_factory) -> Artifact:
    asked = assign(request())
    path = asked.path(tmp_path_factory.mktemp("coreml"))
    found = asked.converter.convert(asked.request, source, path)
    artifact = Artifact.describe(path, asked.request, found, {}, 1.0)
    artifact.save()
    return artifact


def test_the_core_ml_program_inside_computes_what_the_definition_does(made, source):
    with torch.no_grad():
        wanted = source.module(torch.from_numpy(IMAGES)).numpy()
    converter = target("executorch")
    assert sqnr_db(wanted, isolated.run(converter, made, IMAGES)) > 100
    assert converter.evaluator(made.request).startswith(target("coreml").evaluator())
    assert made.path.name == "small-32-fp32-coreml.pte"
    assert made.structure.needs == "iOS 17, Core ML specification 8"
    assert (made.structure.convs, made.structure.grouped_convs, made.structure.partitions) == (7, 1, 1)


def test_inspect_tells_of_the_program_inside(made):
    shown = CliRunner().invoke(cli, ["inspect", str(made.path)])
    assert (shown.exit_code, "  needs    iOS 17, Core ML specification 8\n" in shown.output) == (0, True)
    ops = sum(made.structure.ops.values())
    assert f"  delegate Core ML takes {ops} ops in 1 partition\n" in shown.output
    assert "XNNPACK" not in shown.output


def test_the_next_command_is_one_that_runs_here(made, monkeypatch, capsys):
    for system, command in (("linux", "bundle zip"), ("darwin", "benchmark")):
        monkeypatch.setattr(sys, "platform", system)
        report([Outcome(made.request, made)], as_json=False)
        assert f"next: regnet-edge {command} {made.path}" in capsys.readouterr().out


def test_what_only_apples_devices_run_is_refused_in_a_sentence(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for verb, more in (("classify", [str(made.path)]), ("benchmark", ["--min-seconds", "0.1"])):
        ran = CliRunner().invoke(cli, [verb, str(made.path), *more])
        said = ran.output + str(ran.exception)
        assert ran.exit_code != 0
        assert "which only Apple's devices run" in " ".join(said.split())
        assert not ran.exception or isinstance(ran.exception, (RegNetEdgeError, SystemExit))
    with pytest.raises(ArtifactError, match="which Android has not"):
        check_runtime(made, None)
    assert "only Apple's devices run" in CliRunner().invoke(cli, ["inspect", str(made.path)]).output


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: request("int8", calibration=Calibration("test", "ab", 8, 0)), "--target coreml has int8"),
        (lambda: request(embed=("softmax",)), "leave out --embed"),
        (lambda: replace(request(), options={"delegate": "vulkan"}), "cannot take these options"),
    ],
)
def test_what_the_delegate_cannot_have_is_refused(asked, words):
    with pytest.raises(UsageError, match=words) as refused:
        assign(asked())
    assert len(str(refused.value)) <= 300
