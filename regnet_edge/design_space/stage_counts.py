"""Flops, params and activations of many AnyNets at once, the same integers as `complexity` has.

Arrays have one row a network and one column a stage, zero behind the last stage. float64 holds every
integer below 2^53; no network within the spaces comes near.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regnet_edge.config import Activation, AnyNetConfig, BlockType, Stage
from regnet_edge.errors import UsageError

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Frame:
    """What the networks of a space have in common: image, classes, stem, strides, block.

    strides: of the first block of each stage; the last one holds for further stages.
    """

    in_channels: int = 3
    num_classes: int = 1000
    stem_width: int = 32
    stem_stride: int = 2
    strides: tuple[int, ...] = (2,)
    block: BlockType = "x"
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if not self.strides or any(s not in (1, 2) for s in self.strides):
            raise UsageError(f"stage strides are 1 or 2, not {list(self.strides)}")
        AnyNetConfig(
            (Stage(1, 8, 8, 1.0, 2),),
            stem_width=self.stem_width,
            num_classes=self.num_classes,
            in_channels=self.in_channels,
            block=self.block,
            activation=self.activation,
            stem_stride=self.stem_stride,
        )

    def stride(self, stage: int) -> int:
        """Stride of stage `stage`, from 0."""
        return self.strides[min(stage, len(self.strides) - 1)]


IMAGENET_FRAME = Frame()


@dataclass(frozen=True, slots=True, eq=False)
class Nets:
    """n networks of at most S stages: depths, widths, group_widths, bottleneck_ratios (n, S), se_ratios (n,).

    Widths and group widths fit together already (`adjusted`).
    """

    depths: Floats
    widths: Floats
    group_widths: Floats
    bottleneck_ratios: Floats
    se_ratios: Floats

    def __len__(self) -> int:
        return len(self.depths)

    @property
    def inner_widths(self) -> Floats:
        """Width of the 3x3 convolutions, (n, S)."""
        found: Floats = np.maximum(1, np.rint(self.widths / self.bottleneck_ratios))
        return found

    def take(self, which: NDArray[np.int64] | Booleans) -> Nets:
        """The networks of an index array or a mask."""
        return Nets(
            self.depths[which], self.widths[which], self.group_widths[which],
            self.bottleneck_ratios[which], self.se_ratios[which],
        )  # fmt: skip

    def config(self, i: int, frame: Frame) -> AnyNetConfig:
        """Network i."""
        columns = (self.depths[i], self.widths[i], self.group_widths[i], self.bottleneck_ratios[i])
        stages = tuple(
            Stage(int(d), int(w), int(g), float(b), frame.stride(k))
            for k, (d, w, g, b) in enumerate(zip(*columns, strict=True))
            if d
        )
        return AnyNetConfig(
            stages, stem_width=frame.stem_width, se_ratio=float(self.se_ratios[i]),
            num_classes=frame.num_classes, in_channels=frame.in_channels, block=frame.block,
            activation=frame.activation, stem_stride=frame.stem_stride,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """flops in multiply-adds, params, and activations in elements, float64 of shape (n,)."""

    flops: Floats
    params: Floats
    activations: Floats

    def take(self, which: NDArray[np.int64] | Booleans) -> Counts:
        """Those of an index array or a mask."""
        return Counts(self.flops[which], self.params[which], self.activations[which])


def adjusted(widths: Floats, group_widths: Floats, ratios: Floats) -> tuple[Floats, Floats]:
    """`config.adjust_groups` on arrays: (widths, group_widths) that fit together."""
    bm = 1 / ratios
    v = np.floor(np.maximum(1, widths * bm))
    g = np.minimum(group_widths, v)
    m = g
    if (bm > 1).any():
        whole = np.lcm(g.astype(np.int64), np.maximum(bm, 1).astype(np.int64))
        m = np.where(bm > 1, whole, g)
    v = np.maximum(m, np.rint(v / m) * m)
    return np.floor(v / bm), g


def without_groups(widths: Floats, ratios: Floats, block: BlockType) -> tuple[Floats, Floats]:
    """(group_widths, ratios) of blocks that have no groups; those of a single 3x3 have no bottleneck."""
    ratios = ratios if block == "r" else np.ones_like(ratios)
    return np.maximum(1, np.rint(widths / ratios)), ratios


def count(nets: Nets, frame: Frame, resolution: int) -> Counts:
    """Counts of every network at a square input of `resolution` pixels."""
    if resolution < 1:
        raise UsageError(f"resolution is at least 1 pixel, not {resolution}")
    n, inner = len(nets), nets.inner_widths
    total, size = stem(n, frame, resolution)
    c_in = np.full(n, float(frame.stem_width))
    for k in range(nets.depths.shape[1]):
        depth, w, g = nets.depths[:, k], nets.widths[:, k], nets.group_widths[:, k]
        size = add_stage(total, frame, k, Blocks(depth, c_in, w, inner[:, k], g, nets.se_ratios), size)
        c_in = np.where(depth > 0, w, c_in)
    add_head(total, frame, c_in)
    return Counts(*total)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A stage of n networks, each (n,): `depth` blocks from c_in to w channels, v inside in groups of g."""

    depth: Floats
    c_in: Floats
    w: Floats
    v: Floats
    g: Floats
    se_ratios: Floats


