"""Which tensor of a converted graph is which layer of the definition, found by the graph's shape alone.

Formats keep, mangle or drop names, but a RegNet's graph has one reading: `locate` walks it from the image
as `points` lists the definition, stepping over what only changes a tensor's form (quantize, dequantize,
transpose, pad, reshape) and taking an activation with the layer before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from regnet_edge.config import AnyNetConfig, Block
from regnet_edge.errors import ConversionError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from regnet_edge.model import RegNet, ResBlock

OpKind = Literal["conv", "linear", "add", "mul", "sigmoid", "mean", "activation", "same", "form"]
Compute = Callable[["RegNet", "Sequence[Tensor]"], "Tensor"]
IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a converted graph: activations in, one tensor out.

    same: the values stay (quantize, dequantize, cast); form: they move (transpose, pad, reshape).
    """

    kind: OpKind
    inputs: tuple[str, ...]
    output: str


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


# The definition


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
class Span:
    """A block or a stage: its name, the point it reads, and the point that is its output."""

    name: str
    before: str
    output: str


def spans(config: AnyNetConfig) -> tuple[Span, ...]:
    """Every stage with its blocks behind it, in order."""
    blocks = [block.name for block in config.blocks()]
    before = dict(zip(blocks, ["stem", *blocks], strict=False))
    found = []
    for i in range(1, len(config.stages) + 1):
        mine = [name for name in blocks if name.startswith(f"s{i}.")]
        found.append(Span(f"s{i}", before[mine[0]], mine[-1]))
        found += [Span(name, before[name], name) for name in mine]
    return tuple(found)


# The converted graph


def flowing(ops: Sequence[Op], image: str) -> tuple[Op, ...]:
    """The operations that depend on the image, without their constant inputs, in an order that can run."""
    fed: set[str] = {image}
    while new := {op.output for op in ops if fed & set(op.inputs)} - fed:
        fed |= new
    waiting = [Op(o.kind, tuple(i for i in o.inputs if i in fed), o.output) for o in ops if o.output in fed]
    known, found = {image}, list[Op]()
    while len(found) < len(waiting):
        before = len(found)
        for op in waiting:  # once where they are in order already
            if op.output not in known and known.issuperset(op.inputs):
                known.add(op.output)
                found.append(op)
        if len(found) == before:
            raise ConversionError("the graph of this file runs in a circle; convert the model again")
    return tuple(found)


def locate(ops: Sequence[Op], image: str, config: AnyNetConfig) -> dict[str, str]:
    """The converted graph's tensor of every point; raises ConversionError where the graph is no such net."""
    walk = Walk.through(ops)
    found = {IMAGE: walk.root(image)}
    where = "stem"
    try:
        for point in points(config):
            where = point.name
            found[point.name] = walk.result(point, [found[name] for name in point.inputs])
    except StopIteration:
        raise ConversionError(
            f"the graph of this file has no {where} where the definition has it; convert the model again"
        ) from None
    return {name: walk.last.get(root, root) for name, root in found.items()}


def owned(ops: Sequence[Op], image: str, config: AnyNetConfig, names: Collection[str]) -> tuple[Op, ...]:
    """The operations of a float graph that make up those points, with the changes of form before them."""
    places = locate(ops, image, config)
    producers, ends = {op.output: op for op in ops}, set(places.values())
    found: list[Op] = []
    for name in names:
        waiting = [places[name]]
        while waiting:
            op = producers[waiting.pop()]
            found.append(op)
            waiting += [i for i in op.inputs if i not in ends]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Walk:
    """A graph without its changes of form: who reads which tensor, by the name it was computed under.

    last: the final tensor of the same values, such as after quantization.
    """

    roots: Mapping[str, str]
    readers: Mapping[str, Sequence[Op]]
    last: Mapping[str, str]

    @classmethod
    def through(cls, ops: Sequence[Op]) -> Walk:
        """Read the operations, which stand in the order in which they run."""
        roots: dict[str, str] = {}
        readers: dict[str, list[Op]] = {}
        last: dict[str, str] = {}
        for op in ops:
            inputs = tuple(roots.get(name, name) for name in op.inputs)
            if op.kind in ("same", "form"):
                roots[op.output] = inputs[0]
                if op.kind == "same" and last.get(inputs[0], inputs[0]) == op.inputs[0]:
                    last[inputs[0]] = op.output
                continue
            for name in set(inputs):
                readers.setdefault(name, []).append(Op(op.kind, inputs, op.output))
        return cls(roots, readers, last)

    def root(self, name: str) -> str:
        """The name under which this tensor was computed."""
        return self.roots.get(name, name)

    def result(self, point: Point, inputs: Sequence[str]) -> str:
        """The tensor of a point whose inputs are these; raises StopIteration where there is none."""
        if point.kind in ("add", "mul", "mean"):
            chosen = next(
                op for op in self._readers(inputs[0], (point.kind,)) if set(inputs) <= set(op.inputs)
            )
            return self._activated(chosen.output)
        ends = [self._activated(op.output) for op in self._readers(inputs[0], ("conv", "linear"))]
        if point.name.endswith(".se.expand"):
            return self._gated(next(iter(ends)))
        if len(ends) < 2:
            return next(iter(ends))
        shortcut = point.name.endswith(".proj")  # a block's first layer and its shortcut read the same
        likely = [end for end in ends if bool(self._readers(end, ("add",))) == shortcut]
        return (likely or ends)[-1 if shortcut else 0]

    def _readers(self, name: str, kinds: Sequence[str]) -> list[Op]:
        return [op for op in self.readers.get(name, ()) if op.kind in kinds]

    def _gated(self, name: str) -> str:
        return next(op.output for op in self._readers(name, ("sigmoid",)))

    def _activated(self, name: str) -> str:
        """The tensor after the activation: an operation, x * sigmoid(x), or inside the layer itself."""
        for op in self._readers(name, ("activation",)):
            return op.output
        for gate in self._readers(name, ("sigmoid",)):
            for op in self._readers(name, ("mul",)):
                if gate.output in op.inputs:
                    return op.output
        return name
