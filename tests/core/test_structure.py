"""What a file has inside, said in sentences."""

from __future__ import annotations

import pytest

from regnet_edge.artifact import Structure
from regnet_edge.structure import conversions, sentences


def test_a_float_file_tells_of_its_convolutions_alone() -> None:
    assert sentences("onnx", Structure(85, 16, {"Conv": 85})) == (
        "85 convolutions, 16 of them grouped, as in the definition: none is split into one a group",
    )


def test_the_old_route_s_split_convolutions_are_called_slow() -> None:
    [told] = sentences("tflite", Structure(600, 0, {"CONV_2D": 600}), "onnx-tf")
    assert "each of those costs a call" in told


@pytest.mark.parametrize(
    ("delegated", "partitions", "told"),
    [
        (12, 1, "12 ops are delegated in 1 partition, 0 are not: the whole network is one call"),
        (10, 3, "10 ops are delegated in 3 partitions, 2 are not: tensors are handed over at each border"),
    ],
)
def test_delegation_says_what_stays_outside(delegated: int, partitions: int, told: str) -> None:
    found = sentences("executorch", Structure(12, 0, {"Conv2d": 12}, delegated, partitions))
    assert found[1].startswith(told)


@pytest.mark.parametrize(
    ("target", "ops", "counts", "told"),
    [
        ("tflite", {"QUANTIZE": 1, "DEQUANTIZE": 1}, (1, 1), "all between input and output is int8"),
        ("tflite", {"QUANTIZE": 4, "DEQUANTIZE": 4}, (4, 4), "3 parts of the network in float"),
        ("executorch", {"Convert": 10}, (5, 5), "4 parts of the network in float"),
        ("onnx", {"QuantizeLinear": 9, "DequantizeLinear": 20}, (9, 20), "ONNX Runtime folds those"),
        ("coreml", {"quantize": 9, "dequantize": 9}, (9, 9), "Core ML folds those"),
    ],
)
def test_dequantize_ops_are_counted_and_explained(
    target: str, ops: dict[str, int], counts: tuple[int, int], told: str
) -> None:
    found = Structure(1, 0, ops)
    assert conversions(target, found) == counts
    assert told in sentences(target, found)[-1]
