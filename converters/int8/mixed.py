"""Which layers of an int8 network to keep in float: the fewest bytes that bring the loss under a limit.

int8 is simulated on the definition (the same ranges and steps as every target takes), so one answer
serves all targets and no file is made to find it. A tensor is rounded if the layer that writes it or one
that reads it is int8; so a tensor that int8 cannot hold is rid of only with its writer and its readers.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regnet_edge.request import Calibration, ModelSpec

from ..batches import filled_batches
from ..graph.points import IMAGE, Point, points
from ..images import images_for
from .calibration import SHIPPED, images
from .network import network
from .ranges import LEVELS, Method, Range, ranges

if TYPE_CHECKING:
    from torch import Tensor

    from regnet_edge.model import RegNet

Floats = NDArray[np.float32]
BATCH = 32
JUDGES = 2000  # labelled images that measure the loss
SEARCH_IMAGES = 64  # for the noise that ranks candidates; the loss is measured on all
FLOAT_BYTES = 3  # what a weight of four bytes adds to a file that had one


@dataclass(frozen=True, slots=True)
class Kept:
    """Layers that become float together, what that costs, and the loss before and after."""

    layers: tuple[str, ...]
    why: str
    bytes: int
    loss_before: float
    loss_after: float


@dataclass(frozen=True, slots=True)
class Mixture:
    """The layers to keep in float, in the order in which they were found; loss is a share of the images."""

    kept: tuple[Kept, ...]
    loss: float
    limit: float

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that is kept, once, in alphabetical order."""
        return tuple(sorted({name for kept in self.kept for name in kept.layers}))

    @property
    def bytes(self) -> int:
        """What they add to the file."""
        return sum(kept.bytes for kept in self.kept)

    @property
    def reached(self) -> bool:
        """Whether the loss is within the limit."""
        return self.loss <= self.limit


@dataclass(frozen=True, slots=True)
class JudgedNet:
    """A folded network, the ranges that calibration gives it, and the images that judge it.

    coarse is the network with its weights rounded, exact the logits of the network itself. labels: None
    where they are not known; then every other top-1 class than the definition's is a loss.
    """

    net: RegNet
    coarse: RegNet
    ranges: Mapping[str, Range]
    images: Floats
    labels: NDArray[np.int64] | None
    exact: Floats

    @classmethod
    def of(
        cls,
        net: RegNet,
        calibration: Floats,
        method: Method,
        judges: Floats,
        labels: NDArray[np.int64] | None,
    ) -> JudgedNet:
        """Observe the ranges of every point on the calibration images, and round the weights."""
        found = ranges(method, lambda: _observe(net, calibration))
        exact = np.concatenate([values["head"] for values in _observe(net, judges)])[: len(judges)]
        return cls(net, _rounded(net), found, judges, labels, exact)

    def logits(self, floats: Collection[str], images: Floats) -> Floats:
        """What the int8 network with these layers in float computes."""
        import torch

        plan = tuple(points(self.net.config))
        rounded = _rounded_points(plan, floats)
        with torch.no_grad():
            found = [
                self._forward(plan, floats, rounded, torch.from_numpy(b))
                for b in filled_batches(images, BATCH)
            ]
        return torch.cat(found).numpy()[: len(images)]

    def _forward(
        self, plan: Sequence[Point], floats: Collection[str], rounded: Collection[str], image: Tensor
    ) -> Tensor:
        values = {IMAGE: fake_int8(image, self.ranges[IMAGE]) if IMAGE in rounded else image}
        for point in plan:
            net = self.net if point.name in floats else self.coarse
            value = point.compute(net, [values[name] for name in point.inputs])
            values[point.name] = fake_int8(value, self.ranges[point.name]) if point.name in rounded else value
        return values[plan[-1].name]

    def loss(self, floats: Collection[str]) -> float:
        """Share of the images by which fewer are right than with the network itself."""
        expected, found = self.exact.argmax(1), self.logits(floats, self.images).argmax(1)
        if self.labels is None:
            return float(np.mean(expected != found))
        return float(np.mean(expected == self.labels) - np.mean(found == self.labels))

    def noise(self, floats: Collection[str]) -> float:
        """Squared error of the logits on the first images."""
        found = self.logits(floats, self.images[:SEARCH_IMAGES])
        return float(np.sum((found - self.exact[:SEARCH_IMAGES]) ** 2, dtype=np.float64))


def choose(model: ModelSpec, calibration: Calibration, limit: float, *, equalize: bool = False) -> Mixture:
    """The layers of a model that should stay in float for a loss of at most `limit`, a share of images.

    The shipped test images judge where the shipped ones calibrate, and the calibration images, by the
    definition's answers, elsewhere.
    """
    from regnet_edge.data import preprocess

    seen = images(model, calibration)
    if calibration.source != SHIPPED:
        judges, labels = seen, None
    else:
        drawn = images_for(model, None, JUDGES).images
        judges, labels = preprocess(drawn, model.preprocessing), drawn.labels
    net = network(model, equalize=equalize)
    return mixture(JudgedNet.of(net, seen, calibration.method, judges, labels), limit)


