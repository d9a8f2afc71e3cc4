"""The definition itself in PyTorch: what files are compared with."""

from __future__ import annotations

import importlib
from typing import Any

from ..protocol import Json
from . import Engine


class TorchEngine(Engine):
    """PyTorch eager: the definition itself, built from the artifact's sidecar by regnet_edge."""

    name, target, packages = "torch", "torch", ("torch",)

    def __init__(self, job: Json) -> None:
        super().__init__(job)
        self.torch = importlib.import_module("torch")
        self.torch.set_num_threads(self.threads)
        self.definition = importlib.import_module("regnet_edge.benchmarks.definition")

    def load(self, path: str) -> None:
        self.net = self.definition.network(path)

    def feed(self, image: Any) -> None:
        self.input = self.torch.from_numpy(image)

    def run(self) -> None:
        with self.torch.inference_mode():
            self.out = self.net(self.input)

    def logits(self) -> Any:
        return self.out.numpy()


ENGINE = TorchEngine