def stem(n: int, frame: Frame, resolution: int) -> tuple[Floats, int]:
    """(flops, params and activations of the stem, (3, n); the side of its output)."""
    size = (resolution - 1) // frame.stem_stride + 1
    weights = 9 * frame.in_channels * frame.stem_width
    counts = [weights * size**2, weights + 2 * frame.stem_width, frame.stem_width * size**2]
    return np.repeat(np.array(counts, dtype=np.float64)[:, None], n, axis=1), size


def add_stage(total: Floats, frame: Frame, k: int, stage: Blocks, size: int) -> int:
    """Add stage k (from 0) of every network to total (3, n); the side of its output."""
    after = (size - 1) // frame.stride(k) + 1
    first = np.minimum(stage.depth, 1)
    proj = first * _projects(frame, k, stage)
    if frame.block in ("v", "vr"):
        _add_single(total, stage, first, proj, after)
    else:
        _add_bottleneck(total, stage, first, proj, size, after)
        if stage.se_ratios.any():
            _add_gates(total, stage, first)
    return after


def add_head(total: Floats, frame: Frame, c_in: Floats) -> None:
    """Add the linear layer behind c_in (n,) channels."""
    total[:2] += (c_in + 1) * frame.num_classes
    total[2] += frame.num_classes


def _add_bottleneck(total: Floats, s: Blocks, first: Floats, proj: Floats, size: int, after: int) -> None:
    """1x1 to v, 3x3 in groups of g, 1x1 to w, and the first block's shortcut."""
    before2, after2, rest = float(size**2), float(after**2), s.depth - first
    vw = s.v * s.w
    wide = first * s.c_in * s.v  # the first 1x1, at the resolution before the stride
    narrow = s.depth * (9 * s.v * s.g + vw) + rest * vw + proj * s.c_in * s.w
    total[0] += wide * before2 + narrow * after2
    total[1] += wide + narrow + s.depth * (4 * s.v + 2 * s.w) + proj * (2 * s.w)
    total[2] += first * (s.v * before2) + (s.depth * (s.v + s.w) + rest * s.v + proj * s.w) * after2


def _add_single(total: Floats, s: Blocks, first: Floats, proj: Floats, after: int) -> None:
    """One 3x3 a block, and with a residual the first one's shortcut."""
    weights = 9 * s.w * (first * s.c_in + (s.depth - first) * s.w) + proj * s.c_in * s.w
    outputs = (s.depth + proj) * s.w
    total[0] += weights * float(after**2)
    total[1] += weights + 2 * outputs
    total[2] += outputs * float(after**2)


def _projects(frame: Frame, k: int, stage: Blocks) -> Floats | float:
    if frame.block == "v":
        return 0.0
    return 1.0 if frame.stride(k) != 1 else (stage.c_in != stage.w).astype(np.float64)


def _add_gates(total: Floats, s: Blocks, first: Floats) -> None:
    """SE layers, from v to the squeezed width of the block's input and back."""
    for blocks, width in ((first, s.c_in), (s.depth - first, s.w)):
        squeezed = np.rint(s.se_ratios * width)
        blocks = blocks * (squeezed > 0)  # one that rounds to no channel is no SE
        weights = blocks * (2 * s.v * squeezed + s.v + squeezed)
        total[0] += weights
        total[1] += weights
        total[2] += blocks * (s.v + squeezed)
