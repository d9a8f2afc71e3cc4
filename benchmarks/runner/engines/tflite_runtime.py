"""TFLite files by tflite-runtime, on an old board."""

from __future__ import annotations

from .litert import LiteRTEngine


class TFLiteRuntimeEngine(LiteRTEngine):
    """tflite-runtime, the predecessor that old boards have."""

    name, usual = "tflite-runtime", False
    packages, module = ("tflite-runtime", "tensorflow"), "tflite_runtime.interpreter"


ENGINE = TFLiteRuntimeEngine
