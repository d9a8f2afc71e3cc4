"""Where a converted file loses what: noise at every layer of the definition, by name.

Two figures a place, both signal to noise in dB. `sqnr_db` is what has gathered until there: the file's
tensor against the definition's. `own_db` is what the place adds itself: the file's tensor against what
the definition computes there from the file's own inputs, so that a bad layer does not blame its followers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regnet_edge import codec
from regnet_edge.artifact import Artifact
from regnet_edge.errors import ArtifactError, UsageError
from regnet_edge.reading import parse_json

from .. import isolated, target
from ..batches import filled_batches
from ..graph.locate import locate
from ..graph.points import IMAGE, Point, points, spans
from ..int8.network import network
from .metrics import decibels

if TYPE_CHECKING:
    from torch import Tensor

    from regnet_edge.model import RegNet

Floats = NDArray[np.float32]
SILENT_DB = 200.0  # no noise that float32 could show


@dataclass(frozen=True, slots=True)
class Loss:
    """Signal to noise in dB at a place of the definition: gathered until there, and its own."""

    name: str
    kind: str
    sqnr_db: float
    own_db: float


@dataclass(frozen=True, slots=True)
class Blame:
    """The losses of a file over `images` images: of stages, of blocks, of layers, and by kind of layer.

    remark says how a graph that stands for a delegated file was shown to be that file's.
    """

    file: str
    images: int
    stages: tuple[Loss, ...]
    blocks: tuple[Loss, ...]
    layers: tuple[Loss, ...]
    kinds: tuple[Loss, ...]
    remark: str = ""

    @property
    def worst(self) -> Loss:
        """The layer that adds the most noise of its own."""
        return min(self.layers, key=lambda loss: loss.own_db)


@dataclass(slots=True)
class Tally:
    """Sums of squares of a place over the batches so far."""

    signal: float = 0.0
    noise: float = 0.0
    own: float = 0.0

    def add(self, expected: Tensor, found: Tensor, alone: Tensor) -> None:
        """One batch: the definition's tensor, the file's, and the definition's from the file's inputs."""
        self.signal += float(expected.double().square().sum())
        self.noise += float((found - expected).double().square().sum())
        self.own += float((found - alone).double().square().sum())

    def loss(self, name: str, kind: str) -> Loss:
        """Both figures in dB."""
        return Loss(
            name,
            kind,
            decibels(self.signal, self.noise, SILENT_DB),
            decibels(self.signal, self.own, SILENT_DB),
        )


@dataclass(slots=True)
class Ledger:
    """A tally a layer, a block and a stage."""

    net: RegNet
    layers: dict[str, Tally] = field(default_factory=dict)
    spans: dict[str, Tally] = field(default_factory=dict)

    def add(self, image: Tensor, found: Mapping[str, Tensor]) -> None:
        """One batch of images with the file's tensors by the definition's names."""
        expected, seen = {IMAGE: image}, dict(found)
        seen[IMAGE] = found[IMAGE].reshape(image.shape)
        self.layers.setdefault(IMAGE, Tally()).add(image, seen[IMAGE], image)
        for point in points(self.net.config):
            expected[point.name] = point.compute(self.net, [expected[name] for name in point.inputs])
            alone = point.compute(self.net, [seen[name] for name in point.inputs])
            seen[point.name] = found[point.name].reshape(alone.shape)
            self.layers.setdefault(point.name, Tally()).add(expected[point.name], seen[point.name], alone)
        for span in spans(self.net.config):
            alone = self.net.get_submodule(span.name)(seen[span.before])
            self.spans.setdefault(span.name, Tally()).add(expected[span.output], seen[span.output], alone)


def blame(artifact: Artifact, images: Floats, weights: str = "") -> Blame:
    """What each layer, block and stage of the file loses on images (n, channels, r, r)."""
    if artifact.request.embed or artifact.request.output:
        raise UsageError(
            f"blame reads plain networks; convert {artifact.path.name} without --embed and --output"
        )
    found = isolated.told(artifact.path, _blame_as_text, artifact, images, weights)
    try:
        return codec.from_json(parse_json(found, infinite=True), Blame)
    except ValueError as error:
        raise ArtifactError(
            f"{artifact.path} cannot be looked into ({error}); convert the model again"
        ) from error


def _blame_as_text(artifact: Artifact, images: Floats, weights: str) -> str:
    import torch

    request = artifact.request
    net = network(request.model, equalize=request.equalize, weights=weights)
    ledger = Ledger(net)
    remark = ""
    with torch.no_grad():
        opened = target(request.target).reader(artifact, net, images)
        remark = opened.remark
        places = locate(opened.ops, opened.image, net.config)
        batches = list(filled_batches(images, artifact.request.batch))
        for batch, values in zip(batches, opened.values(batches, sorted(set(places.values()))), strict=True):
            tensors = {name: torch.from_numpy(np.array(values[place])) for name, place in places.items()}
            ledger.add(torch.from_numpy(batch), tensors)
    return codec.canonical(_blame(artifact, len(images), ledger, remark))


def _blame(artifact: Artifact, images: int, ledger: Ledger, remark: str) -> Blame:
    known: Mapping[str, Point] = {point.name: point for point in points(ledger.net.config)}
    layers = [t.loss(n, known[n].kind if n in known else IMAGE) for n, t in ledger.layers.items()]
    whole = {
        name: tally.loss(name, "block" if "." in name else "stage") for name, tally in ledger.spans.items()
    }
    return Blame(
        artifact.path.name,
        images,
        tuple(loss for loss in whole.values() if loss.kind == "stage"),
        tuple(loss for loss in whole.values() if loss.kind == "block"),
        tuple(layers),
        tuple(_by_kind(layers)),
        remark,
    )


def _by_kind(layers: list[Loss]) -> Iterator[Loss]:
    """Mean noise to signal of the layers of each kind."""
    for kind in dict.fromkeys(loss.kind for loss in layers):
        mine = [loss for loss in layers if loss.kind == kind]
        gathered, own = (
            float(-10 * np.log10(np.mean([10 ** (-db / 10) for db in figures])))
            for figures in ([x.sqnr_db for x in mine], [x.own_db for x in mine])
        )
        yield Loss(f"{len(mine)} of this kind" if len(mine) > 1 else mine[0].name, kind, gathered, own)
