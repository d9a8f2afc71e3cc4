"""A .tflite in other people's tools: python tflite_file.py HOW FILE GIVEN.npy FOUND.npy OUTPUT...

tflite-runtime runs the file as it is; ai_edge_quantizer's recipes quantize it, and LiteRT runs what comes
out. Nothing of the project is imported.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def tflite_runtime(path: str) -> Any:
    """The last interpreter of old boards."""
    from tflite_runtime.interpreter import Interpreter

    return Interpreter(path, num_threads=1)


def recipe(path: str, name: str, given: np.ndarray) -> Any:
    """LiteRT's interpreter of the file that ai_edge_quantizer makes by one of its recipes."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer import recipe as recipes

    made = quantizer.Quantizer(path)
    made.load_quantization_recipe(getattr(recipes, name)())
    seen = {"serving_default": [{"image": batch} for batch in given]}
    out = Path(tempfile.mkdtemp()) / "quantized.tflite"
    made.quantize(made.calibrate(seen) if made.need_calibration else None).export_model(out)
    return Interpreter(str(out), num_threads=1)


def outputs(interpreter: Any, given: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
    """Each run's outputs side by side as real numbers, channels first."""
    [signature] = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(signature)
    entry, exits = runner.get_input_details()["image"], runner.get_output_details()
    found = []
    for batch in given:
        one = runner(image=_steps(batch, entry))
        real = [_real(one[name], exits[name]) for name in names]
        flat = [(v.transpose(0, 3, 1, 2) if v.ndim == 4 else v).reshape(len(v), -1) for v in real]
        found.append(np.concatenate(flat, axis=1))
    return found


def _steps(values: np.ndarray, entry: Any) -> np.ndarray:
    scale, zero = entry["quantization"]
    if not scale or values.dtype == np.uint8:
        return values
    kind = np.iinfo(entry["dtype"])
    return np.clip(np.rint(values / scale) + zero, kind.min, kind.max).astype(entry["dtype"])


def _real(values: np.ndarray, exit_: Any) -> np.ndarray:
    scale, zero = exit_["quantization"]
    return ((values.astype(np.float32) - zero) * scale if scale else values).astype(np.float32)


def main(how: str, path: str, given: str, found: str, *names: str) -> None:
    """Run one way and save the outputs side by side, (n, numbers)."""
    runs = np.load(given)
    interpreter = tflite_runtime(path) if how == "tflite-runtime" else recipe(path, how, runs)
    interpreter.allocate_tensors()
    np.save(found, np.concatenate(outputs(interpreter, runs, names)))


if __name__ == "__main__":
    main(*sys.argv[1:])
