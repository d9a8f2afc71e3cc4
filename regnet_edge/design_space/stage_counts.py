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
    size = (resolution - 1) // frame.stem_stride + 1
    stem = 9 * frame.in_channels * frame.stem_width
    total = np.empty((3, n))
    total[0], total[1], total[2] = stem * size**2, stem + 2 * frame.stem_width, frame.stem_width * size**2
    c_in = np.full(n, float(frame.stem_width))
    for k in range(nets.depths.shape[1]):
        depth, w = nets.depths[:, k], nets.widths[:, k]
        after = (size - 1) // frame.stride(k) + 1
        if frame.block in ("v", "vr"):
            total += _single(frame, k, depth, c_in, w, after)
        else:
            ratios = nets.se_ratios
            total += _bottleneck(frame, k, depth, c_in, w, inner[:, k], nets.group_widths[:, k], size, after)
            total += _gates(depth, c_in, w, inner[:, k], ratios) if ratios.any() else 0
        c_in, size = np.where(depth > 0, w, c_in), after
    total[:2] += (c_in + 1) * frame.num_classes
    total[2] += frame.num_classes
    return Counts(total[0], total[1], total[2])


def _bottleneck(
    frame: Frame,
    k: int,
    depth: Floats,
    c_in: Floats,
    w: Floats,
    v: Floats,
    g: Floats,
    size: int,
    after: int,
) -> Floats:
    """(3, n): `depth` blocks of 1x1 to v, 3x3 in groups of g, 1x1 to w, and the first one's shortcut."""
    first = np.minimum(depth, 1)
    rest, proj = depth - first, first * _projects(frame, k, c_in, w)
    before2, after2 = float(size**2), float(after**2)
    wide = first * c_in * v  # the first 1x1, at the resolution before the stride
    narrow = depth * (9 * v * g + v * w) + rest * (v * w) + proj * (c_in * w)
    norms = depth * (4 * v + 2 * w) + proj * (2 * w)
    elements = first * v * before2 + (depth * (v + w) + rest * v + proj * w) * after2
    return np.stack([wide * before2 + narrow * after2, wide + narrow + norms, elements])


def _single(frame: Frame, k: int, depth: Floats, c_in: Floats, w: Floats, after: int) -> Floats:
    """(3, n): `depth` blocks of one 3x3, and with a residual the first one's shortcut."""
    first = np.minimum(depth, 1)
    proj = first * _projects(frame, k, c_in, w)
    weights = first * 9 * c_in * w + (depth - first) * 9 * w**2 + proj * (c_in * w)
    outputs = (depth + proj) * w
    return np.stack([weights * float(after**2), weights + 2 * outputs, outputs * float(after**2)])


def _projects(frame: Frame, k: int, c_in: Floats, w: Floats) -> Floats | float:
    if frame.block == "v":
        return 0.0
    return 1.0 if frame.stride(k) != 1 else (c_in != w).astype(np.float64)


def _gates(depth: Floats, c_in: Floats, w: Floats, v: Floats, ratios: Floats) -> Floats:
    """(3, n): SE layers, from v to the squeezed width of the block's input and back."""
    found = np.zeros((3, len(depth)))
    first = np.minimum(depth, 1)
    for blocks, width in ((first, c_in), (depth - first, w)):
        squeezed = np.rint(ratios * width)
        blocks = blocks * (squeezed > 0)  # one that rounds to no channel is no SE
        weights = blocks * (2 * v * squeezed + v + squeezed)
        found += np.stack([weights, weights, blocks * (v + squeezed)])
    return found
