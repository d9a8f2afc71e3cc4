"""ExecuTorch files."""

from __future__ import annotations

import importlib
from typing import Any

from ..protocol import Json, fixed_pixels
from . import Engine

UINT8 = 0  # of ExecuTorch's ScalarType


class ExecuTorchEngine(Engine):
    """ExecuTorch's Python runtime; its pool is set to the plan's threads."""

    name, target, packages = "executorch", "executorch", ("executorch",)

    def __init__(self, job: Json) -> None:
        super().__init__(job)
        self.torch = importlib.import_module("torch")
        pool = importlib.import_module("executorch.extension.pybindings._C")
        self.runtime = importlib.import_module("executorch.runtime").Runtime.get()
        pool._unsafe_reset_threadpool(self.threads)

    def load(self, path: str) -> None:
        self.program = self.runtime.load_program(path)
        self.method = self.program.load_method("forward")

    def feed(self, image: Any) -> None:
        takes_pixels = self.method.metadata.input_tensor_meta(0).dtype() == UINT8
        self.inputs = [self.torch.from_numpy(fixed_pixels(image) if takes_pixels else image)]

    def run(self) -> None:
        self.out = self.method.execute(self.inputs)

    def logits(self) -> Any:
        return self.out[0].numpy()


ENGINE = ExecuTorchEngine
