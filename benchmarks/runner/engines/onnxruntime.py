"""ONNX files by onnxruntime."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..protocol import Json
from . import Engine, in_layout, pixels_in_layout, row, to_type

KERNEL = "_kernel_time"
FLOAT16, UINT8, INT8 = "tensor(float16)", "tensor(uint8)", "tensor(int8)"


class OnnxRuntimeEngine(Engine):
    """onnxruntime on the CPU provider."""

    name, target, packages = "onnxruntime", "onnx", ("onnxruntime",)

    def __init__(self, job: Json) -> None:
        super().__init__(job)
        self.library = importlib.import_module("onnxruntime")

    def load(self, path: str) -> None:
        self.session = self._session(path, self._options())

    def _options(self) -> Any:
        options = self.library.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        options.log_severity_level = 3
        return options

    def _session(self, path: str, options: Any) -> Any:
        return self.library.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def feed(self, image: Any) -> None:
        [entry] = self.session.get_inputs()
        given = (pixels_in_layout if entry.type in (UINT8, INT8) else in_layout)(image, entry.shape)
        if entry.type == INT8:
            given = to_type(given, np.int8, 1.0, -128)
        kind = np.float16 if entry.type == FLOAT16 else given.dtype
        self.inputs = {entry.name: np.ascontiguousarray(given, kind)}

    def run(self) -> None:
        self.out = self.session.run(None, self.inputs)

    def logits(self) -> Any:
        return self.out[0]

    def profiler(self, path: str) -> Any:
        options, folder = self._options(), tempfile.TemporaryDirectory(prefix="regnet-edge-")
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(folder.name, "ort")
        return OnnxRuntimeProfiler(self._session(path, options), self.inputs, folder)


class OnnxRuntimeProfiler:
    """ONNX Runtime's own profile, which it writes as a file of events when it ends."""

    def __init__(self, session: Any, inputs: Json, folder: Any) -> None:
        self.session, self.inputs, self.folder = session, inputs, folder

    def run(self) -> None:
        """One profiled inference."""
        self.session.run(None, self.inputs)

    def rows(self, last: int) -> list[Json]:
        """The kernels by name, in the order of the last run."""
        with open(self.session.end_profiling(), encoding="utf-8") as stream:
            runs = by_run(json.load(stream))[-last:]
        self.folder.cleanup()
        return [
            row(name, op, [run.get((name, op), 0) for run in runs]) for name, op in (runs[-1] if runs else ())
        ]


def by_run(events: Sequence[Json]) -> list[dict[tuple[str, str], int]]:
    """Time of each kernel in ns, by its node's name and kind, for every run."""
    runs: list[dict[tuple[str, str], int]] = [{}]
    for event in events:
        if event.get("name") == "model_run":
            runs.append({})
        elif event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            key = event["name"][: -len(KERNEL)], event["args"].get("op_name", "")
            runs[-1][key] = runs[-1].get(key, 0) + 1000 * event["dur"]
    return runs[:-1]


ENGINE = OnnxRuntimeEngine
