"""The shared export to an .onnx by torch's own exporter, in the operator set that is asked for.

The default is read by ONNX Runtime 1.14 and everything since. torch's exporter writes 18 at the lowest;
what is below comes from ONNX's own version converter.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from regnet_edge.request import ExportRequest

from .. import INPUT_NAME, OUTPUT_NAME, Source, sidecar_metadata
from ..outputs import outputs_of
from ..quiet import quiet

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

LOWEST_OPSET, DEFAULT_OPSET, HIGHEST_OPSET = 14, 18, 23
_LOWEST_EXPORTED = 18
BATCH = "batch"  # what a size that is left open is called


def export(request: ExportRequest, source: Source, wanted: int, out: Path) -> None:
    """Write the file in the opset that was asked for, or in the lowest one that torch's exporter has."""
    import torch

    assert source.program is not None  # noqa: S101  # takes_program is True
    with quiet():
        program = torch.onnx.export(
            source.program,
            (source.example,),
            input_names=[INPUT_NAME],
            output_names=[output.name for output in outputs_of(request)] if request.output else [OUTPUT_NAME],
            opset_version=max(wanted, _LOWEST_EXPORTED),
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # noqa: S101  # dynamo=True returns one
    program.model.metadata_props.update(sidecar_metadata(request))
    for node in program.model.graph:
        node.metadata_props.clear()  # the exporter's own, with paths of this machine
    program.save(str(out), external_data=False)


def with_named_batch(model: ModelProto) -> ModelProto:
    """The model, changed in place: a first size that is left open has the exporter's name no more."""
    graph = model.graph
    opened = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.value_info, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if opened and size.dim_param == opened:
                size.dim_param = BATCH
    return model


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
