"""A file against somebody else's model with its own preprocessing, on the raw pictures.

`verify` compares a file with our definition, and both start from the same reading of a checkpoint: what
that got wrong, it got wrong for both. Here nothing is shared but the decoded pictures: the other package
builds its network, loads its weights and prepares its pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regnet_edge.artifact import Artifact, SecondOpinion
from regnet_edge.data import Images, Labelled, normalize
from regnet_edge.errors import UsageError
from regnet_edge.folders import Pictures
from regnet_edge.pictures import opened
from regnet_edge.request import ModelSpec, Preprocessing

from .. import isolated, target
from ..images import images_for
from .metrics import MOST_DB, agreement, are_probabilities, max_abs_error, softmax, sqnr_db
from .parity import GATES
from .preprocessing_differs import explanation

if TYPE_CHECKING:
    from ..images import DrawnImages

Floats = NDArray[np.float32]

BATCH = 16
ROUNDING = 1.01  # steps of 1/255 that rounding may put between two ways of resizing
SAME_INPUT_DB = 80.0  # 1e-4 of the logits: sums of float32 in another order
END_TO_END_DB = 30.0  # what pixels off by one step leave; another crop or interpolation stays below
VARYING_DB = 25.0  # the same of what changes from picture to picture: 48 dB, against 9 dB for bilinear


@dataclass(frozen=True, slots=True)
class OtherModel:
    """Somebody else's model as a function of raw pictures, upright and in RGB (L for one channel).

    `prepare` makes its own input (c, h, w) of one picture, and `answer` logits (n, classes) of n inputs. A
    model that does not show its input (shows_input False) prepares the logits themselves. rounding: steps of
    1/255 by which its resize may differ from Pillow's. notes say what was assumed of it.
    """

    name: str
    prepare: Callable[[Image.Image], Floats]
    answer: Callable[[Floats], Floats]
    shows_input: bool = True
    rounding: float = ROUNDING
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What both sides saw and said on some pictures; theirs is None where their input is not shown."""

    ours: Floats
    theirs: Floats | None
    wanted: Floats
    found: Floats
    found_on_theirs: Floats | None


def second_opinion(
    artifact: Artifact,
    other: OtherModel,
    drawn: DrawnImages,
    progress: Callable[[int], None] = lambda _: None,
) -> SecondOpinion:
    """How near the file comes to the other model: its pixels, its answers on equal pixels, and the whole."""
    how, run = (
        artifact.request.model.preprocessing,
        isolated.running(target(artifact.request.target), artifact),
    )
    seen: list[_Seen] = []
    worst, example = _Steps(), None
    for piece in _pieces(drawn.images):
        seen.append(_compare(artifact, run, other, piece))
        steps = _steps(seen[-1], how)
        example = piece if example is None and not steps.within(other.rounding) else example
        worst = worst.joined(steps)
        seen[-1] = replace(seen[-1], ours=seen[-1].ours[:0], theirs=None)
        progress(sum(len(s.wanted) for s in seen))
    why = "" if worst.within(other.rounding) or example is None else _why(other, example, how)
    return _judged(artifact, other, drawn, seen, worst, why)


@dataclass(frozen=True, slots=True)
class _Steps:
    """How far two inputs are apart in steps of 1/255, -1 where one is not shown; shapes where they differ."""

    most: float = -1.0
    shapes: str = ""

    def within(self, rounding: float) -> bool:
        return not self.shapes and self.most <= rounding

    def joined(self, other: _Steps) -> _Steps:
        return _Steps(max(self.most, other.most), self.shapes or other.shapes)


def _pieces(images: Labelled) -> Iterator[Labelled]:
    for start in range(0, len(images), BATCH):
        yield images.take(np.arange(start, min(start + BATCH, len(images))))


def _compare(
    artifact: Artifact, run: Callable[[Floats], Floats], other: OtherModel, piece: Labelled
) -> _Seen:
    how = artifact.request.model.preprocessing
    ours = normalize(piece.fitted(how), how)
    prepared = np.stack([other.prepare(picture) for picture in originals(piece, how.channels)])
    logits = other.answer(prepared)
    _check_classes(logits, other.name, artifact.request.model)
    same = other.shows_input and prepared.shape == ours.shape
    wanted, found = _alike(logits, run(ours))
    return _Seen(
        ours=ours,
        theirs=prepared if other.shows_input else None,
        wanted=wanted,
        found=found,
        found_on_theirs=_alike(logits, run(prepared))[1] if same else None,
    )


def _alike(theirs: Floats, ours: Floats) -> tuple[Floats, Floats]:
    """Both answers as probabilities where one side gives those, else as they are."""
    if are_probabilities(theirs) == are_probabilities(ours):
        return theirs, ours
    return (softmax(theirs), ours) if are_probabilities(ours) else (theirs, softmax(ours))


def _check_classes(logits: Floats, name: str, model: ModelSpec) -> None:
    if logits.ndim != 2 or logits.shape[1] != model.config.num_classes:
        raise UsageError(
            f"{name} answers with {'x'.join(map(str, logits.shape[1:]))} numbers a picture, the file has "
            f"{model.config.num_classes} classes; give the reference that the checkpoint belongs to"
        )


