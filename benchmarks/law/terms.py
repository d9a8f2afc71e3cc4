"""What a network asks of a processor, as numbers: the terms that a latency law is made of.

All follow from `complexity.layers`, so a network that was never built has them too. Padding: a SIMD
kernel computes whole tiles, so 3 output channels of a group cost as much as a tile's 16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regnet_edge.complexity import Layer, layers, stages, total
from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import UnknownNameError, UsageError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tile:
    """What a kernel rounds a group's channels up to: `outputs` by its width, `inputs` by its depth step."""

    outputs: int = 1
    inputs: int = 1

    def __post_init__(self) -> None:
        if self.outputs < 1 or self.inputs < 1:
            raise UsageError(f"a tile has at least one channel, not {self.outputs} x {self.inputs}")

    def __str__(self) -> str:
        return f"{self.outputs}x{self.inputs}"


NO_TILE = Tile()


@dataclass(frozen=True, slots=True)
class Net:
    """A network, or a part of one, with the layers that the terms fold over.

    blocks: how many of its blocks are residual, se: how many have an SE. A whole network has one run to
    start and one last pool; a part of it has neither, except the head, which has the pool.
    """

    layers: tuple[Layer, ...]
    blocks: int
    se: int
    runs: int = 1
    pools: int = 1

    @classmethod
    def of(cls, config: AnyNetConfig, resolution: int) -> Net:
        """The network at a square input of `resolution` pixels."""
        blocks = config.depth if config.block != "v" else 0
        return cls(layers(config, resolution), blocks, config.depth if config.se_ratio else 0)

    @classmethod
    def parts(cls, config: AnyNetConfig, resolution: int) -> dict[str, Net]:
        """Stem, stages and head by name, and first `run`: what a network has beside its layers."""
        found = {"run": cls((), 0, 0, pools=0)}
        depths = {f"s{i}": depth for i, depth in enumerate(config.depths, 1)}
        for stage in stages(config, resolution):
            depth = depths.get(stage.name, 0)
            blocks, se = depth if config.block != "v" else 0, depth if config.se_ratio else 0
            found[stage.name] = cls(stage.layers, blocks, se, runs=0, pools=int(stage.name == "head"))
        return found


def is_depthwise(layer: Layer) -> bool:
    """One channel in and out a group: runtimes have kernels of their own for it."""
    return layer.groups > 1 and layer.groups == layer.c_in == layer.c_out


def is_grouped(layer: Layer) -> bool:
    """More than one group, and more than one channel in each."""
    return layer.groups > 1 and not is_depthwise(layer)


def padded_flops(layer: Layer, tile: Tile) -> int:
    """Multiply-adds when each group's channels are rounded up to whole tiles."""
    inputs = _round_up(layer.c_in // layer.groups, tile.inputs)
    outputs = _round_up(layer.c_out // layer.groups, tile.outputs)
    return layer.kernel**2 * inputs * outputs * layer.groups * layer.size**2


def _round_up(channels: int, quantum: int) -> int:
    return -(-channels // quantum) * quantum


def _flops(net: Net, tile: Tile) -> float:
    return total(net.layers).flops


def _root_flops(net: Net, tile: Tile) -> float:
    return float(np.sqrt(total(net.layers).flops))


def _activations(net: Net, tile: Tile) -> float:
    return total(net.layers).activations


def _params(net: Net, tile: Tile) -> float:
    return total(net.layers).params


def _ops(net: Net, tile: Tile) -> float:
    return (
        len(net.layers) + net.blocks + 2 * net.se + net.pools
    )  # additions; pool and product of an SE; last pool


def _dense_flops(net: Net, tile: Tile) -> float:
    return sum(padded_flops(x, tile) for x in net.layers if x.groups == 1)


def _grouped_flops(net: Net, tile: Tile) -> float:
    return sum(padded_flops(x, tile) for x in net.layers if is_grouped(x))


def _depthwise_flops(net: Net, tile: Tile) -> float:
    return sum(x.complexity.flops for x in net.layers if is_depthwise(x))


def _group_pixels(net: Net, tile: Tile) -> float:
    return sum(x.groups * x.size**2 for x in net.layers if is_grouped(x))


def _groups(net: Net, tile: Tile) -> float:
    return sum(x.groups for x in net.layers if is_grouped(x))


def _grouped_outputs(net: Net, tile: Tile) -> float:
    grouped = (x for x in net.layers if is_grouped(x))
    return sum(_round_up(x.c_out // x.groups, tile.outputs) * x.groups * x.size**2 for x in grouped)


def _added_elements(net: Net, tile: Tile) -> float:
    last = {x.name.rpartition(".")[0]: x for x in net.layers if x.name.endswith((".b", ".c"))}
    return sum(x.complexity.activations for x in last.values()) if net.blocks else 0


def _wide_activations(net: Net, tile: Tile) -> float:
    return sum(x.complexity.activations for x in net.layers if x.kernel > 1)


def _se_activations(net: Net, tile: Tile) -> float:
    inner = [x for x in net.layers if x.name.endswith(".b")]
    return sum(x.complexity.activations for x in inner) if net.se else 0


def _runs(net: Net, tile: Tile) -> float:
    return net.runs


@dataclass(frozen=True, slots=True)
class Term:
    """A count with its name, what one `unit` of it is (`per` of them), and the function that counts."""

    name: str
    unit: str
    per: float
    count: Callable[[Net, Tile], float]


_TERMS = (
    Term("constant", "network", 1, _runs),
    Term("flops", "MF", 1e6, _flops),
    Term("root of flops", "root of a MF", 1e3, _root_flops),
    Term("activations", "M elements", 1e6, _activations),
    Term("params", "M", 1e6, _params),
    Term("ops", "op", 1, _ops),
    Term("dense flops", "MF, padded", 1e6, _dense_flops),
    Term("grouped flops", "MF, padded", 1e6, _grouped_flops),
    Term("depthwise flops", "MF", 1e6, _depthwise_flops),
    Term("groups x pixels", "M", 1e6, _group_pixels),
    Term("groups", "group", 1, _groups),
    Term("grouped outputs", "M elements, padded", 1e6, _grouped_outputs),
    Term("added elements", "M elements", 1e6, _added_elements),
    Term("3x3 activations", "M elements", 1e6, _wide_activations),
    Term("SE activations", "M elements", 1e6, _se_activations),
)


NAMES = tuple(t.name for t in _TERMS)


def term(name: str) -> Term:
    """The term of that name; raises UnknownNameError."""
    for each in _TERMS:
        if each.name == name:
            return each
    raise UnknownNameError("term", name, NAMES)


def matrix(nets: Sequence[Net], names: Sequence[str], tile: Tile = NO_TILE) -> Array:
    """Terms of each network in the terms' own units, float64 of shape (networks, terms)."""
    chosen = [term(name) for name in names]
    rows = [[t.count(net, tile) / t.per for t in chosen] for net in nets]
    return np.array(rows, dtype=np.float64).reshape(len(nets), len(chosen))
