from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from regnet_edge.artifact import Artifact, Structure
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign, tflite, worker
from regnet_edge.converters.guests import environments, onnx_tf, tflite_runtime
from regnet_edge.converters.guests.environments import GuestEnvironment
from regnet_edge.converters.shortcuts import Taken
from regnet_edge.errors import ConversionError, ToolError, UsageError
from regnet_edge.model import build_latency_subject, fold_batch_norm
from regnet_edge.request import ExportRequest, ModelSpec, WeightsRef

CONFIG = AnyNetConfig((Stage(1, 16, 8),), stem_width=8, num_classes=3)
MODEL = ModelSpec("tiny", CONFIG, WeightsRef("untrained")).at_resolution(32)
REQUEST = ExportRequest(MODEL, "tflite", options={"via": "onnx-tf"})


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def source() -> Source:
    module = fold_batch_norm(build_latency_subject(CONFIG))
    example = torch.zeros(1, 3, 32, 32)
    return Source(module, example, torch.export.export(module, (example,)))


def made(name: str) -> bool:
    found = environments.find(name)
    return found is not None and found.current


def images(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 3, 32, 32)).astype(np.float32)


def test_the_old_tools_get_an_onnx_file_they_can_read(source, monkeypatch):
    import onnx

    def fake_run(name, script, model, out):
        given = onnx.load(model)
        assert name == "onnx-tf"
        assert script.is_file()
        assert given.ir_version == 8
        assert [o.version for o in given.opset_import] == [13]
        assert ([i.name for i in given.graph.input], given.graph.output[0].name) == (["image"], "logits")
        assert any(a.i == 2 for n in given.graph.node for a in n.attribute if a.name == "group")
        Path(out).write_bytes(b"made")

    monkeypatch.setattr(environments, "run", fake_run)
    assert tflite.float_file(REQUEST, source) == Taken(b"made", "litert lowering", "onnx-tf")


def test_the_route_is_part_of_the_request_and_of_the_files_name():
    assert assign(REQUEST).stem == "tiny-32-fp32-onnx-tf"
    assert REQUEST.key != replace(REQUEST, options={}).key
    with pytest.raises(UsageError, match="--via onnx-tf makes TFLite files in fp32 only"):
        assign(replace(REQUEST, precision="fp16"))


def test_without_its_environment_the_route_says_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.setenv("REGNET_EDGE_ENVIRONMENTS", str(tmp_path))
    with pytest.raises(ToolError, match="make it with regnet-edge env create onnx-tf"):
        assign(REQUEST).tools()


def test_the_sidecar_names_the_old_tools(tmp_path, monkeypatch):
    there = GuestEnvironment("onnx-tf", tmp_path, 0, True)
    monkeypatch.setattr(environments, "require", lambda name: there)
    found = assign(REQUEST).tools()
    assert (found["onnx-tf"], found["tensorflow-cpu"]) == ("1.10.0", "2.15.1")
    assert "onnx-tf" not in assign(replace(REQUEST, options={})).tools()


def test_split_convolutions_are_reported_for_the_old_route_and_refused_for_the_new():
    split = Structure(40, 0, {"CONV_2D": 40})
    worker.check_structure(REQUEST, replace(split, splits_groups=True))
    with pytest.raises(ConversionError, match="40 convolutions"):
        worker.check_structure(replace(REQUEST, options={}), split)


def artifact_of(path: Path, request: ExportRequest) -> Artifact:
    tflite.annotate(path, request)
    return Artifact.describe(path, request, tflite.structure(path), {}, 0.0)


@pytest.mark.skipif(
    not made("onnx-tf"), reason="the environment onnx-tf is not made; regnet-edge env create onnx-tf makes it"
)
def test_the_old_route_computes_what_the_definition_does(source, tmp_path):
    path = tmp_path / "tiny.tflite"
    path.write_bytes(onnx_tf.file_of(source))
    with torch.no_grad():
        expected = source.module(torch.from_numpy(images(3))).numpy()
    found = tflite.CONVERTER.run(artifact_of(path, REQUEST), images(3))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(
    not made("tflite-runtime"),
    reason="the environment tflite-runtime is not made; regnet-edge env create tflite-runtime makes it",
)
def test_our_file_runs_in_the_runtime_of_old_boards(source, tmp_path):
    path = tmp_path / "tiny.tflite"
    request = replace(REQUEST, options={}, batch=2)
    example = torch.zeros(2, 3, 32, 32)
    with tflite.quiet():
        program = torch.export.export(source.module, (example,))
        path.write_bytes(tflite.float_file(request, Source(source.module, example, program)).value)
    artifact = artifact_of(path, request)
    found = tflite_runtime.RUNTIME.run(artifact, images(3))
    np.testing.assert_allclose(found, tflite.CONVERTER.run(artifact, images(3)), rtol=1e-4, atol=1e-5)


def test_the_old_runtime_runs_tflite_files_only(tmp_path):
    artifact = Artifact(
        tmp_path / "x.onnx", ExportRequest(MODEL, "onnx"), "", 0, {}, Structure(0, 0, {}), 0.0
    )
    with pytest.raises(UsageError, match=r"x\.onnx is no TFLite file; leave out --runtime tflite-runtime"):
        tflite_runtime.RUNTIME.run(artifact, images(1))
    assert tflite_runtime.RUNTIME.evaluator() == "tflite-runtime 2.14.0"
