"""Files that give the results of stages instead of logits, for detectors and retrieval."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from regnet_edge import zoo
from regnet_edge.artifact import Artifact, Structure
from regnet_edge.cli._converted import report
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign
from regnet_edge.converters.features import with_stages
from regnet_edge.converters.int8 import calibration as int8
from regnet_edge.converters.outputs import outputs_of
from regnet_edge.converters.proof.parity import answers, measure, reference
from regnet_edge.converters.proof.subject import subject
from regnet_edge.converters.run import Outcome
from regnet_edge.converters.worker import check_structure
from regnet_edge.data import Images
from regnet_edge.errors import UsageError
from regnet_edge.model import build_latency_subject
from regnet_edge.request import ExportRequest, ModelSpec, Preprocessing, WeightsRef, stages_of
from regnet_edge.weights import layouts

SMALL = AnyNetConfig((Stage(1, 16, 8, 1.0), Stage(1, 24, 8, 1.0)), stem_width=8, se_ratio=0.25, num_classes=7)
MODEL = ModelSpec("small", SMALL, WeightsRef("untrained"), Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 32))
CALIBRATION = int8.calibration(MODEL, count=8)
PIXELS = Images(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def source(source_of) -> Source:
    return source_of(MODEL, CALIBRATION)


def request(name: str, precision: str = "fp32", *output: str, **more) -> ExportRequest:
    calibration = CALIBRATION if precision == "int8" else None
    return ExportRequest(MODEL, name, precision, calibration=calibration, output=output, **more)


@pytest.mark.parametrize("name", ["coreml", "executorch", "onnx", "tflite"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_output_is_the_definition_s(name, precision, source, tmp_path):
    pixels = ("normalize",) if precision == "fp32" else ()
    asked = request(name, precision, "s1", "s2", embed=pixels)
    path = assign(asked).path(tmp_path)
    found = assign(asked).converter.convert(asked, source, path)
    check_structure(asked, found)
    artifact = Artifact.describe(path, asked, found, {}, 1.0)
    expected = reference(MODEL, PIXELS, stages=asked.output)
    whole = answers(artifact, expected.images)
    parity = measure(artifact, expected, whole, "it")
    assert parity.passed, parity.failures
    assert set(parity.outputs) == {"s1", "s2"}
    assert parity.top1_agreement is None
    half = whole.copy()
    half[:, : outputs_of(asked)[0].size] *= 2
    assert [f.split(":")[0] for f in measure(artifact, expected, half, "it").failures] == ["s1"]
    artifact.save()
    with pytest.raises(UsageError, match="without --output"):
        subject(path)


def test_a_stage_s_result_is_timm_s_and_torchvision_s():
    timm, torchvision = pytest.importorskip("timm"), pytest.importorskip("torchvision")
    config = zoo.find("regnety_400mf").config
    net, image = build_latency_subject(config), torch.randn(1, 3, 64, 64)

    def named(layout: str) -> dict[str, torch.Tensor]:
        names = layouts.find(layout).names(config)
        return {names[key]: value for key, value in net.state_dict().items()}

    theirs = timm.create_model("regnety_004", features_only=True, pretrained=False).eval()
    theirs.load_state_dict({k: v for k, v in named("timm").items() if not k.startswith("head")})
    other = torchvision.models.regnet_y_400mf().eval()
    other.load_state_dict(named("torchvision"), strict=False)  # it counts batches too
    nodes = {f"trunk_output.block{i}": f"s{i}" for i in range(1, 5)}
    extracted = torchvision.models.feature_extraction.create_feature_extractor(other, nodes)
    with torch.no_grad():
        ours = with_stages(net, ["s1", "s2", "s3", "s4"])(image)
        for mine, timms, torchvisions in zip(
            ours, theirs(image)[-4:], extracted(image).values(), strict=True
        ):
            torch.testing.assert_close(mine, timms, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(mine, torchvisions, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: request("onnx", "fp32", "s5"), "no output 's5'"),
        (lambda: stages_of(SMALL, "s1,logits"), "--output logits stands alone"),
        (lambda: request("onnx", "fp32", "s2", "s1"), "once and in order"),
        (lambda: request("onnx", "fp32", "s1", embed=("softmax",)), "about logits"),
        (lambda: request("coreml", "fp32", "s1", options={"classifier": True}), "needs logits"),
        (lambda: replace(request("tflite", "fp32", "s1"), options={"via": "onnx-tf"}), "plain files"),
    ],
)
def test_features_that_cannot_be_are_refused_in_a_sentence(asked, words):
    with pytest.raises(UsageError, match=words):
        assign(asked())


def test_the_first_stages_alone_are_the_network_s(source):
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        [only] = with_stages(source.module, ["s1"])(image)
        whole = source.module.s1(source.module.act(source.module.stem(image)))
    torch.testing.assert_close(only, whole, rtol=0, atol=0)


@pytest.mark.parametrize(("output", "named"), [((), True), (("s1",), False)])
def test_convert_names_classify_for_files_that_it_takes(output, named, capsys):
    asked = ExportRequest(MODEL, "onnx", output=output)
    made = Artifact(Path("f.onnx"), asked, "", 0, {}, Structure(0, 0, {}), 0.0)
    report([Outcome(asked, made)], as_json=False)
    assert ("classify f.onnx" in capsys.readouterr().out) is named
