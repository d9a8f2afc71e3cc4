"""One rule for int8 ranges: a method gives the same range for the same values on every target."""

from __future__ import annotations

import numpy as np
import onnx as onnx_library
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchao.quantization.pt2e import MinMaxObserver

from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, onnx, tflite
from regnet_edge.converters.coreml import quantize as coreml_quantize
from regnet_edge.converters.executorch import quantize as executorch_quantize
from regnet_edge.converters.int8 import ranges
from regnet_edge.converters.onnx import quantize as onnx_quantize
from regnet_edge.converters.tflite import quantize as tflite_quantize
from regnet_edge.model import build_latency_subject, fold_batch_norm
from regnet_edge.request import Calibration, ExportRequest, ModelSpec, WeightsRef

CONFIG = AnyNetConfig((Stage(1, 16, 8),), stem_width=8, num_classes=3)
MODEL = ModelSpec("tiny", CONFIG, WeightsRef("untrained")).at_resolution(32)
METHODS = ("minmax", "percentile", "mse")
IMAGES = np.random.default_rng(0).standard_t(3, (8, 3, 32, 32)).astype(np.float32)  # with outliers


@pytest.fixture(scope="module")
def source() -> Source:
    torch.set_num_threads(1)
    module, example = fold_batch_norm(build_latency_subject(CONFIG)), torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        return Source(module, example, torch.export.export(module, (example,)), IMAGES)


@pytest.fixture(scope="module")
def floats(source, tmp_path_factory) -> tuple[onnx_library.ModelProto, bytes]:
    """The float files that ONNX's and TFLite's quantizers start from."""
    path = tmp_path_factory.mktemp("float") / "tiny.onnx"
    onnx.CONVERTER.convert(ExportRequest(MODEL, "onnx"), source, path)
    lite = path.with_suffix(".tflite")
    tflite.CONVERTER.convert(ExportRequest(MODEL, "tflite"), source, lite)
    return onnx_library.load(path), lite.read_bytes()


def executorch_range(source: Source, request: ExportRequest) -> tuple[float, int]:
    """Scale and zero point of the image in the quantized graph."""
    with torch.no_grad():
        program = executorch_quantize.quantized(source.program, source.example, request, IMAGES).value
    first = next(n for n in program.graph.nodes if "quantize_per_tensor" in str(n.target))
    _, scale, zero, *_ = first.args
    return scale, zero + 128


@pytest.mark.parametrize("method", METHODS)
def test_every_target_has_the_same_range_of_the_same_images(method, source, floats):
    calibration = Calibration("test", "", len(IMAGES), 0, method)
    expected = ranges.ranges(method, lambda: [{"image": IMAGES}])["image"]
    if method != "minmax":
        assert expected.high < IMAGES.max()
    model, content = floats
    data = onnx_quantize._ranges(model, calibration, IMAGES)["image"]
    assert data.range_value == (np.float32(expected.low), np.float32(expected.high))
    [lite] = [r for n, r in tflite_quantize._statistics(content, calibration, IMAGES).items() if n == "image"]
    assert (lite["min"], lite["max"]) == (np.float32(expected.low), np.float32(expected.high))
    assert coreml_quantize.observe(source.program, IMAGES, method)["image"] == expected
    request = ExportRequest(MODEL, "executorch", "int8", calibration=calibration)
    scale, zero = executorch_range(source, request)
    assert scale == pytest.approx(expected.scale, rel=1e-6)
    assert zero == expected.zero_point


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40),
    st.sampled_from(METHODS),
)
def test_executorch_s_observer_asks_the_rule(values, method):
    tensor = torch.tensor(values)
    observer = executorch_quantize.observer_for(method)(
        dtype=torch.int8, quant_min=-128, quant_max=127, qscheme=torch.per_tensor_affine, eps=2**-12
    )
    observer(tensor)
    observer.count()
    observer(tensor)
    scale, zero = observer.calculate_qparams()
    expected = ranges.ranges(method, lambda: [{"x": tensor.numpy()}], narrowest=1e-9)["x"]
    assert float(scale) == pytest.approx(max(expected.scale, 2**-12), rel=1e-5)
    if expected.scale > 2**-12:
        assert abs(int(zero) + 128 - expected.zero_point) <= 1  # a tie in float32
    if method == "minmax":
        stock = MinMaxObserver(
            dtype=torch.int8, quant_min=-128, quant_max=127, qscheme=torch.per_tensor_affine, eps=2**-12
        )
        stock(tensor)
        assert stock.calculate_qparams() == (scale, zero)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40), st.sampled_from(METHODS))
def test_zero_is_exactly_a_step_of_every_range(values, method):
    found = ranges.ranges(method, lambda: [{"x": np.asarray(values, np.float32)}])["x"]
    assert found.low <= 0 <= found.high
    assert 0 <= found.zero_point <= ranges.LEVELS
    assert found.zero_point == 0 or found.low < 0


@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_a_lone_outlier_does_not_set_the_range(method):
    counts = np.zeros(ranges.BINS, np.int64)
    counts[1000:1048], counts[-1] = 1_000_000, 1
    assert ranges.chosen(method, ranges.Range(-100.0, 100.0), counts).high < 40
