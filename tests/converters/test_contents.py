"""A file that we did not make is described by itself: inputs, ops, weights, counts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from regnet_edge import complexity
from regnet_edge.artifact import Artifact
from regnet_edge.benchmarks import foreign
from regnet_edge.benchmarks.runner.engines import kind
from regnet_edge.benchmarks.runner.protocol import RunnerError, fixed_image
from regnet_edge.cli import cli
from regnet_edge.converters import target
from regnet_edge.converters.contents import TensorInfo
from regnet_edge.converters.proof.subject import subject
from regnet_edge.converters.quiet import coremltools
from regnet_edge.errors import ArtifactError


def net(path: Path, inputs: tuple[tuple[str, int, tuple[int | str, ...]], ...]) -> Path:
    """A strided convolution and a grouped one on the first input, then a linear layer."""
    rng = np.random.default_rng(0)
    weights = {
        "a": (8, 3, 3, 3), "a_bias": (8,), "b": (8, 4, 3, 3), "c": (10, 8),
    }  # fmt: skip
    stored = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in weights.items()]
    nodes = [
        helper.make_node("Conv", ["x", "a", "a_bias"], ["h"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["h", "b"], ["g"], group=2, pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["g"], ["m"]),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("Gemm", ["f", "c"], ["y"], transB=1),
    ]
    given = [helper.make_tensor_value_info(*i) for i in inputs]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "net", given, [out], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


IMAGE = (("x", TensorProto.FLOAT, ("n", 3, 32, 32)),)


def test_a_file_of_another_tool_tells_its_inputs_and_its_counts(tmp_path: Path) -> None:
    held = target("onnx").contents(net(tmp_path / "net.onnx", IMAGE))
    assert held.inputs == (TensorInfo("x", "float32", (0, 3, 32, 32)),)
    assert held.counts is not None
    # by hand: 16x16 outputs of 27 and of 36 products in 8 channels, then 80
    assert held.counts.flops == 16 * 16 * 8 * (27 + 36) + 80
    assert held.counts.activations == 2 * 16 * 16 * 8 + 10
    assert held.counts.params == 8 * 27 + 8 + 8 * 36 + 80
    assert held.structure.grouped_convs == 1


def test_a_size_that_is_left_open_is_counted_and_measured_as_it_is_assumed(tmp_path: Path) -> None:
    open_size = (("x", TensorProto.FLOAT, ("n", 3, "h", "w")),)
    path = net(tmp_path / "net.onnx", open_size)
    held = target("onnx").contents(path)
    assert held.counts is not None
    assert held.counts.flops == 112 * 112 * 8 * (27 + 36) + 80
    assert "its input's size is open; counted for 224x224 pixels" in held.remarks
    found = foreign.foreign(path)
    assert (found.shape, found.model.flops) == ((1, 3, 224, 224), held.counts.flops)


def test_weights_that_lie_beside_the_file_count_and_are_missed_by_name(tmp_path: Path) -> None:
    path, apart = net(tmp_path / "net.onnx", IMAGE), tmp_path / "apart"
    apart.mkdir()
    beside = {"save_as_external_data": True, "location": "net.onnx.data", "size_threshold": 0}
    onnx.save(onnx.load(path), apart / "net.onnx", **beside)  # as torch.onnx.export writes it by default
    whole, made = target("onnx").contents(path), target("onnx").contents(apart / "net.onnx")
    assert (made.counts, made.weights) == (whole.counts, whole.weights)
    stored = sum(w.bytes for w in whole.weights)
    assert made.bytes_of(apart / "net.onnx") == (apart / "net.onnx").stat().st_size + stored
    found = foreign.foreign(apart / "net.onnx")
    assert found.beside == (apart / "net.onnx.data",)
    (apart / "net.onnx.data").unlink()
    with pytest.raises(ArtifactError, match=r"lie in net\.onnx\.data, which is not beside it; put that file"):
        target("onnx").opened(apart / "net.onnx")
    remarks = target("onnx").contents(apart / "net.onnx").remarks
    assert any("lie in net.onnx.data, which is not beside it" in remark for remark in remarks)


@pytest.mark.filterwarnings("ignore")  # the quantizer's own
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_what_onnxruntimes_quantizer_makes_counts_as_the_float_file(form: str, tmp_path: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class OneImage(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter([{"x": np.ones((1, 3, 32, 32), np.float32)}])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.images, None)

    plain, made = net(tmp_path / "net.onnx", IMAGE), tmp_path / "int8.onnx"
    quantize_static(str(plain), str(made), OneImage(), quant_format=QuantFormat[form])
    held, expected = target("onnx").contents(made), target("onnx").contents(plain).counts
    assert held.precision == "int8"
    assert held.counts is not None
    assert expected is not None
    assert (held.counts.flops, held.counts.activations) == (expected.flops, expected.activations)


def with_int8_ends(path: Path, made: Path) -> Path:
    """The net of `path` behind int8 input and answer in NHWC, as tools make them for cameras and boards."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.input[:] = ["real" if name == "x" else name for name in node.input]
        node.output[:] = ["wide" if name == "y" else name for name in node.output]
    scales = {"s": np.float32(0.02), "z": np.int8(-3), "s_out": np.float32(0.5), "z_out": np.int8(10)}
    model.graph.initializer.extend(numpy_helper.from_array(np.array(v), n) for n, v in scales.items())
    first = [
        helper.make_node("Transpose", ["x"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("DequantizeLinear", ["planes", "s", "z"], ["real"]),
    ]
    nodes = [*first, *model.graph.node, helper.make_node("QuantizeLinear", ["wide", "s_out", "z_out"], ["y"])]
    given = [helper.make_tensor_value_info("x", TensorProto.INT8, ("n", 32, 32, 3))]
    out = helper.make_tensor_value_info("y", TensorProto.INT8, ["n", 10])
    graph = helper.make_graph(nodes, "net", given, [out], model.graph.initializer)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), made)
    return made


