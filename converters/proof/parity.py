"""Proof: what a file computes, in its own runtime, against the definition on real images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regnet_edge.artifact import Artifact, ImagesRef, Parity
from regnet_edge.request import ModelSpec, Precision

from .. import isolated, target
from ..guests import tflite_runtime
from ..images import images_for
from .metrics import Floats, agreement, cosine, max_abs_error, softmax, sqnr_db

if TYPE_CHECKING:
    from regnet_edge.data import Labelled

DEFAULT_IMAGES = 256
REFERENCE_BATCH = 32
LOSS_IMAGES = 2000  # fewer labelled images cannot tell half a point of accuracy from chance


@dataclass(frozen=True, slots=True)
class Gate:
    """What a precision must reach: SQNR above `sqnr_db`, top-1 agreement at least `top1`.

    loss is the share of labelled images by which the accuracy may fall below the definition's.
    """

    sqnr_db: float
    top1: float
    loss: float = 0.005


GATES: dict[Precision, Gate] = {
    "fp32": Gate(100.0, 1.0),
    "fp16": Gate(50.0, 0.995),
    "w8": Gate(20.0, 0.97),
    "dynamic": Gate(20.0, 0.97),
    "int8x16": Gate(25.0, 0.97),
    "int8": Gate(25.0, 0.97),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """The definition's logits (n, classes) on images (n, channels, r, r), with labels where known."""

    images: Floats
    logits: Floats
    labels: NDArray[np.int64] | None
    origin: ImagesRef | None = None


def reference_logits(model: ModelSpec, images: Floats, weights: str = "") -> Floats:
    """What the definition computes: eager PyTorch, batch norm unfolded, fp32."""
    import torch

    from regnet_edge.resolve import load

    net = load(model, weights)
    with torch.no_grad():
        pieces = torch.split(torch.from_numpy(images), REFERENCE_BATCH)
        return torch.cat([net(piece) for piece in pieces]).numpy()


def reference(
    model: ModelSpec, images: Labelled, weights: str = "", origin: ImagesRef | None = None
) -> Reference:
    """The definition on these images, which came from `origin`."""
    from regnet_edge.data import preprocess

    pixels = preprocess(images, model.preprocessing)
    return Reference(pixels, reference_logits(model, pixels, weights), images.labels, origin)


def compare(artifact: Artifact, expected: Reference) -> Parity:
    """Run the file and measure how near it comes."""
    runner = target(artifact.request.target)
    return measure(artifact, expected, isolated.run(runner, artifact, expected.images), runner.evaluator())


def measure(artifact: Artifact, expected: Reference, found: Floats, evaluator: str) -> Parity:
    """How near the file's outputs `found` come to the definition's; evaluator is what computed them."""
    wanted = as_answers(expected.logits, artifact)
    labels = expected.labels
    measured = Parity(
        evaluator=evaluator,
        images=len(wanted),
        max_abs_error=max_abs_error(wanted, found),
        sqnr_db=sqnr_db(wanted, found),
        cosine=cosine(wanted, found),
        top1_agreement=agreement(wanted, found),
        accuracy=None if labels is None else float(np.mean(found.argmax(1) == labels)),
        reference_accuracy=None if labels is None else float(np.mean(wanted.argmax(1) == labels)),
        images_from=expected.origin,
    )
    return replace(measured, failures=failures(measured, artifact))


def as_answers(logits: Floats, artifact: Artifact) -> Floats:
    """Logits as the file gives them: probabilities where it is a classifier."""
    return logits if artifact.structure.output == "logits" else softmax(logits)


def failures(measured: Parity, artifact: Artifact) -> tuple[str, ...]:
    """A sentence for each gate that does not hold; top-1 counts for trained weights only."""
    gate = GATES[artifact.request.precision]
    found = []
    if not measured.sqnr_db > gate.sqnr_db:
        found.append(f"SQNR {measured.sqnr_db:.1f} dB is not above {gate.sqnr_db:g} dB")
    if artifact.request.model.weights.trained and measured.top1_agreement < gate.top1:
        found.append(f"top-1 agreement {measured.top1_agreement:.2%} is below {gate.top1:.1%}")
    points, allowed = 100 * (measured.loss or 0), 100 * gate.loss
    if measured.images >= LOSS_IMAGES and points > allowed:
        found.append(f"top-1 is {points:.2f} points below the definition's, not within {allowed:g}")
    return tuple(found)


def verify(
    paths: Sequence[Path],
    *,
    images: Path | None = None,
    count: int = DEFAULT_IMAGES,
    weights: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> list[Artifact]:
    """Each file measured against the definition, its sidecar renewed with the result.

    Raises ArtifactError for files that cannot be read; a gate that does not hold is in `parity.failures`.
    """
    return [ran.artifact for ran in run_all(paths, images, count, weights, progress)]


@dataclass(frozen=True, slots=True)
class Ran:
    """A measured file and what it computed: logits (n, classes) on the first n images asked for."""

    artifact: Artifact
    logits: Floats


def run_all(
    paths: Sequence[Path],
    images: Path | None,
    count: int,
    weights: str,
    progress: Callable[[str], None] = lambda _: None,
    runtime: str = "",
) -> list[Ran]:
    """What `verify` does, with what the files computed.

    runtime 'tflite-runtime' runs TFLite files there and leaves their sidecars as they are.
    """
    artifacts = [Artifact.load(Path(path)) for path in paths]
    expected: dict[ModelSpec, Reference] = {}
    found = []
    for artifact in artifacts:
        model = artifact.request.model
        if model not in expected:
            progress(f"definition of {model.name}")
            drawn = images_for(model, images, count)
            expected[model] = reference(model, drawn.images, weights, drawn.origin)
        progress(artifact.path.name)
        logits, evaluator = _answers(artifact, expected[model].images, runtime)
        measured = replace(artifact, parity=measure(artifact, expected[model], logits, evaluator))
        if not runtime:
            measured.renew()
        found.append(Ran(measured, logits))
    return found


def _answers(artifact: Artifact, images: Floats, runtime: str) -> tuple[Floats, str]:
    """Logits of the images, and what computed them."""
    if runtime:
        return tflite_runtime.RUNTIME.run(artifact, images), tflite_runtime.RUNTIME.evaluator()
    runner = target(artifact.request.target)
    return isolated.run(runner, artifact, images), runner.evaluator()
