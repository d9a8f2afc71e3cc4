"""An .onnx as strangers read it: valid by ONNX's own checker, in an operator set that old runtimes know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign, target
from regnet_edge.converters.int8 import calibration as int8
from regnet_edge.converters.proof import metrics
from regnet_edge.errors import UsageError
from regnet_edge.model import build_latency_subject, fold_batch_norm
from regnet_edge.request import ExportRequest, ModelSpec, Preprocessing, WeightsRef

SMALL = AnyNetConfig((Stage(1, 16, 8, 1.0), Stage(1, 24, 8, 1.0)), stem_width=8, se_ratio=0.25, num_classes=5)
HOW = Preprocessing("RGB", (0.5,) * 3, (0.25,) * 3, 32)
MODEL = ModelSpec("small", SMALL, WeightsRef("untrained"), HOW)
CALIBRATION = int8.calibration(MODEL, count=8)


def source_of(model: ModelSpec) -> Source:
    module, example = fold_batch_norm(build_latency_subject(model.config)), torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        return Source(
            module, example, torch.export.export(module, (example,)), int8.images(model, CALIBRATION)
        )


@pytest.fixture(scope="module")
def source() -> Source:
    torch.set_num_threads(1)
    return source_of(MODEL)


def request(precision: str, **options) -> ExportRequest:
    calibration = CALIBRATION if precision == "int8" else None
    return ExportRequest(MODEL, "onnx", precision, calibration=calibration, options=options)


def run(model, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model if isinstance(model, str) else model.SerializeToString())
    return np.concatenate([session.run(None, {"image": image[None]})[0] for image in images])


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "w8"])
def test_every_file_is_valid_and_computes_the_same_in_three_operator_sets(tmp_path, source, precision):
    path = tmp_path / "made.onnx"
    made = target("onnx").convert(request(precision), source, path)
    assert made.needs == "opset 18, IR version 8"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (8, 18)
    images = source.calibration[:3]
    expected = run(str(path), images)
    for opset in (17, 19, 21):
        changed = onnx.version_converter.convert_version(model, opset)
        onnx.checker.check_model(changed, full_check=True)
        np.testing.assert_allclose(run(changed, images), expected, atol=1e-6)


@pytest.mark.parametrize(("opset", "ir_version"), [(14, 7), (20, 9)])
def test_another_operator_set_has_the_lowest_ir_version_it_may_have(tmp_path, source, opset, ir_version):
    path = tmp_path / "made.onnx"
    made = target("onnx").convert(request("fp32", opset=opset), source, path)
    assert made.needs == f"opset {opset}, IR version {ir_version}"
    model = onnx.load(path)
    assert (model.ir_version, model.opset_import[0].version) == (ir_version, opset)
    with torch.no_grad():
        expected = source.module(torch.from_numpy(source.calibration[:2])).numpy()
    assert metrics.sqnr_db(expected, run(str(path), source.calibration[:2])) > 100


def test_an_int8_file_is_for_the_cpu_that_is_named_whoever_converts(tmp_path, source):
    found = {}
    for cpu in ("generic", "x86-vnni", "arm-dotprod"):
        path = tmp_path / f"{cpu}.onnx"
        made = target("onnx").convert(request("int8", cpu=cpu), source, path)
        assert made.made_for.startswith(f"{cpu} CPU: ")
        weights = [i for i in onnx.load(path).graph.initializer if i.name.endswith("weight_quantized")]
        found[cpu] = {onnx.TensorProto.DataType.Name(w.data_type) for w in weights}
    assert found == {"generic": {"UINT8"}, "x86-vnni": {"INT8"}, "arm-dotprod": {"INT8"}}


def test_gelu_that_an_older_operator_set_spells_out_stays_one_float_function(tmp_path):
    model = replace(MODEL, config=replace(SMALL, activation="gelu"))
    path = tmp_path / "gelu.onnx"
    source = source_of(model)
    target("onnx").convert(replace(request("int8"), model=model), source, path)
    with torch.no_grad():
        expected = source.module(torch.from_numpy(source.calibration[:4])).numpy()
    assert metrics.sqnr_db(expected, run(str(path), source.calibration[:4])) > 25


def test_what_no_onnx_file_can_be_is_refused_in_a_sentence():
    for options, precision, said in (
        ({"opset": 13}, "int8", "made in opset 14 to 23, not 13"),
        ({"opset": 99}, "fp32", "leave --opset out for 18"),
        ({"cpu": "x86-vnni"}, "fp32", "add --precision int8"),
        ({"cpu": "z80"}, "int8", "cannot take these options"),
    ):
        with pytest.raises(UsageError, match=said) as refused:
            assign(request(precision, **options))
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) <= 300