def test_the_scales_of_int8_ends_are_read_from_the_graph(tmp_path: Path) -> None:
    plain = target("onnx").opened(net(tmp_path / "net.onnx", IMAGE))
    made = target("onnx").opened(with_int8_ends(tmp_path / "net.onnx", tmp_path / "int8.onnx"))
    assert made.input.layout == "NHWC"
    assert (made.input.lowest, made.input.highest) == pytest.approx((-2.5, 2.6))
    steps = np.random.default_rng(1).integers(-128, 128, (3, 3, 32, 32))
    images = ((steps + 3) * 0.02).astype(np.float32)
    expected = np.concatenate([plain.run(image[None]) for image in images])
    assert np.abs(expected).max() < 50, "within what the answer's steps hold"
    assert np.abs(made.run(images) - expected).max() <= 0.25 + 1e-4


def test_an_int8_input_without_a_scale_is_refused(tmp_path: Path) -> None:
    path = with_int8_ends(net(tmp_path / "net.onnx", IMAGE), tmp_path / "int8.onnx")
    model = onnx.load(path)
    model.graph.node[1].CopyFrom(helper.make_node("Cast", ["planes"], ["real"], to=TensorProto.FLOAT))
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match="no op states its scale; export it again"):
        target("onnx").opened(path)


def test_an_int8_input_whose_zero_point_is_left_out_begins_at_0(tmp_path: Path) -> None:
    path = with_int8_ends(net(tmp_path / "net.onnx", IMAGE), tmp_path / "int8.onnx")
    model = onnx.load(path)
    model.graph.node[1].CopyFrom(helper.make_node("DequantizeLinear", ["planes", "s"], ["real"]))
    onnx.save(model, path)
    made = target("onnx").opened(path)
    assert (made.input.lowest, made.input.highest) == pytest.approx((-2.56, 2.54))
    assert made.run(np.ones((1, 3, 32, 32), np.float32)).shape == (1, 10)


