"""Every kind of file that is made here, of one tiny network, with what our own runtime answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regnet_edge.artifact import Artifact
from regnet_edge.config import AnyNetConfig, Stage
from regnet_edge.converters import Source, assign, isolated
from regnet_edge.converters.embed import given
from regnet_edge.converters.int8 import calibration as int8
from regnet_edge.converters.outputs import outputs_of
from regnet_edge.request import NEEDS_CALIBRATION, ExportRequest, ModelSpec, Preprocessing, WeightsRef, embeds

SMALL = AnyNetConfig((Stage(1, 16, 8, 1.0), Stage(1, 24, 8, 1.0)), stem_width=8, se_ratio=0.25, num_classes=7)
HOW = Preprocessing("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 32)
MODEL = ModelSpec("small", SMALL, WeightsRef("untrained"), HOW)
IMAGES = 3
EMBEDDED = {"onnx": "normalize,softmax,labels", "tflite": "normalize,softmax,labels"}  # all that a target has


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file: int8, embed-int8, features, batch; what else the file does, then its precision."""

    target: str
    name: str

    @property
    def precision(self) -> str:
        """What its numbers are."""
        *_, last = self.name.split("-")
        return "fp32" if last in ("embed", "features", "batch") else last

    def request(self) -> ExportRequest:
        """What is asked of the converter."""
        images = int8.calibration(MODEL, count=8) if self.precision in NEEDS_CALIBRATION else None
        embed = (
            embeds(EMBEDDED.get(self.target, "normalize,softmax")) if self.name.startswith("embed") else ()
        )
        output = ("s1", "s2") if self.name == "features" else ()
        plain = self.target == "executorch" and not embed and not output
        return ExportRequest(
            MODEL, self.target, self.precision, calibration=images, embed=embed, output=output,
            any_batch=self.name.startswith("batch"), options={"keep_graph": True} if plain else {},
        )  # fmt: skip


KINDS = tuple(
    Kind(target, name)
    for target, names in {
        "coreml": "fp32 fp16 int8 w8 embed features batch",
        "executorch": "fp32 fp16 int8 embed embed-int8 features batch batch-int8",
        "onnx": "fp32 fp16 int8 w8 embed embed-int8 features batch batch-int8",
        "tflite": "fp32 fp16 int8 w8 dynamic int8x16 embed embed-int8 features batch batch-int8",
    }.items()
    for name in names.split()
)


@dataclass(frozen=True, slots=True)
class Made:
    """A file, inputs for it as it takes them, its outputs' names, and our runtime's answers.

    given: a file of (runs, images a run, ...); answers: float32 (n, numbers), the outputs side by side.
    """

    artifact: Artifact
    given: Path
    outputs: tuple[str, ...]
    answers: np.ndarray


def make(kind: Kind, start: Source, folder: Path) -> Made:
    """Convert, run, and write the inputs beside the file."""
    asked = assign(kind.request())
    path = asked.path(folder)
    found = asked.converter.convert(asked.request, start, path)
    artifact = Artifact.describe(path, asked.request, found, {}, 1.0)
    artifact.save()
    images = start.calibration[:IMAGES]
    answers = isolated.outputs(asked.converter, artifact, images)
    taken = given(images, asked.request)
    if kind.target == "tflite" and not asked.request.takes_pixels:
        taken = images.transpose(0, 2, 3, 1)
    at_once = IMAGES if asked.request.any_batch else 1
    place = path.with_name(path.name + ".npy")
    np.save(place, np.ascontiguousarray(taken).reshape(-1, at_once, *taken.shape[1:]))
    return Made(artifact, place, tuple(o.name for o in outputs_of(asked.request)), answers)
