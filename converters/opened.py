"""A file of any target, ours or not, as a function from images to answers, described by its own graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from regnet_edge.errors import ArtifactError
from regnet_edge.request import Color

from .batches import in_batches

if TYPE_CHECKING:
    from . import Floats
    from .steps import StatedSteps

Layout = Literal["NCHW", "NHWC"]
CHANNELS = (1, 3)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """What a file's one input takes: images of that layout; a size of 0 means any, a batch of 0 up to most.

    lowest, highest: the real numbers that the input's type can hold where it is quantized; raw: whole
    numbers 0..255 without a scale, which are pixels; color: the order of channels where the file states it.
    """

    layout: Layout
    batch: int
    channels: int
    height: int
    width: int
    lowest: float | None = None
    highest: float | None = None
    raw: bool = False
    color: Color | None = None
    most: int = 16

    @classmethod
    def of(cls, path: Path, inputs: Sequence[Sequence[Any]], prefer: Layout, **more: Any) -> ImageInput:
        """From the shapes of all inputs; raises ArtifactError where they are not one image's."""
        if len(inputs) != 1:
            raise ArtifactError(f"{path} takes {len(inputs)} inputs; only a file with one image input is run")
        shape = [n if isinstance(n, int) and n > 0 else 0 for n in inputs[0]]
        fits = [layout for layout in _ordered(prefer) if len(shape) == 4 and _channels(shape, layout)]
        if not fits:
            given = "x".join(str(n or "any") for n in shape) or "a single number"
            raise ArtifactError(f"the input of {path} is {given}, no image; only image classifiers are run")
        batch, channels = shape[0], _channels(shape, fits[0])
        height, width = (shape[2], shape[3]) if fits[0] == "NCHW" else (shape[1], shape[2])
        return cls(fits[0], batch, channels, height, width, **more)

    def in_steps(self, steps: StatedSteps) -> ImageInput:
        """With the range of the real numbers that its steps stand for, or as one that takes pixels."""
        if steps.are_pixels:
            return replace(self, raw=True)
        lowest, highest = steps.limits
        return replace(self, lowest=lowest, highest=highest)


def _ordered(prefer: Layout) -> tuple[Layout, Layout]:
    return ("NCHW", "NHWC") if prefer == "NCHW" else ("NHWC", "NCHW")


def _channels(shape: Sequence[int], layout: Layout) -> int:
    """How many channels that layout means, 0 where they are none that pictures have."""
    channels = shape[1] if layout == "NCHW" else shape[3]
    return channels if channels in CHANNELS else 0


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that is loaded and ready: forward takes images in its own layout and batch, as real numbers.

    metadata: what the file says of itself in regnet-edge's own words, empty for a file of another tool.
    labels: the names of its classes where its format has a place for them.
    """

    path: Path
    input: ImageInput
    forward: Callable[[Floats], Floats]
    metadata: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    def run(self, images: Floats) -> Floats:
        """Answers (n, classes) of images (n, channels, h, w); raises ArtifactError for other answers."""
        given = images if self.input.layout == "NCHW" else images.transpose(0, 2, 3, 1)
        found = in_batches(self.forward, given, self.input.batch or min(len(given), self.input.most))
        found = found.reshape(len(images), -1) if found.size else found
        if found.ndim != 2 or found.shape[1] < 2:
            raise ArtifactError(f"{self.path} answers with one number a picture: it is no classifier")
        return found
