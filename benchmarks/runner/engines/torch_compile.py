"""The definition, compiled by PyTorch."""

from __future__ import annotations

from .torch import TorchEngine


class TorchCompileEngine(TorchEngine):
    """PyTorch compiled by its default back end; the first run compiles."""

    name, usual = "torch-compile", False

    def load(self, path: str) -> None:
        super().load(path)
        self.net = self.torch.compile(self.net)


ENGINE = TorchCompileEngine
