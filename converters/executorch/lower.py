"""An exported program to an ExecuTorch program whose layers run in XNNPACK, without the detours.

ExecuTorch's own `to_edge_transform_and_lower` traces the whole graph again some thirty times: thrice to
decompose it, nine times on the way to the edge dialect, and once for each of seventeen passes of the
XNNPACK backend, most of which look for operators that a RegNet has not (two of them compile patterns
of bilinear resizing and attention each time). A RegNet uses a handful of operators, so `edge_program`
writes each of them in the edge dialect directly, as the decompositions would, and only the passes
that act on those operators run. Verification, partitioning, serialization and memory planning are
ExecuTorch's own, and the file is the same byte for byte. A program with any other operator, or another
version of ExecuTorch, takes ExecuTorch's pipeline as it is.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..shortcuts import Taken, take

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.export.graph_signature import ExportGraphSignature
    from torch.fx import Graph, GraphModule, Node

UNCHANGED = ("relu", "sigmoid", "mean.dim", "mul.Tensor", "add.Tensor", "linear")
QUANTIZED = ("quantize_per_tensor", "dequantize_per_tensor", "dequantize_per_channel")


# Writes one operator into a graph: (graph, the operator as exported, its new arguments) to its result.
Rule = Callable[..., "Node"]


def lower(program: ExportedProgram, constants: Mapping[str, str], record: Path | None = None) -> Taken[Any]:
    """An ExecutorchProgramManager with a method for each constant; `program` stays as it is.

    record: where ExecuTorch's own ETRecord goes, which its Inspector reads.
    """
    return take(
        "executorch lowering",
        lambda: lower_short(program, constants, record),
        lambda: lower_stock(program, constants, record),
    )


def lower_short(program: ExportedProgram, constants: Mapping[str, str], record: Path | None = None) -> Any:
    """The same by this module's own way; None for a program with an operator unknown here."""
    edge = edge_program(program)
    if edge is None:
        return None
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner  # type: ignore[import-untyped]  # ships no types
    from executorch.exir import EdgeProgramManager  # type: ignore[import-untyped]  # ships no types

    manager = EdgeProgramManager(edge, dict(constants), _config())
    before = copy.deepcopy(manager) if record else None
    with _needed_passes():
        made = manager.to_backend(XnnpackPartitioner()).to_executorch()
    if record:
        from executorch.devtools import generate_etrecord  # type: ignore[import-untyped]  # ships no types

        generate_etrecord(str(record), before, made, program)
    return made


