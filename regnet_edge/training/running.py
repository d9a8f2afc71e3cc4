"""The state of a training run, one step of it, and the checkpoint it goes on from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from regnet_edge import codec
from regnet_edge.model import RegNet, build
from regnet_edge.request import ModelSpec
from regnet_edge.training.batches import network_input
from regnet_edge.training.plan import TrainPlan
from regnet_edge.training.start import initial, learning


class CheckpointState(TypedDict):
    """What a checkpoint holds: tensors, and the plan and images that they belong to as text."""

    plan: str
    images: str
    epochs_done: int
    net: Mapping[str, Any]
    average: Mapping[str, Any]
    optimizer: dict[str, Any]  # the keys are torch's own
    best: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BestEpoch:
    """The best epoch so far (from 1; 0 before the first), its accuracy as a fraction, and its weights."""

    epoch: int = 0
    accuracy: float = -1.0
    weights: dict[str, Tensor] = field(default_factory=dict)


def _first(plan: TrainPlan) -> RegNet:
    """The network before the first step."""
    if plan.start is None:
        return build(plan.config, seed=plan.seed)
    spec = ModelSpec(plan.name, plan.config, plan.start.weights, plan.preprocessing)
    return initial(plan.start, spec, plan.seed)


class Run:
    """What changes while training: the network, its average, the optimizer, the epochs done, the best one."""

    def __init__(self, plan: TrainPlan, class_weights: Tensor | None = None) -> None:
        self.plan = plan
        self.class_weights = class_weights
        self.net = _first(plan).to(plan.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack device with memory_format
        self.average: RegNet | None = copy.deepcopy(self.net) if plan.ema else None
        groups = list(learning(self.net, plan.start))
        self.shares = [share for _, share in groups]
        self.optimizer = torch.optim.SGD(
            [{"params": group} for group, _ in groups],
            lr=plan.lr,
            momentum=plan.momentum,
            nesterov=plan.momentum > 0,
            weight_decay=plan.weight_decay,
        )
        self.epochs_done = 0
        self.best = BestEpoch()

    @property
    def finished(self) -> bool:
        """Whether every epoch was trained, or none of the last ones was better than the best."""
        since = self.epochs_done - self.best.epoch
        return self.epochs_done >= self.plan.epochs or 0 < self.plan.patience <= since

    @property
    def result(self) -> RegNet:
        """The network that is evaluated and kept."""
        return self.average or self.net

    def step(self, pixels: Tensor, labels: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        """One update; (loss, number of right answers) on the way."""
        for group, share in zip(self.optimizer.param_groups, self.shares, strict=True):
            group["lr"] = lr * share
        x = network_input(pixels, self.plan.preprocessing)
        with torch.autocast(self.plan.device, torch.bfloat16, enabled=self.plan.precision == "bf16"):
            logits = self.net(x)
        smoothing, weights = self.plan.label_smoothing, self.class_weights
        loss = F.cross_entropy(logits.float(), labels, weights, label_smoothing=smoothing)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self.optimizer.step()
        self._follow()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    @torch.no_grad()
    def _follow(self) -> None:
        if self.average is not None:
            for mean, now in zip(self.average.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(now, 1 - self.plan.ema)

    def state(self, fingerprint: str) -> CheckpointState:
        """The checkpoint."""
        return {
            "plan": codec.canonical(self.plan),
            "images": fingerprint,
            "epochs_done": self.epochs_done,
            "net": self.net.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "optimizer": self.optimizer.state_dict(),
            "best": asdict(self.best),
        }

    def restore(self, state: CheckpointState) -> None:
        """Go on from a checkpoint."""
        self.net.load_state_dict(state["net"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epochs_done = int(state["epochs_done"])
        self.best = BestEpoch(**state["best"])

    def consider(self, candidate: RegNet, accuracy: float) -> None:
        """Keep the weights of an epoch that was just trained, where it is the best one so far."""
        if self.plan.patience and accuracy > self.best.accuracy:
            self.best = BestEpoch(self.epochs_done + 1, accuracy, candidate.state_dict())
