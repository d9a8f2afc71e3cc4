"""What a .pte was lowered from, and what it computes inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regnet_edge.artifact import Artifact, Structure, graph_of
from regnet_edge.errors import ConversionError
from regnet_edge.request import ExportRequest

from ..batches import filled_batches
from ..graph import fx
from ..graph.locate import Op
from . import graph_file

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import GraphModule

    from regnet_edge.model import RegNet

    from .. import Floats, Reader

GROUPS = 6  # the place of that argument in conv2d
FLOAT_STEP = 1e-4  # what counts as one quantum of a float output
WITHIN_ONE_QUANTUM = 0.9  # share of outputs; the rest are rounding ties that later layers spread


@dataclass(frozen=True, slots=True)
class ExecuTorchReader:
    """Runs the graph that the file was lowered from, which no one can look into once it is delegated."""

    module: GraphModule
    ops: tuple[Op, ...]
    image: str
    remark: str = ""

    def values(self, batches: Iterable[Floats], names: Sequence[str]) -> Iterator[dict[str, Floats]]:
        """Dequantized as the graph does it."""
        import torch

        found: dict[str, Floats] = {}

        class Keeping(torch.fx.Interpreter):
            def run_node(self, n: torch.fx.Node) -> Any:
                value = super().run_node(n)
                if n.name in names:
                    found[n.name] = value.float().numpy()
                return value

        for batch in batches:
            with torch.no_grad():
                Keeping(self.module).run(torch.from_numpy(batch))
            yield dict(found)


def reader(artifact: Artifact, net: RegNet, images: Floats, logits: Floats) -> Reader:
    """The file's graph, kept or made again, once it is shown to give the logits that the file gives."""
    kept = graph_of(artifact.path)
    module = graph_file.load(kept) if kept.exists() else _lowered_from(artifact.request, net)
    plain = ExecuTorchReader(module, fx.of_fx(module.graph), fx.image_of(module.graph))
    return replace(plain, remark=_proof(artifact, plain, images, logits))


def _lowered_from(request: ExportRequest, net: RegNet) -> GraphModule:
    """The graph made again as the conversion made it: from the same weights and calibration images."""
    import torch

    from ..int8.calibration import images
    from ..quiet import quiet
    from .quantize import quantized

    example = torch.zeros(request.batch, request.model.config.in_channels, *[request.model.resolution] * 2)
    with torch.no_grad(), quiet():
        program = torch.export.export(net, (example,))
        if request.precision == "int8" and request.calibration is not None:
            seen = images(request.model, request.calibration)
            program = quantized(program, example, request, seen).value
        return program.module(check_guards=False)


def counted(program: ExportedProgram) -> Structure:
    """What the exported graph holds, where the file that was made of it cannot be read."""
    calls = [n for n in program.graph.nodes if n.op == "call_function"]
    ops = Counter(str(n.target).split(".")[-2] for n in calls)
    convs = [n for n in calls if "conv" in str(n.target)]
    return Structure(
        convs=len(convs),
        grouped_convs=sum(len(n.args) > GROUPS and n.args[GROUPS] > 1 for n in convs),
        ops=dict(sorted(ops.items())),
        quantize=ops["quantize_per_tensor"],
        dequantize=ops["dequantize_per_tensor"],
    )


def _proof(artifact: Artifact, graph: ExecuTorchReader, images: Floats, wanted: Floats) -> str:
    """How near the graph's outputs are to the file's, in quanta of the output; raises ConversionError."""
    last = list(graph.module.graph.nodes)[-2]
    scale = last.args[1] if "dequantize" in last.name else FLOAT_STEP
    batches = filled_batches(images, artifact.request.batch)
    found = [values[graph.ops[-1].output] for values in graph.values(batches, [graph.ops[-1].output])]
    logits = np.concatenate(found)[: len(images)]
    steps = np.abs(logits - wanted) / scale
    near = float(np.mean(steps < 1.5))
    if near < WITHIN_ONE_QUANTUM:
        raise ConversionError(
            f"the graph that {artifact.path} was made from gives other outputs ({near:.1%} within one "
            "quantum); convert the model again with this version"
        )
    return (
        f"the graph's outputs are the file's: {near:.1%} within one quantum ({scale:.4g}), "
        f"all within {max(1, round(float(steps.max())))}"
    )
