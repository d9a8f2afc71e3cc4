"""A file that is shown pictures: ours with its sidecar, or anybody's with what it says of itself.

Each thing that was not stated (how pictures are prepared, what the classes are called) carries a note that
says where it was taken from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regnet_edge import codec
from regnet_edge.artifact import Artifact, sidecar_of
from regnet_edge.data import Labelled, Pixels, normalize
from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.labels import imagenet_labels
from regnet_edge.provenance import Origin
from regnet_edge.reading import parse_json
from regnet_edge.request import Preprocessing
from regnet_edge.weights.said import Said, Settings, combined

from .. import isolated, targets
from .metrics import are_probabilities, softmax

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
        return found if are_probabilities(found) else softmax(found)

    def label(self, index: int) -> str:
        """The class's name, its number where it has none."""
        return self.labels[index] if index < len(self.labels) else str(index)


def subject(path: Path, stated: Sequence[Said] = (), labels: tuple[str, ...] = ()) -> Subject:
    """The file with what is known of it: stated by the user, by its sidecar, by itself, else assumed.

    Raises ArtifactError for a file that no runtime here takes, or that is no image classifier, and
    UsageError where what was stated does not fit it.
    """
    converter = converter_of(path)
    if not path.exists() or sidecar_of(path).exists():
        request = Artifact.load(path).request
        model = request.model
        if request.output:
            raise UsageError(
                f"{path.name} gives features ({', '.join(request.output)}), no classes; give a file that was "
                "converted without --output"
            )
        own = Said(Origin("file", "sidecar"), Settings.of(model.preprocessing), labels=model.labels)
        opened = isolated.opened(converter, path)
    else:
        opened = isolated.opened(converter, path)
        own = _said_inside(opened)
    how, origins = combined([*stated, own, *_recognised(opened.input)], opened.input.channels)
    made = Subject(path.name, opened, how, labels or own.labels, _notes(path.name, how, origins))
    _check(made)
    one = np.zeros((1, how.channels, how.resolution, how.resolution), np.float32)
    return with_classes(made, opened.run(one).shape[1])  # which makes the runtime warm as well


def with_classes(made: Subject, classes: int) -> Subject:
    """The subject, whose file has so many classes: ImageNet's names for 1,000 without labels."""
    if made.labels and len(made.labels) != classes:
        raise UsageError(
            f"{len(made.labels)} labels for the {classes} classes of {made.name}; give one a class"
        )
    if made.labels or classes not in (1000, 1001):
        return made
    names = imagenet_labels() if classes == 1000 else (BACKGROUND, *imagenet_labels())
    note = f"{made.name} says no labels; assumed: ImageNet's, for it has {classes:,} classes"
    return replace(made, labels=names, notes=(*made.notes, note))


def converter_of(path: Path) -> Converter:
    """The target whose files end so; raises UsageError for a suffix that none has."""
    known = targets()
    for converter in known.values():
        if path.suffix == converter.suffix:
            return converter
    suffixes = ", ".join(sorted(c.suffix for c in known.values()))
    raise UsageError(f"{path} is no file of a known format; give one that ends in {suffixes}")


def _said_inside(opened: OpenedFile) -> Said:
    """What a file without a sidecar has in its metadata, where regnet-edge made it."""
    origin, stored = Origin("file", "its metadata"), opened.metadata.get("regnet_edge.preprocessing")
    if not stored:
        return Said(origin, labels=opened.labels)
    names = opened.metadata.get("regnet_edge.labels", "")
    try:
        how = codec.from_json(parse_json(stored), Preprocessing)
    except ValueError as error:
        raise ArtifactError(
            f"{opened.path} states no preprocessing that can be ({error}); convert the model again"
        ) from error
    return Said(origin, Settings.of(how), labels=tuple(names.split("\n")) if names else ())


def _recognised(given: ImageInput) -> Iterator[Said]:
    """The size of the input, and the scaling of one whose type holds 0..1, -1..1 or pixels alone."""
    if given.height != given.width:
        raise UsageError(
            f"the file takes {given.width}x{given.height} pixels; only square ones are made here"
        )
    if given.height:
        yield Said(Origin("file", "its input"), Settings(resolution=given.height))
    if given.color:
        yield Said(Origin("file", "its input"), Settings(color=given.color))
    if given.raw:
        yield Said(Origin("recognised", "whole numbers 0..255"), Settings(mean=(0.0,), std=(1.0,)))
    if given.lowest is None or given.highest is None:
        return
    for low, high, mean, std in ((0, 1, 0.0, 1.0), (-1, 1, 0.5, 0.5), (0, 255, 0.0, 1 / 255)):
        near = 0.02 * (high - low)
        if abs(given.lowest - low) < near and abs(given.highest - high) < near:
            yield Said(Origin("recognised", f"holds {low}..{high}"), Settings(mean=(mean,), std=(std,)))


def _notes(name: str, how: Preprocessing, origins: Mapping[str, Origin]) -> tuple[str, ...]:
    """A sentence with the fields that nobody stated."""
    guessed = {f: o for f, o in origins.items() if o.how in ("assumed", "recognised")}
    shown = ("mean", "std", "interpolation", "resize_px")
    fields = [f"{f} {_short(getattr(how, f))} {guessed[f].how}" for f in shown if f in guessed]
    if not fields:
        return ()
    known = ", ".join(fields)
    return (
        f"{name} does not say how pictures are prepared: {known}; state it with --mean, --resize and so on",
    )


def _short(value: object) -> str:
    return " ".join(f"{v:.3g}" for v in value) if isinstance(value, tuple) else str(value)


def _check(made: Subject) -> None:
    given, how = made.opened.input, made.how
    fits = given.channels == how.channels and given.height in (0, how.resolution)
    if not fits:
        size = f"{given.channels}x{given.height}x{given.width}"
        raise UsageError(
            f"{made.name} takes {size}, and the preprocessing makes {how.channels}x{how.resolution}x"
            f"{how.resolution}; state one that fits it"
        )