def test_a_tflite_of_open_size_is_counted_classified_and_run_at_any(
    shipped_artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    artifact = shipped_artifacts["tflite"]
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(artifact.path.read_bytes(), 0))
    entry = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    entry.shape, entry.shapeSignature = [1, 1, 1, 1], [-1, -1, -1, 1]  # as TensorFlow writes an open size
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "open.tflite"
    path.write_bytes(builder.Output())
    found = foreign.foreign(path)
    expected = complexity.complexity(artifact.request.model.config, 224)
    assert found.shape == (1, 1, 224, 224)
    assert found.model.flops == pytest.approx(expected.flops, rel=1e-4)
    engine = kind("litert")({"threads": 1, "accelerator": "cpu", "input_shape": found.shape})
    engine.load(str(path))
    engine.feed(fixed_image(found.shape))
    engine.run()
    assert np.isfinite(engine.logits()).all()
    images = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    same = target("tflite").run(artifact, images)
    assert np.allclose(target("tflite").opened(path).run(images), same, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # coremltools' and torch.jit's own
def test_a_package_of_coremltools_is_run_with_its_own_size_colours_and_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 2), torch.nn.Hardswish(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(8, 4),
    ).eval()  # fmt: skip
    traced, path, any_size = torch.jit.trace(net, torch.zeros(1, 3, 32, 32)), tmp_path / "a", tmp_path / "b"
    path, any_size = path.with_suffix(".mlpackage"), any_size.with_suffix(".mlpackage")
    with coremltools() as ct:
        image = ct.ImageType(name="x", shape=(1, 3, 32, 32), color_layout=ct.colorlayout.BGR)
        side = ct.RangeDim(16, 64, 32)
        open_size = ct.TensorType(name="x", shape=(ct.RangeDim(1, 4), 3, side, side))
        names, exact = ct.ClassifierConfig(list("abcd")), ct.precision.FLOAT32
        ct.convert(traced, inputs=[image], classifier_config=names, compute_precision=exact).save(str(path))
        ct.convert(traced, inputs=[open_size], compute_precision=exact).save(str(any_size))
    made = subject(path)
    assert (made.how.color, made.how.resolution, made.labels) == ("BGR", 32, tuple("abcd"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(pixels)).numpy()
    assert np.allclose(made.opened.run(pixels), expected, rtol=1e-4, atol=1e-4)
    opened = target("coreml").opened(any_size)
    assert (opened.input.batch, opened.input.height) == (1, 32)
    assert np.allclose(opened.run(pixels), expected, rtol=1e-4, atol=1e-4)
    held = target("coreml").contents(any_size)
    assert held.inputs[0].shape == (0, 3, 0, 0)
    assert held.counts is not None
    assert held.counts.flops == 15 * 15 * 8 * 27 + 8 * 4  # by hand, at the default of 32 pixels
    assert held.counts == target("coreml").contents(path).counts
    assert any("open; counted for the 1x3x32x32 that the package begins with" in r for r in held.remarks)


@pytest.mark.filterwarnings("ignore")  # ExecuTorch's exporter's own
def test_a_pte_whose_batch_is_bounded_takes_one_image(tmp_path: Path) -> None:
    from executorch.exir import to_edge_transform_and_lower

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.Flatten(), torch.nn.Linear(196, 5))
    up_to = ({0: torch.export.Dim("n", min=1, max=8)},)
    program = torch.export.export(module.eval(), (torch.zeros(2, 3, 16, 16),), dynamic_shapes=up_to)
    path = tmp_path / "bounded.pte"
    path.write_bytes(to_edge_transform_and_lower(program).to_executorch().buffer)
    found = foreign.foreign(path)
    assert (found.shape, found.model.flops) == ((1, 3, 16, 16), 7 * 7 * 4 * 27 + 196 * 5)
    assert any("are the most that it takes" in r for r in target("executorch").contents(path).remarks)
    images = np.random.default_rng(0).random((3, 3, 16, 16), np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(images)).numpy()
    assert np.allclose(target("executorch").opened(path).run(images), expected, atol=1e-5)
    engine = kind("executorch")({"threads": 1, "accelerator": "cpu"})
    engine.load(str(path))
    engine.feed(fixed_image(found.shape))
    engine.run()
    assert engine.logits().shape == (1, 5)


