"""What an app's file computes beyond the network: from a camera's pixels to input, from logits to names.

`normalize` makes the input uint8 pixels of the model's size, NHWC, in the model's color order. What it
computes, (x / 255 - mean) / std, is one multiply-add a pixel: a 1x1 convolution of one channel a group.
Where the mean is 0 it is none: the factor goes into the first convolution, whose padding of zeros stays
what it was. A mean is not folded into that convolution's bias, which would be wrong at the borders.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regnet_edge.artifact import Structure
from regnet_edge.errors import UsageError
from regnet_edge.request import NEEDS_CALIBRATION, ExportRequest, Preprocessing

from . import Source
from .features import outputs_in

if TYPE_CHECKING:
    import torch
    from torch import nn

    from regnet_edge.model import RegNet

    from . import Floats

MULTIPLY_ADD = "normalize"  # what a graph calls it


def scale_and_bias(how: Preprocessing) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(factor, summand) of each channel that make a pixel the network's input, shape (c,)."""
    mean, std = np.array(how.mean, np.float64), np.array(how.std, np.float64)
    return 1 / (255 * std), -mean / std


@dataclass(frozen=True, slots=True)
class Steps:
    """The multiply-add in integers, a number a channel: int8 factors, the step of each, int32 summands.

    A pixel has step 1, so a factor times its step is 1 / (255 std), and a summand counts pixels in parts of
    one factor.
    """

    factors: NDArray[np.int8]
    step: NDArray[np.float32]
    summands: NDArray[np.int32]

    @classmethod
    def of(cls, how: Preprocessing) -> Steps:
        """A channel has the factor from 64 to 127 whose multiple of the mean is nearest a whole number."""
        scale, _ = scale_and_bias(how)
        mean, known = 255 * np.array(how.mean, np.float64), np.arange(127, 63, -1)
        off = np.abs(np.outer(mean, known) - np.rint(np.outer(mean, known)))
        factors = known[off.round(6).argmin(1)]
        step, summands = (scale / factors).astype(np.float32), np.rint(-mean * factors)
        return cls(factors.astype(np.int8), step, summands.astype(np.int32))


def folds(request: ExportRequest) -> bool:
    """Whether the factor can go into the first convolution, so that no operation is left.

    An int8 network's ranges are those of normalized images, so it keeps the multiply-add.
    """
    no_mean = not any(request.model.preprocessing.mean)
    return request.takes_pixels and no_mean and request.precision not in NEEDS_CALIBRATION


def multiply_adds(request: ExportRequest) -> int:
    """Convolutions that the file has beyond the network's."""
    return int(request.takes_pixels and not folds(request))


def network_in(found: Structure, request: ExportRequest) -> Structure:
    """What a file has inside, the multiply-add not counted among the network's convolutions."""
    added = multiply_adds(request)
    grouped = added if request.model.config.in_channels > 1 else 0
    return replace(
        found,
        convs=found.convs - added,
        grouped_convs=found.grouped_convs - grouped,
        output="probabilities" if "softmax" in request.embed else "logits",
    )


def prepared(request: ExportRequest, source: Source) -> Source:
    """What the request's file starts from: the shared network, or one that takes plain pixels as floats."""
    source = outputs_in(source, request)
    if not folds(request):
        return source
    return source.with_module(with_gains(source.module, scale_and_bias(request.model.preprocessing)[0]))


def with_gains(net: RegNet, factors: NDArray[np.float64]) -> RegNet:
    """A copy whose stem multiplies its input channels first, in float64.

    Zero stays zero, so what the stem's padding means is unchanged.
    """
    import torch

    changed = copy.deepcopy(net)
    with torch.no_grad():
        weight = changed.stem.conv.weight
        weight.copy_(weight.double() * torch.tensor(factors, dtype=torch.float64)[None, :, None, None])
    return changed


def wrapped(net: nn.Module, request: ExportRequest) -> nn.Module:
    """The network from pixels (n, h, w, c) or input (n, c, h, w) to logits or probabilities."""
    import torch

    class Embedded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net
            self.normalize = _multiply_add(request) if multiply_adds(request) else torch.nn.Identity()

        def forward(self, image: torch.Tensor) -> Any:
            if request.takes_pixels:
                image = torch.ops.aten._to_copy(image, dtype=torch.float32)
                image = torch.ops.aten.permute_copy(image, [0, 3, 1, 2])
            answer = self.net(self.normalize(image))
            return torch.softmax(answer, -1) if "softmax" in request.embed else answer

    return Embedded()


def _multiply_add(request: ExportRequest) -> nn.Module:
    import torch

    scale, bias = scale_and_bias(request.model.preprocessing)
    made = torch.nn.Conv2d(len(scale), len(scale), 1, groups=len(scale))
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(scale)[:, None, None, None])
        assert made.bias is not None  # noqa: S101  # bias=True
        made.bias.copy_(torch.from_numpy(bias))
    return made


def example_of(request: ExportRequest, source: Source) -> torch.Tensor:
    """An input of the file's own type and shape, all zeros."""
    import torch

    if not request.takes_pixels:
        return source.example
    return torch.zeros(source.example.permute(0, 2, 3, 1).shape, dtype=torch.uint8)


def given(images: Floats, request: ExportRequest) -> NDArray[np.float32 | np.uint8]:
    """Normalized images (n, c, h, w) as the file takes them: the pixels (n, h, w, c) that they were."""
    return to_pixels(images, request.model.preprocessing) if request.takes_pixels else images


def to_pixels(images: Floats, how: Preprocessing) -> NDArray[np.uint8]:
    """The pixels, uint8 (n, h, w, c), whose normalized values these are."""
    mean, std = (np.array(v)[:, None, None] for v in (how.mean, how.std))
    pixels = np.clip(np.round((images * std + mean) * 255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def refuse(request: ExportRequest, what: str, why: str) -> None:
    """Raise UsageError where the request embeds what its target cannot have."""
    if what in request.embed:
        raise UsageError(f"--embed {what} is not for target {request.target}: {why}")


def in_words(request: ExportRequest) -> str:
    """What the input is, for a file that says it in a sentence."""
    how = request.model.preprocessing
    if request.takes_pixels:
        return f"{how.color} pixels, uint8, NHWC"
    return f"{how.color} image, normalized with mean {how.mean} and std {how.std} of 0..1"
