"""An exported program to a TFLite file through LiteRT's own compiler, without the detours.

`litert_torch.convert` exports the network again, traces the graph four times to decompose it and to
move its transpositions, and translates each operator through JAX, whose import with the others' takes
longer than that of torch. A RegNet uses nine operators. Here each is written once, channels last, in
the dialect that LiteRT's compiler reads (StableHLO), and the compiler does the rest as it always does:
it chooses TFLite's operators, folds constants, fuses biases and activations, and writes the file. The
file has the same operators in the same order, with the same weights and results, and its tensors bear
the names of the definition's modules. A program with any other operator, or another version of the
compiler, takes litert_torch as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import INPUT_NAME, OUTPUT_NAME

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch.export import ExportedProgram
    from torch.fx import Node

SIGNATURE = "serving_default"  # litert_torch's own name for the only one


# Writes one operator: (writer, the node, its arguments as MLIR values) to the value of its result.
Rule = Callable[..., Any]


def flatbuffer(program: ExportedProgram, names: Sequence[str] = (OUTPUT_NAME,)) -> bytes | None:
    """The TFLite file, input `image` NHWC, outputs by those names.

    None if the program has operators unknown here.
    """
    rules = _rules()
    calls = [node for node in program.graph.nodes if node.op not in ("placeholder", "output")]
    if any(node.target not in rules or not _is_writable(node) for node in calls):
        return None
    from litert_converter.mlir import ir  # type: ignore[import-untyped]  # ships no types
    from litert_converter.mlir._mlir_libs import converter_api_ext as compiler  # type: ignore[import-untyped]  # ships no types

    context = ir.Context()
    compiler.prepare_mlir_context(context)
    with context, ir.Location.unknown():
        module = _module(program, rules)
        compiler.set_signature(module.operation, SIGNATURE, [INPUT_NAME], list(names))
        return _compiled(compiler.merge_modules([module]))


def _compiled(module: Any) -> bytes:
    """What LiteRT's compiler makes of a module, with the settings that litert_torch gives it."""
    from litert_converter.mlir import passmanager
    from litert_converter.mlir._mlir_libs import converter_api_ext as compiler

    config = compiler.ConvertToTFLConfig()
    config.model_origin_framework = "PYTORCH"
    config.unsafe_fuse_dynamic_shaped_broadcast = True
    config.canonicalizing_inf_as_min_max_float = False
    config.enable_x64 = False
    compiler.run_convert_to_tfl_passes(module, passmanager.PassManager(), config)
    return bytes(compiler.export_flatbuffer_to_bytes(module.operation))


def _is_writable(node: Node) -> bool:
    """Whether the rules' assumptions hold: a mean is global, and what is flattened has one pixel."""
    import torch

    if node.target is torch.ops.aten.mean.dim:
        return sorted(d % 4 for d in _ints(node.args[1])) == [2, 3] and node.args[2] is True
    if node.target is torch.ops.aten.flatten.using_ints:
        return _shape(node.args[0])[1:3] == [1, 1] and len(_shape(node)) == 2
    return "memory_format" not in node.kwargs


def _module(program: ExportedProgram, rules: Mapping[Any, Rule]) -> Any:
    """An MLIR module whose function `main` is the program, its weights constants."""
    from litert_converter.mlir import ir
    from litert_converter.mlir.dialects import func  # type: ignore[import-untyped]  # ships no types

    [image] = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    [outputs] = program.graph.output_node().args
    writer = Writer(program, rules)
    module = ir.Module.create()
    kind = ir.FunctionType.get([_type(_shape(image))], [_type(_shape(output)) for output in outputs])
    with ir.InsertionPoint(module.body):
        main = func.FuncOp("main", kind)
    with ir.InsertionPoint(main.add_entry_block()):
        writer.values[image] = main.arguments[0]
        for node in program.graph.nodes:
            if node.op == "call_function":
                writer.write(node)
        func.ReturnOp([writer.values[output] for output in outputs])
    main.attributes["sym_visibility"] = ir.StringAttr.get("public")
    return module


