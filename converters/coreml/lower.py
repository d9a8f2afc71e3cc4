"""An exported program to a Core ML model: ct.convert with the graph passes that a RegNet needs.

coremltools' default pipeline runs 95 passes and checks the whole program after each; on a RegNet with
folded batch norms nine of them do something. A test compares the program with the default's. A program with
an operator that no RegNet has, or another version of coremltools, takes the default pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regnet_edge.request import Precision

from .. import OUTPUT_NAME
from ..int8.ranges import Range
from ..shortcuts import Taken, take
from .quantize import ACTIVATIONS, SMALLEST_W8_WEIGHT, WEIGHTS, register_passes

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Graph

_BEFORE_CAST = (
    "common::sanitize_input_output_names",
    "common::const_elimination",
    "common::noop_elimination",
    "common::remove_redundant_ops",
    "common::dedup_op_and_var_names",
)


_CAST = (
    "common::add_fp16_cast",  # dropped by coremltools where float32 is asked for
    "common::update_output_dtypes",
    "common::const_elimination",
    "common::cast_optimization",
    "common::dead_code_elimination",
)


_LAST = ("common::const_deduplication", "common::topological_reorder", "common::dead_code_elimination")


@dataclass(frozen=True, slots=True)
class Pixels:
    """An image input: value = scale * pixel + bias for each channel, in `color` order."""

    color: str
    scale: float
    bias: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """How a program is to become a Core ML model; ranges make activations int8, except those of `floats`.

    floats: names of the exported graph's operations that keep float inputs and weights. ios: the deployment
    target, which is the version of the operator set. outputs: what the results are called. most: how many
    images a package of any batch takes at once, 0 for one of the program's own batch.
    """

    precision: Precision
    pixels: Pixels | None = None
    labels: tuple[str, ...] = ()
    ranges: Mapping[str, Range] | None = None
    floats: frozenset[str] = frozenset()
    ios: str = "17"
    outputs: tuple[str, ...] = (OUTPUT_NAME,)
    most: int = 0


def lower(ct: Any, program: ExportedProgram, order: Order) -> Taken[Any]:
    """The MLModel: float32 arithmetic for fp32, float16 for every other precision."""
    return take(
        "coremltools passes",
        lambda: _converted(ct, aten_form(program), order, pipeline(ct, order)) if is_known(program) else None,
        lambda: lower_stock(ct, program, order),
    )


def lower_stock(ct: Any, program: ExportedProgram, order: Order) -> Any:
    """The same by coremltools' default pipeline, with the two int8 passes where they are needed."""
    return _converted(ct, program.run_decompositions({}), order, stock_pipeline(ct, order))


def _converted(ct: Any, program: ExportedProgram, order: Order, passes: Any) -> Any:
    options: dict[str, object] = {}
    if order.pixels is not None:
        options["inputs"] = [_image_type(ct, program, order.pixels)]
    if order.most:
        options["inputs"] = [_open_type(ct, program, order.most)]
    if order.labels:
        options["classifier_config"] = ct.ClassifierConfig(list(order.labels))
    else:
        options["outputs"] = [ct.TensorType(name=name, dtype=np.float32) for name in order.outputs]
    return ct.convert(
        program,
        source="pytorch",
        minimum_deployment_target=getattr(ct.target, f"iOS{order.ios}"),
        compute_precision=ct.precision.FLOAT32 if order.precision == "fp32" else ct.precision.FLOAT16,
        pass_pipeline=passes,
        skip_model_load=True,
        **options,
    )


def aten_form(program: ExportedProgram) -> ExportedProgram:
    """The program in the ATen dialect, which coremltools wants; `program` stays as it is.

    `run_decompositions({})` traces the whole network again and changes one operator of a RegNet: flatten
    becomes a view. That is written directly; a program with other operators takes the long way.
    """
    if not is_known(program):
        decomposed: ExportedProgram = program.run_decompositions({})
        return decomposed
    return _exported(program, _with_views(program.graph))


def is_known(program: ExportedProgram) -> bool:
    """Whether every operator of the program is one that this module was written for."""
    import torch

    known = _aten_operators(torch.ops.aten)
    return all(n.op != "call_function" or n.target in known for n in program.graph.nodes)


