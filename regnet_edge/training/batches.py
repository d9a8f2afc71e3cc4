"""What the loop draws: batches of pixels, augmented, as the network takes them."""

from __future__ import annotations

import hashlib
import math
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
    def of(cls, images: Labelled, plan: TrainPlan, how: Preprocessing | None = None) -> Batches:
        """The images, resized and cropped once: as the network takes them, or larger (`plan.canvas`)."""
        pixels = images.fitted(how or plan.preprocessing).transpose(0, 3, 1, 2)
        return cls(torch.tensor(pixels).to(plan.device), torch.tensor(images.labels).to(plan.device))

    def class_weights(self, plan: TrainPlan) -> Tensor | None:
        """What an image of each class counts in the loss, 1 on average; None where all count the same."""
        if not plan.class_weights:
            return None
        counts = torch.bincount(self.labels, minlength=plan.config.num_classes)
        return len(self) / counts.clamp(min=1) / torch.count_nonzero(counts)

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of pixels and labels."""
        digest = hashlib.sha256(self.pixels.cpu().numpy().tobytes())
        digest.update(self.labels.cpu().numpy().tobytes())
        return digest.hexdigest()


def augment(pixels: Tensor, how: Augmentation, rng: torch.Generator, resolution: int = 0) -> Tensor:
    """Images changed at random: uint8 (n, c, h, w) to (n, c, resolution, resolution), 0 for the same size.

    The random numbers are drawn on the CPU, so that every device sees the same images.
    """
    changed = _photos(pixels, how, rng, resolution) if how.kind == "photos" else _shifted(pixels, how, rng)
    return _erase(changed, how.erase, rng) if how.erase else changed


def _shifted(pixels: Tensor, how: Augmentation, rng: torch.Generator) -> Tensor:
    n, _, h, w = pixels.shape
    device, pad = pixels.device, how.crop_padding
    shift = torch.randint(0, 2 * pad + 1, (2, n, 1), generator=rng)
    mirror = torch.randint(0, 2, (n, 1), generator=rng, dtype=torch.bool) & how.flip
    x = torch.arange(w).expand(n, w)
    rows = (torch.arange(h).expand(n, h) + shift[0]).to(device)
    columns = (torch.where(mirror, w - 1 - x, x) + shift[1]).to(device)
    padded = F.pad(pixels, (pad, pad, pad, pad))
    image = torch.arange(n, device=device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _photos(pixels: Tensor, how: Augmentation, rng: torch.Generator, resolution: int) -> Tensor:
    """A part of each image (Szegedy et al. 2014), resized bilinearly, mirrored or not, in other colours."""
    n, c, h, w = pixels.shape
    uniform = torch.rand(7, n, generator=rng) * 2 - 1  # -1 to 1
    area = how.crop_scale + (1 - how.crop_scale) * (uniform[0] + 1) / 2
    aspect = torch.exp(uniform[1] * math.log(4 / 3)).sqrt()
    size = torch.stack((area.sqrt() * aspect, area.sqrt() / aspect)).clamp(max=1)  # of the sides x and y
    center = uniform[2:4] * (1 - size)
    mirror = 1 - 2 * (torch.randint(0, 2, (n,), generator=rng) * how.flip)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = size[0] * mirror, size[1], center.T
    shape = [n, c, resolution or h, resolution or w]
    grid = F.affine_grid(theta.to(pixels.device), shape, align_corners=False)
    cut = F.grid_sample(pixels.float(), grid, padding_mode="border", align_corners=False)
    factors = 1 + how.jitter * uniform[4:]
    return _recolored(cut, factors.to(pixels.device)).round().clamp(0, 255).to(torch.uint8)


def _recolored(pixels: Tensor, factors: Tensor) -> Tensor:
    """Brightness, contrast and saturation times the factors (3, n); gray is the mean of the channels."""
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind()
    bright = pixels * brightness
    mean = bright.mean((1, 2, 3), keepdim=True)
    contrasted = mean + (bright - mean) * contrast
    gray = contrasted.mean(1, keepdim=True)
    return gray + (contrasted - gray) * saturation


def centered(pixels: Tensor, resolution: int) -> Tensor:
    """The middle of (n, c, h, w), as it is evaluated."""
    top, left = ((side - resolution) // 2 for side in pixels.shape[2:])
    return pixels[:, :, top : top + resolution, left : left + resolution]


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
