"""Which version of ONNX's operator set a file is written in.

The default is read by ONNX Runtime 1.14 and everything since. torch's exporter writes 18 at the lowest;
what is below comes from ONNX's own version converter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

LOWEST_OPSET, DEFAULT_OPSET, HIGHEST_OPSET = 14, 18, 23
_LOWEST_EXPORTED = 18


def exported_opset(wanted: int) -> int:
    """The opset to ask torch's exporter for."""
    return max(wanted, _LOWEST_EXPORTED)


def at_opset(model: ModelProto, wanted: int) -> ModelProto:
    """The model in that opset, with the lowest IR version that it may have; `model` may be changed."""
    from onnx import helper, version_converter

    for node in model.graph.node:
        _drop_default(node, "noop_with_empty_axes", 0)  # new in 18: the version converter leaves it in 17
    if wanted != model.opset_import[0].version:
        model = version_converter.convert_version(model, wanted)
    model.ir_version = helper.find_min_ir_version_for(model.opset_import)
    return model


def _drop_default(node: NodeProto, name: str, default: int) -> None:
    for attribute in [a for a in node.attribute if a.name == name and a.i == default]:
        node.attribute.remove(attribute)