def originals(images: Labelled, channels: int = 3) -> Iterator[Image.Image]:
    """Each picture upright at its own size, in RGB or, for one channel, in L."""
    mode = "L" if channels == 1 else "RGB"
    if isinstance(images, Pictures):
        for file in images.files:
            with opened(file) as picture:
                yield picture.convert(mode)
    elif isinstance(images, Images):
        for pixels in images.pixels:
            yield Image.fromarray(pixels).convert(mode)


def _steps(seen: _Seen, how: Preprocessing) -> _Steps:
    if seen.theirs is None:
        return _Steps()
    if seen.theirs.shape != seen.ours.shape:
        shapes = ["x".join(map(str, s.shape[1:])) for s in (seen.theirs, seen.ours)]
        return _Steps(0.0, f"its input is {shapes[0]}, the file's is {shapes[1]}")
    std = np.array(how.std, np.float32)[:, None, None]
    return _Steps(float(np.max(np.abs(seen.theirs - seen.ours) * std)) * 255)


def _why(other: OtherModel, piece: Labelled, how: Preprocessing) -> str:
    """Which preprocessing of ours would have made their pixels, where one is found."""
    few = originals(piece.take(np.arange(min(2, len(piece)))), how.channels)
    return explanation([(np.asarray(picture), other.prepare(picture)) for picture in few], how)


def _judged(
    artifact: Artifact, other: OtherModel, drawn: DrawnImages, seen: list[_Seen], steps: _Steps, why: str
) -> SecondOpinion:
    wanted, found = np.concatenate([s.wanted for s in seen]), np.concatenate([s.found for s in seen])
    pieces = [s.found_on_theirs for s in seen if s.found_on_theirs is not None]
    equal = np.concatenate(pieces) if len(pieces) == len(seen) else None
    labels = drawn.images.labels
    opinion = SecondOpinion(
        reference=other.name,
        evaluator=target(artifact.request.target).evaluator(artifact.request),
        images=len(wanted),
        pixel_steps=None if steps.most < 0 or steps.shapes else steps.most,
        same_input_db=None if equal is None else sqnr_db(wanted, equal),
        sqnr_db=sqnr_db(wanted, found),
        max_abs_error=max_abs_error(wanted, found),
        top1_agreement=agreement(wanted, found),
        accuracy=None if labels is None else float(np.mean(found.argmax(1) == labels)),
        reference_accuracy=None if labels is None else float(np.mean(wanted.argmax(1) == labels)),
        images_from=drawn.origin,
    )
    apart = "" if steps.within(other.rounding) else _apart(steps, why)
    return replace(opinion, failures=_failures(opinion, artifact, apart, _varying_db(wanted, found)))


def _apart(steps: _Steps, why: str) -> str:
    how_far = steps.shapes or f"its pixels differ from the file's by up to {steps.most:.0f} of 255"
    return f"{how_far}: {why}" if why else how_far


def _failures(opinion: SecondOpinion, artifact: Artifact, apart: str, varying_db: float) -> tuple[str, ...]:
    """A sentence for each thing that differs; `apart` says how the inputs do."""
    gate, found = GATES[artifact.request.precision], [apart] if apart else []
    network = min(gate.sqnr_db, SAME_INPUT_DB)
    if opinion.same_input_db is not None and not opinion.same_input_db > network:
        found.append(
            f"on equal pixels the network answers otherwise: SQNR {opinion.same_input_db:.1f} dB is not "
            f"above {network:g} dB"
        )
    whole = min(gate.sqnr_db - 5, END_TO_END_DB)
    if not found and not opinion.sqnr_db > whole:
        found.append(f"from picture to answer SQNR {opinion.sqnr_db:.1f} dB is not above {whole:g} dB")
    exact = gate.sqnr_db > SAME_INPUT_DB / 2
    if not found and opinion.pixel_steps is None and exact and not varying_db > VARYING_DB:
        found.append(
            f"what all answers share aside, SQNR {varying_db:.1f} dB is not above {VARYING_DB:g} dB: "
            "it prepares pictures otherwise, or is another network"
        )
    return tuple(found)


def _varying_db(wanted: Floats, found: Floats) -> float:
    """SQNR of what changes from picture to picture, which pictures prepared otherwise change.

    Answers of any two pictures have much in common, and of an untrained network nearly all.
    """
    if len(wanted) < 2:
        return MOST_DB
    varying = wanted - wanted.mean(0)
    return sqnr_db(varying, varying + (found - wanted))


def against(artifacts: list[Artifact], other: OtherModel, folder: Path | None, count: int) -> list[Artifact]:
    """Each file with its second opinion, which its sidecar keeps."""
    found = []
    for artifact in artifacts:
        drawn = images_for(artifact.request.model, folder, count, exact=True)
        judged = replace(artifact, second_opinion=second_opinion(artifact, other, drawn))
        judged.renew()
        found.append(judged)
    return found
