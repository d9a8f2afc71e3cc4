"""A float TFLite file to its other precisions: the quantizer's own recipes, ranges from `quantize`.

The quantizer's calibration follows a moving average that depends on the order of the images, and walks
the graph in Python for each of them; here the file runs once an image with all tensors kept, and the
method is the same as on every other target.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from regnet_edge.request import Calibration, ExportRequest

from ..batches import filled_batches
from ..graph.locate import owned
from ..int8.ranges import ranges
from .graph import observing, of_tflite

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


def quantized(
    content: bytes, request: ExportRequest, images: Floats | None, float_doors: bool = True
) -> bytes:
    """The file in the request's precision; input and output are int8 too where they are no float doors.

    images: the calibration's, float32 (n, channels, r, r); None for a precision that needs none.
    """
    from ai_edge_quantizer.quantizer import Quantizer  # type: ignore[import-untyped]  # ships no types

    quantizer = Quantizer(content)
    _recipe(quantizer, request, float_doors)
    for name in _kept_in_float(content, request):
        quantizer.update_quantization_recipe(
            f"^{re.escape(name)};?$", algorithm_key="no_quantize", operation_name="*"
        )
    statistics = None
    if quantizer.need_calibration:
        assert request.calibration is not None  # noqa: S101  # its constructor refuses int8 without
        assert images is not None  # noqa: S101  # and who calls brings the images
        statistics = _statistics(content, request.calibration, images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it opens an interpreter that keeps every tensor, and warns of that
        result = quantizer.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def _recipe(quantizer: Any, request: ExportRequest, float_doors: bool) -> None:
    from ai_edge_quantizer import recipe  # type: ignore[import-untyped]  # ships no types
    from ai_edge_quantizer.qtyping import TFLOperationName  # type: ignore[import-untyped]  # ships no types

    recipes = {
        "int8": recipe.static_wi8_ai8,
        "int8x16": recipe.static_wi8_ai16,
        "w8": recipe.weight_only_wi8_afp32,
        "dynamic": recipe.dynamic_wi8_afp32,
        "fp16": _fp16_recipe,
    }
    quantizer.load_quantization_recipe(recipes[request.precision]())
    for door in (TFLOperationName.INPUT, TFLOperationName.OUTPUT) if float_doors else ():
        quantizer.update_quantization_recipe(".*", door, algorithm_key="no_quantize")


def _kept_in_float(content: bytes, request: ExportRequest) -> Iterator[str]:
    """Output tensors of the operations that make up the request's float layers."""
    if not request.float_layers:
        return
    interpreter = observing(content)
    names = {str(d["index"]): str(d["name"]) for d in interpreter.get_tensor_details()}
    [entry] = interpreter.get_input_details()
    ops = owned(of_tflite(interpreter), str(entry["index"]), request.model.config, request.float_layers)
    yield from (names[op.output] for op in ops)


def _fp16_recipe() -> Any:
    """Weights as float16; the runtime widens them, or computes in float16 where it can."""
    from ai_edge_quantizer.algorithm_manager import AlgorithmName  # type: ignore[import-untyped]  # ships no types
    from ai_edge_quantizer.qtyping import (
        ComputePrecision,
        OpQuantizationConfig,
        TensorDataType,
        TensorQuantizationConfig,
        TFLOperationName,
    )
    from ai_edge_quantizer.recipe_manager import RecipeManager  # type: ignore[import-untyped]  # ships no types

    config = OpQuantizationConfig(
        weight_tensor_config=TensorQuantizationConfig(num_bits=16, dtype=TensorDataType.FLOAT),
        compute_precision=ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    manager = RecipeManager()
    ops = (TFLOperationName.CONV_2D, TFLOperationName.DEPTHWISE_CONV_2D, TFLOperationName.FULLY_CONNECTED)
    for op in ops:
        manager.add_quantization_config(".*", op, config, AlgorithmName.FLOAT_CASTING)
    return manager.get_quantization_recipe()


def _statistics(content: bytes, calibration: Calibration, images: Floats) -> dict[str, dict[str, Floats]]:
    """Range of each activation by tensor name, in the quantizer's words."""
    import numpy as np

    found = ranges(calibration.method, lambda: _activations(content, images))
    return {
        name: {"min": np.array([r.low], np.float32), "max": np.array([r.high], np.float32)}
        for name, r in found.items()
    }


def _activations(content: bytes, images: Floats) -> Iterator[dict[str, Floats]]:
    """Input and results of every operation by name, for each batch that the file takes."""
    interpreter = observing(content)
    [entry] = interpreter.get_input_details()
    results = {entry["index"]} | {int(i) for op in interpreter._get_ops_details() for i in op["outputs"]}
    names = {d["index"]: d["name"] for d in interpreter.get_tensor_details() if d["index"] in results}
    for batch in filled_batches(images.transpose(0, 2, 3, 1), entry["shape"][0]):
        interpreter.set_tensor(entry["index"], batch)
        interpreter.invoke()
        yield {name: interpreter.get_tensor(index) for index, name in names.items()}
