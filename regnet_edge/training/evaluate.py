"""What a trained net reaches: precise batch norms, top-1, the accuracy of each class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from regnet_edge.data import Labelled
from regnet_edge.model import RegNet
from regnet_edge.request import Preprocessing
from regnet_edge.training.batches import Batches, centered, generator, network_input
from regnet_edge.training.plan import TrainPlan
from regnet_edge.training.start import to_training

EVALUATION_BATCH = 500


@torch.no_grad()
def precise_batch_norm(net: RegNet, images: Batches, plan: TrainPlan) -> None:
    """Set the batch norm statistics to their mean over batches of training images, unaugmented."""
    to_training(net, plan.start)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    if not norms:
        return
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's name for the plain mean over batches
    order = torch.randperm(len(images), generator=generator(plan.seed, plan.epochs))[: plan.precise_bn]
    for index in _full_batches(order, plan.batch_size):
        seen = centered(images.pixels[index], plan.preprocessing.resolution)
        net(network_input(seen, plan.preprocessing))
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum


def _full_batches(order: Tensor, batch_size: int) -> Iterator[Tensor]:
    size = min(batch_size, len(order))
    for start in range(0, len(order) - size + 1, size):
        yield order[start : start + size]


@torch.no_grad()
def correct(net: RegNet, images: Batches, how: Preprocessing) -> Tensor:
    """Whether each image's top-1 class is its label, bool (n,); float32 arithmetic."""
    net.eval()
    found = []
    for start in range(0, len(images), EVALUATION_BATCH):
        batch = slice(start, start + EVALUATION_BATCH)
        found.append(net(network_input(images.pixels[batch], how)).argmax(1) == images.labels[batch])
    return torch.cat(found)


def class_accuracy(right: Tensor, images: Labelled) -> dict[str, float]:
    """Top-1 accuracy of each class that occurs, by name."""
    hits = right.cpu().numpy()
    labels = np.asarray(images.labels)
    members = {name: labels == i for i, name in enumerate(images.class_names)}
    return {name: float(hits[mine].mean()) for name, mine in members.items() if mine.any()}
