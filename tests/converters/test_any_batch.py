"""Files that take any number of images at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from regnet_edge import data
from regnet_edge.artifact import Artifact
from regnet_edge.benchmarks.plan import Trial
from regnet_edge.benchmarks.runner.engines import engine_of
from regnet_edge.benchmarks.runner.protocol import fixed_image
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign, batches, target
from regnet_edge.converters.int8 import calibration as int8
from regnet_edge.converters.proof.metrics import sqnr_db
from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.request import ExportRequest, ModelSpec, Preprocessing, WeightsRef, embeds

NET = AnyNetConfig((Stage(1, 16, 8, 1.0),), stem_width=8, se_ratio=0.25, num_classes=7)
HOW = Preprocessing("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 32)
MODEL = ModelSpec("small", NET, WeightsRef("untrained"), HOW)
PIXELS = np.random.default_rng(0).integers(0, 256, (13, 32, 32, 3), dtype=np.uint8)
IMAGES = data.normalize(PIXELS, HOW)


@pytest.fixture(scope="module")
def source(source_of) -> Source:
    return source_of(MODEL, int8.calibration(MODEL, count=8))


def made(source: Source, folder: Path, asked: ExportRequest) -> Artifact:
    assignment = assign(asked)
    path = assignment.path(folder)
    found = assignment.converter.convert(asked, source, path)
    return Artifact.describe(path, asked, found, {}, 1.0)


def foreign(artifact: Artifact, given: np.ndarray) -> np.ndarray:
    """The first output for all at once, by the runtime itself."""
    if artifact.request.target == "onnx":
        return onnxruntime.InferenceSession(str(artifact.path)).run(None, {"image": given})[0]
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(str(artifact.path))
    [entry] = net.get_input_details()
    assert entry["shape_signature"][0] == -1
    net.resize_tensor_input(entry["index"], given.shape, strict=True)  # strict: only what the file calls open
    net.allocate_tensors()
    net.set_tensor(entry["index"], given)
    net.invoke()
    return net.get_tensor(net.get_output_details()[0]["index"])


@pytest.mark.parametrize("name", ["onnx", "tflite"])
@pytest.mark.parametrize(
    ("precision", "embed", "output"),
    [("fp32", "", ()), ("int8", "normalize,softmax,labels", ()), ("fp32", "normalize", ("s1",))],
)
def test_any_number_of_images_gives_what_each_gives_alone(source, tmp_path, name, precision, embed, output):
    calibration = int8.calibration(MODEL, count=8) if precision == "int8" else None
    asked = ExportRequest(
        MODEL, name, precision, calibration=calibration, embed=embeds(embed), output=output, any_batch=True
    )
    ours = made(source, tmp_path, asked)
    assert "batch-any" in ours.path.name
    alone = np.concatenate([target(name).run(ours, image[None]) for image in IMAGES])
    np.testing.assert_allclose(target(name).run(ours, IMAGES), alone, atol=1e-5)
    given = PIXELS if embed else IMAGES if name == "onnx" else IMAGES.transpose(0, 2, 3, 1)
    whole = foreign(ours, np.ascontiguousarray(given))
    if output and name == "tflite":
        whole = whole.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(whole.reshape(len(IMAGES), -1), alone, atol=1e-5)
    if precision == "fp32" and not output:
        with torch.no_grad():
            wanted = source.module(torch.from_numpy(IMAGES)).numpy()
        assert sqnr_db(wanted, alone) > 100


def test_it_is_run_with_several_sizes_and_a_file_that_loses_images_is_refused():
    asked, seen = ExportRequest(MODEL, "onnx", any_batch=True), []

    def forward(piece: np.ndarray) -> np.ndarray:
        seen.append(len(piece))
        return piece

    images = np.arange(30.0)[:, None]
    np.testing.assert_array_equal(batches.answers(forward, images, asked), images)
    assert seen == [1, 2, 3, 5, 8, 11]
    with pytest.raises(ArtifactError, match="2 images at once gave 1 answers"):
        batches.answers(lambda piece: piece[:1], images, asked)


@pytest.mark.parametrize("name", ["coreml", "executorch"])
def test_a_target_of_fixed_batches_refuses_it_in_a_sentence(name):
    asked = ExportRequest(MODEL, name, any_batch=True)
    with pytest.raises(UsageError, match="fixed batch only; give --batch a number, or take onnx, tflite"):
        assign(asked)
    with pytest.raises(UsageError, match="choose one of both"):
        replace(asked, batch=2)


@pytest.mark.parametrize(("name", "runtime"), [("onnx", "onnxruntime"), ("tflite", "litert")])
def test_benchmark_gives_it_as_many_images_as_are_asked(source, tmp_path, name, runtime):
    ours = made(source, tmp_path, ExportRequest(MODEL, name, any_batch=True))
    trial = Trial(ours, runtime, 1, batch=4)
    assert (trial.model.batch, trial.input_shape) == (4, (4, 3, 32, 32))
    engine = engine_of({"runtime": runtime, "threads": 1, "accelerator": "cpu"})
    engine.load(str(ours.path))
    engine.feed(fixed_image(trial.input_shape))
    engine.run()
    wanted = target(name).run(ours, fixed_image(trial.input_shape))
    np.testing.assert_allclose(engine.logits(), wanted, atol=1e-5)
    fixed = replace(ours, request=replace(ours.request, any_batch=False))
    with pytest.raises(UsageError, match="convert it with --batch dynamic"):
        Trial(fixed, runtime, 1, batch=4)
