"""What the pictures decide where nobody says: how they are augmented, whether classes are weighted.

Each choice comes with a sentence that says what was chosen, why, and the option that says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regnet_edge import pictures
from regnet_edge.data import Images
from regnet_edge.folders import Pictures
from regnet_edge.request import Preprocessing
from regnet_edge.training.plan import AugmentationKind, read_source

LARGE = 64  # pixels of a side from which a picture counts as a photograph
LOOKED_AT = 32  # pictures whose size is read
UNEVEN = 2.0  # times as many pictures in the largest class as in the smallest

_WORDS = {
    "photos": "photographs (crops of any part, mirror images, colours)",
    "shift": "small pictures (shifts)",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """The augmentation and whether to weight classes, and the sentences that say why."""

    augmentation: AugmentationKind
    class_weights: bool
    because: tuple[str, ...]


def choices(source: str, how: Preprocessing) -> Choices:
    """What suits the training images of a source that the network sees like that; DataError without any."""
    train, _, _ = read_source(source)
    side = _side(train)
    kind: AugmentationKind = "photos" if min(side, how.resolution) >= LARGE else "shift"
    other = "shift" if kind == "photos" else "photos"
    said = [
        f"pictures of {side} pixels for an input of {how.resolution}: augmented as {_WORDS[kind]}; --augment "
        f"{other} for the other"
    ]
    counts = np.unique(train.labels, return_counts=True)[1] if train.labels is not None else np.array([1])
    uneven = bool(counts.max() > UNEVEN * counts.min())
    if uneven:
        said.append(
            f"{counts.min():,} to {counts.max():,} pictures a class: rare classes count more; "
            "--no-class-weights for none"
        )
    return Choices(kind, uneven, tuple(said))


def _side(images: Images | Pictures) -> int:
    """The median of the short sides, in pixels, of some of the images."""
    index = np.linspace(0, len(images) - 1, min(LOOKED_AT, len(images))).astype(np.int64)
    some = images.take(index)
    shapes = (
        [p.shape[:2] for p in some.pixels] if isinstance(some, Images) else map(pictures.size, some.files)
    )
    return int(np.median([min(shape) for shape in shapes]))