@dataclass(slots=True)
class Writer:
    """Writes nodes at the insertion point and remembers the value of each."""

    program: ExportedProgram
    rules: Mapping[Any, Rule]
    values: dict[Node, Any]

    def __init__(self, program: ExportedProgram, rules: Mapping[Any, Rule]) -> None:
        self.program, self.rules, self.values = program, rules, {}

    def write(self, node: Node) -> None:
        """The node's operator, named after its module."""
        from litert_converter.mlir import ir

        with ir.Location.name(_module_path(node)):
            self.values[node] = self.rules[node.target](self, node, *node.args)

    def weight(self, node: Node) -> torch.Tensor:
        """The tensor of a parameter or buffer."""
        signature = self.program.graph_signature
        name = signature.inputs_to_parameters.get(node.name) or signature.inputs_to_buffers[node.name]
        found: torch.Tensor = self.program.state_dict[name]
        return found.detach()


def _module_path(node: Node) -> str:
    """Where in the definition the operator stands, such as s1.b1.a.conv."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next(reversed(stack.values()))[0] if stack else ""
    return path or node.name


def _rules() -> dict[Any, Rule]:
    """Exported operator to the rule that writes it."""
    import torch

    aten = torch.ops.aten
    return {
        aten.conv2d.default: _conv,
        aten.relu.default: _relu,
        aten.silu.default: _silu,
        aten.sigmoid.default: _sigmoid,
        aten.mean.dim: _mean,
        aten.add.Tensor: _add,
        aten.mul.Tensor: _mul,
        aten.flatten.using_ints: _flatten,
        aten.linear.default: _linear,
    }


def _conv(
    writer: Writer,
    node: Node,
    x: Node,
    weight: Node,
    bias: Node | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Any:
    import numpy as np
    from litert_converter.mlir.dialects import stablehlo

    result = stablehlo.convolution(
        result=_type(_shape(node)),
        lhs=writer.values[x],
        rhs=_constant(writer.weight(weight).permute(0, 2, 3, 1)),
        dimension_numbers=_channels_last(),
        feature_group_count=groups,
        batch_group_count=1,
        window_strides=list(stride),
        padding=np.array([[p, p] for p in padding], np.int64),
        rhs_dilation=list(dilation),
    )
    return result if bias is None else _biased(writer, result, bias)


def _channels_last() -> Any:
    """Image [b, 0, 1, f], kernel [o, 0, 1, i]."""
    from litert_converter.mlir.dialects import stablehlo

    return stablehlo.ConvDimensionNumbers.get(
        input_batch_dimension=0,
        input_feature_dimension=3,
        input_spatial_dimensions=[1, 2],
        kernel_input_feature_dimension=3,
        kernel_output_feature_dimension=0,
        kernel_spatial_dimensions=[1, 2],
        output_batch_dimension=0,
        output_feature_dimension=3,
        output_spatial_dimensions=[1, 2],
    )


def _biased(writer: Writer, x: Any, bias: Node) -> Any:
    from litert_converter.mlir.dialects import stablehlo

    shape = list(x.type.shape)
    row = _constant(writer.weight(bias))
    return stablehlo.add(x, stablehlo.broadcast_in_dim(_type(shape), row, [len(shape) - 1]))


def _relu(writer: Writer, _: Node, x: Node) -> Any:
    from litert_converter.mlir.dialects import stablehlo

    value = writer.values[x]
    return stablehlo.maximum(value, _splat(0.0, value.type.shape))


def _sigmoid(writer: Writer, _: Node, x: Node) -> Any:
    from litert_converter.mlir.dialects import stablehlo

    return stablehlo.logistic(writer.values[x])


def _silu(writer: Writer, node: Node, x: Node) -> Any:
    """TFLite has no SiLU: x * sigmoid(x)."""
    from litert_converter.mlir.dialects import stablehlo

    return stablehlo.multiply(writer.values[x], _sigmoid(writer, node, x))


def _mean(writer: Writer, node: Node, x: Node, *_: Any) -> Any:
    """The global average as a sum and a division, which the compiler knows for a mean."""
    from litert_converter.mlir import ir
    from litert_converter.mlir.dialects import stablehlo

    value, scalar = writer.values[x], _type([])
    n, height, width, channels = value.type.shape
    reduce = stablehlo.ReduceOp([_type([n, channels])], [value], [_splat(0.0, [])], [1, 2])
    body = reduce.regions[0].blocks.append(scalar, scalar)
    with ir.InsertionPoint(body):
        stablehlo.return_([stablehlo.add(*body.arguments)])
    total = stablehlo.broadcast_in_dim(_type(_shape(node)), reduce.result, [0, 3])
    return stablehlo.divide(total, _splat(float(height * width), _shape(node)))


def _add(writer: Writer, _: Node, x: Node, y: Node) -> Any:
    from litert_converter.mlir.dialects import stablehlo

    return stablehlo.add(*_broadcast(writer.values[x], writer.values[y]))


def _mul(writer: Writer, _: Node, x: Node, y: Node) -> Any:
    from litert_converter.mlir.dialects import stablehlo

    return stablehlo.multiply(*_broadcast(writer.values[x], writer.values[y]))


def _broadcast(*values: Any) -> list[Any]:
    """The values, the smaller repeated to the larger's shape."""
    from litert_converter.mlir.dialects import stablehlo

    shape = [max(sizes) for sizes in zip(*(v.type.shape for v in values), strict=True)]
    return [
        v
        if list(v.type.shape) == shape
        else stablehlo.broadcast_in_dim(_type(shape), v, list(range(len(shape))))
        for v in values
    ]


