"""An exported program to its int8 form for XNNPACK: weights per channel, activations static.

torchao's export quantization with ExecuTorch's XNNPACK quantizer, less what takes time and gives
nothing here: patterns of batch norm, which the definition has folded (each is compiled anew for every
network), and one pass through the network for each image instead of each batch. Ranges come from the rule
that every target has (`int8.ranges`), by an observer that asks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from regnet_edge.request import ExportRequest

from ..batches import MOST, exported
from ..graph.fx import image_of, of_fx
from ..graph.locate import owned
from ..int8.ranges import BINS, NOTHING, Floats, Method, chosen
from ..shortcuts import Taken, take

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram
    from torch.fx import GraphModule, Node

BATCH = 8  # images a pass; more is no faster on one core and costs memory
ANNOTATION = "quantization_annotation"  # where torchao keeps what a node wants


def quantized(
    program: ExportedProgram, example: torch.Tensor, request: ExportRequest, images: Floats
) -> Taken[ExportedProgram]:
    """The program with float input and output and int8 between; `program` stays as it is.

    images: float32 (n, channels, r, r), any n. The gate's sigmoid stays in float: XNNPACK has no rule for it.
    """
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e  # type: ignore[import-untyped]  # ships no types

    assert request.calibration is not None  # noqa: S101  # its constructor refuses int8 without
    with torch.no_grad():
        module = program.module(check_guards=False)  # the guards would allow the example's batch only
        observer = observer_for(request.calibration.method)
        patterns = _patterns()
        observed = prepare_pt2e(module, _quantizer(observer, request, patterns.value))
        _observe(observed, images)
        if request.calibration.method != "minmax":
            for placed in (m for m in observed.modules() if isinstance(m, observer)):
                placed.count()
            _observe(observed, images)
        made = exported(convert_pt2e(observed), example, request, MOST)
        return Taken(made, patterns.step, patterns.way)


def observer_for(method: Method) -> Any:
    """What watches an activation and sets its range afterwards, by the rule that every target has.

    It sees the images once; for the methods that need a histogram once more, after `count`.
    """
    import torch
    from torchao.quantization.pt2e import MinMaxObserver  # type: ignore[import-untyped]  # ships no types

    class Ranged(MinMaxObserver):  # type: ignore[misc]  # its base is untyped
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.full, self.counts, self.counting = NOTHING, np.zeros(BINS, np.int64), False

        def count(self) -> None:
            """From now on, count the values between the extremes that were seen."""
            self.counting = True

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            values = x.detach().numpy()
            if self.counting:
                self.counts += self.full.histogram(values)
            else:
                self.full = self.full.including(values)
            return x

        def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
            found = chosen(method, self.full, self.counts)
            self.min_val, self.max_val = torch.tensor(found.low), torch.tensor(found.high)
            qparams: tuple[torch.Tensor, torch.Tensor] = super().calculate_qparams()
            return qparams

    return Ranged


def _patterns() -> Taken[Any]:
    """Names of the attributes of XNNPACK's quantizer that are set anew: the patterns without batch norms."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer  # type: ignore[import-untyped]  # ships no types

    def short() -> dict[str, object]:
        known = XNNPACKQuantizer.SUPPORTED_PATTERNS
        return {"SUPPORTED_PATTERNS": tuple(p for p in known if "bn" not in p.name)}

    return take("xnnpack patterns", short, dict)


def _quantizer(observer: Any, request: ExportRequest, attributes: Mapping[str, object]) -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    class Folded(XNNPACKQuantizer):  # type: ignore[misc]  # its base is untyped
        def annotate(self, model: GraphModule) -> GraphModule:
            annotated = super().annotate(model)
            for node in _kept_in_float(annotated, request):
                _release(node, self.global_config.output_activation)
            return annotated  # type: ignore[no-any-return]  # its base is untyped

    for name, value in attributes.items():
        setattr(Folded, name, value)
    config = get_symmetric_quantization_config(is_per_channel=True)
    smallest_scale = 2**-12  # the quantizer's own
    watched = replace(
        config.input_activation, observer_or_fake_quant_ctr=observer.with_args(eps=smallest_scale)
    )
    return Folded().set_global(replace(config, input_activation=watched, output_activation=watched))


def _kept_in_float(module: GraphModule, request: ExportRequest) -> list[Node]:
    """The nodes that make up the request's float layers."""
    if not request.float_layers:
        return []
    graph = module.graph
    ops = owned(of_fx(graph), image_of(graph), request.model.config, request.float_layers)
    outputs = {op.output for op in ops}
    return [node for node in graph.nodes if node.name in outputs]


def _release(node: Node, own: Any) -> None:
    """Take the node out of int8; those that read it and shared its range get one of their `own`."""
    from torchao.quantization.pt2e.quantizer import SharedQuantizationSpec  # type: ignore[import-untyped]  # ships no types

    node.meta.pop(ANNOTATION, None)
    for reader in (r for r in node.users if ANNOTATION in r.meta):
        wanted = reader.meta[ANNOTATION]
        if isinstance(wanted.input_qspec_map.get(node), SharedQuantizationSpec):
            wanted.input_qspec_map[node] = own
        if getattr(wanted.output_qspec, "edge_or_node", None) is node:
            wanted.output_qspec = own


def _observe(observed: GraphModule, images: Floats) -> None:
    import torch

    for start in range(0, len(images), BATCH):
        observed(torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH])))
