"""An exported program to a Core ML model: ct.convert with the graph passes that a RegNet needs.

coremltools' default pipeline runs 95 passes and checks the whole program after each; on a RegNet with
folded batch norms nine of them do something. tests/test_coreml.py compares the result with the default's.
The two int8 passes are ours, because coremltools sets activation ranges on macOS only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regnet_edge.request import Precision

from .. import OUTPUT_NAME
from ..int8.ranges import Range

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
_ACTIVATIONS, _WEIGHTS = "regnet_edge::quantize_activations", "regnet_edge::quantize_weights"


# operations that int8 hardware has, and their inputs that become int8; others read floats
_INT8_INPUTS: Mapping[str, tuple[str, ...]] = {
    "conv": ("x",),
    "linear": ("x",),
    "reduce_mean": ("x",),
    "avg_pool": ("x",),
    "add": ("x", "y"),
    "mul": ("x", "y"),
}


SMALLEST_W8_WEIGHT = 2048  # elements; below, a weight's int8 form saves nothing (coremltools' own limit)


@dataclass(frozen=True, slots=True)
class Pixels:
    """An image input: value = scale * pixel + bias for each channel, in `color` order."""

    color: str
    scale: float
    bias: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """How a program is to become a Core ML model; ranges make activations int8, except those of `floats`.

    floats: names of the exported graph's operations that keep float inputs and weights.
    """

    precision: Precision
    pixels: Pixels | None = None
    labels: tuple[str, ...] = ()
    ranges: Mapping[str, Range] | None = None
    floats: frozenset[str] = frozenset()


def lower(ct: Any, program: ExportedProgram, order: Order) -> Any:
    """The MLModel: float32 arithmetic for fp32, float16 for every other precision."""
    options: dict[str, Any] = {}
    if order.pixels is not None:
        options["inputs"] = [_image_type(ct, program, order.pixels)]
    if order.labels:
        options["classifier_config"] = ct.ClassifierConfig(list(order.labels))
    else:
        options["outputs"] = [ct.TensorType(name=OUTPUT_NAME, dtype=np.float32)]
    return ct.convert(
        aten_form(program),
        source="pytorch",
        minimum_deployment_target=ct.target.iOS17,
        compute_precision=ct.precision.FLOAT32 if order.precision == "fp32" else ct.precision.FLOAT16,
        pass_pipeline=pipeline(ct, order),
        skip_model_load=True,
        **options,
    )


def aten_form(program: ExportedProgram) -> ExportedProgram:
    """The program in the ATen dialect, which coremltools wants; `program` stays as it is.

    `run_decompositions({})` traces the whole network again and changes one operator of a RegNet: flatten
    becomes a view. That is written directly; a program with other operators takes the long way.
    """
    import torch

    known = _aten_operators(torch.ops.aten)
    if any(n.op == "call_function" and n.target not in known for n in program.graph.nodes):
        decomposed: ExportedProgram = program.run_decompositions({})
        return decomposed
    return _exported(program, _with_views(program.graph))


def _aten_operators(aten: Any) -> frozenset[Any]:
    packets = (aten.conv2d, aten.relu, aten.silu, aten.sigmoid, aten.linear)
    others = (aten.mean.dim, aten.mul.Tensor, aten.add.Tensor, aten.flatten.using_ints)
    return frozenset((*(p.default for p in packets), *others))


def _with_views(graph: Graph) -> Graph:
    """A copy in which flatten is a view of the shape that the export found."""
    import torch

    new, renamed = torch.fx.Graph(), dict[Any, Any]()
    for node in graph.nodes:
        renamed[node] = copied = new.node_copy(node, renamed.__getitem__)
        if node.target == torch.ops.aten.flatten.using_ints:
            copied.target = torch.ops.aten.view.default
            copied.args = (copied.args[0], list(node.meta["val"].shape))
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


def _image_type(ct: Any, program: ExportedProgram, pixels: Pixels) -> Any:
    (name,) = program.graph_signature.user_inputs
    shape = next(n.meta["val"].shape for n in program.graph.nodes if n.name == name)
    gray = pixels.color == "GRAY"
    return ct.ImageType(
        name=str(name),
        shape=tuple(int(s) for s in shape),
        scale=pixels.scale,
        bias=pixels.bias[0] if gray else list(pixels.bias),
        color_layout=getattr(ct.colorlayout, "GRAYSCALE" if gray else pixels.color),
    )


def pipeline(ct: Any, order: Order) -> Any:
    """The passes for that precision, in order."""
    register_passes()
    before = [*_BEFORE_CAST] + ([_ACTIVATIONS] if order.ranges is not None else [])
    after = [*_CAST] + ([_WEIGHTS] if order.precision in ("int8", "w8") else [])
    found = ct.PassPipeline([*before, *after, *_LAST], "regnet-edge")
    if order.ranges is not None:
        found.set_options(_ACTIVATIONS, {"ranges": order.ranges, "floats": order.floats})
    if _WEIGHTS in found.passes:
        smallest = 1 if order.precision == "int8" else SMALLEST_W8_WEIGHT
        found.set_options(_WEIGHTS, {"smallest": smallest, "floats": order.floats})
    return found


def register_passes() -> None:
    """Make the two int8 passes known to coremltools, once a process."""
    from coremltools.converters.mil.mil.passes.graph_pass import AbstractGraphPass  # type: ignore[import-untyped]  # ships no types
    from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY, register_pass  # type: ignore[import-untyped]  # ships no types

    if _WEIGHTS in PASS_REGISTRY:
        return

    class QuantizeActivations(AbstractGraphPass):  # type: ignore[misc]  # coremltools ships no types
        ranges: Mapping[str, Range] | None = None
        floats: frozenset[str] = frozenset()

        def apply(self, prog: Any) -> None:
            assert self.ranges is not None  # noqa: S101  # the pipeline sets it
            _quantize_activations(prog.functions["main"], self.ranges, self.floats)

    class QuantizeWeights(AbstractGraphPass):  # type: ignore[misc]  # coremltools ships no types
        smallest: int = 1
        floats: frozenset[str] = frozenset()

        def apply(self, prog: Any) -> None:
            _quantize_weights(prog.functions["main"], self.smallest, self.floats)

    for name, cls in ((_ACTIVATIONS, QuantizeActivations), (_WEIGHTS, QuantizeWeights)):
        namespace, short = name.split("::")
        register_pass(namespace, name=short)(cls)


def _quantize_activations(block: Any, ranges: Mapping[str, Range], floats: frozenset[str]) -> None:
    """Put quantize and dequantize before every int8 input, one pair for each value."""
    pairs: dict[str, Any] = {}
    with block:
        for op in list(block.operations):
            inputs = {key: op.inputs[key] for key in _INT8_INPUTS.get(op.op_type, ())}
            live = {key: var for key, var in inputs.items() if var.val is None}
            if (
                not live
                or op.outputs[0].name in floats
                or any(_range_of(var, ranges) is None for var in live.values())
            ):
                continue
            with _as_part_of(op):
                pairs.update({v.name: _pair(v, ranges, op) for v in live.values() if v.name not in pairs})
            op.set_inputs(**{key: pairs[var.name] for key, var in live.items()})


def _as_part_of(op: Any) -> Any:
    """A context in which new operations carry the origin of op, which coremltools insists on."""
    from coremltools.converters.mil.mil import Builder as mb  # type: ignore[import-untyped]  # noqa: N813  # ships no types; its usual name
    from coremltools.converters.mil.mil.scope import ScopeInfo, ScopeSource  # type: ignore[import-untyped]  # ships no types

    own = ScopeSource.COREMLTOOLS_GRAPH_PASS  # coremltools adds this one itself
    return mb.scope(*(ScopeInfo(source=s, data=data) for s, data in op.scopes.items() if s != own))


def _range_of(var: Any, ranges: Mapping[str, Range]) -> Range | None:
    if var.name not in ranges and var.op is not None and var.op.op_type == "reshape":
        return _range_of(var.op.x, ranges)
    return ranges.get(var.name)


def _pair(var: Any, ranges: Mapping[str, Range], before: Any) -> Any:
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  # its usual name

    found = _range_of(var, ranges)
    assert found is not None  # noqa: S101  # the caller has looked
    parameters: dict[str, Any] = {"scale": np.float32(found.scale)}
    if found.zero_point:
        parameters["zero_point"] = np.uint8(found.zero_point)
    steps = mb.quantize(
        input=var, output_dtype="uint8", name=f"{var.name}_quantized", before_op=before, **parameters
    )
    return mb.dequantize(input=steps, name=f"{var.name}_dequantized", before_op=before, **parameters)


def _quantize_weights(block: Any, smallest: int, floats: frozenset[str]) -> None:
    """Store the weights of conv and linear as int8 with a scale for each output channel."""
    from coremltools.converters.mil.mil import Builder as mb  # noqa: N813  # its usual name

    with block:
        for op in list(block.operations):
            if (
                op.op_type in ("conv", "linear")
                and op.weight.val is not None
                and op.weight.val.size >= smallest
                and op.outputs[0].name.removesuffix("_cast_fp16") not in floats
            ):
                steps, scale = symmetric_int8(op.weight.val)
                zero, name = np.int8(0), f"{op.weight.name}_quantized"
                with _as_part_of(op):
                    weight = mb.constexpr_affine_dequantize(
                        quantized_data=steps, zero_point=zero, scale=scale, axis=0, name=name, before_op=op
                    )
                op.set_inputs(weight=weight, no_check_var_types=True)


def symmetric_int8(weight: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """(steps, scale) of each first-dimension slice, with weight about steps * scale and |steps| <= 127.

    The scale has the weight's type: it is rounded before the steps are chosen, so that they fit it.
    """
    peak = np.abs(weight.reshape(len(weight), -1)).max(1).astype(np.float64)
    smallest = np.finfo(weight.dtype).tiny
    scale = np.maximum(peak / 127, smallest).astype(weight.dtype)
    columns: Sequence[int] = (-1, *[1] * (weight.ndim - 1))
    steps = np.round(weight.astype(np.float64) / scale.astype(np.float64).reshape(columns))
    return np.clip(steps, -127, 127).astype(np.int8), scale
