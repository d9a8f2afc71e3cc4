"""A quantized graph as one safetensors file: its tensors, and its operations as JSON in the header.

torch.export's own archive may hold pickles and libraries, which reading would run; this one holds numbers
and the names of operations that a RegNet has, and nothing else is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regnet_edge.errors import ArtifactError
from regnet_edge.files import replacing
from regnet_edge.reading import JsonObject, parse_json

from ..graph.fx import FX_OPERATIONS

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Graph, GraphModule, Node

FORMAT = "regnet-edge graph 1"
# what reading such a file may raise; safetensors' own error is an Exception of no other class
_DAMAGED = (Exception,)
_DTYPES = frozenset({"int8", "uint8", "int32", "float32"})


def save(module: GraphModule, path: Path) -> None:
    """Write the graph whole or not at all; module: what ExportedProgram.module() gives."""
    from safetensors.torch import save_file

    nodes = [_to_json(node) for node in module.graph.nodes]
    names = {str(node.target) for node in module.graph.nodes if node.op == "get_attr"}
    tensors = {name: _tensor(module, name).contiguous().clone() for name in names}
    with replacing(path) as scratch:
        save_file(tensors, scratch, metadata={"format": FORMAT, "graph": json.dumps(nodes)})


def load(path: Path) -> GraphModule:
    """The graph, ready to run; raises ArtifactError for a file that is not of this format."""
    import torch
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            header = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  # no mapping
        if header.get("format") != FORMAT:
            raise ValueError(f"it is not in the format {FORMAT!r}")
        graph = _graph(parse_json(header["graph"], infinite=True))
        return torch.fx.GraphModule(_root(tensors), graph)
    except _DAMAGED as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ArtifactError(
            f"cannot read the graph {path} ({reason}); convert again with --keep-graph"
        ) from error


def _tensor(module: GraphModule, name: str) -> Tensor:
    *owner, last = name.split(".")
    found: Tensor = getattr(module.get_submodule(".".join(owner)), last)
    return found.detach()


def _root(tensors: dict[str, Tensor]) -> Any:
    import torch

    root = torch.nn.Module()
    for name, tensor in tensors.items():
        owner = root
        *parents, last = name.split(".")
        for parent in parents:
            if parent not in owner._modules:
                owner.add_module(parent, torch.nn.Module())
            owner = owner.get_submodule(parent)
        owner.register_buffer(last, tensor)
    return root


def _to_json(node: Node) -> JsonObject:
    args, kwargs = [_plain(a) for a in node.args], {k: _plain(v) for k, v in node.kwargs.items()}
    return {"name": node.name, "op": node.op, "target": str(node.target), "args": args, "kwargs": kwargs}


def _plain(value: Any) -> Any:
    import torch

    if isinstance(value, torch.fx.Node):
        return {"node": value.name}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _graph(nodes: list[JsonObject]) -> Graph:
    import torch

    graph, known = torch.fx.Graph(), dict[str, "Node"]()
    for node in nodes:
        target = _operation(node["target"]) if node["op"] == "call_function" else node["target"]
        args = tuple(_value(a, known) for a in node["args"])
        kwargs = {k: _value(v, known) for k, v in node["kwargs"].items()}
        if node["op"] not in ("placeholder", "get_attr", "call_function", "output"):
            raise ValueError(f"it has a node of the kind {node['op']!r}")
        known[node["name"]] = graph.create_node(node["op"], target, args, kwargs, node["name"])
    graph.lint()
    return graph


def _operation(name: str) -> Any:
    """The operation of that name, of those that a RegNet has; raises ValueError for any other."""
    import torch

    space, operation, overload = name.split(".")
    if space not in ("aten", "quantized_decomposed") or operation not in FX_OPERATIONS:
        raise ValueError(f"it has an operation {name}, which no RegNet here has")
    if space == "quantized_decomposed":
        import torchao.quantization.pt2e.quantize_pt2e  # type: ignore[import-untyped]  # noqa: F401  # registers them; ships no types
    return getattr(getattr(getattr(torch.ops, space), operation), overload)


def _value(value: Any, known: dict[str, Node]) -> Any:
    import torch

    if isinstance(value, list):
        return [_value(v, known) for v in value]
    if not isinstance(value, dict):
        return value
    if "node" in value:
        return known[value["node"]]
    if value["dtype"] not in _DTYPES:
        raise ValueError(f"it has numbers of the type {value['dtype']!r}")
    return getattr(torch, value["dtype"])
