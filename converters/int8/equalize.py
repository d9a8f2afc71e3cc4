"""Even channels: the same function with weights whose channels have like ranges, before quantization.

Between two layers with only a ReLU (and a squeeze-excite gate, which scales with its input) between them,
a channel may be multiplied by s and its readers' weights by 1/s: relu(s x) = s relu(x) for s > 0. After
Nagel et al., "Data-free quantization through weight equalization and bias correction" (2019), eq. 11:
with s = sqrt(r1 r2) / r1 both layers' ranges of that channel become the geometric mean sqrt(r1 r2).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regnet_edge.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from regnet_edge.model import RegNet

ROUNDS = 20  # the middle layer of three takes part twice; ranges settle within a few rounds
LARGEST = 1e4  # of a single factor, so that a channel that is nearly dead stays a number


@dataclass(frozen=True, slots=True)
class LayerPair:
    """A layer, and those that read its output channel by channel, their names in the definition."""

    writer: str
    readers: tuple[str, ...]


def pairs(net: RegNet) -> Iterator[LayerPair]:
    """The layers of a folded network that are joined by nothing but ReLU and the gate."""
    if net.config.activation != "relu":
        raise UsageError(
            f"equalizing needs ReLU, where scaling passes through, and this network has "
            f"{net.config.activation}; leave out --equalize"
        )
    if net.config.block in ("v", "vr"):
        return
    for block in net.config.blocks():
        name = block.name
        yield LayerPair(f"{name}.a.conv", (f"{name}.b.conv",))
        gate = (f"{name}.se.reduce",) if block.c_se else ()
        yield LayerPair(f"{name}.b.conv", (f"{name}.c.conv", *gate))
        if block.c_se:
            yield LayerPair(f"{name}.se.reduce", (f"{name}.se.expand",))


def equalized(net: RegNet) -> RegNet:
    """A copy of a folded network that computes the same with even channels; raises UsageError for SiLU."""
    import torch

    even = copy.deepcopy(net)
    found = list(pairs(even))
    with torch.no_grad():
        for _ in range(ROUNDS):
            for pair in found:
                _equalize(_conv(even, pair.writer), [_conv(even, name) for name in pair.readers])
    return even


def _equalize(writer: nn.Conv2d, readers: Sequence[nn.Conv2d]) -> None:
    """Scale each output channel of the writer, and the readers' weights on that channel back."""
    import torch

    written = writer.weight.abs().amax((1, 2, 3))
    read = torch.stack([_by_input(reader).abs().amax((1, 3, 4)).flatten() for reader in readers]).amax(0)
    usable = (written > 0) & (read > 0)
    scale = torch.where(usable, torch.sqrt(read / written), 1.0).clamp(1 / LARGEST, LARGEST)
    scale = torch.exp2(torch.log2(scale).round())  # powers of two: every weight keeps its bits
    writer.weight.mul_(scale[:, None, None, None])
    assert writer.bias is not None  # noqa: S101  # folding gave it one, and the gate's convolutions have theirs
    writer.bias.mul_(scale)
    for reader in readers:
        _by_input(reader).div_(scale.view(reader.groups, 1, -1, 1, 1))


def _by_input(conv: nn.Conv2d) -> Tensor:
    """A view of the weights (groups, c_out / groups, c_in / groups, k, k): input channels are g x i."""
    c_out, per_group, k, _ = conv.weight.shape
    return conv.weight.view(conv.groups, c_out // conv.groups, per_group, k, k)


def _conv(net: RegNet, name: str) -> nn.Conv2d:
    found = net.get_submodule(name)
    assert hasattr(found, "groups")  # noqa: S101  # pairs names convolutions
    return found  # type: ignore[return-value]  # a Conv2d