def _aten_operators(aten: Any) -> frozenset[Any]:
    packets = (aten.conv2d, aten.relu, aten.silu, aten.sigmoid, aten.linear)
    others = (aten.mean.dim, aten.mul.Tensor, aten.add.Tensor, aten.flatten.using_ints)
    return frozenset((*(p.default for p in packets), *others))


def _with_views(graph: Graph) -> Graph:
    """A copy in which flatten is a view of the shape that the export found; -1 is an open batch."""
    import torch

    new, renamed = torch.fx.Graph(), dict[Any, Any]()
    for node in graph.nodes:
        renamed[node] = copied = new.node_copy(node, renamed.__getitem__)
        if node.target == torch.ops.aten.flatten.using_ints:
            copied.target = torch.ops.aten.view.default
            shape = [n if isinstance(n, int) else -1 for n in node.meta["val"].shape]
            copied.args = (copied.args[0], shape)
    return new


def _exported(program: ExportedProgram, graph: Graph) -> ExportedProgram:
    import torch
    from torch._export.verifier import Verifier

    return torch.export.ExportedProgram(
        root=torch.fx.GraphModule(torch.nn.Module(), graph),
        graph=graph,
        graph_signature=program.graph_signature,
        state_dict=dict(program.state_dict),
        range_constraints=dict(program.range_constraints),
        module_call_graph=list(program.module_call_graph),
        example_inputs=program.example_inputs,
        constants=dict(program.constants),
        verifiers=[Verifier],
    )


def _open_type(ct: Any, program: ExportedProgram, most: int) -> Any:
    """An input of 1 to `most` images, one unless the app says otherwise."""
    name, (_, *sizes) = _input(program)
    batch = ct.RangeDim(1, most, default=1)
    return ct.TensorType(name=name, shape=(batch, *map(int, sizes)), dtype=np.float32)


def _input(program: ExportedProgram) -> tuple[str, Any]:
    (name,) = program.graph_signature.user_inputs
    return str(name), next(n.meta["val"].shape for n in program.graph.nodes if n.name == name)


def _image_type(ct: Any, program: ExportedProgram, pixels: Pixels) -> Any:
    name, shape = _input(program)
    gray = pixels.color == "GRAY"
    return ct.ImageType(
        name=name,
        shape=tuple(int(s) for s in shape),
        scale=pixels.scale,
        bias=pixels.bias[0] if gray else list(pixels.bias),
        color_layout=getattr(ct.colorlayout, "GRAYSCALE" if gray else pixels.color),
    )


def pipeline(ct: Any, order: Order) -> Any:
    """The passes that a RegNet in that precision needs, in order."""
    _register(order)
    before = [*_BEFORE_CAST] + ([ACTIVATIONS] if order.ranges is not None else [])
    after = [*_CAST] + ([WEIGHTS] if order.precision in ("int8", "w8") else [])
    return _ordered(ct.PassPipeline([*before, *after, *_LAST], "regnet-edge"), order)


def stock_pipeline(ct: Any, order: Order) -> Any:
    """coremltools' own passes; the int8 ones stand where the short pipeline has them."""
    _register(order)
    found = ct.PassPipeline()
    if order.ranges is not None:
        found.insert_pass(found.passes.index(_CAST[0]), ACTIVATIONS)
    if order.precision in ("int8", "w8"):
        last = len(found.passes) - 1 - found.passes[::-1].index(_LAST[0])
        found.insert_pass(last, WEIGHTS)
    return _ordered(found, order)


def _register(order: Order) -> None:
    """Make the int8 passes known where they are needed: a float file does without that door."""
    if order.precision in ("int8", "w8"):
        register_passes()


def _ordered(found: Any, order: Order) -> Any:
    """The pipeline, its int8 passes told what the order says."""
    if order.ranges is not None:
        found.set_options(ACTIVATIONS, {"ranges": order.ranges, "floats": order.floats})
    if WEIGHTS in found.passes:
        smallest = 1 if order.precision == "int8" else SMALLEST_W8_WEIGHT
        found.set_options(WEIGHTS, {"smallest": smallest, "floats": order.floats})
    return found
