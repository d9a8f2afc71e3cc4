"""Files that take any number of images at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from coremltools.models.utils import load_spec

from regnet_edge import data
from regnet_edge.artifact import Artifact
from regnet_edge.benchmarks.plan import Trial
from regnet_edge.benchmarks.runner.engines import engine_of
from regnet_edge.benchmarks.runner.protocol import fixed_image
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign, batches, target
from regnet_edge.converters.coreml.mil.evaluator import open_evaluator
from regnet_edge.converters.int8 import calibration as int8
from regnet_edge.converters.outputs import outputs_of
from regnet_edge.converters.proof.metrics import sqnr_db
from regnet_edge.errors import ArtifactError, DataError, UsageError
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
    if artifact.request.target == "coreml":
        return by_coreml(artifact.path, given, outputs_of(artifact.request)[0].name)
    if artifact.request.target == "executorch":
        from executorch.runtime import Runtime

        method = Runtime.get().load_program(artifact.path).load_method("forward")
        return method.execute([torch.from_numpy(given)])[0].numpy()
    if artifact.request.target == "onnx":
        session = onnxruntime.InferenceSession(str(artifact.path))
        assert {door.shape[0] for door in (*session.get_inputs(), *session.get_outputs())} == {"batch"}
        return session.run(None, {"image": given})[0]
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(str(artifact.path))
    [entry] = net.get_input_details()
    assert entry["shape_signature"][0] == -1
    net.resize_tensor_input(entry["index"], given.shape, strict=True)  # strict: only what the file calls open
    net.allocate_tensors()
    net.set_tensor(entry["index"], given)
    net.invoke()
    return net.get_tensor(net.get_output_details()[0]["index"])


def by_coreml(path: Path, given: np.ndarray, name: str) -> np.ndarray:
    """An output for all at once, by the package's program with that many images."""
    return open_evaluator(path).of_batch(len(given)).tensors(given, [name])[0]


SORTING = [("fp32", "", ()), ("int8", "normalize,softmax,labels", ()), ("fp32", "normalize", ("s1",))]
ROWS = {
    "coreml": [("fp32", "", ()), ("w8", "softmax", ()), ("int8", "", ()), ("fp16", "", ("s1",))],
    "executorch": [
        ("fp32", "", ()),
        ("fp16", "", ()),
        ("int8", "normalize,softmax", ()),
        ("fp32", "", ("s1",)),
    ],
    "onnx": SORTING,
    "tflite": SORTING,
}


@pytest.mark.parametrize(
    ("name", "precision", "embed", "output"),
    [(name, *row) for name, rows in ROWS.items() for row in rows],
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
    given = PIXELS if "normalize" in embed else IMAGES if name != "tflite" else IMAGES.transpose(0, 2, 3, 1)
    several = len(IMAGES) if target(name).any_batch_up_to > len(IMAGES) else batches.MOST
    whole = foreign(ours, np.ascontiguousarray(given[:several]))
    if output and name == "tflite":
        whole = whole.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(whole.reshape(several, -1), alone[:several], atol=1e-5)
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


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("coreml", {"embed": ("normalize",)}, "image input takes one image"),
        ("coreml", {"options": {"classifier": True}}, "classifier takes one image"),
        ("executorch", {"options": {"delegate": "coreml"}}, "leave out .* --batch dynamic"),
        ("tflite", {"options": {"via": "onnx-tf"}}, "leave out .* --batch dynamic"),
    ],
)
def test_what_takes_a_fixed_batch_refuses_it_in_a_sentence(name, more, words):
    asked = ExportRequest(MODEL, name, any_batch=True, **more)
    with pytest.raises(UsageError, match=words):
        assign(asked)
    with pytest.raises(UsageError, match="choose one of both"):
        replace(asked, batch=2)


def test_a_target_that_has_fixed_batches_only_names_those_that_have_others(monkeypatch):
    with monkeypatch.context() as changed:
        changed.setattr(type(target("onnx")), "any_batch_up_to", 0)
        with pytest.raises(UsageError, match=r"a number, or take coreml, executorch, tflite$"):
            assign(ExportRequest(MODEL, "onnx", any_batch=True))


def test_a_bound_is_what_the_file_itself_says(source, tmp_path):
    coreml, executorch = (
        made(source, tmp_path, ExportRequest(MODEL, name, any_batch=True))
        for name in ("coreml", "executorch")
    )
    assert executorch.structure.partitions == 1
    assert any("fewer images" in r for r in target("executorch").contents(executorch.path).remarks)
    assert "1 to 8 images at once" in target("coreml").contents(coreml.path).remarks
    [given] = load_spec(str(coreml.path)).description.input
    shape = given.type.multiArrayType
    assert list(shape.shape) == [1, 3, 32, 32]
    assert (shape.shapeRange.sizeRanges[0].lowerBound, shape.shapeRange.sizeRanges[0].upperBound) == (1, 8)
    with pytest.raises(DataError, match="takes 1 to 8 images at once, not 9"):
        open_evaluator(coreml.path).of_batch(9)
    opened = target("executorch").opened(executorch.path)
    assert (opened.input.batch, opened.input.most) == (0, 8)
    with pytest.raises(ArtifactError, match=r"cannot run images of shape \(9, 3, 32, 32\)"):
        opened.forward(IMAGES[:9])


@pytest.mark.parametrize(
    ("name", "runtime"), [("onnx", "onnxruntime"), ("tflite", "litert"), ("executorch", "executorch")]
)
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
    if target(name).any_batch_up_to == batches.MOST:
        with pytest.raises(UsageError, match="takes 8 images at once at most, not 9"):
            Trial(ours, runtime, 1, batch=9)
