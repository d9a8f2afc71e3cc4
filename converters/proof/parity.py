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
from ..features import with_stages
from ..guests import tflite_runtime
from ..images import images_for
from ..outputs import INDICES, SCORES, apart, first, outputs_of, side_by_side
from .metrics import Floats, agreement, cosine, max_abs_error, softmax, sqnr_db

if TYPE_CHECKING:
    from regnet_edge.data import Labelled

DEFAULT_IMAGES = 256
REFERENCE_BATCH = 32
FEATURE_IMAGES = 32  # a stage's result is as large as a picture
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


def reference_features(model: ModelSpec, images: Floats, stages: Sequence[str], weights: str = "") -> Floats:
    """The results of the definition's stages side by side, (n, numbers), batch norm unfolded, fp32."""
    import torch

    from regnet_edge.resolve import load

    net = with_stages(load(model, weights), stages)
    with torch.no_grad():
        pieces = torch.split(torch.from_numpy(images), REFERENCE_BATCH)
        return np.concatenate([side_by_side([v.numpy() for v in net(piece)]) for piece in pieces])


def reference(
    model: ModelSpec,
    images: Labelled,
    weights: str = "",
    origin: ImagesRef | None = None,
    stages: tuple[str, ...] = (),
) -> Reference:
    """The definition on these images, which came from `origin`: its logits, or the results of stages."""
    from regnet_edge.data import preprocess

    pixels = preprocess(images, model.preprocessing)
    if stages:
        return Reference(pixels, reference_features(model, pixels, stages, weights), None, origin)
    return Reference(pixels, reference_logits(model, pixels, weights), images.labels, origin)


def compare(artifact: Artifact, expected: Reference) -> Parity:
    """Run the file and measure how near it comes."""
    runner = target(artifact.request.target)
    return measure(artifact, expected, answers(artifact, expected.images), runner.evaluator(artifact.request))


def answers(artifact: Artifact, images: Floats) -> Floats:
    """What the file computes of the images: its one output, or all of them side by side."""
    runner = target(artifact.request.target)
    several = len(outputs_of(artifact.request)) > 1
    return (isolated.outputs if several else isolated.run)(runner, artifact, images)


def measure(artifact: Artifact, expected: Reference, whole: Floats, evaluator: str) -> Parity:
    """How near the file's outputs come to the definition's; evaluator is what computed them."""
    if artifact.request.output:
        return _of_features(artifact, expected, whole, evaluator)
    wanted, found = as_answers(expected.logits, artifact), first(whole, artifact.request)
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
    return replace(measured, failures=(*failures(measured, artifact), *_misnamed(artifact, whole)))


def _of_features(artifact: Artifact, expected: Reference, whole: Floats, evaluator: str) -> Parity:
    """Each output against the definition's; the figures of the whole are the worst output's."""
    gate = GATES[artifact.request.precision]
    wanted, found = apart(expected.logits, artifact.request), apart(whole, artifact.request)
    each = {name: sqnr_db(wanted[name], found[name]) for name in wanted}
    low = tuple(
        f"{name}: SQNR {db:.1f} dB is not above {gate.sqnr_db:g} dB"
        for name, db in each.items()
        if not db > gate.sqnr_db
    )
    return Parity(
        evaluator=evaluator,
        images=len(whole),
        max_abs_error=max_abs_error(expected.logits, whole),
        sqnr_db=min(each.values()),
        cosine=min(cosine(wanted[name], found[name]) for name in wanted),
        top1_agreement=None,
        accuracy=None,
        reference_accuracy=None,
        failures=low,
        images_from=expected.origin,
        outputs=each,
    )


def _misnamed(artifact: Artifact, whole: Floats) -> tuple[str, ...]:
    """A sentence where the classes that a file names are not the likeliest of its own answer."""
    if "labels" not in artifact.request.embed:
        return ()
    parts = apart(whole, artifact.request)
    answer, scores = first(whole, artifact.request), parts[SCORES]
    best = -np.sort(-answer, axis=1)[:, : scores.shape[1]]
    meant = np.take_along_axis(answer, parts[INDICES].astype(np.int64), axis=1)
    wrong = int(np.count_nonzero(((scores != best) | (scores != meant)).any(1)))
    if not wrong:
        return ()
    return (f"the classes that it names are not its likeliest in {wrong} of {len(whole)} images",)


def as_answers(logits: Floats, artifact: Artifact) -> Floats:
    """Logits as the file gives them: probabilities where it is a classifier."""
    return logits if artifact.structure.output == "logits" else softmax(logits)


def failures(measured: Parity, artifact: Artifact) -> tuple[str, ...]:
    """A sentence for each gate that does not hold; top-1 counts for trained weights only."""
    gate = GATES[artifact.request.precision]
    found = []
    if not measured.sqnr_db > gate.sqnr_db:
        found.append(f"SQNR {measured.sqnr_db:.1f} dB is not above {gate.sqnr_db:g} dB")
    agree = measured.top1_agreement
    if artifact.request.model.weights.trained and agree is not None and agree < gate.top1:
        found.append(f"top-1 agreement {agree:.2%} is below {gate.top1:.1%}")
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
    expected: dict[tuple[ModelSpec, tuple[str, ...]], Reference] = {}
    found = []
    for artifact in artifacts:
        model, stages = artifact.request.model, artifact.request.output
        key = (model, stages)
        if key not in expected:
            progress(f"definition of {model.name}")
            drawn = images_for(model, images, min(count, FEATURE_IMAGES) if stages else count)
            expected[key] = reference(model, drawn.images, weights, drawn.origin, stages)
        progress(artifact.path.name)
        logits, evaluator = _answers(artifact, expected[key].images, runtime)
        measured = replace(artifact, parity=measure(artifact, expected[key], logits, evaluator))
        if not runtime:
            measured.renew()
        found.append(Ran(measured, first(logits, artifact.request)))
    return found


def _answers(artifact: Artifact, images: Floats, runtime: str) -> tuple[Floats, str]:
    """Logits of the images, and what computed them."""
    if runtime:
        return tflite_runtime.RUNTIME.run(artifact, images), tflite_runtime.RUNTIME.evaluator()
    runner = target(artifact.request.target)
    return answers(artifact, images), runner.evaluator(artifact.request)
