"""ExecuTorch files."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from ..protocol import Json, RunnerError
from . import Engine, in_layout, pixels_in_layout, row

NATIVE = "native_call_"  # an operator of ExecuTorch's own kernels
COREML = "CoreMLBackend"  # how a program names that delegate
EXPORTER = "executorch.exir"  # which the runtime imports for the class of a warning
UINT8, FLOAT16 = 0, 5  # of ExecuTorch's ScalarType
HALF_US = 500.0  # ns: XNNPACK tells whole microseconds, rounded down; their middle is what they mean


class ExecuTorchEngine(Engine):
    """ExecuTorch's Python runtime; its pool is set to the plan's threads."""

    name, target, packages = "executorch", "executorch", ("executorch",)

    def __init__(self, job: Json) -> None:
        super().__init__(job)
        self.torch = importlib.import_module("torch")
        pool = importlib.import_module("executorch.extension.pybindings._C")
        self.runtime = _runtime()
        pool._unsafe_reset_threadpool(self.threads)

    def load(self, path: str) -> None:
        if COREML.encode() in _program(path) and not self.runtime.backend_registry.is_available(COREML):
            raise RunnerError(
                "the file is for Core ML, which only Apple's devices run; convert without --delegate coreml"
            )
        self.program = self.runtime.load_program(path)
        self.method = self.program.load_method("forward")

    def feed(self, image: Any) -> None:
        told = self.method.metadata.input_tensor_meta(0)
        given = (pixels_in_layout if told.dtype() == UINT8 else in_layout)(image, told.sizes())
        kind = np.float16 if told.dtype() == FLOAT16 else given.dtype
        self.inputs = [self.torch.from_numpy(np.ascontiguousarray(given, kind))]

    def run(self) -> None:
        self.out = self.method.execute(self.inputs)

    def logits(self) -> Any:
        return self.out[0].numpy()

    def profiler(self, path: str) -> Any:
        library = importlib.import_module("executorch.extension.pybindings.portable_lib")
        module = library._load_for_executorch(path, enable_etdump=True)
        return ExecuTorchProfiler(module, tuple(self.inputs)) if module.has_etdump() else None


class ExecuTorchProfiler:
    """ExecuTorch's ETDump, in which XNNPACK tells each of its operators."""

    def __init__(self, module: Any, inputs: Any) -> None:
        self.module, self.inputs = module, inputs

    def run(self) -> None:
        """One profiled inference."""
        self.module.run_method("forward", self.inputs)

    def rows(self, last: int) -> list[Json]:
        """Operators in the order in which they run; not delegated: what XNNPACK did not take."""
        inspector = importlib.import_module("executorch.devtools").Inspector
        with tempfile.TemporaryDirectory(prefix="regnet-edge-") as folder:
            dump = os.path.join(folder, "run.etdp")
            self.module.write_etdump_result_to_file(dump)
            [block] = [b for b in inspector(etdump_path=dump).event_blocks if b.name == "Execute"]
        told = [e for e in block.events if e.perf_data and (e.is_delegated_op or e.name.startswith(NATIVE))]
        return [_row(e.name, list(e.perf_data.raw)[-last:], bool(e.is_delegated_op)) for e in told]


def _row(name: str, times_ms: Sequence[float], delegated: bool) -> Json:
    return row(name, "", [1e6 * t + (HALF_US if delegated else 0) for t in times_ms], delegated)


def _runtime() -> Any:
    """The runtime, where that works without the exporter that its module loads first, in seconds."""
    with contextlib.suppress(ImportError, AttributeError, TypeError), _stand_in():
        return importlib.import_module("executorch.runtime").Runtime.get()
    return importlib.import_module("executorch.runtime").Runtime.get()


@contextlib.contextmanager
def _stand_in() -> Iterator[None]:
    """While importing, a package in the exporter's place: its modules are found, nothing of it runs."""
    package, found = ModuleType(EXPORTER), importlib.util.find_spec("executorch")
    places = found.submodule_search_locations if found else None
    package.__path__ = [os.path.join(place, "exir") for place in places or ()]
    there = sys.modules.setdefault(EXPORTER, package)
    try:
        yield
    finally:
        if there is package:
            del sys.modules[EXPORTER]


def _program(path: str) -> bytes:
    """The program without the weights behind it, whose size its header says."""
    with open(path, "rb") as stream:
        return stream.read(int.from_bytes(stream.read(24)[16:24], "little"))


ENGINE = ExecuTorchEngine