def mixture(subject: JudgedNet, limit: float) -> Mixture:
    """The layers to keep so that the loss is at most `limit`; all that helps where that is not enough."""
    floats: set[str] = set()
    kept: list[Kept] = []
    loss, search = subject.loss(floats), FloatSearch(subject)
    while loss > limit and (best := search.best(floats)) is not None:
        cost = best.cost(subject.net, floats)
        floats |= set(best.layers)
        after = subject.loss(floats)
        kept.append(Kept(best.layers, best.why, cost, loss, after))
        loss = after
    return _pruned(subject, Mixture(tuple(kept), loss, limit))


@dataclass(frozen=True, slots=True)
class Candidate:
    """Layers that free a tensor from int8 together, or one layer's weights."""

    layers: tuple[str, ...]
    why: str

    def cost(self, net: RegNet, already: Collection[str]) -> int:
        """Bytes that keeping them adds to the file."""
        weights = [
            p.layer for p in points(net.config) if p.name in self.layers and p.name not in already and p.layer
        ]
        return FLOAT_BYTES * sum(net.get_parameter(f"{name}.weight").numel() for name in weights)


def _candidates(net: RegNet) -> Iterator[Candidate]:
    plan = points(net.config)
    for point in plan:
        if point.layer:
            yield Candidate((point.name,), f"the weights of {point.name}")
        readers = tuple(p.name for p in plan if point.name in p.inputs)
        if readers:
            yield Candidate((point.name, *readers), f"what {point.name} gives")


@dataclass(slots=True)
class FloatSearch:
    """Candidates by the noise that each takes away per byte, as they were last measured.

    What a candidate gains shrinks as others are taken, so one that is measured anew and is still the
    first need not be compared with the rest (Minoux, 1978).
    """

    subject: JudgedNet
    gains: dict[Candidate, float] = field(default_factory=dict)

    def best(self, floats: Collection[str]) -> Candidate | None:
        """The candidate that takes away the most noise a byte; None where none takes any."""
        now = self.subject.noise(floats)
        if not self.gains:
            self.gains = {c: self._gain(c, floats, now) for c in _candidates(self.subject.net)}
        fresh: set[Candidate] = set()
        while self.gains:
            best = max(self.gains, key=self.gains.__getitem__)
            if best in fresh:
                return best if self.gains.pop(best) > 0 else None
            if set(best.layers) <= set(floats):
                del self.gains[best]
                continue
            self.gains[best] = self._gain(best, floats, now)
            fresh.add(best)
        return None

    def _gain(self, candidate: Candidate, floats: Collection[str], now: float) -> float:
        left = self.subject.noise({*floats, *candidate.layers})
        return (now - left) / (1 + candidate.cost(self.subject.net, floats))


def _pruned(subject: JudgedNet, found: Mixture) -> Mixture:
    """Without what later finds made superfluous, the most expensive first."""
    for kept in sorted(found.kept, key=lambda k: -k.bytes):
        fewer = tuple(k for k in found.kept if k is not kept)
        loss = subject.loss({name for k in fewer for name in k.layers})
        if found.reached and loss <= found.limit:
            found = Mixture(fewer, loss, found.limit)
    return found


def _rounded_points(plan: Sequence[Point], floats: Collection[str]) -> frozenset[str]:
    """Tensors that an int8 layer writes or reads."""
    coarse = [point for point in plan if point.name not in floats]
    return frozenset({point.name for point in coarse} | {name for point in coarse for name in point.inputs})


def _observe(net: RegNet, images: Floats) -> Iterator[dict[str, Floats]]:
    import torch

    plan = points(net.config)
    for batch in filled_batches(images, BATCH):
        values = {IMAGE: torch.from_numpy(batch)}
        with torch.no_grad():
            for point in plan:
                values[point.name] = point.compute(net, [values[name] for name in point.inputs])
        yield {name: value.numpy() for name, value in values.items()}


def fake_int8(value: Tensor, seen: Range) -> Tensor:
    """The value as int8 holds it: rounded to one of 256 steps of its range."""
    import torch

    scale = (seen.high - seen.low) / LEVELS or 1.0
    zero = round(-seen.low / scale)
    return torch.fake_quantize_per_tensor_affine(value, scale, zero, 0, LEVELS)


def _rounded(net: RegNet) -> RegNet:
    """A copy whose convolutions and head have int8 weights, a scale for each output channel."""
    import torch

    coarse = copy.deepcopy(net)
    for point in points(net.config):
        if point.layer:
            weight = coarse.get_parameter(f"{point.layer}.weight")
            peak = weight.detach().abs().flatten(1).amax(1).clamp(min=torch.finfo(torch.float32).tiny)
            scale = (peak / 127).view(-1, *[1] * (weight.ndim - 1))
            weight.data = (weight.data / scale).round() * scale
    return coarse
