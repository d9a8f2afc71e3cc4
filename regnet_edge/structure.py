"""What is inside a converted file, in sentences, and what that means for its speed."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from regnet_edge.artifact import Structure
from regnet_edge.request import Route

_OP_NAMES = {
    "coreml": ("quantize", "dequantize"),
    "executorch": ("Convert", "Convert"),
    "onnx": ("QuantizeLinear", "DequantizeLinear"),
    "tflite": ("QUANTIZE", "DEQUANTIZE"),
}
OP_NAMES = MappingProxyType(_OP_NAMES)  # of quantize and dequantize, by target
_FOLDED = MappingProxyType({"onnx": "ONNX Runtime", "coreml": "Core ML"})


def sentences(target: str, found: Structure, via: Route = "") -> tuple[str, ...]:
    """What a file of that target has inside; found is the structure that was read back from it."""
    return (_convolutions(found, via), *_delegation(found), *_quantization(target, found))


def conversions(target: str, found: Structure) -> tuple[int, int]:
    """(quantize ops, dequantize ops) of a file; ExecuTorch's Convert is both, and counted half as each."""
    first, second = (found.ops.get(name, 0) for name in OP_NAMES.get(target, ("", "")))
    return (first - first // 2, second // 2) if target == "executorch" else (first, second)


def _convolutions(found: Structure, via: Route) -> str:
    if via:
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


def _quantization(target: str, found: Structure) -> Iterator[str]:
    quantize, dequantize = conversions(target, found)
    if not quantize and not dequantize:
        return
    ops = f"{_count(quantize, 'quantize op')} and {_count(dequantize, 'dequantize op')}"
    if target in _FOLDED:
        yield (
            f"{ops}: {_FOLDED[target]} folds those around an int8 kernel into it when it loads the "
            "file; an op without such a kernel runs in float between its own"
        )
    elif dequantize <= 1:
        yield f"{ops}: all between input and output is int8"
    else:
        yield (
            f"{ops}: {_count(dequantize - 1, 'part')} of the network in float, each of which costs two "
            "passes over its tensors"
        )


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
