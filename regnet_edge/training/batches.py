"""What the loop draws: batches of pixels, augmented, as the network takes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from regnet_edge.data import Labelled
from regnet_edge.request import Preprocessing
from regnet_edge.training.plan import Augmentation, TrainPlan


@dataclass(frozen=True, slots=True, eq=False)
class Batches:
    """Images ready for training: uint8 (n, c, h, w) and int64 (n,), where the network runs."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, images: Labelled, plan: TrainPlan) -> Batches:
        """The images, resized and cropped once."""
        pixels = images.fitted(plan.preprocessing).transpose(0, 3, 1, 2)
        return cls(torch.tensor(pixels).to(plan.device), torch.tensor(images.labels).to(plan.device))

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of pixels and labels."""
        digest = hashlib.sha256(self.pixels.cpu().numpy().tobytes())
        digest.update(self.labels.cpu().numpy().tobytes())
        return digest.hexdigest()


def augment(pixels: Tensor, how: Augmentation, rng: torch.Generator) -> Tensor:
    """Randomly shifted, mirrored and erased images: uint8 (n, c, h, w) to the same shape.

    The random numbers are drawn on the CPU, so that every device sees the same images.
    """
    n, _, h, w = pixels.shape
    device, pad = pixels.device, how.crop_padding
    shift = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=rng)
    mirror = torch.randint(0, 2, (n, 1), generator=rng, dtype=torch.bool) & how.flip
    x = torch.arange(w).expand(n, w)
    rows = (torch.arange(h).expand(n, h) + shift[0]).to(device)
    columns = (torch.where(mirror, w - 1 - x, x) + shift[1]).to(device)
    padded = F.pad(pixels, (pad, pad, pad, pad))
    image = torch.arange(n, device=device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return _erase(moved, how.erase, rng) if how.erase else moved


def _erase(pixels: Tensor, side: int, rng: torch.Generator) -> Tensor:
    n, _, h, w = pixels.shape
    top = torch.randint(-(side // 2), h - side // 2, (n, 1), generator=rng)
    left = torch.randint(-(side // 2), w - side // 2, (n, 1), generator=rng)
    y, x = torch.arange(h) - top, torch.arange(w) - left
    inside = ((y >= 0) & (y < side))[:, :, None] & ((x >= 0) & (x < side))[:, None, :]
    return pixels.masked_fill(inside[:, None].to(pixels.device), 0)


def network_input(pixels: Tensor, how: Preprocessing) -> Tensor:
    """`data.normalize` on the device: uint8 (n, c, h, w) to float32 in channels-last layout."""
    mean = torch.tensor(how.mean, device=pixels.device)[:, None, None]
    std = torch.tensor(how.std, device=pixels.device)[:, None, None]
    x = pixels.to(torch.float32).div_(255).sub_(mean).div_(std)
    return x.contiguous(memory_format=torch.channels_last)


def generator(seed: int, epoch: int) -> torch.Generator:
    """The source of everything random in an epoch."""
    state = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)
