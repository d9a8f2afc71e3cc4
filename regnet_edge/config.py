"""What a RegNet is, as values: Stage, AnyNetConfig, and RegNetConfig, the rule that makes one.

Arithmetic is float64 with half-to-even rounding, as in the authors' code: float32 changes about one
random draw in 5,000. Nothing here needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from regnet_edge.errors import ConfigError

BlockType = Literal["x", "r", "v", "vr"]
Activation = Literal["relu", "silu", "gelu"]

WIDTH_QUANTUM = 8  # q in the authors' code: every width is a multiple of it


# What a description may ask for: far beyond any published net, and small enough to count and build soon.
MAX_DEPTH = 1000  # blocks of a network
MAX_WIDTH = 1 << 16  # channels
MAX_CLASSES = 1 << 20


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ConfigError(sentence)


def _within(name: str, value: float, most: int) -> None:
    _require(value >= 1, f"{name} is at least 1, not {value}")
    _require(value <= most, f"{name} is at most {most:,}, not {value:,}")


@dataclass(frozen=True, slots=True)
class Block:
    """One residual block with every size it needs; `name` is the definition's own, such as s3.b4."""

    name: str
    c_in: int
    c_out: int
    c_inner: int  # width of the 3x3 convolution
    groups: int
    stride: int
    c_se: int  # squeezed width of the SE; 0 without one, also where the ratio rounds to no channel
    has_proj: bool  # a 1x1 shortcut, exactly when width or resolution changes


@dataclass(frozen=True, slots=True)
class Stage:
    """`depth` equal blocks of `width` channels, the first of which has the stride.

    bottleneck_ratio is the paper's b: the 3x3 convolution is width / b channels wide, so b < 1 is an
    inverted bottleneck. group_width is the paper's g: channels per group, so g = 1 is depthwise.
    Raises ConfigError where group_width does not divide the inner width; `Stage.compatible` adjusts.
    """

    depth: int
    width: int
    group_width: int
    bottleneck_ratio: float = 1.0
    stride: int = 2

    def __post_init__(self) -> None:
        _require(self.depth >= 1, f"a stage has at least one block, not {self.depth}")
        _within("the depth of a stage", self.depth, MAX_DEPTH)
        _within("a stage width", self.width, MAX_WIDTH)
        _within("group_width", self.group_width, MAX_WIDTH)
        _require(
            math.isfinite(self.bottleneck_ratio) and self.bottleneck_ratio > 0,
            f"bottleneck_ratio is a positive number, not {self.bottleneck_ratio}",
        )
        _within("width / bottleneck_ratio", max(1.0, self.width / self.bottleneck_ratio), MAX_WIDTH)
        _require(self.stride in (1, 2), f"a stage stride is 1 or 2, not {self.stride}")
        _require(
            self.inner_width % self.group_width == 0,
            f"group_width {self.group_width} does not divide the inner width {self.inner_width} "
            f"(width {self.width}, bottleneck_ratio {self.bottleneck_ratio:g}); use Stage.compatible "
            "to adjust both as the paper does",
        )

    @property
    def inner_width(self) -> int:
        """Channels of the 3x3 convolution."""
        return int(max(1, round(self.width / self.bottleneck_ratio)))

    @property
    def groups(self) -> int:
        """Groups of the 3x3 convolution."""
        return self.inner_width // self.group_width

    @classmethod
    def compatible(
        cls, depth: int, width: int, group_width: int, bottleneck_ratio: float = 1.0, stride: int = 2
    ) -> Stage:
        """The nearest stage that can exist, by the group adjustment of the authors' code."""
        w, g = adjust_groups(width, group_width, bottleneck_ratio)
        return cls(depth, w, g, bottleneck_ratio, stride)


def adjust_groups(width: int, group_width: int, bottleneck_ratio: float) -> tuple[int, int]:
    """(width, group_width) that fit together: g is clipped, then w rounded so that g divides w / b."""
    _require(group_width >= 1, f"group_width is at least 1, not {group_width}")
    _require(bottleneck_ratio > 0, f"bottleneck_ratio is a positive number, not {bottleneck_ratio}")
    _within("width / bottleneck_ratio", max(1.0, width / bottleneck_ratio), MAX_WIDTH)
    bm = 1 / bottleneck_ratio
    v = int(max(1, width * bm))
    g = int(min(group_width, v))
    m = math.lcm(g, int(bm)) if bm > 1 else g
    v = max(m, int(round(v / m) * m))
    return int(v / bm), g