@pytest.mark.filterwarnings("ignore")  # ExecuTorch's exporter's own
def test_a_pte_in_float16_is_given_float16(tmp_path: Path) -> None:
    from executorch.exir import to_edge

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.Flatten(), torch.nn.Linear(196, 5))
    module = module.eval().half()
    images = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    given = torch.from_numpy(images).half()
    path = tmp_path / "half.pte"
    path.write_bytes(to_edge(torch.export.export(module, (given,))).to_executorch().buffer)
    with torch.no_grad():
        expected = module(given).float().numpy()
    assert np.allclose(target("executorch").opened(path).run(images), expected, atol=2e-3)
    engine = kind("executorch")({"threads": 1, "accelerator": "cpu"})
    engine.load(str(path))
    engine.feed(images)
    engine.run()
    assert np.allclose(engine.logits(), expected, atol=2e-3)


def test_timing_a_package_where_there_is_no_core_ml_says_what_can_be_done() -> None:
    if sys.platform == "darwin":
        pytest.skip("Core ML is here")
    with pytest.raises(RunnerError, match=r"on a Mac only: name one with --host ssh://.* classify runs it"):
        kind("coreml")({"threads": 1, "accelerator": "cpu"})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "giga"), [("mobilenet_v3_large", 0.217), ("resnet50", 4.089)])
def test_counts_are_those_that_torchvision_publishes(name: str, giga: float, tmp_path: Path) -> None:
    import torchvision

    module, path = torchvision.models.get_model(name).eval(), tmp_path / f"{name}.onnx"
    torch.onnx.export(module, (torch.zeros(1, 3, 224, 224),), str(path), dynamo=False)
    counts = target("onnx").contents(path).counts
    assert counts is not None
    assert counts.flops / 1e9 == pytest.approx(giga, rel=0.01)
    published = sum(p.numel() for p in module.parameters())
    assert counts.params == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("ends", ["float", "int8"])
def test_a_file_without_sidecar_is_measured_as_it_describes_itself(ends: str, tmp_path: Path) -> None:
    path = net(tmp_path / "net.onnx", IMAGE)
    found = foreign.load(path if ends == "float" else with_int8_ends(path, tmp_path / "int8.onnx"))
    assert isinstance(found, foreign.ForeignFile)
    assert (found.shape, found.model.config) == ((1, 3, 32, 32), None)
    assert any("leaves its batch open; assumed: 1" in note for note in found.notes)
    engine = kind("onnxruntime")({"threads": 1, "accelerator": "cpu"})
    engine.load(str(found.path))
    engine.feed(fixed_image(found.shape))
    engine.run()
    assert engine.logits().shape == (1, 10)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ((*IMAGE, ("z", TensorProto.FLOAT, ("n", 3))), "takes 2 inputs"),
        ((("x", TensorProto.FLOAT, ("n", 77)),), "no image"),
    ],
)
def test_a_file_that_takes_no_single_image_is_refused(
    inputs: tuple[tuple[str, int, tuple[int | str, ...]], ...], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    if len(inputs[0][2]) == 4:
        net(path, inputs)
    else:
        given = [helper.make_tensor_value_info(*i) for i in inputs]
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 77])
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "text", given, [out])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    run = CliRunner().invoke(cli, ["benchmark", str(path)])
    assert run.exit_code != 0
    assert sentence in str(run.exception)


def test_inspect_says_what_a_file_holds(tmp_path: Path) -> None:
    path = str(net(tmp_path / "net.onnx", IMAGE))
    text = CliRunner().invoke(cli, ["inspect", path]).output
    assert "input    x float32 anyx3x32x32" in text
    assert "2 Conv" in text
    told = json.loads(CliRunner().invoke(cli, ["inspect", path, "--json"]).output)
    assert told["structure"]["ops"]["Gemm"] == 1
    assert told["weights"][0]["elements"] == 8 * 27 + 8 + 8 * 36 + 80
