"""The definition's layer outputs, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regnet_edge.config import AnyNetConfig, Block
from regnet_edge.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from regnet_edge.model import RegNet, ResBlock

Compute = Callable[["RegNet", "Sequence[Tensor]"], "Tensor"]
IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the definition: its name, kind of operation, the points it reads, and what it computes."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    compute: Compute

    @property
    def layer(self) -> str:
        """The folded module that holds its weights, '' where it has none."""
        if self.kind in ("linear", "gate conv"):
            return self.name
        if not self.kind.endswith("conv"):
            return ""
        return f"{self.name}.b.conv" if re.fullmatch(r"s\d+\.b\d+", self.name) else f"{self.name}.conv"


def points(config: AnyNetConfig) -> tuple[Point, ...]:
    """Every place of the network where converted graphs have a tensor, in order."""
    found = [Point("stem", "stem conv", (IMAGE,), lambda net, x: net.act(net.stem(x[0])))]
    for block in config.blocks():
        found += _block_points(config, block, found[-1].name)
    last = found[-1].name
    found.append(Point("pool", "mean", (last,), lambda net, x: x[0].mean((2, 3), keepdim=True)))
    found.append(Point("head", "linear", ("pool",), lambda net, x: net.head(x[0].flatten(1))))
    return tuple(found)


def _block_points(config: AnyNetConfig, block: Block, before: str) -> Iterator[Point]:
    name = block.name

    def of(compute: Callable[[ResBlock, Sequence[Tensor]], Tensor]) -> Compute:
        return lambda net, x: compute(net.get_submodule(name), x)  # type: ignore[arg-type]  # a ResBlock by that name

    if config.block == "v":
        yield Point(name, "3x3 conv", (before,), of(lambda m, x: m.act(m.b(x[0]))))
        return
    if config.block == "vr":
        yield Point(f"{name}.b", "3x3 conv", (before,), of(lambda m, x: m.b(x[0])))
        last = f"{name}.b"
    else:
        yield Point(f"{name}.a", "1x1 conv", (before,), of(lambda m, x: m.act(m.a(x[0]))))
        kind = "grouped conv" if block.groups > 1 else "3x3 conv"
        yield Point(f"{name}.b", kind, (f"{name}.a",), of(lambda m, x: m.act(m.b(x[0]))))
        if block.c_se:
            yield from _gate_points(name, of)
        gated = f"{name}.se" if block.c_se else f"{name}.b"
        yield Point(f"{name}.c", "1x1 conv", (gated,), of(lambda m, x: m.c(x[0])))
        last = f"{name}.c"
    if block.has_proj:
        yield Point(f"{name}.proj", "shortcut conv", (before,), of(lambda m, x: m.proj(x[0])))  # type: ignore[misc]  # has_proj
    shortcut = f"{name}.proj" if block.has_proj else before
    yield Point(name, "add", (last, shortcut), of(lambda m, x: m.act(x[0] + x[1])))


def _gate_points(
    name: str, of: Callable[[Callable[[ResBlock, Sequence[Tensor]], Tensor]], Compute]
) -> Iterator[Point]:
    import torch

    b, pool, reduce, gate = f"{name}.b", f"{name}.se.pool", f"{name}.se.reduce", f"{name}.se.expand"
    yield Point(pool, "mean", (b,), of(lambda m, x: x[0].mean((2, 3), keepdim=True)))
    yield Point(reduce, "gate conv", (pool,), of(lambda m, x: m.se.act(m.se.reduce(x[0]))))  # type: ignore[union-attr]  # c_se
    yield Point(gate, "gate conv", (reduce,), of(lambda m, x: torch.sigmoid(m.se.expand(x[0]))))  # type: ignore[union-attr]  # c_se
    yield Point(f"{name}.se", "mul", (b, gate), of(lambda m, x: x[0] * x[1]))


def named(config: AnyNetConfig, names: Sequence[str]) -> tuple[str, ...]:
    """The points of those names, a block's or a stage's name for all within; raises UnknownNameError."""
    known = [point.name for point in points(config)]
    found: set[str] = set()
    for name in names:
        within = [p for p in known if p == name or p.startswith(f"{name}.")]
        if not within:
            raise UnknownNameError("layer", name, known, list_all=False)
        found.update(within)
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class GraphSpan:
    """A block or a stage: its name, the point it reads, and the point that is its output."""

    name: str
    before: str
    output: str


def spans(config: AnyNetConfig) -> tuple[GraphSpan, ...]:
    """Every stage with its blocks behind it, in order."""
    blocks = [block.name for block in config.blocks()]
    before = dict(zip(blocks, ["stem", *blocks], strict=False))
    found = []
    for i in range(1, len(config.stages) + 1):
        mine = [name for name in blocks if name.startswith(f"s{i}.")]
        found.append(GraphSpan(f"s{i}", before[mine[0]], mine[-1]))
        found += [GraphSpan(name, before[name], name) for name in mine]
    return tuple(found)