@dataclass(frozen=True, slots=True)
class AnyNetConfig:
    """A network of the paper's AnyNet family (sec. 3.1): stem, stages of equal blocks, head.

    se_ratio > 0 makes the X block a Y block. Block r is X without groups, v a single 3x3 without
    residual, vr the same with one (appendix D). se_activation is the one inside the SE where it differs
    (transformers has ReLU there, whatever the rest has). Raises ConfigError on a network that cannot exist.
    """

    stages: tuple[Stage, ...]
    stem_width: int = 32
    se_ratio: float = 0.0
    num_classes: int = 1000
    in_channels: int = 3
    block: BlockType = "x"
    activation: Activation = "relu"
    stem_stride: int = 2
    se_activation: Activation | None = None

    def __post_init__(self) -> None:
        _require(len(self.stages) >= 1, "a network has at least one stage")
        _within("the depth of a network", sum(s.depth for s in self.stages), MAX_DEPTH)
        _within("stem_width", self.stem_width, MAX_WIDTH)
        _within("num_classes", self.num_classes, MAX_CLASSES)
        _within("in_channels", self.in_channels, MAX_WIDTH)
        _require(self.stem_stride in (1, 2), f"stem_stride is 1 or 2, not {self.stem_stride}")
        _require(0 <= self.se_ratio <= 1, f"se_ratio lies between 0 and 1, not at {self.se_ratio}")
        _require(
            self.block in get_args(BlockType),
            f"unknown block {self.block!r}; choose from {', '.join(get_args(BlockType))}",
        )
        for name in (self.activation, self.se_activation or self.activation):
            _require(
                name in get_args(Activation),
                f"unknown activation {name!r}; choose from {', '.join(get_args(Activation))}",
            )
        if self.block != "x":
            _require(
                all(s.groups == 1 for s in self.stages),
                f"block {self.block} has no groups: give every stage a group_width equal to its inner width",
            )
        if self.block in ("v", "vr"):
            _require(
                all(s.inner_width == s.width for s in self.stages),
                f"block {self.block} is a single 3x3 convolution and takes bottleneck_ratio 1 only",
            )
            _require(self.se_ratio == 0, f"block {self.block} has no SE: leave se_ratio at 0")

    @property
    def depth(self) -> int:
        """Number of blocks in the body."""
        return sum(s.depth for s in self.stages)

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each stage."""
        return tuple(s.width for s in self.stages)

    @property
    def depths(self) -> tuple[int, ...]:
        """Number of blocks of each stage."""
        return tuple(s.depth for s in self.stages)

    @property
    def group_widths(self) -> tuple[int, ...]:
        """Group width of each stage."""
        return tuple(s.group_width for s in self.stages)

    def blocks(self) -> Iterator[Block]:
        """Every block in order, with its sizes: the one place where they are worked out."""
        c_in = self.stem_width
        for i, stage in enumerate(self.stages, 1):
            for j in range(1, stage.depth + 1):
                stride = stage.stride if j == 1 else 1
                yield Block(
                    name=f"s{i}.b{j}",
                    c_in=c_in,
                    c_out=stage.width,
                    c_inner=stage.inner_width,
                    groups=stage.groups,
                    stride=stride,
                    c_se=round(self.se_ratio * c_in),
                    has_proj=self.block != "v" and (c_in != stage.width or stride != 1),
                )
                c_in = stage.width


def linear_widths(depth: int, w0: int, wa: float) -> np.ndarray:
    """u_j = w0 + wa * j, float64 of shape (depth,) (paper sec. 3.3, equation 2)."""
    return w0 + wa * np.arange(depth, dtype=np.float64)


def width_exponents(depth: int, w0: int, wa: float, wm: float) -> np.ndarray:
    """round(s_j) with u_j = w0 * wm ** s_j, float64 of shape (depth,) (paper equation 3)."""
    s: np.ndarray = np.round(np.log(linear_widths(depth, w0, wa) / w0) / np.log(wm))
    return s


def quantized_widths(depth: int, w0: int, wa: float, wm: float) -> np.ndarray:
    """w_j = w0 * wm ** round(s_j), rounded to multiples of 8; integers of shape (depth,) (equation 4)."""
    w = w0 * np.power(wm, width_exponents(depth, w0, wa, wm))
    rounded: np.ndarray = np.round(w / WIDTH_QUANTUM) * WIDTH_QUANTUM
    return rounded.astype(np.int64)


@dataclass(frozen=True, slots=True)
class RegNetConfig:
    """The quantized linear rule (paper sec. 3.3): six numbers that make an AnyNetConfig.

    Blocks of equal width form a stage, so the number of stages follows. Raises ConfigError unless
    depth >= 1, w0 > 0 and divisible by 8, wa >= 0, wm > 1, each within the limits above.
    """

    depth: int
    w0: int
    wa: float
    wm: float
    group_width: int
    bottleneck_ratio: float = 1.0
    se_ratio: float = 0.0
    stem_width: int = 32
    num_classes: int = 1000
    in_channels: int = 3
    block: BlockType = "x"
    activation: Activation = "relu"
    stem_stride: int = 2

    def __post_init__(self) -> None:
        _within("depth", self.depth, MAX_DEPTH)
        _within("w0", abs(self.w0) or 1, MAX_WIDTH)
        _require(
            self.w0 > 0 and self.w0 % WIDTH_QUANTUM == 0, f"w0 is a positive multiple of 8, not {self.w0}"
        )
        _require(math.isfinite(self.wa) and self.wa >= 0, f"wa is a number >= 0, not {self.wa}")
        _require(math.isfinite(self.wm) and self.wm > 1, f"wm is a number > 1, not {self.wm}")
        _require(self.wa <= MAX_WIDTH, f"wa is at most {MAX_WIDTH:,}, not {self.wa:g}")
        _require(self.wm <= MAX_WIDTH, f"wm is at most {MAX_WIDTH:,}, not {self.wm:g}")
        self.anynet()

    def anynet(self) -> AnyNetConfig:
        """The network that the rule makes."""
        w = quantized_widths(self.depth, self.w0, self.wa, self.wm)
        widths, depths = np.unique(w, return_counts=True)
        return AnyNetConfig(
            stages=tuple(self._stage(int(d), int(w)) for d, w in zip(depths, widths, strict=True)),
            stem_width=self.stem_width,
            se_ratio=self.se_ratio,
            num_classes=self.num_classes,
            in_channels=self.in_channels,
            block=self.block,
            activation=self.activation,
            stem_stride=self.stem_stride,
        )

    def _stage(self, depth: int, width: int) -> Stage:
        if self.block == "x":
            return Stage.compatible(depth, width, self.group_width, self.bottleneck_ratio)
        inner = round(width / self.bottleneck_ratio)
        return Stage(depth, width, inner, self.bottleneck_ratio)
