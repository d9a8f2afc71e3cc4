"""Core ML packages, on a Mac."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from ..protocol import Json, RunnerError
from . import Engine


class CoreMLEngine(Engine):
    """Core ML through coremltools, on a Mac."""

    name, target, packages = "coreml", "coreml", ("coremltools",)
    accelerators = ("cpu", "all", "cpu-gpu", "cpu-ne")

    def __init__(self, job: Json) -> None:
        if sys.platform != "darwin":
            raise RunnerError(
                "Core ML times files on a Mac only: name one with --host ssh://user@mac; here regnet-edge "
                "inspect counts the file and classify runs it"
            )
        super().__init__(job)
        self.library = importlib.import_module("coremltools")

    def load(self, path: str) -> None:
        units = {"cpu": "CPU_ONLY", "all": "ALL", "cpu-gpu": "CPU_AND_GPU", "cpu-ne": "CPU_AND_NE"}
        unit = getattr(self.library.ComputeUnit, units[self.accelerator])
        self.net = self.library.models.MLModel(path, compute_units=unit)

    def feed(self, image: Any) -> None:
        [entry] = self.net.get_spec().description.input
        if entry.type.WhichOneof("Type") == "imageType":
            raise RunnerError("the runner feeds tensors; convert without --coreml-image to measure")
        self.inputs = {entry.name: image}

    def run(self) -> None:
        self.out = self.net.predict(self.inputs)

    def logits(self) -> Any:
        return next((v for v in self.out.values() if hasattr(v, "shape")), np.zeros(0))


ENGINE = CoreMLEngine
