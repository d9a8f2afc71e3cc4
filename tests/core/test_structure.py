"""What a file has inside, said in sentences."""

from __future__ import annotations

import pytest

from regnet_edge.artifact import Structure
from regnet_edge.converters.executorch.file import Node, ProgramContents
from regnet_edge.structure import sentences


def test_a_float_file_tells_of_its_convolutions_alone() -> None:
    assert sentences(Structure(85, 16, {"Conv": 85})) == (
        "85 convolutions, 16 of them grouped, as in the definition: none is split into one a group",
    )


def test_the_old_route_s_split_convolutions_are_called_slow() -> None:
    [told] = sentences(Structure(600, 0, {"CONV_2D": 600}, splits_groups=True))
    assert "each of those costs a call" in told


def test_what_a_runtime_must_know_is_said() -> None:
    told = sentences(Structure(1, 0, {}, needs="opset 18, IR version 8"))
    assert told[-1] == "needs opset 18, IR version 8"


@pytest.mark.parametrize(
    ("delegated", "partitions", "told"),
    [
        (12, 1, "12 ops are delegated in 1 partition, 0 are not: the whole network is one call"),
        (10, 3, "10 ops are delegated in 3 partitions, 2 are not: tensors are handed over at each border"),
    ],
)
def test_delegation_says_what_stays_outside(delegated: int, partitions: int, told: str) -> None:
    found = sentences(Structure(12, 0, {"Conv2d": 12}, delegated, partitions))
    assert found[1].startswith(told)


@pytest.mark.parametrize(
    ("quantize", "dequantize", "folded_by", "told"),
    [
        (1, 1, "", "all between input and output is int8"),
        (4, 4, "", "3 parts of the network in float"),
        (9, 20, "ONNX Runtime", "ONNX Runtime folds those"),
        (9, 9, "Core ML", "Core ML folds those"),
    ],
)
def test_dequantize_ops_are_counted_and_explained(
    quantize: int, dequantize: int, folded_by: str, told: str
) -> None:
    found = Structure(1, 0, {}, quantize=quantize, dequantize=dequantize, folded_by=folded_by)
    assert told in sentences(found)[-1]


def test_executorch_s_conversions_are_half_of_them_to_int8_and_half_back() -> None:
    found = ProgramContents(((Node("Convert"),) * 10,), ()).structure()
    assert (found.quantize, found.dequantize) == (5, 5)
    assert "4 parts of the network in float" in sentences(found)[-1]
