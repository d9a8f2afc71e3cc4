"""The one definition: `build(config)` makes the network that every converter starts from.

Module names are the definition's own (stem, s3.b4.a, s3.b4.se.reduce, head), the same that
`complexity` and the reports use.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from regnet_edge.config import AnyNetConfig, Block

BN_EPS, BN_MOMENTUM = 1e-5, 0.1
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


class ConvNorm(nn.Module):
    """Convolution without bias, then batch norm."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(c_out, eps=BN_EPS, momentum=BN_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) to (n, c_out, h / stride, w / stride)."""
        return self.bn(self.conv(x))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


class SqueezeExcite(nn.Module):
    """Channel gates from the global average: reduce, activation, expand, sigmoid."""

    def __init__(self, c: int, c_se: int, activation: str) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(c, c_se, 1)
        self.act = _ACTIVATIONS[activation]()
        self.expand = nn.Conv2d(c_se, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same shape."""
        gate = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(self.act(self.reduce(gate))))


class ResBlock(nn.Module):
    """The paper's blocks (fig. 4 and appendix D): X, Y (X with SE), R, V and VR."""

    def __init__(self, config: AnyNetConfig, block: Block) -> None:
        super().__init__()
        self.single = config.block in ("v", "vr")
        self.residual = config.block != "v"
        if self.single:
            self.b = ConvNorm(block.c_in, block.c_out, 3, block.stride)
        else:
            self.a = ConvNorm(block.c_in, block.c_inner, 1)
            self.b = ConvNorm(block.c_inner, block.c_inner, 3, block.stride, block.groups)
            self.c = ConvNorm(block.c_inner, block.c_out, 1)
        gate = config.se_activation or config.activation
        self.se = SqueezeExcite(block.c_inner, block.c_se, gate) if block.c_se else None
        self.proj = ConvNorm(block.c_in, block.c_out, 1, block.stride) if block.has_proj else None
        self.act = _ACTIVATIONS[config.activation]()

    def transform(self, x: Tensor) -> Tensor:
        """The branch beside the shortcut, before the last activation."""
        if self.single:
            return self.b(x)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped
        x = self.act(self.b(self.act(self.a(x))))
        if self.se is not None:
            x = self.se(x)
        return self.c(x)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) to (n, c_out, h / stride, w / stride)."""
        y = self.transform(x)
        if self.residual:
            y = y + (x if self.proj is None else self.proj(x))
        return self.act(y)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


class RegNet(nn.Module):
    """Stem, stages s1 to sn of blocks b1 to bd, global average pool, linear head."""

    def __init__(self, config: AnyNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = ConvNorm(config.in_channels, config.stem_width, 3, config.stem_stride)
        self.act = _ACTIVATIONS[config.activation]()
        for block in config.blocks():
            stage, name = block.name.split(".")
            if not hasattr(self, stage):
                self.add_module(stage, nn.Sequential())
            self.get_submodule(stage).add_module(name, ResBlock(config, block))
        self.head = nn.Linear(config.stages[-1].width, config.num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Images (n, in_channels, h, w), normalized, to logits (n, num_classes)."""
        x = self.act(self.stem(image))
        for i in range(1, len(self.config.stages) + 1):
            x = self.get_submodule(f"s{i}")(x)
        return self.head(x.mean((2, 3), keepdim=True).flatten(1))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


def build(config: AnyNetConfig, *, seed: int = 0) -> RegNet:
    """A freshly initialized network as the paper trains it, the same for the same seed.

    Convolutions N(0, sqrt(2 / (k k c_out))), batch norm gamma 1 and beta 0, linear N(0, 0.01), bias 0.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = RegNet(config)
        for module in net.modules():
            _initialize(module)
    return net


@torch.no_grad()
def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        module.weight.normal_(0.0, math.sqrt(2.0 / fan_out))
        if module.bias is not None:
            module.bias.zero_()
    elif isinstance(module, nn.Linear):
        module.weight.normal_(0.0, 0.01)
        module.bias.zero_()


@torch.no_grad()
def build_latency_subject(config: AnyNetConfig, *, seed: int = 0) -> RegNet:
    """An untrained network, in eval mode, whose latency is that of a trained one.

    Gammas, betas and statistics are drawn away from 0 and 1, or converters fold whole branches away;
    variances are near those of the signal, or the logits overflow fp16.
    """
    net = build(config, seed=seed).eval()
    rng = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, ConvNorm) and isinstance(module.bn, nn.BatchNorm2d):
            conv, bn = module.conv, module.bn
            variance = conv.in_channels / conv.groups / conv.out_channels  # of a unit signal after ReLU
            bn.weight.uniform_(0.4, 0.8, generator=rng)
            bn.bias.normal_(0.0, 0.1, generator=rng)
            mean, var = _statistics(bn)
            mean.normal_(0.0, 0.1 * math.sqrt(variance), generator=rng)
            var.uniform_(0.7 * variance, 1.5 * variance, generator=rng)
    net.head.weight.normal_(0.0, 1 / math.sqrt(net.head.in_features), generator=rng)
    return net


@torch.no_grad()
def fold_batch_norm(net: RegNet) -> RegNet:
    """A copy in eval mode whose batch norms are folded into the convolutions, computed in float64."""
    folded = copy.deepcopy(net).eval()
    for module in folded.modules():
        if isinstance(module, ConvNorm) and isinstance(module.bn, nn.BatchNorm2d):
            module.conv, module.bn = _folded(module.conv, module.bn), nn.Identity()
    return folded


def _statistics(bn: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert bn.running_mean is not None  # noqa: S101  # track_running_stats is on
    assert bn.running_var is not None  # noqa: S101  # the same
    return bn.running_mean, bn.running_var


def _folded(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    mean, var = _statistics(bn)
    scale = bn.weight.double() / torch.sqrt(var.double() + bn.eps)
    fused = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size[0],
        conv.stride[0],
        conv.padding[0],
        groups=conv.groups,
        device=conv.weight.device,
    )
    fused.weight.copy_(conv.weight.double() * scale[:, None, None, None])
    fused.bias.copy_(bn.bias.double() - mean.double() * scale)  # type: ignore[union-attr]  # bias=True
    return fused