def lower_stock(program: ExportedProgram, constants: Mapping[str, str], record: Path | None = None) -> Any:
    """The same by ExecuTorch's documented pipeline."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    made = to_edge_transform_and_lower(
        program,
        partitioner=[XnnpackPartitioner()],
        constant_methods=dict(constants),
        generate_etrecord=record is not None,
    ).to_executorch()
    if record:
        made.get_etrecord().save(str(record))
    return made


def edge_program(program: ExportedProgram) -> ExportedProgram | None:
    """The program in the edge dialect, sharing its weights; None if it has operators unknown here."""
    rules = _rules()
    calls = [node for node in program.graph.nodes if node.op not in ("placeholder", "output")]
    if any(node.target not in rules for node in calls):
        return None
    from executorch.exir.passes.remove_unused_parameters_pass import remove_unused_parameters_pass  # type: ignore[import-untyped]  # ships no types

    edge: ExportedProgram = remove_unused_parameters_pass(
        _exported(program, _rewritten(program.graph, rules))
    )
    return edge


def _rewritten(graph: Graph, rules: Mapping[Any, Rule]) -> Graph:
    """The graph with each operator in the edge dialect, numbered for the profiler as ExecuTorch does."""
    from torch.fx import Graph, map_arg

    new, renamed, handles = Graph(), dict[Any, Any](), dict[str, int]()
    for node in graph.nodes:
        if node.op in ("placeholder", "output"):
            renamed[node] = new.node_copy(node, renamed.__getitem__)
            continue
        handle = handles.setdefault(_ancestor(node), len(handles) + 1)
        written = next(reversed(new.nodes))
        renamed[node] = rules[node.target](new, node, *map_arg(node.args, renamed.__getitem__), **node.kwargs)
        while (written := written.next).op != "root":
            written.meta = {**node.meta, "debug_handle": handle}
    return new


def _ancestor(node: Node) -> str:
    """Name of the operator that this one was made from: quantization makes several from one."""
    from executorch.exir.debug_handle_utils import get_greatest_ancestor_node_identifier  # type: ignore[import-untyped]  # ships no types

    return str(get_greatest_ancestor_node_identifier(node)) if "from_node" in node.meta else node.name


def _exported(program: ExportedProgram, graph: Graph) -> ExportedProgram:
    from executorch.exir.verification.verifier import EXIREdgeDialectVerifier  # type: ignore[import-untyped]  # ships no types
    from torch.export import ExportedProgram
    from torch.fx import GraphModule
    from torch.nn import Module

    return ExportedProgram(
        root=GraphModule(Module(), graph),
        graph=graph,
        graph_signature=_signature(program.graph_signature, graph.output_node().all_input_nodes),
        state_dict=dict(program.state_dict),
        range_constraints=dict(program.range_constraints),
        module_call_graph=list(program.module_call_graph),
        example_inputs=program.example_inputs,
        constants=dict(program.constants),
        verifiers=[EXIREdgeDialectVerifier(edge_compile_config=_config(verify=False), class_only=True)],
    )


def _signature(signature: ExportGraphSignature, outputs: Sequence[Node]) -> ExportGraphSignature:
    """A copy whose outputs have the names that they have in the new graph."""
    from copy import deepcopy

    from torch.export.graph_signature import TensorArgument

    changed = deepcopy(signature)
    for spec, node in zip(changed.output_specs, outputs, strict=True):
        spec.arg = TensorArgument(name=node.name)
    return changed


def _config(*, verify: bool = True) -> Any:
    """The edge dialect in which a linear layer stays one, as the XNNPACK partitioner asks for.

    It is verified once, by EdgeProgramManager, and not again at each of the dozen copies made of it.
    """
    import torch
    from executorch.exir import EdgeCompileConfig

    linear = torch.ops.aten.linear.default
    return EdgeCompileConfig(_core_aten_ops_exception_list=[linear], _check_ir_validity=verify)


def _rules() -> dict[Any, Rule]:
    """Exported operator to the rule that writes it in the edge dialect."""
    import torch
    from executorch.exir.dialects._ops import ops  # type: ignore[import-untyped]  # ships no types

    aten, quantized = torch.ops.aten, torch.ops.quantized_decomposed
    same = {_overload(aten, name): _same(_overload(ops.edge.aten, name)) for name in UNCHANGED}
    for name in QUANTIZED:
        same[_overload(quantized, name)] = _same(_overload(ops.edge.quantized_decomposed, name))
    return {
        **same,
        aten.conv2d.default: _convolution,
        aten.flatten.using_ints: _view,
        aten.silu.default: _silu,
        aten._to_copy.default: _cast,
        aten.permute_copy.default: _same(ops.edge.aten.permute_copy.default),
        aten.softmax.int: _softmax,
    }


def _overload(namespace: Any, name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(namespace, packet), overload or "default")


def _same(operator: Any) -> Rule:
    def rule(graph: Graph, _: Node, *args: Any, **kwargs: Any) -> Node:
        return graph.call_function(operator, args, kwargs)

    return rule


def _convolution(
    graph: Graph,
    _: Node,
    x: Node,
    weight: Node,
    bias: Node | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Node:
    """conv2d is convolution, not transposed and without output padding."""
    from executorch.exir.dialects._ops import ops

    sizes = (list(stride), list(padding), list(dilation))
    return graph.call_function(
        ops.edge.aten.convolution.default, (x, weight, bias, *sizes, False, [0, 0], groups)
    )


def _view(graph: Graph, source: Node, x: Node, *_: int) -> Node:
    """Flatten is a view of the shape that the export found; -1, which XNNPACK takes, is an open batch."""
    from executorch.exir.dialects._ops import ops

    shape = [n if isinstance(n, int) else -1 for n in source.meta["val"].shape]
    return graph.call_function(ops.edge.aten.view_copy.default, (x, shape))


def _silu(graph: Graph, _: Node, x: Node) -> Node:
    """XNNPACK has no SiLU: x * sigmoid(x)."""
    from executorch.exir.dialects._ops import ops

    gate = graph.call_function(ops.edge.aten.sigmoid.default, (x,))
    return graph.call_function(ops.edge.aten.mul.Tensor, (x, gate))


def _cast(graph: Graph, source: Node, x: Node, *, dtype: Any) -> Node:
    """A cast keeps the order of the dimensions."""
    from executorch.exir.dialects._ops import ops

    order = list(range(len(source.meta["val"].shape)))
    return graph.call_function(
        ops.edge.dim_order_ops._to_dim_order_copy.default, (x,), {"dtype": dtype, "dim_order": order}
    )


def _softmax(graph: Graph, _: Node, x: Node, dim: int) -> Node:
    from executorch.exir.dialects._ops import ops

    return graph.call_function(ops.edge.aten._softmax.default, (x, dim, False))


@contextlib.contextmanager
def _needed_passes() -> Iterator[None]:
    """Within, XNNPACK's passes are those that act on the operators which `edge_program` writes.

    XnnpackBackend has no argument for its passes, so the name through which it finds their manager is
    exchanged meanwhile. What is left out acts on clones, dimension orders, bilinear resizing, addmm,
    user annotations, attention, constants, batch norm, cat, max pooling, pad, 1-d convolution, PReLU.
    """
    from executorch.backends.xnnpack import xnnpack_preprocess  # type: ignore[import-untyped]  # ships no types

    stock, needed = xnnpack_preprocess.XNNPACKPassManager, _passes()
    xnnpack_preprocess.XNNPACKPassManager = lambda program, passes=None: stock(program, passes or needed)
    try:
        yield
    finally:
        xnnpack_preprocess.XNNPACKPassManager = stock


def _passes() -> list[type[Any]]:
    """Activations into their convolutions, channels last, no double transposition.

    Each ends with `super().call`, which traces the graph again for the shapes of new nodes. Only what
    the last pass finds is read, so the others meet `_Untraced` there: a new node (a transposition, or
    the quantization around one) has its input's shape meanwhile.
    """
    from executorch.backends.xnnpack import _passes as stock
    from executorch.backends.xnnpack._passes.xnnpack_pass import XNNPACKPass  # type: ignore[import-untyped]  # ships no types
    from torch.fx.passes.infra.pass_base import PassResult

    class _Untraced(XNNPACKPass):  # type: ignore[misc]  # its base is untyped
        def call(self, graph_module: GraphModule) -> PassResult:
            for node in graph_module.graph.nodes:
                if "val" not in node.meta and node.op == "call_function":
                    node.meta["val"] = node.args[0].meta["val"]
            return PassResult(graph_module, True)

    class _FuseActivation(stock.FuseActivationPass, _Untraced):  # type: ignore[misc]  # its base is untyped
        pass

    class _ChannelsLast(stock.ChannelsLastTaggedReshapePass, _Untraced):  # type: ignore[misc]  # its base is untyped
        pass

    return [_FuseActivation, _ChannelsLast, stock.RemoveRedundantCopyPass]
