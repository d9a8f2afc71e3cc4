"""The tools' own documented pipelines from a PyTorch module to a file, one process a file.

Run: python peers/native.py TARGET MODEL RESOLUTION OUT [IMAGES.npy]
With images (float32 NCHW) the file is int8, calibrated on them one by one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SUFFIXES = {"coreml": ".mlpackage", "executorch": ".pte", "onnx": ".onnx", "tflite": ".tflite"}


def executorch(module: Any, example: Any, out: str, images: Any = None) -> None:
    """ExecuTorch with XNNPACK; int8 with torchao's export quantization."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    if images is not None:
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )

        config = get_symmetric_quantization_config(is_per_channel=True)
        module = _pt2e(module, example, XNNPACKQuantizer().set_global(config), images)
    edge = to_edge_transform_and_lower(
        torch.export.export(module, (example,)), partitioner=[XnnpackPartitioner()]
    )
    with open(out, "wb") as stream:
        edge.to_executorch().write_to_file(stream)


def _pt2e(module: Any, example: Any, quantizer: Any, images: Any) -> Any:
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    prepared = prepare_pt2e(torch.export.export(module, (example,)).module(), quantizer)
    for image in images:
        prepared(torch.from_numpy(image[None]))
    return convert_pt2e(prepared)


def tflite(module: Any, example: Any, out: str, images: Any = None) -> None:
    """litert_torch; int8 with ai_edge_quantizer."""
    import litert_torch

    litert_torch.convert(module, (example,)).export(out)
    if images is None:
        return
    from ai_edge_quantizer import quantizer, recipe

    quantize = quantizer.Quantizer(out)
    quantize.load_quantization_recipe(recipe.static_wi8_ai8())
    statistics = quantize.calibrate({"serving_default": [{"args_0": image[None]} for image in images]})
    quantize.quantize(statistics).export_model(out, overwrite=True)


def onnx(module: Any, example: Any, out: str, images: Any = None) -> None:
    """torch.onnx; int8 with onnxruntime's QDQ quantization."""
    import torch

    torch.onnx.export(module, (example,), out, dynamo=True, external_data=False, input_names=["image"])
    if images is None:
        return
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class PeerReader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.images, None)
            return None if image is None else {"image": image[None]}

    quant_pre_process(out, out)
    quantize_static(
        out,
        out,
        PeerReader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )


def coreml(module: Any, example: Any, out: str, images: Any = None) -> None:
    """coremltools; int8 (W8A8) with torchao's export quantization and ExecuTorch's CoreMLQuantizer."""
    import coremltools as ct
    import torch

    if images is not None:
        from coremltools.optimize.torch.quantization.quantization_config import (
            LinearQuantizerConfig,
            QuantizationScheme,
        )
        from executorch.backends.apple.coreml.quantizer import CoreMLQuantizer

        config = LinearQuantizerConfig.from_dict(
            {"global_config": {"quantization_scheme": QuantizationScheme.symmetric}}
        )
        module = _pt2e(module, example, CoreMLQuantizer(config), images)
    program = torch.export.export(module, (example,)).run_decompositions({})
    ct.convert(
        program, minimum_deployment_target=ct.target.iOS17, compute_precision=ct.precision.FLOAT32
    ).save(out)


PIPELINES: dict[str, Callable[..., None]] = {
    "coreml": coreml,
    "executorch": executorch,
    "onnx": onnx,
    "tflite": tflite,
}


def main(target: str, model: str, resolution: str, out: str, *images: str) -> None:
    """Build the module with random weights and run one pipeline on it."""
    import numpy as np
    import torch

    from regnet_edge import zoo
    from regnet_edge.model import build_latency_subject

    side = int(resolution)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    module = build_latency_subject(zoo.find(model).config)
    example = torch.zeros(1, module.config.in_channels, side, side)
    seen = [np.load(path) for path in images]
    PIPELINES[target](module, example, out, *seen)


if __name__ == "__main__":
    main(*sys.argv[1:])
