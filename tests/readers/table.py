"""The one table: which reader opens which kinds of file, in which environment, and how near its outputs come.

Where a reader's answers are other ones, `differs` says below which dB they stay, and a test holds that too,
so that a reader that has become better is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .environments import PROJECT
from .kinds import KINDS, Kind

EXACT, ROUNDED, QUANTUM, LOSSY = 100.0, 50.0, 25.0, 20.0  # dB: float32, float16, integers, weights made anew
DRIFTING = 10.0  # ai_edge_quantizer's ranges follow a moving average, and three pictures hardly move it
_INTEGERS = ("int8", "dynamic", "int8x16")


@dataclass(frozen=True, slots=True)
class Reader:
    """A tool and a way of reading: a script, what it is told, and the environment that it runs in.

    kinds: none means all of the target's. decibels: above this its outputs are equal to our runtime's, 0 for
    what the file's precision allows. differs: the kinds that it computes otherwise, and below which dB.
    """

    name: str
    target: str
    script: str
    how: str
    environment: str = PROJECT
    kinds: tuple[str, ...] = ()
    decibels: float = 0.0
    differs: Mapping[str, float] = field(default_factory=dict)

    def takes(self) -> list[Kind]:
        """The kinds of its row."""
        return [k for k in KINDS if k.target == self.target and (not self.kinds or k.name in self.kinds)]

    def nearness(self, kind: Kind) -> float:
        """What its outputs must reach, in dB."""
        return self.decibels or allowed(kind.precision)


def allowed(precision: str) -> float:
    """How near two runtimes come on a file of that precision, in dB, where each rounds as it may."""
    return {"fp16": ROUNDED}.get(precision, QUANTUM if precision in _INTEGERS else EXACT)


def _onnx(how: str, environment: str = PROJECT, name: str = "") -> Reader:
    return Reader(name or how, "onnx", "onnx_file.py", how, environment)


def _recipe(how: str, decibels: float) -> Reader:
    name = f"ai_edge_quantizer {how}"
    return Reader(
        name, "tflite", "tflite_file.py", how, kinds=("fp32", "features", "batch"), decibels=decibels
    )


def _coreml(how: str, name: str, decibels: float, *kinds: str) -> Reader:
    return Reader(f"coremltools' {name}", "coreml", "coreml_file.py", how, kinds=kinds, decibels=decibels)


FLOATS = ("fp32", "fp16", "features", "batch")
NOT_HALF = tuple(k.name for k in KINDS if k.target == "onnx" and k.name != "fp16")  # opening that one crashes
ZEROS = {"dynamic": 1.0}  # likely its kernels for grouped convolutions with int8 weights
TABLE = (
    _coreml("rename", "rename_feature", EXACT),
    _coreml("palettize", "palettize_weights", LOSSY, *FLOATS),
    _coreml("prune", "prune_weights", LOSSY, *FLOATS),
    _coreml("quantize", "linear_quantize_weights", LOSSY, *FLOATS),
    Reader("ExecuTorch's Inspector", "executorch", "executorch_file.py", "inspector", decibels=EXACT),
    _onnx("checker", name="onnx.checker"),
    *(_onnx(f"opset{n}", name=f"onnx version_converter to {n}") for n in (17, 19, 21)),
    _onnx("onnxslim", "onnx-tools"),
    _onnx("onnxsim", "onnx-tools"),
    replace(_onnx("onnxruntime", "onnxruntime-1.14", "ONNX Runtime 1.14.1"), kinds=NOT_HALF),
    _onnx("openvino", "openvino", "OpenVINO"),
    _onnx("opencv", "opencv", "OpenCV DNN"),
    Reader(
        "tflite-runtime 2.14", "tflite", "tflite_file.py", "tflite-runtime", "tflite-runtime", differs=ZEROS
    ),
    _recipe("dynamic_wi8_afp32", LOSSY),
    _recipe("weight_only_wi8_afp32", LOSSY),
    _recipe("static_wi8_ai8", DRIFTING),
    _recipe("static_wi8_ai16", DRIFTING),
)
