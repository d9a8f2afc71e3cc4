"""Which tensor of a converted graph is which layer of the definition, found by the graph's shape alone.

Formats keep, mangle or drop names, but a RegNet's graph has one reading: `locate` walks it from the image
as `points` lists the definition, stepping over what only changes a tensor's form (quantize, dequantize,
transpose, pad, reshape) and taking an activation with the layer before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from regnet_edge.config import AnyNetConfig
from regnet_edge.errors import ConversionError

from .points import IMAGE, Point, points

OpKind = Literal["conv", "linear", "add", "mul", "sigmoid", "mean", "activation", "same", "form"]


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a converted graph: activations in, one tensor out.

    same: the values stay (quantize, dequantize, cast); form: they move (transpose, pad, reshape).
    """

    kind: OpKind
    inputs: tuple[str, ...]
    output: str


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


def owners(ops: Sequence[Op], image: str, config: AnyNetConfig) -> dict[str, str]:
    """The point that each tensor of the graph is part of, quantized or not.

    What only changes an input's form or type (a pad, a dequantization) belongs to the point that reads it
    first; what follows the last point belongs to that.
    """
    places = locate(ops, image, config)
    producers, ends = {op.output: op for op in ops}, set(places.values())
    found: dict[str, str] = {}
    first, *_, last = (point.name for point in points(config))
    for name, place in ((first, places[IMAGE]), *((p.name, places[p.name]) for p in points(config))):
        waiting = [place]
        while waiting:
            op = producers.get(waiting.pop())
            if op is not None and op.output not in found:
                found[op.output] = name
                waiting += [i for i in op.inputs if i not in ends]
    return {op.output: found.get(op.output, last) for op in ops}


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


def _kind(kinds: Mapping[str, OpKind], name: str) -> OpKind:
    if name not in kinds:
        raise ConversionError(
            f"this file has an operation {name}, which no RegNet here has; convert the model again"
        )
    return kinds[name]
