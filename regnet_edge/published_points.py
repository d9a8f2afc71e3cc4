"""The published networks as points of accuracy: weights at a resolution at which their top-1 was published.

The paper's own figures stand beside timm's and torchvision's: the same weights have another figure where
another program resized the pictures. Nothing here needs torch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from regnet_edge import zoo
from regnet_edge.published import Published, entries
from regnet_edge.zoo import ZooEntry

Source = Literal["paper", "timm", "torchvision"]
PAPER_RESOLUTION = 224
FIGURES: dict[Source, str] = {
    "paper": "logs of facebookresearch/pycls' model zoo, 100 - top-1 error",
    "timm": "results-imagenet.csv of huggingface/pytorch-image-models",
    "torchvision": "meta of torchvision's weights",
}
_NOT_FOR_SALE = ("cc-by-nc", "seer-license")
_TORCHVISION_OWN = "bsd-3-clause"  # of the package: most of its weights state none


@dataclass(frozen=True, slots=True)
class PublishedPoint:
    """Weights with one published figure: top1 in percent at `resolution` pixels, None where none is told.

    reference is what --weights takes; classes is 0 for a file without a head. licence_assumed: the weights
    state none, so it is their package's own. refusal: why the definition has no such net, '' where it has.
    """

    source: Source
    name: str
    architecture: str
    resolution: int
    top1: float | None
    classes: int
    licence: str
    reference: str
    licence_assumed: bool = False
    refusal: str = ""

    @property
    def title(self) -> str:
        """Name and resolution, which together are one point."""
        return f"{self.source}:{self.name} at {self.resolution}"

    @property
    def file_name(self) -> str:
        """A name that files of this point can carry."""
        return f"{self.source}-{self.name}".replace(":", "-")

    @property
    def for_sale(self) -> bool:
        """Whether the licence leaves selling open; it is read here, and no lawyer has."""
        return not self.licence.lower().startswith(_NOT_FOR_SALE)

    @property
    def figure(self) -> str:
        """Where the top-1 comes from."""
        return FIGURES[self.source]

    @property
    def entry(self) -> ZooEntry:
        """The zoo's net; raises UnknownNameError where `refusal` says why there is none."""
        return zoo.find(self.architecture)


@functools.cache
def points() -> tuple[PublishedPoint, ...]:
    """Every point, the paper's first, then timm's and torchvision's; a larger test size is one of its own."""
    packages = (point for entry in entries() for point in _of_package(entry))
    return (*_of_paper(), *packages)


def _of_paper() -> Iterator[PublishedPoint]:
    """The authors' 24, whose weights timm carries under its own names."""
    for entry in zoo.entries():
        if entry.top1_error is not None:
            top1, weights = round(100 - entry.top1_error, 3), f"timm:{entry.timm}.pycls_in1k"
            yield PublishedPoint(
                "paper", entry.name, entry.name, PAPER_RESOLUTION, top1, 1000, "mit", weights
            )


def _of_package(entry: Published) -> Iterator[PublishedPoint]:
    assumed = not entry.licence and entry.package == "torchvision"
    licence = _TORCHVISION_OWN if assumed else entry.licence.partition(" (")[0]

    def at(resolution: int, top1: float | None) -> PublishedPoint:
        return PublishedPoint(
            entry.package, entry.name, entry.architecture, resolution, top1, entry.classes, licence,
            entry.reference, assumed, entry.refusal,
        )  # fmt: skip

    yield at(entry.resolution, entry.top1)
    if entry.test_resolution is not None and entry.test_top1 is not None:
        yield at(entry.test_resolution, entry.test_top1)
