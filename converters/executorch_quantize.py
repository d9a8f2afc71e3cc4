"""An exported program to its int8 form for XNNPACK: weights per channel, activations static.

torchao's export quantization with ExecuTorch's XNNPACK quantizer, less what takes time and gives
nothing here: patterns of batch norm, which the definition has folded (each is compiled anew for every
network), histograms where minima and maxima are asked for, and one pass through the network for each
image instead of each batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from regnet_edge.artifact import Calibration

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch.export import ExportedProgram
    from torch.fx import GraphModule

BATCH = 8  # images a pass; more is no faster on one core and costs memory
KEPT = 0.9999  # share of the values that a percentile keeps within the range


def quantized(
    program: ExportedProgram, example: torch.Tensor, calibration: Calibration, images: NDArray[np.float32]
) -> ExportedProgram:
    """The program with float input and output and int8 between; `program` stays as it is.

    images: float32 (n, channels, r, r), any n. The gate's sigmoid stays in float: XNNPACK has no rule for it.
    """
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e  # type: ignore[import-untyped]  # ships no types

    with torch.no_grad():
        module = program.module(check_guards=False)  # the guards would allow the example's batch only
        observed = prepare_pt2e(module, _quantizer(observer_for(calibration.method)))
        _observe(observed, images)
        return torch.export.export(convert_pt2e(observed), (example,))


def observer_for(method: str) -> Any:
    """What watches an activation during calibration and sets its range afterwards.

    minmax: all values; percentile: all but the outermost, half on each side; mse: the range whose
    quantization error over the histogram is least, as torchao searches it.
    """
    from torchao.quantization.pt2e import HistogramObserver, MinMaxObserver  # type: ignore[import-untyped]  # ships no types

    class Percentile(HistogramObserver):  # type: ignore[misc]  # its base is untyped
        def _non_linear_param_search(self) -> tuple[torch.Tensor, torch.Tensor]:
            share = self.histogram.cumsum(0) / self.histogram.sum()
            first, last = (share <= (1 - KEPT) / 2).sum(), (share < (1 + KEPT) / 2).sum()
            width = (self.max_val - self.min_val) / self.bins
            return self.min_val + width * first, self.min_val + width * (last + 1)

    return {"minmax": MinMaxObserver, "percentile": Percentile, "mse": HistogramObserver}[method]


def _quantizer(observer: Any) -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (  # type: ignore[import-untyped]  # ships no types
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    class Folded(XNNPACKQuantizer):  # type: ignore[misc]  # its base is untyped
        SUPPORTED_PATTERNS = tuple(p for p in XNNPACKQuantizer.SUPPORTED_PATTERNS if "bn" not in p.name)

    config = get_symmetric_quantization_config(is_per_channel=True)
    smallest_scale = 2**-12  # the quantizer's own
    watched = replace(
        config.input_activation, observer_or_fake_quant_ctr=observer.with_args(eps=smallest_scale)
    )
    return Folded().set_global(replace(config, input_activation=watched, output_activation=watched))


def _observe(observed: GraphModule, images: NDArray[np.float32]) -> None:
    import numpy as np
    import torch

    for start in range(0, len(images), BATCH):
        observed(torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH])))
