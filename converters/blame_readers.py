"""The graph of a converted file as `anatomy` reads it, and the values of its tensors: one reader a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from regnet_edge.artifact import Artifact, ExportRequest, graph_of
from regnet_edge.errors import ConversionError, UsageError

from . import INPUT_NAME, graph_file, graphs, target
from .anatomy import Op
from .quantize import filled_batches
from .tflite import quiet, to_real, to_steps

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from regnet_edge.model import RegNet

Floats = NDArray[np.float32]
FLOAT_STEP = 1e-4  # what counts as one quantum of a float output
WITHIN_ONE_QUANTUM = 0.9  # share of outputs; the rest are rounding ties that later layers spread


class Reader(Protocol):
    """A converted file whose inside can be looked into."""

    @property
    def image(self) -> str:
        """The input's name in the graph."""

    @property
    def ops(self) -> tuple[Op, ...]:
        """What depends on it, in an order that can run."""

    @property
    def remark(self) -> str:
        """How a graph that stands for the file was shown to be the file's, '' where it is the file."""

    def values(self, batches: Iterable[Floats], names: Sequence[str]) -> Iterator[dict[str, Floats]]:
        """Tensors by name, as real numbers in NCHW, for each batch of the file's size."""


def reader(artifact: Artifact, net: RegNet, images: Floats) -> Reader:
    """The reader of a file made from `net` (folded); raises UsageError for a target without one.

    images prove that the graph read for an ExecuTorch file computes what the file does.
    """
    readers = {"coreml": _coreml, "executorch": _executorch, "onnx": _onnx, "tflite": _tflite}
    name = artifact.request.target
    if name not in readers:
        raise UsageError(f"blame cannot look into files of target {name}; it can for {', '.join(readers)}")
    return readers[name](artifact, net, images)


# ONNX


@dataclass(frozen=True, slots=True)
class OnnxReader:
    """Runs the file with the wanted tensors as further outputs."""

    model: Any
    ops: tuple[Op, ...]
    image: str = INPUT_NAME
    remark: str = ""

    def values(self, batches: Iterable[Floats], names: Sequence[str]) -> Iterator[dict[str, Floats]]:
        """Dequantized as the file does it."""
        from .onnx_quantize import tensors

        return tensors(self.model, batches, names)


def _onnx(artifact: Artifact, _: RegNet, __: Floats) -> Reader:
    import onnx

    model = onnx.load(str(artifact.path))
    return OnnxReader(model, graphs.of_onnx(model))


# TFLite


@dataclass(frozen=True, slots=True)
class TFLiteReader:
    """Runs the file with every tensor kept."""

    interpreter: Any
    ops: tuple[Op, ...]
    image: str
    remark: str = ""

    def values(self, batches: Iterable[Floats], names: Sequence[str]) -> Iterator[dict[str, Floats]]:
        """Dequantized with each tensor's own scale; names are tensor numbers."""
        details = {str(d["index"]): d for d in self.interpreter.get_tensor_details()}
        for batch in batches:
            nhwc = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
            self.interpreter.set_tensor(int(self.image), to_steps(nhwc, details[self.image]))
            self.interpreter.invoke()
            yield {name: self._value(details[name]) for name in names}

    def _value(self, detail: Any) -> Floats:
        real = to_real(self.interpreter.get_tensor(detail["index"]), detail)
        return real.transpose(0, 3, 1, 2) if real.ndim == 4 else real


def _tflite(artifact: Artifact, _: RegNet, __: Floats) -> Reader:
    from .tflite_quantize import observing

    with quiet():
        interpreter = observing(artifact.path.read_bytes())
    [entry] = interpreter.get_input_details()
    return TFLiteReader(interpreter, graphs.of_tflite(interpreter), str(entry["index"]))


# Core ML


@dataclass(frozen=True, slots=True)
class CoreMLReader:
    """Runs the package's program in the MIL evaluator, on a Mac too."""

    evaluator: Any
    ops: tuple[Op, ...]
    image: str
    remark: str = ""

    def values(self, batches: Iterable[Floats], names: Sequence[str]) -> Iterator[dict[str, Floats]]:
        """Dequantized as the program does it."""
        for batch in batches:
            yield dict(zip(names, self.evaluator.tensors(batch, list(names)), strict=True))


def _coreml(artifact: Artifact, _: RegNet, __: Floats) -> Reader:
    from .mil.evaluator import open_evaluator

    if artifact.request.image_input or artifact.request.classifier:
        raise UsageError(
            "blame reads plain Core ML packages; convert without --coreml-image and --coreml-classifier"
        )
    evaluator = open_evaluator(artifact.path)
    return CoreMLReader(evaluator, graphs.of_coreml(evaluator), evaluator.program.input.name)


# ExecuTorch


@dataclass(frozen=True, slots=True)
class ExecuTorchReader:
    """Runs the graph that the file was lowered from, which no one can look into once it is delegated."""

    module: GraphModule
    ops: tuple[Op, ...]
    image: str
    remark: str = ""

    def values(self, batches: Iterable[Floats], names: Sequence[str]) -> Iterator[dict[str, Floats]]:
        """Dequantized as the graph does it."""
        import torch

        found: dict[str, Floats] = {}

        class Keeping(torch.fx.Interpreter):
            def run_node(self, n: torch.fx.Node) -> Any:
                value = super().run_node(n)
                if n.name in names:
                    found[n.name] = value.float().numpy()
                return value

        for batch in batches:
            with torch.no_grad():
                Keeping(self.module).run(torch.from_numpy(batch))
            yield dict(found)


def _executorch(artifact: Artifact, net: RegNet, images: Floats) -> Reader:
    kept = graph_of(artifact.path)
    module = graph_file.load(kept) if kept.exists() else _lowered_from(artifact.request, net)
    plain = ExecuTorchReader(module, graphs.of_fx(module.graph), graphs.image_of(module.graph))
    return replace(plain, remark=_proof(artifact, plain, images))


def _lowered_from(request: ExportRequest, net: RegNet) -> GraphModule:
    """The graph made again as the conversion made it: from the same weights and calibration images."""
    import torch

    from .executorch_quantize import quantized
    from .executorch_quiet import quiet
    from .quantize import images

    example = torch.zeros(request.batch, request.model.config.in_channels, *[request.model.resolution] * 2)
    with torch.no_grad(), quiet():
        program = torch.export.export(net, (example,))
        if request.precision == "int8" and request.calibration is not None:
            seen = images(request.model, request.calibration)
            program = quantized(program, example, request, seen)
        return program.module(check_guards=False)


def _proof(artifact: Artifact, graph: ExecuTorchReader, images: Floats) -> str:
    """How near the graph's outputs are to the file's, in quanta of the output; raises ConversionError."""
    last = list(graph.module.graph.nodes)[-2]
    scale = last.args[1] if "dequantize" in last.name else FLOAT_STEP
    batches = filled_batches(images, artifact.request.batch)
    found = [values[graph.ops[-1].output] for values in graph.values(batches, [graph.ops[-1].output])]
    logits = np.concatenate(found)[: len(images)]
    steps = np.abs(logits - target(artifact.request.target).run(artifact, images)) / scale
    near = float(np.mean(steps < 1.5))
    if near < WITHIN_ONE_QUANTUM:
        raise ConversionError(
            f"the graph that {artifact.path} was made from gives other outputs ({near:.1%} within one "
            "quantum); convert the model again with this version"
        )
    return (
        f"the graph's outputs are the file's: {near:.1%} within one quantum ({scale:.4g}), "
        f"all within {max(1, round(float(steps.max())))}"
    )
