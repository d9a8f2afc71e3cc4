"""Flops, params and activations of a network, as a fold over its layers, without building it.

Counting follows the authors' code, which the paper's tables use: flops are multiply-adds of
convolutions and linear layers, activations are the elements of their outputs; batch norm adds two
parameters a channel and nothing else; ReLU, addition, pooling and the SE product count nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from regnet_edge.config import AnyNetConfig, Block
from regnet_edge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Complexity:
    """flops in multiply-adds, params, and activations in elements."""

    flops: int = 0
    params: int = 0
    activations: int = 0

    def __add__(self, other: Complexity) -> Complexity:
        return Complexity(
            self.flops + other.flops, self.params + other.params, self.activations + other.activations
        )


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or linear layer by its sizes; `size` is the side of its square output."""

    name: str
    kind: Literal["conv", "linear"]
    c_in: int
    c_out: int
    size: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    batch_norm: bool = True

    @property
    def complexity(self) -> Complexity:
        """This layer's own counts."""
        weights = self.kernel**2 * self.c_in * self.c_out // self.groups
        bias = self.c_out if self.bias else 0
        return Complexity(
            flops=(weights + bias) * self.size**2,
            params=weights + bias + (2 * self.c_out if self.batch_norm else 0),
            activations=self.c_out * self.size**2,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A named piece of a network (stem, s3, s3.b4, head) with its layers and the output's side."""

    name: str
    c_out: int
    size: int
    layers: tuple[Layer, ...]

    @property
    def complexity(self) -> Complexity:
        """The sum over the layers."""
        return total(self.layers)


def total(layers: Iterable[Layer]) -> Complexity:
    """The sum of the layers' counts."""
    return sum((layer.complexity for layer in layers), Complexity())


def _halved(size: int, stride: int) -> int:
    return (size - 1) // stride + 1  # 3x3 with padding 1, or 1x1, at this stride


def _block_layers(config: AnyNetConfig, block: Block, size_in: int) -> Iterator[Layer]:
    size, n = _halved(size_in, block.stride), block.name
    if config.block in ("v", "vr"):
        yield Layer(f"{n}.b", "conv", block.c_in, block.c_out, size, 3, block.stride)
    else:
        yield Layer(f"{n}.a", "conv", block.c_in, block.c_inner, size_in)
        yield Layer(f"{n}.b", "conv", block.c_inner, block.c_inner, size, 3, block.stride, block.groups)
        if block.c_se:
            yield Layer(f"{n}.se.reduce", "conv", block.c_inner, block.c_se, 1, bias=True, batch_norm=False)
            yield Layer(f"{n}.se.expand", "conv", block.c_se, block.c_inner, 1, bias=True, batch_norm=False)
        yield Layer(f"{n}.c", "conv", block.c_inner, block.c_out, size)
    if block.has_proj:
        yield Layer(f"{n}.proj", "conv", block.c_in, block.c_out, size, stride=block.stride)


def parts(config: AnyNetConfig, resolution: int = 224) -> tuple[Part, ...]:
    """The network piece by piece: stem, every block, head, at a square input of `resolution` pixels."""
    if resolution < 1:
        raise ConfigError(f"resolution is at least 1 pixel, not {resolution}")
    size = _halved(resolution, config.stem_stride)
    stem = Layer("stem", "conv", config.in_channels, config.stem_width, size, 3, config.stem_stride)
    found = [Part("stem", config.stem_width, size, (stem,))]
    for block in config.blocks():
        layers = tuple(_block_layers(config, block, size))
        size = _halved(size, block.stride)
        found.append(Part(block.name, block.c_out, size, layers))
    c_in, c_out = config.stages[-1].width, config.num_classes
    head = Layer("head", "linear", c_in, c_out, 1, bias=True, batch_norm=False)
    return (*found, Part("head", c_out, 1, (head,)))


def stages(config: AnyNetConfig, resolution: int = 224) -> tuple[Part, ...]:
    """The network stage by stage: stem, s1, s2, ..., head."""
    merged: dict[str, Part] = {}
    for part in parts(config, resolution):
        name = part.name.split(".")[0]
        before = merged[name].layers if name in merged else ()
        merged[name] = Part(name, part.c_out, part.size, before + part.layers)
    return tuple(merged.values())


def layers(config: AnyNetConfig, resolution: int = 224) -> tuple[Layer, ...]:
    """Every convolution and linear layer in order."""
    return tuple(layer for part in parts(config, resolution) for layer in part.layers)


def complexity(config: AnyNetConfig, resolution: int = 224) -> Complexity:
    """Counts of the whole network at a square input of `resolution` pixels."""
    return total(layers(config, resolution))
