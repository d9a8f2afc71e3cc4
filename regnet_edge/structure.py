"""What is inside a converted file, in sentences, and what that means for its speed."""

from __future__ import annotations

from collections.abc import Iterator

from regnet_edge.artifact import Structure


def sentences(found: Structure) -> tuple[str, ...]:
    """What a file has inside; found is the structure that was read back from it."""
    return (_convolutions(found), *_delegation(found), *_quantization(found), *_suits(found))


def _convolutions(found: Structure) -> str:
    if found.splits_groups:
        return (
            f"{found.convs} convolutions, {found.grouped_convs} grouped: this route splits each grouped one "
            "into one a group, and each of those costs a call"
        )
    return (
        f"{found.convs} convolutions, {found.grouped_convs} of them grouped, as in the definition: none is "
        "split into one a group"
    )


def _delegation(found: Structure) -> Iterator[str]:
    if found.delegated_ops is None or found.partitions is None:
        return
    outside = sum(found.ops.values()) - found.delegated_ops
    pieces = _count(found.partitions, "partition")
    ops = f"{found.delegated_ops} ops are delegated in {pieces}, {outside} are not"
    if found.partitions == 1 and outside == 0:
        yield f"{ops}: the whole network is one call of the delegate"
    else:
        yield f"{ops}: tensors are handed over at each border"


def _quantization(found: Structure) -> Iterator[str]:
    if not found.quantize and not found.dequantize:
        return
    ops = f"{_count(found.quantize, 'quantize op')} and {_count(found.dequantize, 'dequantize op')}"
    if found.folded_by:
        yield (
            f"{ops}: {found.folded_by} folds those around an int8 kernel into it when it loads the "
            "file; an op without such a kernel runs in float between its own"
        )
    elif found.dequantize <= 1:
        yield f"{ops}: all between input and output is int8"
    else:
        yield (
            f"{ops}: {_count(found.dequantize - 1, 'part')} of the network in float, each of which costs two "
            "passes over its tensors"
        )


def _suits(found: Structure) -> Iterator[str]:
    if found.needs:
        yield f"needs {found.needs}"
    if found.made_for:
        yield f"made for {found.made_for}"


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
