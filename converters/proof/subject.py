"""A file that is shown pictures: ours with its sidecar, or anybody's with what it says of itself.

Each thing that was not stated (how pictures are prepared, what the classes are called) carries a note that
says where it was taken from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regnet_edge import codec
from regnet_edge.artifact import Artifact, sidecar_of
from regnet_edge.data import Labelled, Pixels, normalize
from regnet_edge.errors import UsageError
from regnet_edge.labels import imagenet_labels
from regnet_edge.request import IMAGENET, Color, Preprocessing

from .. import targets
from .metrics import softmax

if TYPE_CHECKING:
    from .. import Converter
    from ..opened import ImageInput, OpenedFile

Floats = NDArray[np.float32]

BACKGROUND = "background"  # class 0 of the 1,001 that TensorFlow's models have


@dataclass(frozen=True, slots=True)
class Subject:
    """A file, ready to be shown pictures: how they are prepared, what its classes are called.

    labels is empty where nobody says them; notes say what was assumed or recognised.
    """

    name: str
    opened: OpenedFile
    how: Preprocessing
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def prepare(self, images: Labelled) -> Floats:
        """The file's input (n, channels, h, w): pixels where it takes those, normalized otherwise."""
        return self.scaled(images.fitted(self.how))

    def scaled(self, pixels: Pixels) -> Floats:
        """Cropped pixels (n, h, w, channels) as the file takes them."""
        if self.opened.input.raw:
            return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
        return normalize(pixels, self.how)

    def probabilities(self, prepared: Floats) -> Floats:
        """(n, classes): the file's answers, through softmax unless they are probabilities already."""
        found = self.opened.run(prepared)
        sums = found.sum(1)
        already = found.min() >= 0 and np.allclose(sums, 1, atol=0.02)  # int8 outputs round each class
        return found if already else softmax(found)

    def label(self, index: int) -> str:
        """The class's name, its number where it has none."""
        return self.labels[index] if index < len(self.labels) else str(index)


def subject(path: Path, stated: Preprocessing | None = None, labels: tuple[str, ...] = ()) -> Subject:
    """The file with what is known of it: stated by the user, by its sidecar, by itself, else assumed.

    Raises ArtifactError for a file that no runtime here takes, or that is no image classifier, and
    UsageError where what was stated does not fit it.
    """
    converter = _converter(path)
    own = Artifact.load(path) if sidecar_of(path).exists() else None
    if not path.exists():
        Artifact.load(path)  # says what is missing
    opened = converter.opened(path)
    if own is not None:
        model = own.request.model
        made = Subject(path.name, opened, stated or model.preprocessing, labels or model.labels)
    else:
        how, notes = (stated, []) if stated else _preprocessing(opened)
        made = Subject(path.name, opened, how, labels or _own_labels(opened.metadata), tuple(notes))
    _check(made)
    return made


def with_classes(made: Subject, classes: int) -> Subject:
    """The subject once the number of its classes is known: ImageNet's names for 1,000 without labels."""
    if made.labels and len(made.labels) != classes:
        raise UsageError(
            f"{len(made.labels)} labels for the {classes} classes of {made.name}; give one a class"
        )
    if made.labels or classes not in (1000, 1001):
        return made
    names = imagenet_labels() if classes == 1000 else (BACKGROUND, *imagenet_labels())
    note = f"{made.name} says no labels; assumed: ImageNet's, for it has {classes:,} classes"
    return replace(made, labels=names, notes=(*made.notes, note))


def _converter(path: Path) -> Converter:
    known = targets()
    for converter in known.values():
        if path.suffix == converter.suffix:
            return converter
    suffixes = ", ".join(sorted(c.suffix for c in known.values()))
    raise UsageError(f"{path} is no file of a known format; give one that ends in {suffixes}")


def _own_labels(metadata: Mapping[str, str]) -> tuple[str, ...]:
    stored = metadata.get("regnet_edge.labels", "")
    return tuple(stored.split("\n")) if stored else ()


def _preprocessing(opened: OpenedFile) -> tuple[Preprocessing, list[str]]:
    """What a file without a sidecar says of its pictures, or what most nets take, with a note."""
    name, given = opened.path.name, opened.input
    if stored := opened.metadata.get("regnet_edge.preprocessing"):
        return codec.from_json(json.loads(stored), Preprocessing), []
    side = given.height or IMAGENET.resolution
    if given.height != given.width:
        raise UsageError(f"{name} takes {given.width}x{given.height} pixels; only square inputs are run here")
    color: Color = "GRAY" if given.channels == 1 else "RGB"
    base = replace(IMAGENET, resolution=side, resize_px=int(side / 0.875))
    mean, std, why = _scaling(given)
    n = 1 if color == "GRAY" else 3
    how = replace(base, color=color, mean=mean[:n], std=std[:n])
    kind = "recognised by its input type" if why else "assumed: ImageNet's mean and std"
    note = f"{name} does not say how pictures are prepared; {kind}{why}, short side {how.resize_px}"
    return how, [f"{note}, centre crop; state it with --preprocessing FILE"]


def _scaling(given: ImageInput) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Mean, std and a clause: from the numbers that a quantized input holds; ImageNet's where it is float."""
    if given.raw:
        return (0.0,) * 3, (1.0,) * 3, " (pixels 0..255)"
    if given.lowest is None or given.highest is None:
        return IMAGENET.mean, IMAGENET.std, ""
    for low, high, mean, std in ((0, 1, 0.0, 1.0), (-1, 1, 0.5, 0.5), (0, 255, 0.0, 1 / 255)):
        if abs(given.lowest - low) < 0.02 * (high - low) and abs(given.highest - high) < 0.02 * (high - low):
            return (mean,) * 3, (std,) * 3, f" (numbers from {low} to {high})"
    return IMAGENET.mean, IMAGENET.std, ""


def _check(made: Subject) -> None:
    given, how = made.opened.input, made.how
    fits = given.channels == how.channels and given.height in (0, how.resolution)
    if not fits:
        size = f"{given.channels}x{given.height}x{given.width}"
        raise UsageError(
            f"{made.name} takes {size}, and the preprocessing makes {how.channels}x{how.resolution}x"
            f"{how.resolution}; state one that fits it"
        )
