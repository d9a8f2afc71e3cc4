"""ONNX files by onnxruntime."""

from __future__ import annotations

import importlib
from typing import Any

from ..protocol import Json, fixed_pixels
from . import Engine


class OnnxRuntimeEngine(Engine):
    """onnxruntime on the CPU provider."""

    name, target, packages = "onnxruntime", "onnx", ("onnxruntime",)

    def __init__(self, job: Json) -> None:
        super().__init__(job)
        self.library = importlib.import_module("onnxruntime")

    def load(self, path: str) -> None:
        options = self.library.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        self.session = self.library.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def feed(self, image: Any) -> None:
        [entry] = self.session.get_inputs()
        self.inputs = {entry.name: fixed_pixels(image) if entry.type == "tensor(uint8)" else image}

    def run(self) -> None:
        self.out = self.session.run(None, self.inputs)

    def logits(self) -> Any:
        return self.out[0]


ENGINE = OnnxRuntimeEngine
