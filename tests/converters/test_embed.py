"""Files that take a camera's pixels and give probabilities and the likeliest classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from regnet_edge import data
from regnet_edge.artifact import Artifact
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign, isolated, target
from regnet_edge.converters.embed import to_pixels
from regnet_edge.converters.int8 import calibration as int8
from regnet_edge.converters.proof.blame import blame
from regnet_edge.converters.proof.metrics import softmax, sqnr_db
from regnet_edge.converters.proof.parity import Reference, measure
from regnet_edge.errors import UsageError
from regnet_edge.request import ExportRequest, ModelSpec, Preprocessing, WeightsRef, embeds

SMALL = AnyNetConfig((Stage(1, 16, 8, 1.0), Stage(1, 24, 8, 1.0)), stem_width=8, se_ratio=0.25, num_classes=7)
HOW = Preprocessing("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 32)
MODEL = ModelSpec("small", SMALL, WeightsRef("untrained"), HOW)
CALIBRATION = int8.calibration(MODEL, count=8)
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
TARGETS = ("coreml", "executorch", "onnx", "tflite")


@pytest.fixture(scope="module")
def source(source_of) -> Source:
    return source_of(MODEL, CALIBRATION)


def request(name: str, precision: str = "fp32", embed: str = "", **options) -> ExportRequest:
    calibration = CALIBRATION if precision == "int8" else None
    return ExportRequest(
        MODEL, name, precision, calibration=calibration, options=options, embed=embeds(embed)
    )


def made(asked: ExportRequest, source: Source, folder) -> Artifact:
    assignment = assign(asked)
    path = assignment.path(folder)
    found = assignment.converter.convert(asked, source, path)
    return Artifact.describe(path, asked, found, {}, 1.0)


def foreign(artifact: Artifact, pixels: np.ndarray) -> list[np.ndarray]:
    """Every output for uint8 pixels by the runtime itself, without our own reading of the file."""
    name = artifact.request.target
    if name == "onnx":
        session = onnxruntime.InferenceSession(str(artifact.path))
        assert session.get_inputs()[0].type == "tensor(uint8)"
        found = [session.run(None, {"image": image[None]}) for image in pixels]
    elif name == "tflite":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(artifact.path), num_threads=1)
        interpreter.allocate_tensors()
        [entry] = interpreter.get_input_details()
        assert entry["dtype"] == np.uint8
        found = []
        for image in pixels:
            interpreter.set_tensor(entry["index"], image[None])
            interpreter.invoke()
            found.append(
                [interpreter.get_tensor(d["index"]).copy() for d in interpreter.get_output_details()]
            )
    else:
        from executorch.runtime import Runtime

        method = Runtime.get().load_program(artifact.path).load_method("forward")
        found = [[o.numpy().copy() for o in method.execute([torch.from_numpy(i[None])])] for i in pixels]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


@pytest.mark.parametrize("name", TARGETS)
def test_a_file_of_pixels_answers_as_the_float_file_does(name, source, tmp_path):
    images = data.normalize(PIXELS, HOW)
    plain = made(request(name), source, tmp_path)
    ours = made(request(name, embed="normalize,softmax"), source, tmp_path)
    wanted = softmax(target(name).run(plain, images))
    assert sqnr_db(wanted, target(name).run(ours, images)) > 100
    if name != "coreml":
        assert sqnr_db(wanted, foreign(ours, PIXELS)[0]) > 100
    opened = isolated.opened(target(name), ours.path)
    assert opened.input.raw
    np.testing.assert_allclose(opened.run(PIXELS.transpose(0, 3, 1, 2).astype(np.float32)), wanted, atol=1e-5)
    assert (ours.structure.convs, ours.structure.output) == (plain.structure.convs, "probabilities")


@pytest.mark.parametrize("name", ["executorch", "onnx", "tflite"])
def test_an_int8_file_of_pixels_is_within_a_quantum(name, source, tmp_path):
    plain = made(request(name, "int8"), source, tmp_path)
    ours = made(request(name, "int8", "normalize"), source, tmp_path)
    wanted = target(name).run(plain, data.normalize(PIXELS, HOW))
    [found] = foreign(ours, PIXELS)
    steps = np.unique(np.diff(np.unique(wanted.round(6))).round(6))
    assert np.abs(found - wanted).max() <= steps[steps > 1e-5].min() * 1.01


def test_an_int8_file_takes_pixels_without_a_float_operation(source, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    ours = made(request("tflite", "int8", "normalize", io="int8"), source, tmp_path)
    interpreter = Interpreter(str(ours.path))
    kinds = {d["index"]: d["dtype"] for d in interpreter.get_tensor_details()}
    used = [i for op in interpreter._get_ops_details() for i in (*op["inputs"], *op["outputs"]) if i in kinds]
    assert np.float32 not in {kinds[i] for i in used}
    graph = onnx.load(made(request("onnx", "int8", "normalize"), source, tmp_path).path).graph
    assert "Cast" not in {n.op_type for n in graph.node}
    first = next(n for n in graph.node if n.name == "normalize")
    around = {n.op_type for n in graph.node if first.output[0] in n.input or n.output[0] in first.input}
    assert around == {"QuantizeLinear", "DequantizeLinear"}


@pytest.mark.parametrize("name", ["executorch", "onnx", "tflite"])
def test_a_mean_of_zero_is_folded_into_the_first_convolution(name, source, tmp_path):
    how = replace(HOW, mean=(0.0,) * 3)
    asked = replace(request(name, embed="normalize"), model=replace(MODEL, preprocessing=how))
    ours = made(asked, source, tmp_path)
    with torch.no_grad():
        wanted = source.module(torch.from_numpy(data.normalize(PIXELS, how))).numpy()
    assert sqnr_db(wanted, foreign(ours, PIXELS)[0]) > 100
    ops = dict(ours.structure.ops)
    assert sum(n for op, n in ops.items() if "conv" in op.lower()) == ours.structure.convs


@pytest.mark.parametrize("name", ["onnx", "tflite"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_file_names_its_likeliest_classes(name, precision, source, tmp_path):
    ours = made(request(name, precision, "normalize,softmax,labels"), source, tmp_path)
    answer, scores, indices = foreign(ours, PIXELS)
    order = np.argsort(-answer, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(scores, np.take_along_axis(answer, order, 1))
    np.testing.assert_array_equal(np.take_along_axis(answer, indices.astype(int), 1), scores)
    images = data.normalize(PIXELS, HOW)
    whole = isolated.outputs(target(name), ours, images)
    with torch.no_grad():
        expected = Reference(images, source.module(torch.from_numpy(images)).numpy(), None)
    assert measure(ours, expected, whole, "it").passed
    wrong = whole.copy()
    wrong[2, -1] = order[2, 0]
    assert "1 of 6" in measure(ours, expected, wrong, "it").failures[0]


def test_pixels_survive_normalization():
    np.testing.assert_array_equal(to_pixels(data.normalize(PIXELS, HOW), HOW), PIXELS)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: request("coreml", embed="labels"), "--coreml-classifier"),
        (lambda: request("executorch", embed="labels"), "cannot sort"),
        (lambda: request("executorch", embed="softmax", keep_graph=True), "leave out --embed"),
        (lambda: request("onnx", embed="normalise"), "choose from normalize, softmax, labels"),
        (lambda: replace(request("coreml", embed="normalize"), batch=2), "one image"),
    ],
)
def test_what_a_target_cannot_embed_is_refused_in_a_sentence(asked, words):
    with pytest.raises(UsageError, match=words):
        assign(asked())


def test_blame_reads_plain_networks_only(source, tmp_path):
    ours = made(request("onnx", embed="softmax"), source, tmp_path)
    with pytest.raises(UsageError, match="without --embed"):
        blame(ours, data.normalize(PIXELS, HOW))


@pytest.mark.parametrize("name", ["executorch", "onnx"])
def test_float16_between_float_doors_is_near_the_definition(name, source, tmp_path):
    ours = made(request(name, "fp16", "normalize"), source, tmp_path)
    with torch.no_grad():
        wanted = source.module(torch.from_numpy(data.normalize(PIXELS, HOW))).numpy()
    [found] = foreign(ours, PIXELS)
    assert found.dtype == np.float32
    assert 50 < sqnr_db(wanted, found) < 100
    if name == "onnx":
        stored = {i.data_type for i in onnx.load(ours.path).graph.initializer if "conv.weight" in i.name}
        assert stored == {onnx.TensorProto.FLOAT16}
