"""What a .tflite says of itself to other tools, read by those tools: MediaPipe and the Task Library."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from regnet_edge import data
from regnet_edge.artifact import Artifact
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign, target
from regnet_edge.converters.int8 import calibration as int8
from regnet_edge.errors import ToolError
from regnet_edge.model import build_latency_subject, fold_batch_norm
from regnet_edge.request import ExportRequest, ModelSpec, Preprocessing, WeightsRef, embeds

from . import environments

NET = AnyNetConfig((Stage(1, 16, 8, 1.0),), stem_width=8, num_classes=7)
HOW = Preprocessing("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 32)
LABELS = ("tench", "déjà vu", "snow leopard, ounce", "d", "e", "f", "g")
MODEL = ModelSpec("small", NET, WeightsRef("untrained"), HOW, LABELS, "mit")
EVEN = replace(MODEL, preprocessing=replace(HOW, mean=(0.5,) * 3, std=(0.25,) * 3))
PIXELS = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)

MEDIAPIPE = """
import json, sys
import mediapipe, numpy
from mediapipe.tasks.python import BaseOptions, vision
file, picture = sys.argv[1:]
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=file))
with vision.ImageClassifier.create_from_options(options) as net:
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=numpy.load(picture))
    found = net.classify(image).classifications[0].categories
print(json.dumps([[c.index, c.category_name, c.score] for c in found]))
"""
TASK_LIBRARY = """
import json, sys
import numpy
from tflite_support import metadata
from tflite_support.task import vision
file, picture = sys.argv[1:]
assert metadata.MetadataDisplayer.with_model_file(file).get_packed_associated_file_list() == ["labels.txt"]
pixels = numpy.load(picture)  # the image keeps a pointer to it
image = vision.TensorImage.create_from_array(pixels)
found = vision.ImageClassifier.create_from_file(file).classify(image).classifications[0].categories
print(json.dumps([[c.index, c.category_name, c.score] for c in found]))
"""

Ask = Callable[[str, Path], "subprocess.CompletedProcess[str]"]


def _reader(name: str, script: str) -> Callable[..., Ask]:
    """A fixture that asks a reader, in its environment, what a file sees in PIXELS."""

    @pytest.fixture(scope="module")
    def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
        try:
            environments.create(name)
        except ToolError as error:
            pytest.skip(f"{name} has no environment here ({error})")
        python, folder = environments.python(name), tmp_path_factory.mktemp("reader")
        np.save(folder / "pixels.npy", PIXELS[0])

        def classify(file: Path) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [str(python), "-c", script, str(file), str(folder / "pixels.npy")],
                capture_output=True, text=True, check=False,
            )  # fmt: skip

        return classify

    return ask


mediapipe = _reader("mediapipe", MEDIAPIPE)
task_library = _reader("task-library", TASK_LIBRARY)


def made(folder: Path, model: ModelSpec, precision: str = "fp32", embed: str = "") -> Artifact:
    torch.set_num_threads(1)
    net, example = fold_batch_norm(build_latency_subject(NET)), torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        program = torch.export.export(net, (example,))
    calibration = int8.calibration(model, count=8) if precision == "int8" else None
    seen = int8.images(model, calibration) if calibration else None
    asked = ExportRequest(model, "tflite", precision, calibration=calibration, embed=embeds(embed))
    assignment = assign(asked)
    path = assignment.path(folder)
    found = assignment.converter.convert(asked, Source(net, example, program, seen), path)
    return Artifact.describe(path, asked, found, {}, 1.0)


def answer(artifact: Artifact) -> list[list[object]]:
    """Class, label and score by our own runtime, the likeliest first."""
    model = artifact.request.model
    [scores] = target("tflite").run(artifact, data.normalize(PIXELS, model.preprocessing))
    return [[int(i), model.labels[i], float(scores[i])] for i in np.argsort(-scores, kind="stable")]


def same(done: subprocess.CompletedProcess[str], wanted: list[list[object]], within: float) -> None:
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    by_class = {index: (name, score) for index, name, score in found}
    assert len(by_class) == len(wanted)
    for index, name, score in wanted:
        assert by_class[index][0] == name
        assert by_class[index][1] == pytest.approx(score, abs=within)


@pytest.mark.parametrize(
    ("model", "precision", "embed"),
    [
        (EVEN, "fp32", ""),
        (MODEL, "fp32", "normalize"),
        (MODEL, "fp32", "normalize,softmax"),
        (MODEL, "int8", "normalize,softmax"),
    ],
)
def test_mediapipe_takes_the_file_as_it_is(mediapipe, tmp_path, model, precision, embed):
    file = made(tmp_path, model, precision, embed)
    same(mediapipe(file.path), answer(file), 1e-4 if precision == "fp32" else 0.004)


@pytest.mark.parametrize(
    ("precision", "embed"), [("fp32", ""), ("int8", ""), ("fp32", "normalize"), ("int8", "normalize,softmax")]
)
def test_the_task_library_takes_the_file_as_it_is(task_library, tmp_path, precision, embed):
    file = made(tmp_path, MODEL, precision, embed)
    same(task_library(file.path), answer(file), 1e-4 if precision == "fp32" else 0.01)


def test_a_file_of_bgr_is_refused_by_both_and_not_misread(mediapipe, task_library, tmp_path):
    file = made(tmp_path, replace(MODEL, preprocessing=replace(HOW, color="BGR")))
    for ask in (mediapipe, task_library):
        done = ask(file.path)
        assert done.returncode
        assert "Only RGB color space is supported" in done.stderr


def test_the_same_request_is_the_same_bytes(tmp_path):
    found = []
    for name in "ab":
        (tmp_path / name).mkdir()
        found.append(made(tmp_path / name, MODEL, embed="normalize").sha256)
    assert found[0] == found[1]
