"""Where fine-tuning begins: a checkpoint's network, what of it is held still, and how fast the rest moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import UsageError
from regnet_edge.request import ModelSpec, WeightsRef

if TYPE_CHECKING:
    from torch import nn

    from regnet_edge.model import RegNet

HEAD, HEAD_ONLY = "head", "head-only"
BODY_LR = 0.1


@dataclass(frozen=True, slots=True)
class Start:
    """The checkpoint that training starts from.

    weights.new_head: a fresh head is drawn. freeze: parts that stay as they are, such as stem and s1; their
    batch norms keep their statistics. body_lr: what is not the fresh head learns at this share of the
    learning rate. licence is that of the weights. Raises UsageError.
    """

    weights: WeightsRef
    licence: str = ""
    freeze: tuple[str, ...] = ()
    body_lr: float = BODY_LR

    def __post_init__(self) -> None:
        if not 0 < self.body_lr <= 1:
            raise UsageError(f"body_lr is a share of the learning rate in (0, 1], not {self.body_lr}")
        if self.weights.new_head and HEAD in self.freeze:
            raise UsageError(
                "the weights have other classes than the images, so the head is drawn anew and must learn; "
                "leave head out of --freeze"
            )

    def check(self, config: AnyNetConfig) -> None:
        """Raise UsageError where a frozen part is none of the network's, or nothing is left to train."""
        known = parts(config)
        for name in self.freeze:
            if name not in known:
                raise UsageError(
                    f"--freeze takes head-only, or parts of {', '.join(known)} after commas, not {name!r}"
                )
        if set(self.freeze) == set(known):
            raise UsageError("--freeze holds the whole network, so nothing would learn; leave a part out")


def parts(config: AnyNetConfig) -> tuple[str, ...]:
    """What can be frozen: the stem, each stage, the head."""
    return ("stem", *(f"s{i}" for i in range(1, len(config.stages) + 1)), HEAD)


def frozen_parts(text: str, config: AnyNetConfig) -> tuple[str, ...]:
    """The parts that `--freeze` names; head-only is all but the head."""
    if text == HEAD_ONLY:
        return parts(config)[:-1]
    return tuple(word.strip() for word in text.split(",") if word.strip())


def initial(start: Start, spec: ModelSpec, seed: int) -> RegNet:
    """The checkpoint's network with a head for the spec's classes, frozen parts without gradients.

    Raises WeightsError where the checkpoint is missing or another than the start names.
    """
    from regnet_edge import resolve, weights

    net = resolve.load(replace(spec, weights=replace(start.weights, new_head=True)))
    net = weights.replace_head(net, spec.config.num_classes, seed=seed) if start.weights.new_head else net
    for name in start.freeze:
        net.get_submodule(name).requires_grad_(False)
    return net


def to_training(net: RegNet, start: Start | None) -> None:
    """Training mode, but for the frozen parts."""
    net.train()
    for name in start.freeze if start else ():
        net.get_submodule(name).eval()


def learning(net: RegNet, start: Start | None) -> Iterator[tuple[list[nn.Parameter], float]]:
    """Parameters that learn, each group with its share of the learning rate."""
    if start is None:
        yield list(net.parameters()), 1.0
        return
    fresh = {id(p) for p in net.head.parameters()} if start.weights.new_head else set()
    free = [p for p in net.parameters() if p.requires_grad]
    for group, share in (
        ([p for p in free if id(p) in fresh], 1.0),
        ([p for p in free if id(p) not in fresh], start.body_lr),
    ):
        if group:
            yield group, share


def portable(start: Start | None) -> Start | None:
    """The same without this machine's paths."""
    return start and replace(start, weights=replace(start.weights, path=Path(start.weights.path).name))
