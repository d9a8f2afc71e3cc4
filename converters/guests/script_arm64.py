"""Logits of a TFLite or ONNX file: a script for an environment of another architecture.

Run: python script_arm64.py MODEL.tflite|MODEL.onnx IMAGES.npy LOGITS.npy BATCH
Images are float32 or uint8, laid out as the file takes them, their number a multiple of BATCH. Nothing of the
project is imported: this runs where it is not installed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def main(model: str, images: str, logits: str, batch: str) -> None:
    """Run every batch, on one thread."""
    import numpy as np

    forward = _tflite(model) if model.endswith(".tflite") else _onnx(model)
    pixels, size = np.load(images), int(batch)
    found = [forward(pixels[start : start + size]) for start in range(0, len(pixels), size)]
    np.save(logits, np.concatenate(found))


def _tflite(model: str) -> Callable[[Any], Any]:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]  # ships no types

    interpreter = Interpreter(model, num_threads=1)
    interpreter.allocate_tensors()
    [entry], exit_ = interpreter.get_input_details(), interpreter.get_output_details()[0]

    def forward(pixels: Any) -> Any:
        scale, zero = entry["quantization"]
        if scale:
            limits = np.iinfo(entry["dtype"])
            steps = np.rint(pixels / np.float32(scale)) + zero
            pixels = np.clip(steps, limits.min, limits.max).astype(entry["dtype"])
        interpreter.set_tensor(entry["index"], pixels)
        interpreter.invoke()
        found = interpreter.get_tensor(exit_["index"]).astype(np.float32)
        scale, zero = exit_["quantization"]
        return (found - np.float32(zero)) * np.float32(scale) if scale else found

    return forward


def _onnx(model: str) -> Callable[[Any], Any]:
    import onnxruntime  # type: ignore[import-untyped]  # ships no types

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    [entry] = session.get_inputs()
    return lambda pixels: session.run(None, {entry.name: pixels})[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