def _flatten(writer: Writer, node: Node, x: Node, *_: int) -> Any:
    from litert_converter.mlir.dialects import stablehlo

    return stablehlo.reshape(_type(_shape(node)), writer.values[x])


def _linear(writer: Writer, node: Node, x: Node, weight: Node, bias: Node | None = None) -> Any:
    from litert_converter.mlir.dialects import stablehlo

    numbers = stablehlo.DotDimensionNumbers.get(
        lhs_batching_dimensions=[],
        rhs_batching_dimensions=[],
        lhs_contracting_dimensions=[1],
        rhs_contracting_dimensions=[1],
    )
    kernel = _constant(writer.weight(weight))
    result = stablehlo.dot_general(_type(_shape(node)), writer.values[x], kernel, numbers)
    return result if bias is None else _biased(writer, result, bias)


def _shape(node: Any) -> list[int]:
    """Shape of a node's value here: channels last for images."""
    shape = list(node.meta["val"].shape)
    return [shape[0], *shape[2:], shape[1]] if len(shape) == 4 else shape


def _ints(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _type(shape: Sequence[int]) -> Any:
    from litert_converter.mlir import ir

    return ir.RankedTensorType.get(list(shape), ir.F32Type.get())


def _splat(value: float, shape: Sequence[int]) -> Any:
    from litert_converter.mlir import ir
    from litert_converter.mlir.dialects import stablehlo

    kind = _type(shape)
    return stablehlo.constant(ir.DenseElementsAttr.get_splat(kind, ir.FloatAttr.get_f32(value)))


def _constant(tensor: torch.Tensor) -> Any:
    """Infinities become the largest numbers, as litert_torch has it."""
    import numpy as np
    from litert_converter.mlir import ir
    from litert_converter.mlir.dialects import arith

    largest = np.finfo(np.float32).max
    array: NDArray[np.float32] = np.ascontiguousarray(tensor.numpy().clip(-largest, largest))
    kind = _type(array.shape)
    return arith.ConstantOp(kind, ir.DenseElementsAttr.get(array, type=kind)).result
